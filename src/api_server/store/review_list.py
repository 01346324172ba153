"""The list of cases as reviewers filter it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, select, tuple_

from api_server.store.decisions import WAITING
from api_server.store.jobs import CASE_ROWS, case_of_row
from api_server.store.review_records import SAMPLE, CaseFilter, ListedCase
from api_server.store.review_tables import REVIEW_CASES, REVIEW_FINDINGS
from api_server.store.schema import CASES, JOBS


def list_cases(
    connection: Connection,
    which: CaseFilter,
    limit: int,
    after: tuple[float, int] | None,
    now: float,
) -> list[ListedCase]:
    """Return cases, the highest rank and the newest first, behind ``after`` (rank, number)."""
    seqs = list(connection.execute(_page(which, limit, after)).scalars())
    query = CASE_ROWS.add_columns(
        REVIEW_CASES.c.state.label("review_state"),
        REVIEW_CASES.c.rank,
        REVIEW_CASES.c.degraded,
        REVIEW_CASES.c.warnings,
        REVIEW_CASES.c.wanted,
        REVIEW_CASES.c.lease_by,
        REVIEW_CASES.c.lease_until,
        REVIEW_CASES.c.agent,
        REVIEW_CASES.c.product,
        REVIEW_CASES.c.sampled,
    ).join(REVIEW_CASES, REVIEW_CASES.c.case_seq == CASES.c.seq)
    query = query.where(REVIEW_CASES.c.case_seq.in_(seqs)).order_by(*_order())
    rows = list(connection.execute(query)) if seqs else []
    findings = _findings_of(connection, seqs)
    return [_listed(row, findings.get(row.seq, []), now) for row in rows]


def _page(which: CaseFilter, limit: int, after: tuple[float, int] | None) -> Select[int]:
    """Return the query for the numbers of a page's cases; of no other is more than that read."""
    query = select(REVIEW_CASES.c.case_seq).where(*conditions(which))
    if after is not None:  # as a pair: so an index begins there
        query = query.where(tuple_(REVIEW_CASES.c.rank, REVIEW_CASES.c.case_seq) < after)
    return query.order_by(*_order()).limit(limit)


def _order() -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    return REVIEW_CASES.c.rank.desc(), REVIEW_CASES.c.case_seq.desc()


def conditions(which: CaseFilter) -> list[ColumnElement[bool]]:
    """Return what a filter asks of rows of ``review_cases``."""
    columns = REVIEW_CASES.c
    found: list[ColumnElement[bool]] = []
    for name in ("state", "degraded", "agent", "product", "sampled"):
        wanted = getattr(which, name)
        if wanted is not None:
            found.append(columns[name] == wanted)
    if which.since is not None:
        found.append(columns.received_at >= which.since)
    if which.until is not None:
        found.append(columns.received_at < which.until)
    if which.warned is not None:
        found.append((columns.warnings > 0) == which.warned)
    if which.job is not None:
        named = select(CASES.c.seq).join(JOBS, JOBS.c.seq == CASES.c.job_seq)
        found.append(REVIEW_CASES.c.case_seq.in_(named.where(JOBS.c.id == which.job)))
    if which.element is not None or which.status is not None:
        ways = []
        if which.element is not None:
            ways.append(REVIEW_FINDINGS.c.element == which.element)
        if which.status is not None:
            ways.append(REVIEW_FINDINGS.c.status == which.status)
        having = select(REVIEW_FINDINGS.c.case_seq).where(*ways)
        found.append(REVIEW_CASES.c.case_seq.in_(having))
    return found


def _findings_of(connection: Connection, seqs: Sequence[int]) -> dict[int, list[Row[Any]]]:
    query: Select[Any] = select(REVIEW_FINDINGS).where(
        REVIEW_FINDINGS.c.case_seq.in_(seqs),
        REVIEW_FINDINGS.c.wanted,
    )
    found: dict[int, list[Row[Any]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.case_seq, []).append(row)
    return found


def _severity(finding: Row[Any]) -> int:
    return ("violated", "undetermined", "not_found").index(finding.status)


def _listed(row: Row[Any], findings: Sequence[Row[Any]], now: float) -> ListedCase:
    leased = row.lease_until is not None and row.lease_until > now
    return ListedCase(
        case=case_of_row(row),
        state=row.review_state,
        rank=row.rank,
        degraded=row.degraded,
        warnings=row.warnings,
        wanted=row.wanted,
        open=sum(one.state in WAITING for one in findings),
        lease_by=row.lease_by if leased else None,
        agent=row.agent,
        product=row.product,
        sampled=row.sampled,
        worst=tuple(
            (one.element, one.status)
            for one in sorted(findings, key=_severity)
            if one.element != SAMPLE
        ),
    )
