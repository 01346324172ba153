"""The vocabulary of recognition: request, decoded audio, transcript, and who can make one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from stt_engine.call import CallContext, OnWork
from stt_engine.coverage import SpeechCoverage, nothing_recognised
from stt_engine.errors import TranscriptionFailed
from stt_engine.hints import NO_HINTS, Hints
from stt_engine.warnings import AnswerWarning

SpeechOutcome = Literal["speech", "no_speech", "failed"]

SpeakerSource = Literal["channel", "diarisation", "label", "none"]
"""What shows who spoke: a channel of their own, their voice, a label in a text, or nothing."""

SAMPLE_RATE = 16_000
"""Samples per second of everything behind the decoder (Whisper's own rate)."""


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """Checked before the memory or the disk is spent. Bytes of the file; seconds of sound.

    ``max_tracks`` and ``max_channels`` (of all tracks together) bound what one recording may hold,
    ``max_channel_sec`` its length times its channels. ``open_timeout_sec`` is for reading the
    header. A recording of which less than ``min_heard_share`` can be decoded is refused.
    """

    max_bytes: int = 2 * 1024**3
    max_duration_sec: float = 4 * 3600.0
    max_tracks: int = 8
    max_channels: int = 16
    max_channel_sec: float = 16 * 3600.0
    min_heard_share: float = 0.5
    open_timeout_sec: float = 10.0


@dataclass(frozen=True, slots=True)
class KnownVoice:
    """A voice that somebody has named; ``embedding`` has 192 numbers and a length of 1.

    ``is_agent``: whoever it is speaks for the company.
    """

    name: str
    embedding: tuple[float, ...] = field(repr=False)
    is_agent: bool = False


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """One recording to recognise.

    ``language`` is a Whisper code or ``auto``; ``translate`` asks for English in ``text_en`` too;
    ``agent_channel`` names the channel of a two-channel recording that is the agent (0 is left).
    ``hints`` are words to look out for. ``temperature``: 0 takes the best words; up to 1, they are
    drawn by their probability, another text each time. ``model`` is the folder of another model
    than the engine's own. ``known`` are voices that are looked for among those of the call.
    """

    path: Path
    language: str = "ko"
    translate: bool = False
    word_timestamps: bool = False
    agent_channel: int = 0
    hints: Hints = NO_HINTS
    temperature: float = 0.0
    model: Path | None = None
    known: tuple[KnownVoice, ...] = ()

    @property
    def passes(self) -> int:
        """How often its sound is transcribed: again to translate it, and again with hints."""
        return 1 + self.translate + bool(self.hints)


@dataclass(frozen=True, slots=True)
class DecodedAudio:
    """A recording as raw signed 16-bit little-endian mono files, one a channel, at 16 kHz.

    ``duration`` is in seconds. More than one file means that the channels differ. ``sound`` is the
    decoder's ledger as plain data: what the file holds, and what of it could not be decoded.
    """

    path: Path
    duration: float
    files: tuple[Path, ...]
    source_format: str = ""
    sound: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Word:
    """One word; times in seconds from the start of the recording."""

    start: float
    end: float
    word: str
    probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the speech; times in seconds from the start of the recording.

    ``confidence`` is the mean token probability, 0 to 1; ``channel`` counts from 0; ``speaker``
    is ``agent`` or ``customer`` where ``speaker_source`` shows it, else ``None``. ``voice`` is the
    number of the voice on a channel that holds several, ``None`` where that is not clear, and
    ``speaker_confidence`` how sure both are, 0 to 1, where voices were told apart. ``speaker_name``
    is the name of a known voice that was looked for, where it is this one.
    """

    id: int
    start: float
    end: float
    text: str
    channel: int = 0
    speaker: str | None = None
    confidence: float | None = None
    words: tuple[Word, ...] | None = None
    speaker_source: SpeakerSource = "none"
    voice: int | None = None
    speaker_confidence: float | None = None
    speaker_name: str | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was recognised. ``text`` is empty unless ``outcome`` is ``speech``.

    ``backend`` names the recogniser where that is not the source that gave this transcript: a
    remote engine has a chain of its own. ``coverage`` is ``None`` where nobody counted.
    ``segments_en`` are those of the translation, with times of their own.
    """

    text: str
    language: str
    duration: float
    outcome: SpeechOutcome
    text_en: str = ""
    segments: tuple[Segment, ...] = ()
    provenance: dict[str, object] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    backend: str | None = None
    coverage: SpeechCoverage | None = None
    warnings: tuple[AnswerWarning, ...] = ()
    segments_en: tuple[Segment, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what contradicts itself: a speech without words would be an empty success.

        Raises:
            TranscriptionFailed: ``text`` and ``outcome`` do not agree.
        """
        if (self.outcome == "speech") != bool(self.text.strip()):
            raise TranscriptionFailed(f"outcome {self.outcome} with {len(self.text)} characters")

    @property
    def untranslated(self) -> str | None:
        """Why there is no translation, where one was asked for and speech was recognised."""
        missing = (one.detail for one in self.warnings if one.code == "translation_missing")
        return next(missing, None)


def silence(request: SpeechRequest, duration: float = 0.0) -> Transcript:
    """Return the dummy's transcript: nothing was recognised, and it says so."""
    coverage = nothing_recognised(duration)
    return Transcript("", request.language, duration, "failed", coverage=coverage)


class SpeechBackend(Protocol):
    """Anything that can recognise a recording, or raises a ``stt_engine.errors`` error."""

    @property
    def name(self) -> str:
        """The backend's name as callers see it, for example ``faster-whisper``."""
        ...

    @property
    def state(self) -> str:
        """``stopped``, ``idle``, ``busy`` or ``stalled``; never waits."""
        ...

    @property
    def pid(self) -> int | None:
        """The process that does the work, where it is one of this machine."""
        ...

    @property
    def loaded(self) -> bool:
        """True while a model is loaded there, as far as is known; never waits."""
        ...

    def intact(self) -> bool:
        """Return whether what was loaded is still what a call would be answered with."""
        ...

    def ensure_loaded(self) -> None:
        """Have a model loaded; raises where that cannot be."""
        ...

    def transcribe(
        self, request: SpeechRequest, audio: DecodedAudio, context: CallContext, on_work: OnWork
    ) -> Transcript:
        """Recognise the recording; bounded in time, and left as soon as nobody waits for it.

        ``on_work`` may be called with what is left, as often as that is known.
        """
        ...

    def close(self) -> None:
        """Free what is held; a later call takes it again."""
        ...

    def stop(self) -> None:
        """Fail calls in hand and to come at once: the server is stopping."""
        ...
