"""The rubric: read it, try a changed one on past calls, take one into use as two people."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from anyio import to_thread
from fastapi import Form, Request, Response, UploadFile

from api_server.compliance.rubric import DEFAULT_RUBRIC, Rubric, RubricInvalid
from api_server.compliance.rubric_files import MOST_CHARS, RubricFiles, source_of
from api_server.store.errors import DecisionRefused
from api_server.store.records import OF_SETTINGS
from api_server.store.rubric_records import RubricChange, RubricTrial, StoredRubric
from api_server.web import words
from api_server.web.errors import NOT_FOUND, Refused
from api_server.web.rendering import render
from api_server.web.router import (
    DeskDependency,
    Governing,
    Seeing,
    is_partial,
    redirect,
    review_router,
)
from api_server.web.rubric_view import changed_elements, tallied

if TYPE_CHECKING:
    from api_server.store.store import Store

router = review_router()

CALLS = (100, 500, 2000, 10_000)
"""On so many of the newest calls a rubric can be tried."""

_ROWS = 300
_BYTES = 4 * MOST_CHARS
_NO_TEXT = ("UTF-8 TOML 파일이 아닙니다.", "That is no TOML file in UTF-8.")
_TOO_LONG = (
    f"파일은 {MOST_CHARS:,}자까지입니다.",
    f"A file has {MOST_CHARS:,} characters at most.",
)
_NO_FILE = ("점검표 파일을 고르십시오.", "Choose the rubric's file.")
_SAME = (
    "지금 쓰는 점검표와 내용이 같습니다. 시험할 것이 없습니다.",
    "It says the same as the rubric in force: there is nothing to try.",
)


@router.get("/rubric")
async def show_rubric(request: Request, desk: DeskDependency, visitor: Seeing) -> Response:
    """Show the rubric in force, what was proposed, sent and tried."""
    rubric = desk.service.validator.rubric
    known = await desk.service.desk.run(_known, make=True)
    of_settings = desk.service.validator.of_settings
    known["in_force"] = _by_people(known["in_force"], rubric)
    return render(
        request,
        "rubric.html",
        visitor=visitor,
        rubric=rubric,
        of_settings=None if of_settings.sha256 == rubric.sha256 else of_settings,
        calls=CALLS,
        **known,
    )


def _known(store: Store) -> dict[str, Any]:
    found, changes = store.rubrics.in_force(), store.rubrics.changes()
    return {
        "changes": changes,
        "open": next((one for one in changes if one.state == "open"), None),
        "sent": store.rubrics.sent(),
        "trials": store.rubrics.trials(),
        "in_force": found[0] if found else None,
    }


def _by_people(change: RubricChange | None, rubric: Rubric) -> RubricChange | None:
    """Return who took the rubric into use, where that is the one which is in force here."""
    return change if change is not None and change.sha256 in {OF_SETTINGS, rubric.sha256} else None


@router.get("/rubric/files/{which}")
async def take_files(desk: DeskDependency, visitor: Seeing, which: str) -> Response:  # noqa: ARG001
    """Send the rubric's file, or its rules, as they are in force: to be changed and sent back."""
    validator = desk.service.validator
    rubric = validator.rubric
    if rubric.sha256 == validator.of_settings.sha256:
        source = desk.service.settings.rubric_path or DEFAULT_RUBRIC
        files = await to_thread.run_sync(source_of, source)
    else:
        stored = await desk.service.desk.run(lambda store: store.rubrics.get(rubric.sha256))
        files = RubricFiles.from_json(stored.source) if stored else None
    text = {"rubric": files.rubric, "rules": files.rules}.get(which) if files else None
    if text is None:
        raise NOT_FOUND
    disposition = f'attachment; filename="{which}.toml"'
    return Response(
        text, media_type="application/toml", headers={"Content-Disposition": disposition}
    )


@router.get("/rubric/versions/{sha256}")
async def show_version(
    request: Request, desk: DeskDependency, visitor: Seeing, sha256: str
) -> Response:
    """Show a rubric that was sent, and what is others in it than in the one in force."""
    now = desk.service.validator.rubric
    of_settings = desk.service.validator.of_settings
    stored, trials = await desk.service.desk.run(partial(_version, sha256=sha256), make=True)
    if sha256 in {now.sha256, of_settings.sha256}:
        rubric = now if sha256 == now.sha256 else of_settings
    elif stored is None:
        raise NOT_FOUND
    else:
        rubric = await _loaded(RubricFiles.from_json(stored.source))
    return render(
        request,
        "rubric_version.html",
        visitor=visitor,
        rubric=rubric,
        now=now,
        stored=stored,
        trials=trials,
        differing=changed_elements(now, rubric),
        calls=CALLS,
    )


def _version(store: Store, sha256: str) -> tuple[StoredRubric | None, list[RubricTrial]]:
    return store.rubrics.get(sha256), store.rubrics.trials(sha256)


@router.post("/rubric/trials")
async def try_rubric(
    request: Request,
    desk: DeskDependency,
    visitor: Governing,
    calls: Annotated[int, Form()] = CALLS[0],
    rubric: UploadFile | None = None,
    rules: UploadFile | None = None,
    sha256: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Take a changed rubric, or one that was sent before, and have it tried on past calls."""
    if calls not in CALLS:
        raise Refused(400, words.REFUSED["bad_status"])
    run, now = desk.service.desk.run, desk.service.validator.rubric
    if sha256:
        if await run(lambda store: store.rubrics.get(sha256), make=True) is None:
            raise NOT_FOUND
    else:
        files = await _sent(rubric, rules)
        found = await _loaded(files)
        sha256 = found.sha256
        new = StoredRubric(sha256, found.version, files.to_json(), visitor.name)
        if sha256 != now.sha256:
            await run(lambda store: store.rubrics.add(new), make=True)
    if sha256 == now.sha256:
        raise Refused(400, _SAME)
    number = await run(
        lambda store: store.rubrics.begin_trial(sha256, now.sha256, visitor.name, calls)
    )
    return redirect(request, f"/review/rubric/trials/{number}")


async def _sent(rubric: UploadFile | None, rules: UploadFile | None) -> RubricFiles:
    text = await _text(rubric)
    if text is None:
        raise Refused(400, _NO_FILE)
    return RubricFiles(text, await _text(rules))


async def _text(file: UploadFile | None) -> str | None:
    if file is None or not file.filename:
        return None
    content = await file.read(_BYTES + 1)
    if len(content) > _BYTES:
        raise Refused(413, _TOO_LONG)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused(400, _NO_TEXT) from None


async def _loaded(files: RubricFiles) -> Rubric:
    try:
        return await to_thread.run_sync(files.load)
    except RubricInvalid as exc:
        raise Refused(400, (str(exc), str(exc))) from None


@router.get("/rubric/trials/{number}")
async def show_trial(
    request: Request,
    desk: DeskDependency,
    visitor: Seeing,
    number: int,
    element: str = "",
) -> Response:
    """Show what would change; scripts ask for the changing part alone."""
    read = partial(_trial, number=number, element=element or None)
    found = await desk.service.desk.run(read, make=True)
    if found is None:
        raise NOT_FOUND
    trial = found["trial"]
    now = desk.service.validator.rubric
    titles = {one.id: one.title for one in now.elements}
    kinds: dict[str, str] = {one.id: one.kind for one in now.elements}
    if found["stored"] is not None:
        files = RubricFiles.from_json(found["stored"].source)
        try:
            tried = await to_thread.run_sync(files.load)
        except RubricInvalid:
            tried = now  # the built-in files that it names are others by now
        titles = {one.id: one.title for one in tried.elements} | titles
        kinds = {one.id: one.kind for one in tried.elements} | kinds
    return render(
        request,
        "_trial.html" if is_partial(request) else "trial.html",
        visitor=visitor,
        percent=round(100 * trial.done / trial.total) if trial.total else 100,
        is_current=trial.before_sha256 == now.sha256,
        lines=tallied(found["counts"]),
        titles=titles,
        kinds=kinds,
        element=element,
        most=_ROWS,
        **found,
    )


def _trial(store: Store, number: int, element: str | None) -> Mapping[str, Any] | None:
    trial = store.rubrics.trial(number)
    if trial is None:
        return None
    counts, differing, rows = store.rubrics.differences(number, _ROWS, element)
    changes = store.rubrics.changes()
    return {
        "trial": trial,
        "stored": store.rubrics.get(trial.sha256),
        "counts": counts,
        "differing": differing,
        "rows": rows,
        "open": next((one for one in changes if one.state == "open"), None),
    }


@router.post("/rubric/trials/{number}/stop")
async def stop_trial(
    request: Request,
    desk: DeskDependency,
    visitor: Governing,  # noqa: ARG001
    number: int,
) -> Response:
    """Stop a trial; what it has found so far stays."""
    await desk.service.desk.run(lambda store: store.rubrics.end_trial(number, "stopped"))
    return redirect(request, f"/review/rubric/trials/{number}")


@router.post("/rubric/changes")
async def propose(
    request: Request,
    desk: DeskDependency,
    visitor: Governing,
    sha256: Annotated[str, Form(max_length=64)] = OF_SETTINGS,
) -> Response:
    """Propose to take a rubric into use: one that was tried, or that was in force before."""
    validator, run = desk.service.validator, desk.service.desk.run
    version = validator.of_settings.version
    if sha256 != OF_SETTINGS:
        stored = await run(lambda store: store.rubrics.get(sha256), make=True)
        if stored is None:
            raise NOT_FOUND
        version = stored.version
        await _loaded(RubricFiles.from_json(stored.source))
    elif validator.of_settings.sha256 == validator.rubric.sha256:
        raise Refused(400, _SAME)
    before = validator.rubric.sha256
    await run(lambda store: store.rubrics.propose(sha256, version, before, visitor.name))
    return redirect(request, "/review/rubric")


_ANSWERS: Mapping[str, Literal["used", "refused", "withdrawn"]] = {
    "consent": "used",
    "refuse": "refused",
    "withdraw": "withdrawn",
}


@router.post("/rubric/changes/{number}")
async def answer(
    request: Request,
    desk: DeskDependency,
    visitor: Governing,
    number: int,
    action: Annotated[str, Form(max_length=20)],
) -> Response:
    """Consent to a change, which is in force at once, or refuse it; or take one's own back."""
    if action not in _ANSWERS:
        raise DecisionRefused("bad_status", "no such answer")
    service = desk.service
    before = service.validator.rubric.sha256
    close = partial(_close, seq=number, action=action, actor=visitor.name, before=before)
    await service.desk.run(close)
    await service.desk.run(service.rubrics.look)
    return redirect(request, "/review/rubric")


def _close(store: Store, seq: int, action: str, actor: str, before: str) -> None:
    store.rubrics.answer(seq, _ANSWERS[action], actor, before)
