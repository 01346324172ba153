"""Tags of jobs, from their metadata: by them cases may be kept for other times than the rest."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

from sqlalchemy import ColumnElement, Connection, Float, case, literal, or_, select, update

from api_server.store.records import Retention, TagRule
from api_server.store.schema import JOBS

_LONGEST = 100
_ROWS_AT_ONCE = 500
_BEFORE_ALL_TIME = -1e15


def tags_of(metadata: str) -> dict[str, str]:
    """Return the tags that metadata (a JSON object) has, by the name of their column.

    One that is no text, or of more than 100 characters, is none.
    """
    found = json.loads(metadata)
    told = {name: found.get(name) for name in ("product", "rubric")}
    return {
        name: value.strip() if isinstance(value, str) and len(value.strip()) <= _LONGEST else ""
        for name, value in told.items()
    }


def fill(connection: Connection) -> None:
    """Note the tags of jobs that were taken before there were any."""
    untagged = or_(JOBS.c.product.is_(None), JOBS.c.rubric.is_(None))
    query = select(JOBS.c.seq, JOBS.c.metadata).where(untagged).limit(_ROWS_AT_ONCE)
    while rows := list(connection.execute(query)):
        for row in rows:
            connection.execute(
                update(JOBS).where(JOBS.c.seq == row.seq).values(**tags_of(row.metadata))
            )


def kept_since(
    retention: Retention, sec_of: Callable[[Retention | TagRule], float | None], now: float
) -> ColumnElement[float]:
    """Return since when a case has to have ended to be kept; a query has to have JOBS in it.

    ``sec_of`` returns the time that is meant. Where several rules are about a case, the longest
    time counts; where none is, that of all.
    """
    known = [(rule, sec_of(rule)) for rule in retention.rules]
    rules = sorted(((rule, sec) for rule, sec in known if sec is not None), key=lambda one: -one[1])
    ways = [(JOBS.c[rule.tag] == rule.value, _since(sec, now)) for rule, sec in rules]
    rest = _since(sec_of(retention) or 0.0, now)
    return case(*ways, else_=rest) if ways else rest


def is_limited(retention: Retention, sec_of: Callable[[Retention | TagRule], float | None]) -> bool:
    """Return whether there is a case at all whose time can be over."""
    known = [sec_of(retention), *map(sec_of, retention.rules)]
    return any(one not in {None, math.inf} for one in known)


def _since(sec: float, now: float) -> ColumnElement[float]:
    return literal(max(now - sec, _BEFORE_ALL_TIME), Float)
