"""Who speaks on a channel that holds several people: a stage of its own, which never fails a call.

It comes after the recognition, in a child process of its own, and only where no channel shows who
speaks. Where it cannot, the transcript stays as it is, and says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

from stt_engine.call import CallContext
from stt_engine.errors import BackendUnavailable, ModelDamaged, ModelNotFound
from stt_engine.events import Observer, Stage
from stt_engine.hashing import sha256_of
from stt_engine.limits import Limits
from stt_engine.model_store.catalogue import load_catalogue
from stt_engine.model_store.folder import Fingerprint, fingerprint
from stt_engine.model_store.places import find_model
from stt_engine.outcome import DUMMY, Attempts, Outcome
from stt_engine.protocol import VOICES
from stt_engine.recognition.known import (
    Match,
    Voice,
    agent_among,
    as_data,
    matched,
    spans_by_voice,
    with_names,
)
from stt_engine.recognition.roles import Roles, roles_of
from stt_engine.recognition.voiceprint import Voiceprint, print_of
from stt_engine.recognition.voices import by_voice, seconds_by_speaker, spans_of
from stt_engine.speech import DecodedAudio, KnownVoice, Segment, Transcript
from stt_engine.system.file_threads import FileThreads
from stt_engine.voice_messages import DiariseResult
from stt_engine.warnings import warning
from stt_engine.workers.process import WorkerLimits
from stt_engine.workers.worker import Worker

Diarization = Literal["off", "auto"]
"""``auto``: where one channel holds the call and the model is there."""

MODEL = "campplus-zh-en-common"
"""The network's name in the catalogue."""

SOURCE = "cam++"
"""What tells voices apart, in attempts, metrics and provenance."""

MIN_SPEECH_SEC = 15.0
"""Seconds of speech that it takes to tell anything; shorter clips are left as they are."""

_MIN_SEC, _SHARE = 30.0, 0.5
"""Seconds that it may take, and as a share of the recording's length, whichever is more."""


class Diarisation:
    """Tells the voices of a mono call apart, and names them where their words show who they are."""

    def __init__(
        self,
        mode: Diarization,
        limits: Limits,
        observers: Iterable[Observer] = (),
        folder: Path | None = None,
    ) -> None:
        self.mode = mode
        self._folder = folder
        self._observers = tuple(observers)
        self.worker = Worker(VOICES, WorkerLimits(limits.stall_timeout_sec), self._observers)
        self._disk = FileThreads("the voices' model", limits.load_timeout_sec)
        self._checked: Fingerprint | None = None

    def applies(self, transcript: Transcript, audio: DecodedAudio) -> bool:
        """Return whether there is anything to tell apart: one channel, and nobody named on it."""
        segments = transcript.segments
        named = any(one.speaker_source != "none" or one.voice is not None for one in segments)
        speech_sec = sum(end - start for start, end in spans_of(segments))
        one_channel = self.mode == "auto" and len(audio.files) == 1
        return one_channel and speech_sec >= MIN_SPEECH_SEC and not named

    def weights(self) -> Path:
        """Return the network's file, whole and with the right hash.

        Raises:
            BackendUnavailable: it was never fetched; nothing is wrong.
            ModelDamaged: it is there, and not what it should be.
            EngineError: the disk does not answer.
        """
        return self._disk.run(self._look)

    def _look(self) -> Path:
        entry = load_catalogue()[MODEL]
        (pinned,) = entry.files
        folder = self._folder or find_model(MODEL)
        file = folder / pinned.name
        found = fingerprint(folder)
        if not found:
            raise BackendUnavailable(f"{folder} is not there (`stt-engine model fetch {MODEL}`)")
        if not file.is_file():
            raise ModelNotFound(f"{file} is not there: `stt-engine model fetch {MODEL}`")
        if found != self._checked:
            if sha256_of(file) != pinned.sha256:
                raise ModelDamaged(f"{file} is not the file that was pinned: fetch it again")
            self._checked = found
        return file

    def named(
        self,
        transcript: Transcript,
        audio: DecodedAudio,
        context: CallContext,
        known: Sequence[KnownVoice] = (),
    ) -> Outcome[Transcript]:
        """Return the transcript with its voices and, where they are certain, roles and names.

        Voices are told apart where that :meth:`applies`, and compared with ``known`` ones.
        """
        attempts = Attempts(Stage.SPEAKERS, self._observers, subject=str(audio.path))
        with attempts.of(SOURCE):
            found = transcript
            if self.applies(transcript, audio):
                found = self._told_apart(transcript, audio, context, known)
            elif known:
                matches = self._matches(transcript.segments, audio, context, known)
                found = _with_matches(transcript, matches, len(known))
            return attempts.settle(found, SOURCE)
        return attempts.settle(_unnamed(transcript, attempts), DUMMY)

    def _told_apart(
        self,
        transcript: Transcript,
        audio: DecodedAudio,
        context: CallContext,
        known: Sequence[KnownVoice],
    ) -> Transcript:
        found = self._found(audio.files[0], spans_of(transcript.segments), audio, context)
        parts, roles = _parts(transcript, found)
        segments = [one for group in parts for one in group]
        matches = self._matches(segments, audio, context, known) if known else {}
        agent = agent_among(matches)
        roles = roles if agent is None else roles.with_agent(*agent)
        named = _named(transcript, found, parts, roles)
        return _with_matches(named, matches, len(known)) if known else named

    def voiceprint(self, audio: DecodedAudio, context: CallContext) -> Voiceprint:
        """Return what a recording of one voice is known by later.

        Raises:
            InvalidRequest: it holds several voices or channels, or too little of one.
            BackendUnavailable: the network is not there, or not wanted.
            EngineError: it was not looked at.
        """
        if self.mode == "off":
            raise BackendUnavailable("voices are not compared here (DIARIZATION=off)")
        spans = [(0.0, audio.duration)]
        found = self._found(audio.files[0], spans, audio, context, narrow=True)
        return print_of(audio, found)

    def _matches(
        self,
        segments: Sequence[Segment],
        audio: DecodedAudio,
        context: CallContext,
        known: Sequence[KnownVoice],
    ) -> dict[Voice, Match]:
        heard = {}
        for voice, spans in spans_by_voice(segments).items():
            found = self._found(audio.files[voice[0]], spans, audio, context, narrow=True)
            if found["embedding"]:
                heard[voice] = found["embedding"]
        return matched(heard, known)

    def _found(
        self,
        file: Path,
        spans: Sequence[tuple[float, float]],
        audio: DecodedAudio,
        context: CallContext,
        *,
        narrow: bool = False,
    ) -> DiariseResult:
        job = {
            "operation": "diarise",
            "weights": str(self.weights().absolute()),
            "file": str(file),
            "spans": spans,
            "narrow": narrow,
        }
        found = self.worker.call(
            cast("Any", job),
            timeout=max(_MIN_SEC, _SHARE * audio.duration),
            entry=self.worker.entry(context),
        )
        return cast("DiariseResult", found)

    def close(self) -> None:
        """End the child process; a later call starts it again."""
        self.worker.close()

    def stop(self) -> None:
        """End it for good."""
        self.worker.stop()


def _parts(transcript: Transcript, found: DiariseResult) -> tuple[list[list[Segment]], Roles]:
    """Return the segments by voice, and which voice is the agent by its words."""
    told = found["voices"] is not None
    parts = by_voice(transcript.segments, found) if told else [[o] for o in transcript.segments]
    segments = [one for group in parts for one in group]
    return parts, roles_of(segments) if (found["voices"] or 0) > 1 else Roles()


def _named(
    transcript: Transcript, found: DiariseResult, parts: list[list[Segment]], roles: Roles
) -> Transcript:
    segments = [one for group in parts for one in group]
    numbered = tuple(replace(_role(one, roles), id=at) for at, one in enumerate(segments))
    told = found["voices"] is not None
    english = _english(transcript.segments_en, found, roles) if told else transcript.segments_en
    facts: dict[str, object] = {
        "source": SOURCE,
        "model": MODEL,
        "voices": found["voices"],
        "likeness": found["likeness"],
        "announced_until": found["announced_until"],
        "roles": roles.as_data(),
        "seconds": seconds_by_speaker(numbered),
    }
    return replace(
        transcript,
        segments=numbered,
        segments_en=english,
        provenance={**_moved(transcript.provenance, parts), "speakers": facts},
    )


def _with_matches(transcript: Transcript, matches: dict[Voice, Match], compared: int) -> Transcript:
    """Return the transcript with the names of known voices."""
    facts = cast("dict[str, object]", transcript.provenance.get("speakers") or {})
    facts = {**facts, "known": as_data(matches, compared)}
    return replace(
        transcript,
        segments=with_names(transcript.segments, matches),
        segments_en=with_names(transcript.segments_en, matches),
        provenance={**transcript.provenance, "speakers": facts},
    )


def _english(
    segments: Sequence[Segment], found: DiariseResult, roles: Roles
) -> tuple[Segment, ...]:
    """Return the segments of the translation with the voices at their own times."""
    parts = [one for group in by_voice(segments, found) for one in group]
    return tuple(replace(_role(one, roles), id=at) for at, one in enumerate(parts))


def _role(segment: Segment, roles: Roles) -> Segment:
    """Return a segment with the role of its voice, where that is certain."""
    if segment.voice is None or roles.agent is None:
        return segment
    sure = (segment.speaker_confidence or 0.0) * roles.certainty
    return replace(
        segment,
        speaker="agent" if segment.voice == roles.agent else "customer",
        speaker_source="diarisation",
        speaker_confidence=round(sure, 4),
    )


def _moved(provenance: dict[str, object], parts: Sequence[Sequence[Segment]]) -> dict[str, object]:
    """Return the provenance with the ranges of ids as they are after segments were cut."""
    pipelines = provenance.get("pipelines")
    if not isinstance(pipelines, dict):
        return provenance
    first, at = [], 0
    for group in parts:
        first.append(at)
        at += len(group)
    first.append(at)
    moved = {
        name: [[first[low], first[high + 1] - 1] for low, high in ranges]
        for name, ranges in pipelines.items()
    }
    return {**provenance, "pipelines": moved}


def _unnamed(transcript: Transcript, attempts: Attempts) -> Transcript:
    failure = attempts.failures[-1]
    facts = {"source": None, "reason": f"{failure.error_type}: {failure.message}"}
    found = replace(transcript, provenance={**transcript.provenance, "speakers": facts})
    if failure.skipped:  # nobody has fetched the model: nothing failed
        return found
    told = warning("speakers_failed", f"{failure.error_type}: {failure.message}")
    return replace(found, warnings=(*found.warnings, told))
