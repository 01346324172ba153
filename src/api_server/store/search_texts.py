"""Search in the words of calls: each method is one transaction, for any thread.

There is no index: what was said would lie in one in the clear, or, with hashes for words, say which
calls share words; and an index keeps what was removed for a while. A copy of the words as the page
shows them, sealed as everything else, is read from the newest call on, for a bounded time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, exists, func, insert, select

from api_server.store import audit_log
from api_server.store.database import StorePart
from api_server.store.records import REVIEWED, Revision
from api_server.store.review_list import conditions
from api_server.store.review_records import CaseFilter, Unread
from api_server.store.review_tables import REVIEW_CASES, SEARCH_TEXTS
from api_server.store.schema import CASES, JOBS, REVISIONS
from api_server.store.search_records import FoundCall, Searched, SearchText

_ROWS_AT_ONCE = 100


class SearchTexts(StorePart):
    """The words that can be searched."""

    def unread(self, limit: int) -> list[Unread]:
        """Return up to ``limit`` latest answers whose words are not here, the newest first."""
        here = exists().where(
            SEARCH_TEXTS.c.case_seq == REVIEW_CASES.c.case_seq,
            SEARCH_TEXTS.c.revision == REVIEW_CASES.c.revision,
        )
        latest = and_(
            REVISIONS.c.case_seq == REVIEW_CASES.c.case_seq,
            REVISIONS.c.number == REVIEW_CASES.c.revision,
        )
        query = (
            select(REVISIONS, CASES.c.id)
            .join(REVIEW_CASES, latest)
            .join(CASES, CASES.c.seq == REVIEW_CASES.c.case_seq)
            .where(CASES.c.erased_at.is_(None), ~here)
            .order_by(REVIEW_CASES.c.case_seq.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = list(connection.execute(query))
        return [
            Unread(row.case_seq, Revision(row.number, row.made_at, row.answer), row.id)
            for row in rows
        ]

    def keep(self, text: SearchText) -> bool:
        """Keep the words of a case; false where it was removed, or answered again, meanwhile."""
        latest = select(func.max(REVISIONS.c.number)).where(
            REVISIONS.c.case_seq == text.case_seq, REVISIONS.c.answer != ""
        )
        with self._database.write() as connection:
            if connection.execute(latest).scalar() != text.revision:
                return False
            connection.execute(delete(SEARCH_TEXTS).where(SEARCH_TEXTS.c.case_seq == text.case_seq))
            connection.execute(
                insert(SEARCH_TEXTS).values(
                    case_seq=text.case_seq,
                    revision=text.revision,
                    state=text.state,
                    words=text.words,
                    lines=text.lines,
                )
            )
            return True

    def find(
        self,
        words: str,
        which: CaseFilter,
        actor: str,
        *,
        limit: int,
        within_sec: float,
        after: int | None = None,
    ) -> Searched:
        """Return the newest calls in which ``words`` is said, and have the log say who looked.

        Args:
            words: letters and digits, as :data:`SEARCH_TEXTS` has them.
            which: the calls that are meant.
            actor: who asks.
            limit: so many calls are enough.
            within_sec: no more are looked at once this time is over.
            after: only calls before this one.
        """
        until = time.monotonic() + within_sec
        with self._database.read() as connection:
            found = _scan(connection, words, which, limit, until, after)
        facts = {"what": "search", "letters": len(words), "calls": len(found.calls)}
        facts["looked"] = found.looked
        with self._database.write() as connection:
            audit_log.record(connection, self._clock(), "look", "", actor=actor, facts=facts)
        return found


def _scan(
    connection: Connection,
    words: str,
    which: CaseFilter,
    limit: int,
    until: float,
    after: int | None,
) -> Searched:
    found = Searched((), 0, None, after, 0, int(connection.execute(_WAITING).scalar_one()))
    while True:
        page = list(connection.execute(_page(which, found.after)))
        text_of = _words_of(connection, [row.case_seq for row in page])
        for row in page:
            places = _places(text_of[row.case_seq], words)
            found = replace(
                found,
                looked=found.looked + 1,
                back_to=row.received_at,
                after=row.case_seq,
                withheld=found.withheld + (row.state != "ready"),
                calls=(*found.calls, _call(connection, row, places)) if places else found.calls,
            )
            if len(found.calls) >= limit:
                return found
        if len(page) < _ROWS_AT_ONCE:
            return replace(found, after=None)
        if time.monotonic() >= until:
            return found


def _page(which: CaseFilter, after: int | None) -> Select[Any]:
    """Return a query of the next calls, without their words: a filter may have them sorted."""
    query = (
        select(SEARCH_TEXTS.c.case_seq, SEARCH_TEXTS.c.state, CASES.c.received_at)
        .join(REVIEW_CASES, REVIEW_CASES.c.case_seq == SEARCH_TEXTS.c.case_seq)
        .join(CASES, CASES.c.seq == SEARCH_TEXTS.c.case_seq)
        .join(JOBS, JOBS.c.seq == CASES.c.job_seq)
        .where(SEARCH_TEXTS.c.revision == REVIEW_CASES.c.revision, *conditions(which))
    )
    if after is not None:
        query = query.where(SEARCH_TEXTS.c.case_seq < after)
    return query.order_by(SEARCH_TEXTS.c.case_seq.desc()).limit(_ROWS_AT_ONCE)


def _words_of(connection: Connection, seqs: Sequence[int]) -> Mapping[int, str]:
    query = select(SEARCH_TEXTS.c.case_seq, SEARCH_TEXTS.c.words)
    rows = connection.execute(query.where(SEARCH_TEXTS.c.case_seq.in_(seqs)))
    return {row.case_seq: row.words for row in rows}


def _places(text: str, words: str) -> tuple[int, ...]:
    """Return the numbers of the lines of ``text`` that have ``words`` in them."""
    if words not in text:
        return ()
    return tuple(number for number, line in enumerate(text.split("\n")) if words in line)


def _call(connection: Connection, row: Row[Any], places: tuple[int, ...]) -> FoundCall:
    query = (
        select(CASES.c.id, CASES.c.name, REVIEW_CASES.c.agent, REVIEW_CASES.c.product)
        .add_columns(SEARCH_TEXTS.c.lines)
        .join(REVIEW_CASES, REVIEW_CASES.c.case_seq == CASES.c.seq)
        .join(SEARCH_TEXTS, SEARCH_TEXTS.c.case_seq == CASES.c.seq)
        .where(CASES.c.seq == row.case_seq)
    )
    one = connection.execute(query).one()
    return FoundCall(
        row.case_seq, one.id, one.name, row.received_at, one.agent, one.product, places, one.lines
    )


_HERE = (
    select(SEARCH_TEXTS.c.case_seq)
    .join(REVIEW_CASES, REVIEW_CASES.c.case_seq == SEARCH_TEXTS.c.case_seq)
    .where(
        SEARCH_TEXTS.c.case_seq == CASES.c.seq,
        SEARCH_TEXTS.c.revision == REVIEW_CASES.c.revision,
    )
    .exists()
)
_WAITING = (
    select(func.count())
    .select_from(CASES)
    .where(CASES.c.state.in_(REVIEWED), CASES.c.erased_at.is_(None), ~_HERE)
)
"""How many calls with an answer cannot be searched yet, whatever is filtered: nobody knows yet."""
