"""What goes over the pipe between this process and a child process, in both directions.

Messages are length-prefixed JSON (no pickle: the child reads hostile files). Bytes that they hold
stand behind it as they are, so that a caller's text is not taken apart here. Both sides import
their types from here, and every dictionary that goes over the pipe is one of them. One key names
the type within a union: ``operation`` of a job, ``request`` of a request, ``event`` of a message,
``kind`` of a step or a result.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal, TypedDict

from stt_engine.coverage import UnheardReason
from stt_engine.voice_messages import DiariseJob, DiariseResult, DiariseStep, DiariseSteps

AUDIO, TEXT, VOICES = "audio", "text", "voices"
FASTER_WHISPER, TRANSFORMERS, OPENAI_WHISPER = "faster-whisper", "transformers", "openai-whisper"
"""Roles of a child process: the decoder, one for each backend, callers' text, and who speaks."""

Task = Literal["transcribe", "translate"]

Provenance = dict[str, object]
"""Facts that an answer shows as they are; JSON values."""

OnShared = Callable[[list[int]], None]
"""Called with the numbers of the jobs that share the next step, before that step."""


# Jobs: what the parent asks for -------------------------------------------------------------


class DecodeLimits(TypedDict):
    """What a recording may cost; see :class:`stt_engine.speech.AudioLimits`."""

    max_bytes: int
    max_duration_sec: float
    max_tracks: int
    max_channels: int
    max_channel_sec: float
    min_heard_share: float
    open_timeout_sec: float


class DecodeJob(TypedDict):
    """Decode a recording into ``folder``."""

    operation: Literal["decode"]
    path: str
    folder: str
    limits: DecodeLimits


class LoadJob(TypedDict):
    """Load a model; ``facts`` are added to its provenance."""

    operation: Literal["load"]
    folder: str
    weights: str
    device: str
    compute_type: str
    decoding: str
    encoder: str
    beam_size: int
    facts: Provenance


class ResumePosition(TypedDict):
    """Where a job continues: in ``task``, so many samples of each channel are done."""

    task: Task
    samples: list[int]
    language: str | None


class TranscribeJob(TypedDict):
    """Recognise decoded channels; ``single``: it may share no step with another job.

    ``background``: its steps are short, and it has no part in those of other jobs. ``eager``: its
    first step is short, because its text is read as it comes: so many chunks, if not more.
    """

    operation: Literal["transcribe"]
    files: list[str]
    language: str
    translate: bool
    words: bool
    prompt: str
    keywords: list[str]
    temperature: float
    resume: ResumePosition | None
    single: bool
    background: bool
    eager: int


class TextJob(TypedDict):
    """Do a task of the server's on the text of a call; ``options`` are the same for all calls."""

    operation: Literal["text"]
    task: str
    options: bytes
    data: bytes


Job = DecodeJob | LoadJob | TranscribeJob | TextJob | DiariseJob


# Steps and results: what a job brings -------------------------------------------------------


class DecodeEstimate(TypedDict):
    """What the header promises; ``estimate_sec`` is ``None`` where it is silent."""

    kind: Literal["estimate"]
    estimate_sec: float | None
    channels: int


class DecodeProgress(TypedDict):
    """Decoding goes on."""

    kind: Literal["progress"]


DecodeStep = DecodeEstimate | DecodeProgress


class DecodeResult(TypedDict):
    """What was written: raw s16le mono at 16 kHz, one file a channel.

    ``ledger`` says what the recording holds and what of it could not be decoded.
    """

    kind: Literal["decoded"]
    duration: float
    files: Sequence[str]
    source_format: str
    ledger: Provenance


class LoadResult(TypedDict):
    """A model is loaded."""

    kind: Literal["loaded"]


class ModelStep(TypedDict):
    """The first step of a recognition: which model does it."""

    kind: Literal["model"]
    provenance: Provenance


class SegmentFacts(TypedDict):
    """One segment, in seconds from the start of the recording; see ``speech.Segment``.

    Who said it is not known here: that takes every channel.
    """

    start: float
    end: float
    text: str
    channel: int
    confidence: float | None
    words: Sequence[tuple[float, float, str, float]] | None
    pipeline: str


class RejectedSegment(TypedDict):
    """A segment that was not taken, as the answer's provenance shows it."""

    start: float
    end: float
    channel: int
    reason: str


class UnheardSpan(TypedDict):
    """A part of the speech that has no text: ``speech_sec`` seconds of voice in it, and why."""

    start: float
    end: float
    channel: int
    speech_sec: float
    reason: UnheardReason


class LanguageFacts(TypedDict):
    """What a part of the speech sounds like; ``other``: clearly not the language asked for."""

    channel: int
    start: float
    end: float
    speech_sec: float
    language: str
    probability: float
    asked_probability: float
    other: bool


class ChunkStep(TypedDict):
    """One chunk of speech was recognised; ``sample`` is its end.

    ``low_confidence`` are the reasons why it was transcribed again, ``hinted`` is what came of its
    hints, if it had any, ``facts`` what differs from the model's own provenance. ``ready`` are the
    jobs that can continue without any work: the child continues them in the same turn.
    """

    kind: Literal["chunk"]
    task: Task
    channel: int
    sample: int
    language: str | None
    speech_sec: float
    segments: list[SegmentFacts]
    rejected: list[RejectedSegment]
    unheard: list[UnheardSpan]
    languages: list[LanguageFacts]
    low_confidence: list[str]
    hinted: str
    facts: Provenance
    ready: list[int]


class PieceStep(TypedDict):
    """All of one piece of a channel is done; ``sample`` is its end. ``ready``: as above."""

    kind: Literal["piece"]
    task: Task
    channel: int
    sample: int
    language: str | None
    facts: Provenance
    ready: list[int]


class TranscriptionDone(TypedDict):
    """A recognition is done: its steps have brought everything."""

    kind: Literal["transcribed"]


class TextStep(TypedDict):
    """A part of a task on text is done, and another call may have its turn."""

    kind: Literal["text_part"]


class TextResult(TypedDict):
    """What a task on text came to."""

    kind: Literal["text_done"]
    data: bytes


Step = DecodeEstimate | DecodeProgress | ModelStep | ChunkStep | PieceStep | TextStep | DiariseStep
Result = DecodeResult | LoadResult | TranscriptionDone | TextResult | DiariseResult

DecodeSteps = Generator[DecodeStep, None, DecodeResult]
TranscribeSteps = Generator[ModelStep | ChunkStep | PieceStep, None, TranscriptionDone]
TextSteps = Generator[TextStep, None, TextResult]
Steps = Generator[Step, None, Result]


class Operations(TypedDict, total=False):
    """What one role can do; a job's number names it where jobs share a step."""

    decode: Callable[[DecodeJob], DecodeSteps]
    load: Callable[[LoadJob], LoadResult]
    transcribe: Callable[[TranscribeJob, int], TranscribeSteps]
    text: Callable[[TextJob], TextSteps]
    diarise: Callable[[DiariseJob], DiariseSteps]


# Requests: parent to child ------------------------------------------------------------------


class BeginRequest(TypedDict):
    """Begin a job and do its first step."""

    request: Literal["begin"]
    number: int
    job: Job


class StepRequest(TypedDict):
    """Do the next step of a job."""

    request: Literal["step"]
    number: int


class DropRequest(TypedDict):
    """Forget a job; no turn, so no :class:`TurnMessage` follows."""

    request: Literal["drop"]
    number: int


Request = BeginRequest | StepRequest | DropRequest


# Messages: child to parent ------------------------------------------------------------------


class BeatMessage(TypedDict):
    """A sign of life; ``cpu_sec`` is the time that the process has computed in all."""

    event: Literal["beat"]
    cpu_sec: float


class SharedMessage(TypedDict):
    """These jobs share the step that comes next."""

    event: Literal["shared"]
    jobs: list[int]


class StepMessage(TypedDict):
    """A job brought a step."""

    event: Literal["step"]
    number: int
    step: Step


class ResultMessage(TypedDict):
    """A job is done."""

    event: Literal["result"]
    number: int
    result: Result


class ErrorMessage(TypedDict):
    """A job failed; ``error`` is the class, ``error_type`` its public name."""

    event: Literal["error"]
    number: int
    error: str
    error_type: str
    message: str
    trace: str | None


class TurnMessage(TypedDict):
    """A turn is over: all that it brought has been sent."""

    event: Literal["turn"]
    memory_mb: float | None


JobMessage = StepMessage | ResultMessage | ErrorMessage
ChildMessage = BeatMessage | SharedMessage | TurnMessage | JobMessage


def encode(message: Request | ChildMessage) -> bytes:
    """Return a message as it goes over the pipe: JSON, a line's end, the bytes that it holds."""
    held: list[bytes] = []

    def place(data: bytes) -> dict[str, list[int]]:
        start = sum(map(len, held))
        held.append(data)
        return {_HELD: [start, start + len(data)]}

    head = json.dumps(message, default=place).encode()
    return b"\n".join((head, b"".join(held))) if held else head


_HELD = "bytes"


def _decode(raw: bytes) -> Any:  # noqa: ANN401 - what it is, its type says
    head, _, held = raw.partition(b"\n")

    def placed(found: dict[str, Any]) -> object:
        return held[slice(*found[_HELD])] if found.keys() == {_HELD} else found

    return json.loads(head, object_hook=placed if held else None)


def decode_request(raw: bytes) -> Request:
    """Return what the parent sent."""
    request: Request = _decode(raw)
    return request


def decode_message(raw: bytes) -> ChildMessage:
    """Return what the child sent.

    Raises:
        ValueError: it is no JSON.
    """
    message: ChildMessage = _decode(raw)
    return message
