"""The vocabulary of recognition: what is asked, what is heard, and who can do it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from stt_engine.errors import TranscriptionFailed
from stt_engine.turns import Ticket

SpeechOutcome = Literal["speech", "no_speech", "failed"]

SAMPLE_RATE = 16_000
"""Samples per second of everything behind the decoder (Whisper's own rate)."""

AUTO = "auto"
"""The language code that asks for detection."""

LANGUAGES = frozenset(
    """
    af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw
    he hi hr ht hu hy id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt
    my ne nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl
    tr tt uk ur uz vi yi yo yue zh
    """.split()
)
"""The codes that Whisper's multilingual tokenizer knows (openai-whisper ``tokenizer.py``)."""


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """Checked before the memory or the disk is spent. Bytes of the file; seconds of sound."""

    max_bytes: int = 2 * 1024**3
    max_duration_sec: float = 4 * 3600.0


@dataclass(frozen=True, slots=True)
class SpeechRequest:
    """One recording to recognise.

    ``language`` is a Whisper code or ``auto``; ``translate`` asks for English in ``text_en`` too;
    ``agent_channel`` names the channel of a two-channel recording that is the agent (0 is left).
    """

    path: Path
    language: str = "ko"
    translate: bool = False
    word_timestamps: bool = False
    agent_channel: int = 0


@dataclass(frozen=True, slots=True)
class DecodedAudio:
    """A recording as raw signed 16-bit little-endian mono files, one a channel, at 16 kHz.

    ``duration`` is in seconds. More than one file means that the channels differ.
    """

    path: Path
    duration: float
    files: tuple[Path, ...]
    source_format: str = ""


@dataclass(frozen=True, slots=True)
class Word:
    """One word; times in seconds from the start of the recording."""

    start: float
    end: float
    word: str
    probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech; times in seconds from the start of the recording.

    ``confidence`` is the mean token probability, 0 to 1; ``channel`` counts from 0; ``speaker``
    is ``agent`` or ``customer`` where the channel tells, else ``None``.
    """

    id: int
    start: float
    end: float
    text: str
    channel: int = 0
    speaker: str | None = None
    confidence: float | None = None
    words: tuple[Word, ...] | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was recognised. ``text`` is empty unless ``outcome`` is ``speech``.

    ``backend`` names the recogniser where that is not the source that gave this transcript: a
    remote engine has a chain of its own.
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

    def __post_init__(self) -> None:
        """Refuse what contradicts itself: a speech without words would be an empty success.

        Raises:
            TranscriptionFailed: ``text`` and ``outcome`` do not agree.
        """
        if (self.outcome == "speech") != bool(self.text.strip()):
            raise TranscriptionFailed(f"outcome {self.outcome} with {len(self.text)} characters")


def silence(request: SpeechRequest, duration: float = 0.0) -> Transcript:
    """Give the dummy's transcript: nothing was recognised, and it says so."""
    return Transcript("", request.language, duration, "failed")


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
        """Look whether what was loaded is still what a call would be answered with."""
        ...

    def ensure_loaded(self) -> None:
        """Have a model loaded; raises where that cannot be."""
        ...

    def transcribe(self, request: SpeechRequest, audio: DecodedAudio, ticket: Ticket) -> Transcript:
        """Recognise the recording; bounded in time, and left as soon as nobody waits for it."""
        ...

    def close(self) -> None:
        """Free what is held; a later call takes it again."""
        ...

    def stop(self) -> None:
        """Give calls in hand and to come a failure at once: the server is stopping."""
        ...
