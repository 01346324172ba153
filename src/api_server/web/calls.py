"""One call: the page, its sound, and decisions on it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, cast, get_args
from urllib.parse import quote

from anyio import to_thread
from fastapi import Form, Query, Request, Response
from fastapi.responses import FileResponse

from api_server.store.decisions import Action
from api_server.store.review_records import Visitor
from api_server.web.call_view import CallView, new_decision
from api_server.web.comparison import compare
from api_server.web.desk import NOT_PLAYABLE, ReviewDesk
from api_server.web.errors import NOT_FOUND, Refused
from api_server.web.rendering import name as name_of
from api_server.web.rendering import render
from api_server.web.router import (
    Deciding,
    DeskDependency,
    Seeing,
    is_partial,
    redirect,
    review_router,
)
from api_server.web.sentences import LONGEST_CLIP_SEC, clock
from api_server.web.sound import cut
from api_server.web.words import REFUSED, REJECT_REASONS

router = review_router()

FIRST_SENTENCES = 300
"""Sentences that a call's page begins with; its script asks for the rest, and nobody waits."""

_TOO_LONG = ("5분까지만 잘라 낼 수 있습니다.", "A clip has five minutes at most.")

_ACTIONS: tuple[Action, ...] = get_args(Action)


@router.get("/cases/{case}")
async def show_call(request: Request, desk: DeskDependency, visitor: Seeing, case: str) -> Response:
    """Show a call; one without an answer says what became of it."""
    record = await desk.record(case)
    if not record.is_readable:
        erased = bool(record.revisions)
        return render(request, "no_answer.html", visitor=visitor, case=record.case, erased=erased)
    view = await desk.view(record, visitor)
    first = len(view.sentences) if "all" in request.query_params else FIRST_SENTENCES
    return await _page(request, "call.html", desk, visitor, view, first=first)


@router.get("/cases/{case}/sentences")
async def show_rest(
    request: Request, desk: DeskDependency, visitor: Seeing, case: str, revision: int
) -> Response:
    """Show the sentences that the page of a long call does not begin with."""
    view = await desk.view(await desk.record(case), visitor)
    if view.revision != revision:
        raise Refused(409, REFUSED["stale"])
    rest = view.sentences[FIRST_SENTENCES:]
    return await _page(request, "_sentences.html", desk, visitor, view, sentences=rest)


async def _page(
    request: Request,
    template: str,
    desk: ReviewDesk,
    visitor: Visitor,
    view: CallView,
    **more: Any,  # noqa: ANN401 - whatever the template shows
) -> Response:
    """Return a page made in a thread: a call may have ten thousand sentences."""
    shown = _shown(desk, view) | more
    return await to_thread.run_sync(partial(render, request, template, visitor=visitor, **shown))


def _shown(desk: ReviewDesk, view: CallView) -> dict[str, Any]:
    case = view.record.case
    return {
        "view": view,
        "case": case,
        "playable": case.recording is not None or view.record.path is not None,
        "reject_reasons": REJECT_REASONS,
        "made_at": datetime.now(UTC).timestamp(),
        "keep_days": desk.service.settings.review_keep_days,
    }


@router.get("/cases/{case}/revisions")
async def show_revisions(
    request: Request,
    desk: DeskDependency,
    visitor: Seeing,
    case: str,
    before: Annotated[int | None, Query(alias="a")] = None,
    after: Annotated[int | None, Query(alias="b")] = None,
) -> Response:
    """Show two answers of a call beside each other; by default the last two."""
    record = await desk.record(case)
    numbers = [one.number for one in record.revisions if one.answer]
    if len(numbers) < 2:  # noqa: PLR2004 - two are compared
        raise NOT_FOUND
    asked = (
        numbers[-2] if before is None else before,
        numbers[-1] if after is None else after,
    )
    if not set(asked) <= set(numbers):
        raise NOT_FOUND
    left, right = [await desk.answer(record, number) for number in asked]
    both = await to_thread.run_sync(compare, left, right)
    shown: dict[str, Any] = {"case": record.case, "both": both, "numbers": numbers}
    show = partial(render, request, "revisions.html", visitor=visitor, **shown)
    return await to_thread.run_sync(show)


@router.get("/cases/{case}/sound")
async def play(desk: DeskDependency, visitor: Seeing, case: str) -> Response:
    """Send the recording as a WAV file, or the range of it that is asked for."""
    sound = desk.playing(case, visitor)
    if sound is None:
        record = await desk.record(case)
        sound = await desk.sound(record)
        await desk.note_look(record, visitor)
        desk.note_playing(case, visitor, sound)
    return FileResponse(sound.wav, media_type="audio/wav")


@router.get("/cases/{case}/peaks")
async def draw(desk: DeskDependency, visitor: Seeing, case: str) -> Response:  # noqa: ARG001
    """Send the peaks of the recording; see :class:`api_server.web.sound.Sound`."""
    sound = await desk.sound(await desk.record(case))
    return FileResponse(sound.peaks, media_type="application/octet-stream")


@router.get("/cases/{case}/clip")
async def clip(
    desk: DeskDependency,
    visitor: Seeing,
    case: str,
    start: Annotated[float, Query(alias="from", ge=0, allow_inf_nan=False)],
    end: Annotated[float, Query(alias="to", ge=0, allow_inf_nan=False)],
) -> Response:
    """Send a part of the recording to be kept; the log says who has taken which."""
    if not 0 < end - start <= LONGEST_CLIP_SEC:
        raise Refused(400, _TOO_LONG)
    record = await desk.record(case)
    sound = await desk.sound(record)
    await desk.note_clip(record, visitor, start, end)
    try:
        content = await to_thread.run_sync(cut, sound, start, end)
    except OSError:  # others' recordings have taken its room meanwhile
        raise Refused(503, NOT_PLAYABLE) from None
    stem = name_of(record.case.name).rpartition(".")[0] or record.case.name
    named = quote(f"{stem} {clock(start).replace(':', '-')}.wav", safe="")
    disposition = f"attachment; filename=\"clip.wav\"; filename*=UTF-8''{named}"
    return Response(content, media_type="audio/wav", headers={"Content-Disposition": disposition})


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
    record = await desk.record(case)
    view = await desk.view(record, visitor)
    form = cast("Mapping[str, str]", await request.form())
    new = new_decision(view, visitor, action, element, form)
    judged = None
    if action == "swap_roles":
        if view.revision != revision:
            raise Refused(409, REFUSED["stale"])
        judged = await desk.judged_with_other_roles(record)
    await desk.service.desk.run(
        lambda store: store.reviews.decide(case, revision, new, desk.lease_sec, judged)
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
