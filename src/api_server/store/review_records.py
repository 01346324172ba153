"""What the page puts into the store and gets from it. Times: seconds since 1970, UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Literal, get_args

from api_server.store.decisions import DecisionRecord, ReviewState
from api_server.store.records import CaseRecord, Revision

Role = Literal["viewer", "reviewer", "senior", "auditor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

EXTERNAL = "external"
"""In the place of a password's hash: the account is of whoever is vouched for next by its name."""

GroupedBy = Literal["element", "week", "agent", "product"]
"""By what the numbers of the page are grouped."""

KOREA = timezone(timedelta(hours=9))
"""Where days and weeks of the page begin."""

SAMPLE = "sample"
"""The element, and its kind, of what a person decides on a call in which nothing was found."""

_MONDAY = date(1969, 12, 29).toordinal()


def week_of(seconds: float) -> int:
    """Return the week of a time: the one in which 1970 began is 0; weeks begin on Monday."""
    return (datetime.fromtimestamp(seconds, KOREA).date().toordinal() - _MONDAY) // 7


def monday_of(week: int) -> date:
    """Return the day on which a week begins."""
    return date.fromordinal(_MONDAY + 7 * week)


@dataclass(frozen=True, slots=True)
class FindingFacts:
    """A finding as the queue knows it; ``wanted``: a person has to decide it.

    ``confidence``: how likely it is by rules and model that it was said.
    """

    element: str
    kind: str
    status: str
    wanted: bool
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """A case as the queue knows it; the highest ``rank`` comes first."""

    seq: int
    revision: int
    rank: float
    degraded: bool
    warnings: int
    findings: tuple[FindingFacts, ...]
    received_at: float | None = None
    agent: str | None = None
    product: str | None = None
    sampled: bool = False

    @property
    def week(self) -> int | None:
        """The week in which it was received."""
        return None if self.received_at is None else week_of(self.received_at)


@dataclass(frozen=True, slots=True)
class Unread:
    """An answer that the queue does not know yet; ``metadata`` is its job's, as JSON."""

    seq: int
    revision: Revision
    case: str = ""
    received_at: float | None = None
    metadata: str = "{}"


@dataclass(frozen=True, slots=True)
class ReviewedCase:
    """A case with its revisions and decisions.

    ``path``: of a file that is no upload; ``known``: the queue knows its latest revision;
    ``options``: its job's, as JSON.
    """

    case: CaseRecord
    path: str | None
    revisions: tuple[Revision, ...]
    decisions: tuple[DecisionRecord, ...]
    lease_by: str | None
    known: bool
    sampled: bool = False
    metadata: str = "{}"
    options: str = "{}"

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
    agent: str | None = None
    product: str | None = None
    sampled: bool = False
    worst: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases a list has; what is ``None`` filters nothing.

    They were received from ``since`` on and before ``until``.
    """

    state: str | None = None
    element: str | None = None
    status: str | None = None
    degraded: bool | None = None
    job: str | None = None
    agent: str | None = None
    product: str | None = None
    since: float | None = None
    until: float | None = None
    warned: bool | None = None
    sampled: bool | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many findings of a group are alike; ``decided`` is ``None`` until people have settled.

    ``waits``: people have to decide, and have not.
    """

    group: str | int | None
    kind: str
    status: str
    wanted: bool
    waits: bool
    decided: str | None
    moved_to: str | None
    number: int


CONFIDENCES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
"""Edges of the groups in which confidences are counted."""


@dataclass(frozen=True, slots=True)
class ConfidenceTally:
    """Findings of an element whose confidence is in one group, and that people have settled.

    ``stated`` is the sum of their confidences; of ``said`` people say that it was said.
    """

    element: str
    group: int
    number: int
    stated: float
    said: int


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding as a table has it, without a word of what was said."""

    case: str
    name: str
    received_at: float
    agent: str | None
    product: str | None
    element: str
    kind: str
    status: str
    state: ReviewState
    decided: str | None
    moved_to: str | None
    first_by: str | None
    second_by: str | None


@dataclass(frozen=True, slots=True)
class UserRecord:
    """An account, without its secret."""

    name: str
    role: Role
    created_at: float
    locked_at: float | None
    external: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is needed to judge an attempt to log in; ``wait_sec``: none is judged before."""

    secret_hash: str | None
    locked: bool
    wait_sec: float


Denied = Literal["locked", "taken", "unknown"]
"""Why somebody that another one vouches for does not get in; see :meth:`Accounts.enter`."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is logged in."""

    name: str
    role: Role
    demo: bool = False
    proxied: bool = False
    """A proxy says so with every request: there is no session."""
