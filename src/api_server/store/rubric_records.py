"""What is known of rubrics that are tried and taken into use. Times: seconds since 1970, UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class StoredRubric:
    """A rubric that somebody sent; ``source`` is JSON: its files."""

    sha256: str
    version: str
    source: str
    added_by: str
    added_at: float = 0.0


@dataclass(frozen=True, slots=True)
class RubricChange:
    """A proposal to take a rubric into use; an empty ``sha256``: that of the settings."""

    seq: int
    sha256: str
    version: str
    before_sha256: str
    state: Literal["open", "used", "refused", "withdrawn"]
    proposed_by: str
    proposed_at: float
    decided_by: str | None
    decided_at: float | None


@dataclass(frozen=True, slots=True)
class RubricTrial:
    """A trial of a rubric beside ``before_sha256`` on ``total`` calls.

    ``failed`` of the ``done`` ones could not be judged; calls before ``next_seq`` are still to be
    tried.
    """

    seq: int
    sha256: str
    before_sha256: str
    asked_by: str
    asked_at: float
    state: Literal["running", "done", "stopped", "failed"]
    total: int
    done: int
    failed: int
    next_seq: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class TryOut:
    """What two rubrics made of a call: where they differ (element, before, after)."""

    case_seq: int
    differences: tuple[tuple[str, str | None, str | None], ...] = ()
    failed: bool = False


@dataclass(frozen=True, slots=True)
class TriedCase:
    """A line of a trial's result."""

    id: str
    name: str
    element: str
    before: str | None
    after: str | None
