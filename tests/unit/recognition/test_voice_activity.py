"""Voice activity detection, and coverage by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stt_engine.backends.base import RawSegment
from stt_engine.backends.vad import MAX_SPAN_SEC, speech_spans
from stt_engine.speech import SAMPLE_RATE
from tests.support.recognition_runs import LOOP, run
from tests.support.stub_model import FakeModel, channel_at, job_of


# The real voice detection -----------------------------------------------------------------
def test_the_real_voice_detection_finds_speech_and_no_other_sound(sample_call: Path) -> None:
    import av  # noqa: PLC0415

    with av.open(str(sample_call)) as file:
        resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE)
        parts = [
            out.to_ndarray()[0]
            for frame in file.decode(audio=0)
            for out in resampler.resample(frame)
        ]
    call = np.concatenate(parts).astype(np.float32)
    spans = speech_spans(call)
    spoken = sum(end - start for start, end, _ in spans) / SAMPLE_RATE
    assert 40 < spoken < len(call) / SAMPLE_RATE
    assert all(end - start <= (MAX_SPAN_SEC + 1) * SAMPLE_RATE for start, end, _ in spans)
    assert spans == sorted(spans)
    assert speech_spans(np.zeros(5 * SAMPLE_RATE, np.float32)) == []


# --- how much of the speech became text ---------------------------------------------------
@pytest.mark.parametrize(
    ("heard", "missing"),
    [
        ([], [(10.0, 20.0)]),
        ([(0.3, 9.5)], []),
        ([(0.0, 2.0), (2.5, 10.0)], []),
        ([(0.0, 2.0), (3.5, 10.0)], [(12.0, 13.5)]),
        ([(0.0, 4.0)], [(14.0, 20.0)]),
        ([(5.0, 10.0)], [(10.0, 15.0)]),
        ([(0.0, 1.0), (8.0, 10.0)], [(11.0, 18.0)]),
    ],
)
def test_voice_without_text_is_reported_and_lowers_the_coverage(
    tmp_path: Path, heard: list[tuple[float, float]], missing: list[tuple[float, float]]
) -> None:
    """One chunk of speech from 10 s to 20 s, and one from 25 s to 28 s."""
    file = channel_at(tmp_path / "a", (10, 20), (25, 28), seconds=40)
    text = "이 상품은 원금이 보장되지 않으며, 예금자보호법에 따라 보호되지 않습니다."
    said = [RawSegment(start, end, text) for start, end in heard]
    model = FakeModel([said, [RawSegment(0.0, 3.0, text)]])
    result = run(model, job_of(file))
    assert result["coverage"]["unheard"] == [
        {
            "start": start,
            "end": end,
            "channel": 0,
            "speech_sec": end - start,
            "reason": "no_text",
        }
        for start, end in missing
    ]
    lost = sum(end - start for start, end in missing)
    assert result["coverage"]["channels"] == [
        {"channel": 0, "speech_sec": 13.0, "recognised_sec": pytest.approx(13.0 - lost)}
    ]
    assert [one["code"] for one in result["warnings"]] == ["no_text"] * bool(missing)
    assert result["provenance"]["heard_again"] == ({"gap_in_text": 1} if missing and heard else {})


def test_what_was_rejected_is_voice_without_text(tmp_path: Path) -> None:
    file = channel_at(tmp_path / "a", (1, 4), (6, 9))
    model = FakeModel([[RawSegment(0, 3, "안녕하세요")], [RawSegment(0, 3, LOOP)]])
    (unheard,) = run(model, job_of(file))["coverage"]["unheard"]
    assert (unheard["start"], unheard["end"], unheard["speech_sec"]) == (6.0, 9.0, 3.0)
