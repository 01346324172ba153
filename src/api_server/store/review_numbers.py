"""What is counted: findings by how the machine and people saw them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, and_, case, func, or_, select

from api_server.store.decisions import WAITING
from api_server.store.review_list import conditions
from api_server.store.review_records import (
    CONFIDENCES,
    SAMPLE,
    CaseFilter,
    ConfidenceTally,
    FindingRow,
    GroupedBy,
    Tally,
)
from api_server.store.review_tables import REVIEW_CASES, REVIEW_FINDINGS
from api_server.store.schema import CASES

_MOST_NAMES = 1000

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


def count_confidences(connection: Connection, which: CaseFilter) -> list[ConfidenceTally]:
    """Return what rules and model were how sure of, beside what people have settled.

    What people call undetermined or not applicable says nothing of whether it was said.
    """
    finding = REVIEW_FINDINGS.c
    edges = list(enumerate(CONFIDENCES[1:-1]))
    group = case(
        *((finding.confidence < edge, number) for number, edge in edges), else_=len(edges)
    ).label("group")
    said = and_(finding.decided.in_(("violated", "satisfied")), finding.moved_to.is_(None))
    query = (
        select(
            finding.element,
            group,
            func.count().label("number"),
            func.sum(finding.confidence).label("stated"),
            func.sum(case((said, 1), else_=0)).label("said"),
        )
        .join(REVIEW_CASES, REVIEW_CASES.c.case_seq == finding.case_seq)
        .where(
            *_wanted(which),
            finding.confidence.is_not(None),
            finding.decided.is_not(None),
            or_(
                finding.moved_to.is_not(None),
                finding.decided.not_in(("undetermined", "not_applicable")),
            ),
        )
        .group_by(finding.element, group)
    )
    return [
        ConfidenceTally(
            row.element, int(row.group), int(row.number), float(row.stated), int(row.said)
        )
        for row in connection.execute(query)
    ]


def list_findings(connection: Connection, which: CaseFilter, limit: int) -> list[FindingRow]:
    """Return up to ``limit`` findings that people have to decide, or have decided; newest first."""
    finding, call = REVIEW_FINDINGS.c, REVIEW_CASES.c
    query = (
        select(
            CASES.c.id.label("case"),
            CASES.c.name,
            CASES.c.received_at,
            call.agent,
            call.product,
            finding.element,
            finding.kind,
            finding.status,
            finding.state,
            finding.decided,
            finding.moved_to,
            finding.first_by,
            finding.second_by,
        )
        .join(REVIEW_CASES, call.case_seq == finding.case_seq)
        .join(CASES, CASES.c.seq == finding.case_seq)
        .where(*_wanted(which), finding.state != "none")
        .order_by(CASES.c.seq.desc(), finding.element)
        .limit(limit)
    )
    return [FindingRow(**row) for row in connection.execute(query).mappings()]


def names_in_use(connection: Connection) -> tuple[list[str], list[str]]:
    """Return the agents and the products of the calls, a thousand of each at most."""
    return (
        _values(connection, REVIEW_CASES.c.agent),
        _values(connection, REVIEW_CASES.c.product),
    )


def _values(connection: Connection, column: Column[Any]) -> list[str]:
    """Return the values of a column in order, each from the one before: an index has that."""
    values = select(func.min(column).label("value")).cte("values_so_far", recursive=True)
    following = select(func.min(column)).where(column > values.c.value).scalar_subquery()
    values = values.union_all(select(following).where(values.c.value.is_not(None)))
    query = select(values.c.value).where(values.c.value.is_not(None)).limit(_MOST_NAMES)
    return [str(value) for (value,) in connection.execute(query)]


def _wanted(which: CaseFilter) -> list[ColumnElement[bool]]:
    """Return the condition; an element and a status here choose findings, not their cases."""
    cases = conditions(replace(which, element=None, status=None))
    cases.append(REVIEW_FINDINGS.c.element != SAMPLE)
    if which.element is not None:
        cases.append(REVIEW_FINDINGS.c.element == which.element)
    if which.status is not None:
        cases.append(REVIEW_FINDINGS.c.status == which.status)
    return cases
