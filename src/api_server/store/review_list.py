"""The list of cases as reviewers filter it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, or_, select

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
    query = query.where(*conditions(which))
    if after is not None:
        rank, seq = after
        later = and_(REVIEW_CASES.c.rank == rank, REVIEW_CASES.c.case_seq < seq)
        query = query.where(or_(REVIEW_CASES.c.rank < rank, later))
    query = query.order_by(REVIEW_CASES.c.rank.desc(), REVIEW_CASES.c.case_seq.desc()).limit(limit)
    rows = list(connection.execute(query))
    findings = _findings_of(connection, [row.seq for row in rows])
    return [_listed(row, findings.get(row.seq, []), now) for row in rows]


def conditions(which: CaseFilter) -> list[ColumnElement[bool]]:
    """Return what a filter asks of rows of ``review_cases``, joined with those of ``jobs``."""
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
        found.append(JOBS.c.id == which.job)
    if which.element is not None or which.status is not None:
        ways = []
        if which.element is not None:
            ways.append(REVIEW_FINDINGS.c.element == which.element)
        if which.status is not None:
            ways.append(REVIEW_FINDINGS.c.status == which.status)
        named = select(REVIEW_FINDINGS.c.case_seq).where(*ways)
        found.append(REVIEW_CASES.c.case_seq.in_(named))
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
