"""The numbers: what was checked, what people made of it, and how often the machine was right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import get_args

from anyio import to_thread
from fastapi import Request, Response

from api_server.compliance.rubric import Rubric
from api_server.store.review_records import (
    KOREA,
    CaseFilter,
    ConfidenceTally,
    FindingRow,
    GroupedBy,
    monday_of,
)
from api_server.web import words
from api_server.web.calibration import Calibrated, by_element, calibrated
from api_server.web.desk import ReviewDesk
from api_server.web.errors import NOT_FOUND, Refused
from api_server.web.filters import as_query, kept, read_filter
from api_server.web.rendering import language_of, render
from api_server.web.router import DeskDependency, Seeing, review_router
from api_server.web.statistics import Estimate, Numbers, group_up, total_of
from api_server.web.tables import Value, as_csv, as_xlsx
from api_server.web.words import Language, Pair

router = review_router()

MOST_ROWS = 50_000
"""Findings of one file."""

_TOO_MANY: Pair = (
    f"한 번에 {MOST_ROWS:,}건까지 내려받을 수 있습니다. 기간이나 항목을 좁히십시오.",
    f"One file has {MOST_ROWS:,} findings at most: choose a shorter period or an element.",
)
_UNNAMED: Pair = ("(적혀 있지 않음)", "(not given)")
_MEDIA = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
Group = tuple[str, Numbers]


@router.get("/numbers")
async def show_numbers(request: Request, desk: DeskDependency, visitor: Seeing) -> Response:
    """Show the numbers of some calls, by element, week, agent or product."""
    asked = request.query_params
    by, which = _grouping(asked.get("by")), read_filter(asked)
    groups, total = await _numbers(desk, by, which, language_of(request))
    run = desk.service.desk.run
    agents, products = await run(lambda store: store.reports.names())
    tallies = await run(lambda store: store.reports.confidences(which))
    whole, confidences = calibrated(tallies)
    return render(
        request,
        "numbers.html",
        visitor=visitor,
        by=by,
        grouped_by=words.GROUPED_BY,
        groups=groups,
        total=total,
        whole=whole,
        confidences=confidences,
        calibration=_of_elements(tallies, desk.service.validator.rubric, language_of(request)),
        which=which,
        asked=kept(asked),
        elements=[one for one in desk.service.validator.rubric.elements if one.applicable],
        agents=agents,
        products=products,
        query=as_query(asked, by=by),
    )


@router.get("/numbers.{form}")
async def take_numbers(
    request: Request,
    desk: DeskDependency,
    visitor: Seeing,  # noqa: ARG001
    form: str,
) -> Response:
    """Send the numbers as a table."""
    by, which = _grouping(request.query_params.get("by")), read_filter(request.query_params)
    language = language_of(request)
    groups, total = await _numbers(desk, by, which, language)
    title = words.pick(words.GROUPED_BY[by], language)
    whole = words.pick(("전체", "all"), language)
    head = [title, *(words.pick(one, language) for one in words.NUMBERS)]
    rows = [[label, *_cells(numbers)] for label, numbers in [*groups, (whole, total)]]
    return await _file(form, f"numbers-{by}", head, rows)


@router.get("/calibration.{form}")
async def take_calibration(
    request: Request,
    desk: DeskDependency,
    visitor: Seeing,  # noqa: ARG001
    form: str,
) -> Response:
    """Send confidences beside what people settled: of all elements, and of each."""
    which, language = read_filter(request.query_params), language_of(request)
    rubric = desk.service.validator.rubric
    await desk.read_new()
    tallies = await desk.service.desk.run(lambda store: store.reports.confidences(which), make=True)
    named: dict[str | None, str] = {None: words.pick(("전체", "all"), language)}
    named |= {one: _label(one, "element", rubric, language) for one in by_element(tallies)}
    rows: list[list[Value]] = []
    for name in sorted(named, key=lambda one: (one is not None, _place_of(one, rubric))):
        whole, groups = calibrated(one for one in tallies if name in {None, one.element})
        rows += [_calibration_row(named[name], one, language) for one in (whole, *groups)]
    head = [words.pick(one, language) for one in words.CALIBRATION]
    return await _file(form, "calibration", head, rows)


@router.get("/findings.{form}")
async def take_findings(
    request: Request, desk: DeskDependency, visitor: Seeing, form: str
) -> Response:
    """Send the findings that people have to decide, or have decided, as a table; no quotes."""
    if form not in _MEDIA:
        raise NOT_FOUND
    which, language = read_filter(request.query_params), language_of(request)
    await desk.read_new()
    found = await desk.service.desk.run(
        lambda store: store.reports.take_findings(which, MOST_ROWS + 1, visitor.name, form)
    )
    if len(found) > MOST_ROWS:
        raise Refused(400, _TOO_MANY)
    head = [words.pick(one, language) for one in words.FINDING_COLUMNS]
    line = partial(_line, rubric=desk.service.validator.rubric, language=language)
    return await _file(form, "findings", head, map(line, found))


async def _file(
    form: str, name: str, head: Sequence[str], rows: Iterable[Sequence[Value]]
) -> Response:
    makers: dict[str, Callable[[], bytes]] = {
        "csv": lambda: as_csv(head, rows),
        "xlsx": lambda: as_xlsx(name, head, rows),
    }
    if form not in makers:
        raise NOT_FOUND
    content = await to_thread.run_sync(makers[form])
    today = datetime.now(KOREA).date()
    disposition = f'attachment; filename="{name}-{today}.{form}"'
    return Response(content, media_type=_MEDIA[form], headers={"Content-Disposition": disposition})


async def _numbers(
    desk: ReviewDesk, by: GroupedBy, which: CaseFilter, language: Language
) -> tuple[list[Group], Numbers]:
    await desk.read_new()
    counted = await desk.service.desk.run(lambda store: store.reports.count(by, which), make=True)
    found = group_up(counted.tallies, counted.calls, by_element=by == "element")
    # A call has many elements, and one week: calls of elements must not be added up.
    calls = max(counted.calls.values(), default=0) if by == "element" else None
    total = total_of(found.values(), sum(counted.calls.values()) if calls is None else calls)
    label = partial(_label, by=by, rubric=desk.service.validator.rubric, language=language)
    order = _order(by, desk.service.validator.rubric)
    return [(label(group), found[group]) for group in sorted(found, key=order)], total


def _of_elements(
    tallies: Sequence[ConfidenceTally], rubric: Rubric, language: Language
) -> list[tuple[str, Calibrated]]:
    found = by_element(tallies)
    return [
        (_label(name, "element", rubric, language), found[name])
        for name in sorted(found, key=lambda one: _place_of(one, rubric))
    ]


def _place_of(element: str | None, rubric: Rubric) -> tuple[int, str]:
    """Return where an element stands in the rubric; what it does not have comes last."""
    ids = [one.id for one in rubric.elements]
    return ids.index(element) if element in ids else len(ids), element or ""


def _calibration_row(label: str, one: Calibrated, language: Language) -> list[Value]:
    return [
        label,
        one.low,
        one.high,
        one.number,
        None if one.stated is None else round(one.stated, 4),
        *_estimate(one.actual)[:3],
        words.pick(one.verdict[0], language),
    ]


def _grouping(given: str | None) -> GroupedBy:
    return next((one for one in get_args(GroupedBy) if one == given), "element")


def _order(by: GroupedBy, rubric: Rubric) -> Callable[[str | int | None], tuple[bool, float, str]]:
    """Return how groups are sorted: elements as in the rubric, the newest week first, names."""
    places = {one.id: number for number, one in enumerate(rubric.elements)}

    def order(group: str | int | None) -> tuple[bool, float, str]:
        place = -group if isinstance(group, int) else 0
        if by == "element":
            place = places.get(str(group), len(places))
        return group is None, place, str(group)

    return order


def _label(group: str | int | None, by: GroupedBy, rubric: Rubric, language: Language) -> str:
    if group is None:
        return words.pick(_UNNAMED, language)
    if isinstance(group, int):
        return monday_of(group).isoformat()
    if by == "element":
        return next((one.title for one in rubric.elements if one.id == group), group)
    return group


def _cells(one: Numbers) -> list[Value]:
    cells: list[Value] = [
        one.calls,
        one.accused,
        one.suspected,
        one.undetermined,
        one.waiting,
        one.confirmed,
        one.rejected,
        one.left_open,
        one.missed,
    ]
    for estimate in (one.precision, one.kappa):
        cells += _estimate(estimate)
    return cells


def _estimate(one: Estimate | None) -> list[Value]:
    if one is None:
        return [None, None, None, 0]
    return [round(one.value, 4), round(one.low, 4), round(one.high, 4), one.of]


def _line(row: FindingRow, rubric: Rubric, language: Language) -> list[Value]:
    title = next((one.title for one in rubric.elements if one.id == row.element), row.element)
    received = datetime.fromtimestamp(row.received_at, UTC).astimezone(KOREA).replace(tzinfo=None)
    decided = words.STATUS[row.kind, row.decided][0] if row.decided else ("", "")
    return [
        row.case,
        row.name,
        received,
        row.agent,
        row.product,
        row.element,
        title,
        words.pick(words.STATUS[row.kind, row.status][0], language),
        words.pick(words.REVIEW[row.state], language),
        words.pick(decided, language),
        row.moved_to,
        row.first_by,
        row.second_by,
    ]
