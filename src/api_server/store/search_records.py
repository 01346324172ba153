"""What is searched, and what is found. Times: seconds since 1970, UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ready", "withheld", "unread"]


@dataclass(frozen=True, slots=True)
class SearchText:
    """The words of a case's answer to be searched; see the table."""

    case_seq: int
    revision: int
    state: State
    words: str = ""
    lines: str = "[]"


@dataclass(frozen=True, slots=True)
class FoundCall:
    """A call in whose words something was found; ``places`` are the numbers of its sentences."""

    seq: int
    id: str
    name: str
    received_at: float
    agent: str | None
    product: str | None
    places: tuple[int, ...]
    lines: str


@dataclass(frozen=True, slots=True)
class Searched:
    """What was found, and how far it was looked.

    ``looked`` calls were looked at, down to the one received at ``back_to``; ``after``: where to go
    on, ``None`` where there is no more. ``withheld`` of them cannot be searched, of ``waiting`` the
    words are still to be read.
    """

    calls: tuple[FoundCall, ...]
    looked: int
    back_to: float | None
    after: int | None
    withheld: int
    waiting: int
