"""Search in what was said."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from api_server.web.errors import Refused
from api_server.web.filters import as_query, kept, read_filter
from api_server.web.rendering import render
from api_server.web.router import DeskDependency, Seeing, review_router
from api_server.web.searching import LEAST, MOST, hits_of, wanted_of

router = review_router()

CALLS, SENTENCES = 20, 5
"""Calls of a page, and sentences that are shown of each."""

WITHIN_SEC = 2.0
"""So long calls are looked at for one page."""

_DIGITS = 19
_SHORT = (
    f"글자나 숫자를 {LEAST}자 이상, {MOST}자까지 적으십시오.",
    f"Give {LEAST} to {MOST} letters or digits.",
)


@router.get("/search")
async def search(request: Request, desk: DeskDependency, visitor: Seeing) -> Response:
    """Show the newest calls in which words were said, and how far was looked."""
    asked = request.query_params
    words = asked.get("q", "").strip()
    wanted, which = wanted_of(words[: 10 * MOST]), read_filter(asked)
    if words and not LEAST <= len(wanted) <= MOST:
        raise Refused(400, _SHORT)
    run = desk.service.desk.run
    given: dict[str, Any] = {"found": None, "calls": [], "more": None}
    if words:
        await desk.read_new()
        found = await run(
            lambda store: store.search.find(
                wanted,
                which,
                visitor.name,
                limit=CALLS,
                within_sec=WITHIN_SEC,
                after=_number(asked.get("after")),
            ),
            make=True,
        )
        shown = [(one, hits_of(one, wanted, SENTENCES)) for one in found.calls]
        given["found"], given["calls"] = found, [one for one in shown if one[1]]
        if found.after is not None:
            given["more"] = as_query(asked, q=words, after=str(found.after))
    agents, products = await run(lambda store: store.reports.names(), make=True)
    elements = desk.service.validator.rubric.elements
    return render(
        request,
        "search.html",
        visitor=visitor,
        words_asked=words,
        which=which,
        asked=kept(asked),
        agents=agents,
        products=products,
        elements=[one for one in elements if one.applicable],
        first="after" not in asked,
        **given,
    )


def _number(given: str | None) -> int | None:
    """Return behind which call a page begins; nonsense is the first page."""
    return int(given) if given and given.isdecimal() and len(given) < _DIGITS else None
