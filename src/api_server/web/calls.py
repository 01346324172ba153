"""One call: the page, its sound, and decisions on it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, cast, get_args

from anyio import to_thread
from fastapi import Form, Request, Response
from fastapi.responses import FileResponse

from api_server.store.decisions import Action
from api_server.store.review_records import Visitor
from api_server.web.call_view import CallView, new_decision
from api_server.web.desk import ReviewDesk
from api_server.web.errors import Refused
from api_server.web.rendering import render
from api_server.web.router import (
    Deciding,
    DeskDependency,
    Seeing,
    is_partial,
    redirect,
    review_router,
)
from api_server.web.words import REFUSED, REJECT_REASONS

router = review_router()

_ACTIONS: tuple[Action, ...] = get_args(Action)


@router.get("/cases/{case}")
async def show_call(request: Request, desk: DeskDependency, visitor: Seeing, case: str) -> Response:
    """Show a call; one without an answer says what became of it."""
    record = await desk.record(case)
    if not record.is_readable:
        erased = bool(record.revisions)
        return render(request, "no_answer.html", visitor=visitor, case=record.case, erased=erased)
    view = await desk.view(record, visitor)
    return await _page(request, "call.html", desk, visitor, view)


async def _page(
    request: Request, template: str, desk: ReviewDesk, visitor: Visitor, view: CallView
) -> Response:
    """Return a page made in a thread: a call may have ten thousand sentences."""
    shown = _shown(desk, view)
    return await to_thread.run_sync(partial(render, request, template, visitor=visitor, **shown))


def _shown(desk: ReviewDesk, view: CallView) -> dict[str, Any]:
    case = view.record.case
    return {
        "view": view,
        "case": case,
        "playable": case.recording is not None or view.record.path is not None,
        "reject_reasons": REJECT_REASONS,
        "keep_days": desk.service.settings.review_keep_days,
    }


@router.get("/cases/{case}/sound")
async def play(desk: DeskDependency, visitor: Seeing, case: str) -> Response:
    """Send the recording as a WAV file, or the range of it that is asked for."""
    record = await desk.record(case)
    sound = await desk.sound(record)
    await desk.note_look(record, visitor)
    return FileResponse(sound.wav, media_type="audio/wav")


@router.get("/cases/{case}/peaks")
async def draw(desk: DeskDependency, visitor: Seeing, case: str) -> Response:  # noqa: ARG001
    """Send the peaks of the recording; see :class:`api_server.web.sound.Sound`."""
    sound = await desk.sound(await desk.record(case))
    return FileResponse(sound.peaks, media_type="application/octet-stream")


Words = Annotated[str, Form()]


@router.post("/cases/{case}/decisions")
async def decide(
    request: Request,
    desk: DeskDependency,
    visitor: Deciding,
    case: str,
    action: Words,
    revision: Annotated[int, Form()],
    element: Words = "",
) -> Response:
    """Add a decision or a comment; the answer is the part of the page that has changed."""
    if action not in _ACTIONS:
        raise Refused(400, REFUSED["bad_status"])
    view = await desk.view(await desk.record(case), visitor)
    form = cast("Mapping[str, str]", await request.form())
    new = new_decision(view, visitor, action, element, form)
    await desk.service.desk.run(
        lambda store: store.reviews.decide(case, revision, new, desk.lease_sec)
    )
    if not is_partial(request):
        return redirect(request, f"/review/cases/{case}#{element}")
    view = await desk.view(await desk.record(case), visitor)
    return await _page(request, "_findings.html", desk, visitor, view)


@router.post("/cases/{case}/release")
async def release(request: Request, desk: DeskDependency, visitor: Deciding, case: str) -> Response:
    """Put a call off, and go to the next one."""
    let_go = partial(_let_go, case=case, actor=visitor.name)
    await desk.service.desk.run(let_go)
    return await go_to_next(request, desk, visitor)


def _let_go(store: Any, case: str, actor: str) -> None:  # noqa: ANN401 - its module takes 0.5 s
    store.reviews.let_go(case, actor, put_off=True)


@router.post("/next")
async def go_to_next(request: Request, desk: DeskDependency, visitor: Deciding) -> Response:
    """Take the call that this person should look at next."""
    await desk.read_new()
    senior = visitor.role == "senior"
    found = await desk.service.desk.run(
        lambda store: store.reviews.take_next(visitor.name, desk.lease_sec, senior=senior)
    )
    return redirect(request, f"/review/cases/{found}" if found else "/review?none=1")
