"""Request and response models of the HTTP API. Times are in seconds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    model_validator,
)

from api_server.text.plain_transcript import DEFAULT_CHANNELS
from stt_engine.coverage import SpeechCoverage
from stt_engine.speech import Segment, SpeakerSource
from stt_engine.warnings import AnswerWarning


class TranscribeResponse(BaseModel):
    """The answer of ``POST /transcribe``; every field is always there."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    success: bool
    """A real backend recognised the recording (silence included), and translated it if asked to."""
    text: str
    """The transcript; empty where nothing was recognised or nothing was said."""
    duration: float = 0.0
    """Length of the recording, where it could be read."""
    language: str = "ko"

    error: str | None = None
    """Why recognition failed."""
    error_type: str | None = None
    backend: str | None = None
    """`faster-whisper`, `transformers`, `openai-whisper` or `dummy`."""
    is_dummy: bool = False
    """No backend could recognise the recording."""
    dummy_reason: str | None = None

    incomplete_elements: dict[str, Any] | None = None
    """The check's result, element by element; `null` where not asked for or nothing established."""
    agent_analysis: str | None = None
    """The LLM's own words."""
    agent_type: str | None = None
    """`vllm`, `external` or `dummy`."""
    is_agent_dummy: bool = False
    """The LLM gave no usable answer."""
    agent_dummy_reason: str | None = None

    is_partial_failure: bool = False
    """The recording was recognised, and another stage failed."""
    partial_failure_reason: str | None = None
    """Names the stage and the cause."""

    request_id: str | None = None
    outcome: Literal["speech", "no_speech", "failed"] = "failed"
    segments: list[dict[str, Any]] = []
    text_en: str = ""
    """The text in English, where it was asked for; `segments_en` has its times."""
    segments_en: list[dict[str, Any]] = []
    attempts: list[dict[str, Any]] = []
    """Every attempt that failed, in order."""
    provenance: dict[str, Any] = {}
    """Model, its SHA-256, device, parameters."""
    coverage: SpeechCoverage | None = None
    """How much of the recording became text, and where the rest is."""
    warnings: list[AnswerWarning] = []
    """What a reader has to know beside the text; no failures."""
    timings: dict[str, float] = {}
    processing_time_sec: float = 0.0
    repair: dict[str, Any] | None = None
    """What is missing, and whether it is completed later: `{case, missing, status, revision,
    expires_at}` with a `status` of `pending`, `done`, `given_up` or `off`; `null` where nothing is
    or was."""


class RecognitionResponse(BaseModel):
    """The answer of ``POST /transcribe`` where recognition is served alone.

    The fields of :meth:`stt_engine.engine.WhisperSTT.transcribe`, and the request's id and time.
    """

    success: bool
    text: str
    text_en: str = ""
    duration: float = Field(0.0, ge=0)
    language: str = "ko"
    error: str | None = None
    error_type: str | None = None
    backend: str
    is_dummy: bool
    dummy_reason: str | None = None
    outcome: Literal["speech", "no_speech", "failed"]
    segments: list[Segment] = []
    segments_en: list[Segment] = []
    attempts: list[dict[str, Any]] = []
    provenance: dict[str, Any] = {}
    coverage: SpeechCoverage | None = None
    warnings: list[AnswerWarning] = []
    timings: dict[str, FiniteFloat] = {}
    request_id: str | None = None
    processing_time_sec: float = 0.0


def _require_number(value: object) -> object:
    if isinstance(value, bool | str):
        raise ValueError("give a number")  # noqa: TRY004 - pydantic reports no TypeError
    return value


def _require_encodable(value: str) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as exc:
            raise ValueError("half of a surrogate pair is no character") from exc
    return value


Text = Annotated[str, AfterValidator(_require_encodable)]
"""Text that UTF-8 can encode, for responses and logs; JSON may contain lone surrogates."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(_require_number)]
Share = Annotated[float, Field(ge=0, le=1), BeforeValidator(_require_number)]
Count = Annotated[int, Field(ge=0), BeforeValidator(_require_number)]
TimeLimit = Annotated[float, Field(ge=1, allow_inf_nan=False), BeforeValidator(_require_number)]


class AnalyzeWord(BaseModel):
    """One word of a turn, as `POST /transcribe` gives it."""

    model_config = ConfigDict(extra="forbid")

    word: Text
    start: Seconds
    end: Seconds
    probability: Share


class AnalyzeSegment(BaseModel):
    """One turn of a transcript; a segment of `POST /transcribe` is one as it is."""

    model_config = ConfigDict(extra="forbid")

    speaker: Literal["agent", "customer"] | None = None
    text: Text
    start: Seconds = 0.0
    end: Seconds = 0.0
    channel: Count | None = None
    id: Count | None = None
    """What evidence calls it (`segment_id`); by default its position from 0."""
    confidence: Share | None = None
    words: list[AnalyzeWord] | None = Field(None, fail_fast=True)
    speaker_source: SpeakerSource | None = None
    voice: Count | None = None
    speaker_confidence: Share | None = None
    """How sure the speaker is; one below 0.8 accuses nobody."""
    speaker_name: Text | None = None


class AnalyzeRequest(BaseModel):
    """The body of ``POST /analyze``: exactly one of ``text`` and ``segments``."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "oneOf": [
                {"required": ["text"], "properties": {"text": {"type": "string"}}},
                {"required": ["segments"], "properties": {"segments": {"type": "array"}}},
            ]
        },
    )

    text: Text | None = None
    """One utterance a line; `상담원:` and `고객:` (or `agent:` and `customer:`) before it tell who
    speaks."""
    segments: list[AnalyzeSegment] | None = Field(None, fail_fast=True)
    agent_url: Text | None = None
    agent_request_format: Literal["prompt_based", "text_only"] = "prompt_based"
    chat_thread_id: Text | None = None
    timeout: TimeLimit | None = None

    @model_validator(mode="after")
    def _require_one_input(self) -> AnalyzeRequest:
        if (self.text is None) == (self.segments is None):
            raise ValueError("give exactly one of 'text' and 'segments'")
        return self

    @model_validator(mode="after")
    def _require_distinct_ids(self) -> AnalyzeRequest:
        ids = [one.id for one in self.segments or []]
        if ids.count(None) not in {0, len(ids)} or (None not in ids and len(set(ids)) != len(ids)):
            raise ValueError("give each segment an 'id' of its own, or none to any")
        return self

    def transcript(self) -> str | tuple[Segment, ...]:
        """Return the transcript as the validator takes it: plain text, or segments."""
        if self.text is not None:
            return self.text
        return tuple(
            Segment(
                n if one.id is None else one.id,
                one.start,
                one.end,
                one.text,
                _channel_of(one),
                one.speaker,
                one.confidence,
                speaker_source=one.speaker_source or ("label" if one.speaker else "none"),
                voice=one.voice,
                speaker_confidence=one.speaker_confidence,
                speaker_name=one.speaker_name,
            )
            for n, one in enumerate(self.segments or [])
        )


def _channel_of(segment: AnalyzeSegment) -> int:
    if segment.channel is not None:
        return segment.channel
    return DEFAULT_CHANNELS.get(segment.speaker or "", 0)


class AnalyzeResponse(BaseModel):
    """The answer of ``POST /analyze``; its fields mean what they mean in TranscribeResponse."""

    success: bool
    incomplete_elements: dict[str, Any] | None = None
    agent_analysis: str | None = None
    agent_type: str | None = None
    is_agent_dummy: bool = False
    agent_dummy_reason: str | None = None
    warnings: list[AnswerWarning] = []
    error: str | None = None
    error_type: str | None = None
    request_id: str | None = None
    processing_time_sec: float = 0.0


class ProblemDocument(BaseModel):
    """An RFC 9457 problem: the caller's mistake, and what to do about it."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str | None = None


class HealthResponse(BaseModel):
    """The answer of ``GET /health``."""

    status: Literal["healthy", "degraded"]
    ready: bool
    version: str
    components: list[dict[str, Any]]
    circuits: list[dict[str, Any]]
    last_failures: list[dict[str, Any]]
    metrics: dict[str, float]


class ReadyResponse(BaseModel):
    """The answer of ``GET /health/ready``."""

    ready: bool
    reason: str | None = None
    degraded: dict[str, str] = {}


class JobFailure(BaseModel):
    """A cause for which cases of a job were refused or failed."""

    state: Literal["refused", "failed"]
    error_type: str | None
    cases: int
    """How many cases ended so."""
    case: str
    """The first of them, and what was said of it."""
    error: str | None


class JobResponse(BaseModel):
    """A job: one request for work on one or many recordings."""

    id: str
    state: Literal["queued", "running", "done", "cancelled"]
    """`done`: every case has ended, however; `counts` tells how."""
    created_at: datetime
    priority: int
    metadata: dict[str, Any]
    options: dict[str, Any]
    """The fields of `POST /transcribe` that were asked for."""
    cases: int
    counts: dict[str, int]
    """Cases by state."""
    share_done: float = Field(ge=0, le=1)
    """Share of the bytes of all recordings whose cases have ended."""
    audio_sec: float
    """Seconds of sound in cases that have ended with a transcript."""
    remaining_sec: float | None = None
    """How long the rest takes at the rate of the cases that ended last, by the bytes of their
    recordings; `null` where nothing was heard yet, or within an hour, and when the job has ended.
    """
    failures: list[JobFailure] | None = None
    """By cause, the most frequent 20; `null` in a list of jobs, where `counts` tells how many."""
    webhook_url: str | None = None


class JobList(BaseModel):
    """A page of jobs, the newest first."""

    jobs: list[JobResponse]
    next_cursor: str | None = None
    """Send it as `cursor` for the next page; `null`: there is none."""


class CaseSummary(BaseModel):
    """A case: one recording, and what became of it."""

    id: str
    job: str
    name: str
    state: Literal["queued", "running", "done", "partial", "refused", "failed", "cancelled"]
    tries: int
    received_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    audio_sec: float | None = None
    error_type: str | None = None
    """Why it ended as it did, or why it was put back."""
    error: str | None = None
    repair: Literal["pending", "done", "given_up", "off"] | None = None
    """Whether what is missing in its answer is completed; `null` where nothing was."""
    erased_at: datetime | None = None
    """When what was said in it was removed: on request, or because its days were over."""


class CaseList(BaseModel):
    """A page of cases, the newest first."""

    cases: list[CaseSummary]
    next_cursor: str | None = None


class CaseResponse(CaseSummary):
    """A case with an answer: the latest, where no revision was asked for."""

    revision: int | None = None
    """Number of the answer, from 1; `null` where there is none."""
    answer: TranscribeResponse | None = None


class VoiceResponse(BaseModel):
    """A voice that is enrolled; ``seconds`` of speech are behind it, ``enrolled_at`` is in UTC."""

    id: str
    name: str
    seconds: float
    enrolled_at: float


class VoiceList(BaseModel):
    """The enrolled voices, by name."""

    voices: list[VoiceResponse]
