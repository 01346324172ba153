"""What is counted: findings by how the machine and people saw them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, func, select

from api_server.store.decisions import WAITING
from api_server.store.review_list import conditions
from api_server.store.review_records import (
    SAMPLE,
    CaseFilter,
    FindingRow,
    GroupedBy,
    Tally,
)
from api_server.store.review_tables import REVIEW_CASES, REVIEW_FINDINGS
from api_server.store.schema import CASES, JOBS

_COLUMNS: Mapping[GroupedBy, Column[Any]] = {
    "element": REVIEW_FINDINGS.c.element,
    "week": REVIEW_CASES.c.week,
    "agent": REVIEW_CASES.c.agent,
    "product": REVIEW_CASES.c.product,
}


def count_findings(connection: Connection, by: GroupedBy, which: CaseFilter) -> list[Tally]:
    """Return the findings of cases, counted."""
    finding = REVIEW_FINDINGS.c
    waits = finding.state.in_(WAITING)
    alike = (
        _COLUMNS[by].label("group"),
        finding.kind,
        finding.status,
        finding.wanted,
        waits.label("waits"),
        finding.decided,
        finding.moved_to,
    )
    query = (
        select(*alike, func.count().label("number"))
        .join(REVIEW_CASES, REVIEW_CASES.c.case_seq == finding.case_seq)
        .where(*_wanted(which))
        .group_by(*alike)
    )
    return [
        Tally(
            row.group,
            row.kind,
            row.status,
            row.wanted,
            bool(row.waits),
            row.decided,
            row.moved_to,
            row.number,
        )
        for row in connection.execute(query)
    ]


def count_calls(
    connection: Connection, by: GroupedBy, which: CaseFilter
) -> dict[str | int | None, int]:
    """Return how many checked calls a group has."""
    column, call = _COLUMNS[by], REVIEW_CASES.c.case_seq
    query = (
        select(column, func.count(call.distinct()))
        .join(REVIEW_FINDINGS, REVIEW_FINDINGS.c.case_seq == call)
        .where(*_wanted(which))
        .group_by(column)
    )
    return {group: int(number) for group, number in connection.execute(query)}


def list_findings(connection: Connection, which: CaseFilter, limit: int) -> list[FindingRow]:
    """Return up to ``limit`` findings that people have to decide, or have decided; newest first."""
    finding, case = REVIEW_FINDINGS.c, REVIEW_CASES.c
    query = (
        select(
            CASES.c.id.label("case"),
            CASES.c.name,
            CASES.c.received_at,
            case.agent,
            case.product,
            finding.element,
            finding.kind,
            finding.status,
            finding.state,
            finding.decided,
            finding.moved_to,
            finding.first_by,
            finding.second_by,
        )
        .join(REVIEW_CASES, case.case_seq == finding.case_seq)
        .join(CASES, CASES.c.seq == finding.case_seq)
        .where(*_wanted(which), finding.state != "none")
        .order_by(CASES.c.seq.desc(), finding.element)
        .limit(limit)
    )
    return [FindingRow(**row) for row in connection.execute(query).mappings()]


def names_in_use(connection: Connection) -> tuple[list[str], list[str]]:
    """Return the agents and the products of the calls, a thousand of each at most."""
    found = []
    for column in (REVIEW_CASES.c.agent, REVIEW_CASES.c.product):
        query = select(column).where(column.is_not(None)).distinct().order_by(column).limit(1000)
        found.append([str(row[0]) for row in connection.execute(query)])
    return found[0], found[1]


def _wanted(which: CaseFilter) -> list[ColumnElement[bool]]:
    """Return the condition; an element and a status here choose findings, not their cases."""
    cases = conditions(replace(which, element=None, status=None, job=None))
    cases.append(REVIEW_FINDINGS.c.element != SAMPLE)
    if which.element is not None:
        cases.append(REVIEW_FINDINGS.c.element == which.element)
    if which.status is not None:
        cases.append(REVIEW_FINDINGS.c.status == which.status)
    if which.job is not None:
        named = select(CASES.c.seq).join(JOBS, JOBS.c.seq == CASES.c.job_seq)
        cases.append(REVIEW_CASES.c.case_seq.in_(named.where(JOBS.c.id == which.job)))
    return cases
