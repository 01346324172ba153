"""What goes into the store and comes out of it, as plain values. Times: seconds since 1970, UTC."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from api_server.store.recordings import Received

CaseState = Literal["queued", "running", "done", "partial", "refused", "failed", "cancelled"]
"""``partial``: a transcript without the check that was asked for; ``refused``: the caller's
mistake; ``failed``: this machine could not, with the cause."""

STATES: tuple[CaseState, ...] = get_args(CaseState)
ENDS: tuple[CaseState, ...] = ("done", "partial", "refused", "failed", "cancelled")
RETRIED: tuple[CaseState, ...] = ("failed", "cancelled")
"""Ends after which a case can be tried again."""
REVIEWED: tuple[CaseState, ...] = ("done", "partial")
"""Ends with a transcript, which people may want to listen to."""

OPEN: tuple[CaseState, ...] = ("queued", "running")


@dataclass(frozen=True, slots=True)
class NewCase:
    """A recording to be worked on: one that has arrived, or the path of a file."""

    name: str
    received: Received | None = None
    path: str | None = None
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be taken; ``options`` and ``metadata`` are JSON, ``request`` is what was asked."""

    owner: str
    options: str
    metadata: str
    priority: int
    cases: tuple[NewCase, ...]
    request_sha256: str
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job, and how many of its cases are in which state."""

    seq: int
    id: str
    options: str
    metadata: str
    priority: int
    created_at: float
    cancelled_at: float | None
    cases: int
    counts: dict[str, int]
    bytes: int
    bytes_ended: int
    audio_sec: float

    @property
    def state(self) -> str:
        """``queued``, ``running``, ``done`` (every case has ended) or ``cancelled``."""
        open_cases = self.counts["queued"] + self.counts["running"]
        if open_cases == 0:
            return "cancelled" if self.cancelled_at is not None else "done"
        return "queued" if self.counts["queued"] == self.cases else "running"


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """A case, without its revisions."""

    seq: int
    id: str
    job: str
    name: str
    recording: str | None
    bytes: int
    state: CaseState
    tries: int
    received_at: float
    started_at: float | None
    ended_at: float | None
    audio_sec: float | None
    error_type: str | None
    error: str | None
    erased_at: float | None = None
    """When what was said in it was removed."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One whole answer of a case, as it was stored."""

    number: int
    made_at: float
    answer: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A case that a worker has for as long as it renews its lease; ``tries`` counts this one."""

    seq: int
    id: str
    job: str
    name: str
    recording: str | None
    path: str | None
    options: str
    token: str
    tries: int
    received_at: float


@dataclass(frozen=True, slots=True)
class Ending:
    """How a case ended; ``answer`` is there where there is a transcript."""

    state: CaseState
    answer: str | None = None
    audio_sec: float | None = None
    error_type: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: cases, those at work, and since when the oldest one waits."""

    queued: int
    running: int
    oldest_at: float | None


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is kept, in seconds from the end of a case.

    ``wordless`` returns what remains of an answer (JSON) between the two: findings without words.
    """

    recordings_sec: float = 0.0
    transcripts_sec: float = math.inf
    results_sec: float = math.inf
    wordless: Callable[[str], str] = lambda _answer: "[]"


@dataclass(frozen=True, slots=True)
class ProofFiles:
    """Where the log's checkpoints are appended to, and the key that signs them."""

    notes: Path
    key: Path

    @classmethod
    def beside(cls, database: Path) -> ProofFiles:
        """Return the files beside a database."""
        return cls(database.with_name("audit.checkpoints"), database.with_name("audit.key"))


@dataclass(frozen=True, slots=True)
class CaseFile:
    """Everything about a case. ``recording`` is the hash of what its answers were made from.

    ``findings`` is JSON: what was found, where the words are gone.
    """

    record: CaseRecord
    job: JobRecord
    revisions: tuple[Revision, ...]
    recording: str | None
    findings: str | None
    is_held: bool
