"""How a case ends by what its call came to, and whether that is to be completed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from api_server.jobs.options import JobOptions
from api_server.pipeline.result import CallResult
from api_server.store.records import RECOGNISER, CaseState, Ending, NewRepair
from stt_engine.errors import (
    EmptyTranscript,
    LanguageNotSupported,
    ModelTooLarge,
    RecordingQuarantined,
)

FINAL = frozenset(
    one.error_type
    for one in (RecordingQuarantined, EmptyTranscript, LanguageNotSupported, ModelTooLarge)
)
"""Failures that another try would only repeat."""


@dataclass(frozen=True, slots=True)
class RepairTerms:
    """What is completed, and how; see the settings of the same names. Times in seconds.

    ``folder_of`` returns the folder of another model than the default one by its name.
    """

    keep_sec: float
    max_bytes: int
    at_once: int
    lease_sec: float
    calls: bool
    agent_channel: int
    agent_timeout_sec: float
    allows_agent: Callable[[str], bool]
    folder_of: Callable[[str | None], Awaitable[Path | None]]


def ending_of(result: CallResult, repair: NewRepair | None = None) -> Ending:
    """Return how a case ends with this answer."""
    recognition = result.recognition
    cause = recognition.cause if recognition.is_dummy else result.check_cause
    return Ending(
        _state_of(result),
        result.to_json().decode(),
        None if recognition.is_dummy else recognition.value.duration,
        cause.error_type if cause and result.missing else None,
        cause.message if cause and result.missing else None,
        repair,
    )


def _state_of(result: CallResult) -> CaseState:
    if result.recognition.is_dummy:
        return "failed"
    return "partial" if result.check_degraded else "done"


def repair_of(result: CallResult, options: JobOptions, terms: RepairTerms) -> NewRepair | None:
    """Return what is to be completed of an answer; ``None`` where nothing is, or can be."""
    missing = result.missing
    if not missing or not terms.keep_sec:
        return None
    if result.recognition.is_dummy:
        cause = result.recognition.cause
        if cause is not None and cause.error_type in FINAL:
            return None
        return NewRepair(missing, RECOGNISER, terms.keep_sec, terms.max_bytes)
    if options.agent is None:
        return None
    return NewRepair(missing, options.agent.url, terms.keep_sec, terms.max_bytes)
