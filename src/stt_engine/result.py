"""What :meth:`stt_engine.WhisperSTT.transcribe` returns, typed key by key; times in seconds."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, TypedDict, cast

from stt_engine.coverage import UnheardReason, Whole
from stt_engine.log import DUMMY_REASON
from stt_engine.outcome import Outcome
from stt_engine.speech import SpeakerSource, SpeechOutcome, Transcript

TRANSLATION_FAILED = "TranslationFailed"
"""The ``error_type`` of an answer that has its transcript, and not the translation asked for."""


class WordResult(TypedDict):
    """One word and its probability, 0 to 1."""

    start: float
    end: float
    word: str
    probability: float


class SegmentResult(TypedDict):
    """A part of the speech; see :class:`stt_engine.speech.Segment`."""

    id: int
    start: float
    end: float
    text: str
    channel: int
    speaker: str | None
    confidence: float | None
    words: tuple[WordResult, ...] | None
    speaker_source: SpeakerSource
    voice: int | None
    speaker_confidence: float | None
    speaker_name: str | None


class AttemptResult(TypedDict):
    """An attempt that failed."""

    backend: str
    error_type: str
    error: str
    elapsed_sec: float


class WarningResult(TypedDict):
    """A warning; ``code`` is one of :data:`stt_engine.warnings.MESSAGES`."""

    code: str
    message: str
    detail: str


class ChannelCoverageResult(TypedDict):
    """Speech found on a channel, and of it what became text."""

    channel: int
    speech_sec: float
    recognised_sec: float


class UnheardResult(TypedDict):
    """A stretch without text; ``channel`` ``None`` is all channels."""

    start: float
    end: float
    channel: int | None
    reason: UnheardReason
    speech_sec: float | None


class CoverageResult(TypedDict):
    """How much of the recording became text; see :class:`stt_engine.coverage.SpeechCoverage`."""

    share: float | None
    decoded_share: float | None
    whole: Whole
    channels: list[ChannelCoverageResult]
    unheard: list[UnheardResult]


class TranscribeResult(TypedDict):
    """The whole answer."""

    success: bool
    text: str
    text_en: str
    duration: float
    language: str
    error: str | None
    error_type: str | None
    backend: str
    is_dummy: bool
    dummy_reason: str | None
    outcome: SpeechOutcome
    segments: list[SegmentResult]
    segments_en: list[SegmentResult]
    attempts: list[AttemptResult]
    provenance: dict[str, Any]
    coverage: CoverageResult | None
    warnings: list[WarningResult]
    timings: dict[str, float]


def transcribe_result(outcome: Outcome[Transcript]) -> TranscribeResult:
    """Return the dict that callers of :meth:`WhisperSTT.transcribe` get."""
    transcript = outcome.value
    cause = outcome.cause if outcome.is_dummy else None
    error, error_type = (cause.message, cause.error_type) if cause else (None, None)
    if transcript.untranslated and not outcome.is_dummy:
        error, error_type = f"not translated: {transcript.untranslated}", TRANSLATION_FAILED
    coverage = transcript.coverage.as_data() if transcript.coverage else None
    return {
        "success": not outcome.is_dummy and not transcript.untranslated,
        "text": transcript.text,
        "text_en": transcript.text_en,
        "duration": transcript.duration,
        "language": transcript.language,
        "error": error,
        "error_type": error_type,
        "backend": transcript.backend or outcome.source,
        "is_dummy": outcome.is_dummy,
        "dummy_reason": DUMMY_REASON if outcome.is_dummy else None,
        "outcome": transcript.outcome,
        "segments": [cast("SegmentResult", asdict(one)) for one in transcript.segments],
        "segments_en": [cast("SegmentResult", asdict(one)) for one in transcript.segments_en],
        "attempts": attempts_of(outcome),
        "provenance": transcript.provenance,
        "coverage": cast("CoverageResult | None", coverage),
        "warnings": [cast("WarningResult", asdict(one)) for one in transcript.warnings],
        "timings": {**transcript.timings, "total_sec": outcome.elapsed_sec},
    }


def attempts_of(outcome: Outcome[object]) -> list[AttemptResult]:
    """Return every attempt that failed, in order, as callers see them."""
    return [
        {
            "backend": failure.source,
            "error_type": failure.error_type,
            "error": failure.message,
            "elapsed_sec": round(failure.elapsed_sec, 3),
        }
        for failure in outcome.failures
    ]
