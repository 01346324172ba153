"""What the page puts into the store and gets from it. Times: seconds since 1970, UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from api_server.store.decisions import DecisionRecord, ReviewState
from api_server.store.records import CaseRecord, Revision

Role = Literal["viewer", "reviewer", "senior", "auditor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class FindingFacts:
    """A finding as the queue knows it; ``wanted``: a person has to decide it."""

    element: str
    kind: str
    status: str
    wanted: bool


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """A case as the queue knows it; the highest ``rank`` comes first."""

    seq: int
    revision: int
    rank: float
    degraded: bool
    warnings: int
    findings: tuple[FindingFacts, ...]


@dataclass(frozen=True, slots=True)
class Unread:
    """An answer that the queue does not know yet."""

    seq: int
    revision: Revision


@dataclass(frozen=True, slots=True)
class ReviewedCase:
    """A case with its revisions and decisions.

    ``path``: of a file that is no upload; ``known``: the queue knows its latest revision.
    """

    case: CaseRecord
    path: str | None
    revisions: tuple[Revision, ...]
    decisions: tuple[DecisionRecord, ...]
    lease_by: str | None
    known: bool

    @property
    def is_readable(self) -> bool:
        """True where there is an answer that was not removed."""
        return bool(self.revisions and self.revisions[-1].answer)


@dataclass(frozen=True, slots=True)
class ListedCase:
    """A line of the list of cases; ``statuses`` counts the findings that a person has to decide."""

    case: CaseRecord
    state: ReviewState
    rank: float
    degraded: bool
    warnings: int
    wanted: int
    open: int
    lease_by: str | None
    worst: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases a list has; what is ``None`` filters nothing."""

    state: str | None = None
    element: str | None = None
    status: str | None = None
    degraded: bool | None = None
    job: str | None = None


@dataclass(frozen=True, slots=True)
class UserRecord:
    """An account, without its secret."""

    name: str
    role: Role
    created_at: float
    locked_at: float | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is needed to judge an attempt to log in; ``wait_sec``: none is judged before."""

    secret_hash: str | None
    locked: bool
    wait_sec: float


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is logged in."""

    name: str
    role: Role
    demo: bool = False
