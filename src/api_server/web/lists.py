"""The queue and the list of calls."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import Request, Response
from starlette.datastructures import QueryParams

from api_server.store.review_records import CaseFilter
from api_server.web import words
from api_server.web.rendering import render
from api_server.web.router import DeskDependency, Seeing, review_router

router = review_router()

_PAGE = 50
_DIGITS = 19


@router.get("")
async def show_queue(
    request: Request,
    desk: DeskDependency,
    visitor: Seeing,
) -> Response:
    """Show how much waits, and calls with the most serious first."""
    await desk.read_new()
    asked = request.query_params
    which = _filter(asked)
    after = _place(asked.get("after"))
    run = desk.service.desk.run
    found = await run(lambda store: store.reviews.list(which, _PAGE + 1, after))
    counts = await run(lambda store: store.reviews.count())
    rubric = desk.service.validator.rubric
    more = None
    if len(found) > _PAGE:
        last = found[_PAGE - 1]
        query = {name: value for name, value in asked.items() if name not in {"after", "none"}}
        more = urlencode({**query, "after": f"{last.rank!r},{last.case.seq}"})
    return render(
        request,
        "queue.html",
        visitor=visitor,
        cases=found[:_PAGE],
        counts=counts,
        elements=[one for one in rubric.elements if one.applicable],
        titles={one.id: one.title for one in rubric.elements},
        kinds={one.id: one.kind for one in rubric.elements},
        which=which,
        more=more,
        nothing="none" in asked,
        states=words.REVIEW,
    )


def _filter(asked: QueryParams) -> CaseFilter:
    """Return what a query asks for; an empty value filters nothing."""
    given = {name: asked.get(name) or None for name in ("state", "element", "status", "job")}
    return CaseFilter(**given, degraded=True if asked.get("degraded") else None)


def _place(after: str | None) -> tuple[float, int] | None:
    """Return the rank and the number behind which a page begins; nonsense is the first page."""
    rank, _, seq = (after or "").partition(",")
    try:
        return (float(rank), int(seq)) if 0 < len(seq) < _DIGITS else None
    except ValueError:
        return None
