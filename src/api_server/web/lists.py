"""The queue and the list of calls."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Form, Request, Response

from api_server.web import words
from api_server.web.errors import Refused
from api_server.web.filters import as_query, kept, read_filter
from api_server.web.rendering import render
from api_server.web.router import DeskDependency, Seeing, redirect, review_router

router = review_router()

_PAGE = 50
_DIGITS = 19
_NAME = 60

Field = Annotated[str, Form(max_length=3000)]


@router.get("")
async def show_queue(
    request: Request,
    desk: DeskDependency,
    visitor: Seeing,
) -> Response:
    """Show how much waits, and calls with the most serious first."""
    await desk.read_new()
    asked = request.query_params
    which = read_filter(asked)
    after = _place(asked.get("after"))
    run = desk.service.desk.run
    found = await run(lambda store: store.reviews.list(which, _PAGE + 1, after))
    counts = await desk.counts.get()
    agents, products = await run(lambda store: store.reports.names())
    views = await run(lambda store: store.reports.views(visitor.name))
    rubric = desk.service.validator.rubric
    more = None
    if len(found) > _PAGE:
        last = found[_PAGE - 1]
        more = as_query(asked, after=f"{last.rank!r},{last.case.seq}")
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
        asked=kept(asked),
        query=as_query(asked),
        agents=agents,
        products=products,
        views=views,
        more=more,
        nothing="none" in asked,
        states=words.REVIEW,
    )


@router.post("/views")
async def keep_view(
    request: Request,
    desk: DeskDependency,
    visitor: Seeing,
    query: Field = "",
    name: Field = "",
    drop: Field = "",
) -> Response:
    """Keep the filters of the list under a name, or forget those of one."""
    asked = dict(parse_qsl(query))
    given = " ".join((drop or name).split())[:_NAME]
    if not given:
        raise Refused(400, words.REFUSED["no_name"])
    run = desk.service.desk.run
    if drop:
        await run(lambda store: store.reports.drop_view(visitor.name, given))
    else:
        await run(lambda store: store.reports.keep_view(visitor.name, given, as_query(asked)))
    return redirect(request, f"/review?{as_query(asked)}")


def _place(after: str | None) -> tuple[float, int] | None:
    """Return the rank and the number behind which a page begins; nonsense is the first page."""
    rank, _, seq = (after or "").partition(",")
    try:
        return (float(rank), int(seq)) if 0 < len(seq) < _DIGITS else None
    except ValueError:
        return None
