"""Voice activity detection, and coverage by it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from stt_engine.backends.base import RawSegment
from stt_engine.backends.vad import MAX_SPAN_SEC, Samples, SpeechSpan, speech_spans
from stt_engine.speech import SAMPLE_RATE
from tests.support.recognition_runs import LOOP, run
from tests.support.stub_model import FakeModel, channel_at, job_of


# The real voice detection -----------------------------------------------------------------
def test_the_real_voice_detection_finds_speech_and_no_other_sound(sample_call: Path) -> None:
    call = _read(sample_call)
    spans = speech_spans(call)
    spoken = sum(end - start for start, end, _ in spans) / SAMPLE_RATE
    assert 40 < spoken < len(call) / SAMPLE_RATE
    assert all(end - start <= (MAX_SPAN_SEC + 1) * SAMPLE_RATE for start, end, _ in spans)
    assert spans == sorted(spans)
    assert speech_spans(np.zeros(5 * SAMPLE_RATE, np.float32)) == []


def _voiced_sec(spans: Sequence[SpeechSpan], start: float, end: float) -> float:
    runs = [(a / SAMPLE_RATE, b / SAMPLE_RATE) for span in spans for a, b in span.voiced]
    return sum(max(0.0, min(b, end) - max(a, start)) for a, b in runs)


@pytest.mark.parametrize("below_db", [20, 26, 34, 42, 50])
def test_speech_that_is_quiet_beside_the_rest_is_found(sample_call: Path, below_db: int) -> None:
    """Half of it was not at 26 dB below, and nothing said so."""
    loud = _speech(sample_call)
    seconds = len(loud) / SAMPLE_RATE
    spans = speech_spans(_with_quiet(loud, below_db))
    first = _voiced_sec(spans, 0.0, seconds)
    second = _voiced_sec(spans, seconds + 3.0, 2 * seconds + 3.0)
    assert second > 0.8 * first > 2


def test_what_another_channel_says_louder_is_nobodys_quiet_speech(sample_call: Path) -> None:
    loud = _speech(sample_call)
    own = _with_quiet(loud, 42)
    other = np.zeros_like(own)
    begin = len(loud) + 3 * SAMPLE_RATE
    other[begin : begin + len(loud)] = loud
    at, end = begin / SAMPLE_RATE - 0.5, len(own) / SAMPLE_RATE
    assert _voiced_sec(speech_spans(own), at, end) > 5
    assert _voiced_sec(speech_spans(own, [other]), at, end) < 0.5


def _with_quiet(loud: Samples, below_db: float) -> Samples:
    """Return speech, and the same so much quieter behind a pause of three seconds, over noise."""
    silent = np.zeros(3 * SAMPLE_RATE, np.float32)
    both = np.concatenate([loud, silent, loud * 10 ** (-below_db / 20), silent])
    return (both + np.random.default_rng(1).normal(0, 1e-4, len(both))).astype(np.float32)


@pytest.mark.parametrize("level_db", [-30, -45, -60, -80])
def test_no_noise_is_quiet_speech(level_db: int) -> None:
    rng = np.random.default_rng(0)
    count = 30 * SAMPLE_RATE
    bursts = rng.normal(size=count) * (rng.random(count // 800) > 0.9).repeat(800)
    ring = np.sin(np.arange(count) * 2 * np.pi * 440 / SAMPLE_RATE) * (
        np.arange(count) % (6 * SAMPLE_RATE) < 2 * SAMPLE_RATE
    )
    for noise in (rng.normal(size=count), bursts, ring):
        samples = noise / noise.std() * 10 ** (level_db / 20)
        assert speech_spans(samples.astype(np.float32)) == []


def _read(path: Path) -> Samples:
    with av.open(str(path)) as file:
        resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE)
        parts = [
            out.to_ndarray()[0]
            for frame in file.decode(audio=0)
            for out in resampler.resample(frame)
        ]
    return np.concatenate(parts).astype(np.float32)


def _speech(call: Path) -> Samples:
    """Return the first twelve seconds of a call, peaking at -10 dBFS."""
    samples = _read(call)[: 12 * SAMPLE_RATE]
    return samples * np.float32(0.3 / np.abs(samples).max())


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
