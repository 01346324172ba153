"""Speakers of a mono call: told apart for real, and every failure is named and fails no call."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from stt_engine.call import CallContext
from stt_engine.events import Event, Stage
from stt_engine.limits import Limits
from stt_engine.outcome import AttemptFailed, Outcome
from stt_engine.recognition.diarisation import Diarisation
from stt_engine.speech import DecodedAudio, Segment, Transcript
from tests.support.models import campplus

AUDIO = Path(__file__).parents[3] / "audio"
SAID = json.loads((AUDIO / "sample_call.json").read_text("utf-8"))["segments"]


@pytest.fixture(scope="module")
def mono(tmp_path_factory: pytest.TempPathFactory) -> DecodedAudio:
    """Return the sample call with both speakers on one channel."""
    with av.open(str(AUDIO / "sample_call.wav")) as container:
        resampler = av.AudioResampler("s16p", "stereo", 16_000)
        frames = [
            one.to_ndarray()
            for frame in [*container.decode(audio=0), None]
            for one in resampler.resample(frame)
        ]
    samples = np.concatenate(frames, axis=1).astype(np.int32).sum(axis=0)
    file = tmp_path_factory.mktemp("mono") / "0.s16le"
    file.write_bytes(samples.clip(-32_768, 32_767).astype("<i2").tobytes())
    return DecodedAudio(AUDIO / "sample_call.wav", len(samples) / 16_000, (file,))


def transcript() -> Transcript:
    segments = tuple(
        Segment(at, one["start"], one["end"], one["text"]) for at, one in enumerate(SAID)
    )
    words = " ".join(one.text for one in segments)
    facts: dict[str, object] = {"pipelines": {"batched": [[0, len(segments) - 1]]}}
    return Transcript(words, "en", 68.2, "speech", segments=segments, provenance=facts)


class Stages:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def failed(self) -> list[str]:
        found = [one.failure for one in self.events if isinstance(one, AttemptFailed)]
        return [one.error_type for one in found if one.stage == Stage.SPEAKERS]


@pytest.fixture
def stages() -> Stages:
    return Stages()


@pytest.fixture
def diarisation(stages: Stages) -> Iterator[Diarisation]:
    made = Diarisation("auto", Limits(), (stages.events.append,), campplus().parent)
    yield made
    made.close()


def named(diarisation: Diarisation, mono: DecodedAudio) -> Outcome[Transcript]:
    return diarisation.named(transcript(), mono, CallContext())


def test_the_two_voices_of_a_call_are_told_apart(
    diarisation: Diarisation, mono: DecodedAudio
) -> None:
    found = named(diarisation, mono).value
    agent = [one["speaker"] == "agent" for one in SAID]
    voices = [one.voice for one in found.segments]
    assert len(voices) == len(agent)
    right = [(voice == 0) == one for voice, one in zip(voices, agent, strict=True)]
    assert max(sum(right), len(right) - sum(right)) >= 0.95 * len(right)
    facts = found.provenance["speakers"]
    assert isinstance(facts, dict)
    assert (facts["voices"], facts["source"]) == (2, "cam++")
    assert found.text == transcript().text
    assert found.provenance["pipelines"] == transcript().provenance["pipelines"]


def test_the_translation_has_the_voices_and_each_speaker_has_seconds(
    diarisation: Diarisation, mono: DecodedAudio
) -> None:
    given = replace(transcript(), segments_en=transcript().segments)
    found = diarisation.named(given, mono, CallContext()).value
    said = [(one.voice, one.speaker, one.speaker_source) for one in found.segments]
    assert [(one.voice, one.speaker, one.speaker_source) for one in found.segments_en] == said
    facts = found.provenance["speakers"]
    assert isinstance(facts, dict)
    spoken = sum(one.end - one.start for one in found.segments)
    assert sum(facts["seconds"].values()) == pytest.approx(spoken)


def test_a_failure_is_named_and_the_next_call_is_well(
    diarisation: Diarisation, mono: DecodedAudio, stages: Stages
) -> None:
    gone = replace(mono, files=(mono.files[0].with_name("gone"),))
    outcome = named(diarisation, gone)
    assert outcome.is_dummy
    assert stages.failed() == ["WorkspaceError"]
    assert [one.code for one in outcome.value.warnings] == ["speakers_failed"]
    assert [one.speaker_source for one in outcome.value.segments] == ["none"] * len(SAID)
    assert not named(diarisation, mono).is_dummy


def test_a_model_that_nobody_fetched_is_no_failure(
    mono: DecodedAudio, stages: Stages, tmp_path: Path
) -> None:
    made = Diarisation("auto", Limits(), (stages.events.append,), tmp_path / "not-there")
    found = named(made, mono).value
    facts = found.provenance["speakers"]
    assert isinstance(facts, dict)
    assert "stt-engine model fetch" in str(facts["reason"])
    assert (found.warnings, made.worker.pid) == ((), None)


def test_a_changed_model_is_not_used(mono: DecodedAudio, stages: Stages, tmp_path: Path) -> None:
    folder = tmp_path / "changed"
    folder.mkdir()
    shutil.copy(campplus(), folder)
    with (folder / campplus().name).open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"other")
    made = Diarisation("auto", Limits(), (stages.events.append,), folder)
    found = named(made, mono).value
    assert stages.failed() == ["ModelDamaged"]
    assert [one.code for one in found.warnings] == ["speakers_failed"]
    assert made.worker.pid is None


@pytest.mark.parametrize("mode", ["off", "auto"])
def test_two_channels_and_known_speakers_pay_nothing(mode: str, mono: DecodedAudio) -> None:
    made = Diarisation(mode, Limits())  # type: ignore[arg-type]
    stereo = replace(mono, files=(mono.files[0], mono.files[0]))
    known = replace(
        transcript(),
        segments=tuple(
            replace(one, speaker="agent", speaker_source="channel") for one in transcript().segments
        ),
    )
    assert not made.applies(transcript(), stereo)
    assert not made.applies(known, mono)
    assert made.applies(transcript(), mono) == (mode == "auto")
