"""What the address of a page asks for: which calls, and from which day to which."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from api_server.store.review_records import KOREA, CaseFilter

FIELDS = ("state", "element", "status", "agent", "product", "job")
DAYS, FLAGS = ("from", "to"), ("degraded", "warned", "sampled")
NAMES = (*FIELDS, *DAYS, *FLAGS)
"""Every name of a filter, as it is in addresses."""

_LONGEST = 200


def read_filter(asked: Mapping[str, str]) -> CaseFilter:
    """Return what a query asks for; an empty value, and a day that is none, filters nothing."""
    given: dict[str, Any] = {name: (asked.get(name) or "")[:_LONGEST] or None for name in FIELDS}
    flags: dict[str, Any] = {name: True if asked.get(name) else None for name in FLAGS}
    return CaseFilter(
        **given,
        **flags,
        since=_begin_of(asked.get("from")),
        until=_begin_of(asked.get("to"), later=1),
    )


def kept(asked: Mapping[str, str]) -> dict[str, str]:
    """Return the filters of a query, without the empty ones."""
    return {name: asked[name][:_LONGEST] for name in NAMES if asked.get(name)}


def as_query(asked: Mapping[str, str], **more: str) -> str:
    """Return the filters of a query, and more, as an address has them."""
    return urlencode({**kept(asked), **more})


def _begin_of(day: str | None, later: int = 0) -> float | None:
    """Return when a day begins in Korea, or one ``later``; ``None`` for what is no day."""
    try:
        found = date.fromisoformat(day or "") + timedelta(days=later)
        return datetime(found.year, found.month, found.day, tzinfo=KOREA).timestamp()
    except (ValueError, OverflowError):
        return None
