"""What goes into the store and comes out of it, as plain values. Times: seconds since 1970, UTC."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
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

OF_SETTINGS = ""
"""Stands, instead of a hash, for the rubric that the settings name."""

OPEN: tuple[CaseState, ...] = ("queued", "running")


RepairStatus = Literal["pending", "done", "given_up", "off"]
"""``off``: an answer that is not kept, and so cannot be completed."""

RECOGNISER = "stt"
"""The target of a repair that waits for the recogniser; any other is an agent's URL."""


@dataclass(frozen=True, slots=True)
class NewRepair:
    """What is to be completed: the stages that are ``missing``, and what they wait for.

    ``keep_sec``: seconds until it is given up; ``max_bytes``: of all recordings that are kept for
    repairs.
    """

    missing: tuple[str, ...]
    target: str
    keep_sec: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class RepairState:
    """How far the repair of a case's answer is."""

    missing: tuple[str, ...]
    status: RepairStatus
    expires_at: float
    tries: int = 0
    error_type: str | None = None
    error: str | None = None


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
    webhook_url: str | None = None


@dataclass(frozen=True, slots=True)
class CaseFailure:
    """A cause for which ``cases`` of a job were refused or failed; ``case`` is the first one."""

    state: CaseState
    error_type: str | None
    cases: int
    case: str
    error: str | None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job, and how many of its cases are in which state.

    ``remaining_sec``: ``None`` where nobody knows; ``failures``: ``None`` in lists of jobs.
    """

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
    webhook_url: str | None = None
    remaining_sec: float | None = None
    failures: tuple[CaseFailure, ...] | None = None

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
    repair: RepairState | None = None
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
    repair: NewRepair | None = None


@dataclass(frozen=True, slots=True)
class AnsweredCall:
    """A call that was answered in part, to be kept as a case with its answer."""

    owner: str
    options: str
    case: NewCase
    ending: Ending
    repair: NewRepair


@dataclass(frozen=True, slots=True)
class ToRepair:
    """A case whose answer a worker completes, for as long as it renews its lease.

    ``answer`` is the revision ``number``; ``tries`` counts those before this one.
    """

    seq: int
    id: str
    job: str
    name: str
    recording: str | None
    path: str | None
    options: str
    missing: tuple[str, ...]
    target: str
    number: int
    answer: str
    token: str
    tries: int


WebhookStatus = Literal["pending", "delivered", "dead"]
"""``dead``: no more tries are made by themselves."""


@dataclass(frozen=True, slots=True)
class WebhookRecord:
    """What is told to the address that a job names; ``body`` is the JSON that is sent."""

    seq: int
    id: str
    url: str
    event: str
    body: str
    status: WebhookStatus
    made_at: float
    expires_at: float
    tries: int
    error: str | None


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a watched folder, as it was when its content was read."""

    path: str
    bytes: int
    modified_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: cases, those at work, and since when the oldest one waits.

    ``lost``: how many of those at work have a lease that is over.
    """

    queued: int
    running: int
    oldest_at: float | None
    lost: int = 0


@dataclass(frozen=True, slots=True)
class TagRule:
    """Other times for cases whose job has ``value`` as its ``tag``; ``None``: as for all."""

    tag: Literal["product", "rubric"]
    value: str
    recordings_sec: float | None = None
    transcripts_sec: float | None = None
    results_sec: float | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is kept, in seconds from the end of a case.

    ``wordless`` returns what remains of an answer (JSON) between the two: findings without words.
    """

    recordings_sec: float = 0.0
    transcripts_sec: float = math.inf
    results_sec: float = math.inf
    wordless: Callable[[str], str] = lambda _answer: "[]"
    rules: tuple[TagRule, ...] = ()


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


@dataclass(frozen=True, slots=True)
class VoiceRecord:
    """A voice: ``seconds`` of speech that it was enrolled with, and what a network made of them."""

    id: str
    name: str
    model: str
    seconds: float
    enrolled_at: float
    embedding: tuple[float, ...] = field(repr=False)
