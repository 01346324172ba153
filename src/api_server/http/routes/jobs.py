"""``/jobs`` and ``/cases``: work that is taken now, done later, and asked after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import File, Form, Header, Query, Request, Response, UploadFile

from api_server.clients.agent.types import RequestFormat
from api_server.container import Service
from api_server.http.form_fields import Keywords, Model, Prompt, Temperature, TextFormat, Translate
from api_server.http.job_events import LAST_ID, JobEvents
from api_server.http.job_files import (
    case_of_path,
    cases_of_folder,
    check_count,
    receive_uploads,
)
from api_server.http.openapi import PROBLEM
from api_server.http.problems import TITLES, Problem, build_store_problem
from api_server.http.routes.agent_config import build_agent_config, check_timeout
from api_server.http.routes.dependencies import REFUSALS, ServiceDependency, find_model, owner_of
from api_server.http.strict import strict_router
from api_server.http.transcripts import text_response
from api_server.http.upload import FilePath, Language
from api_server.jobs.desk import NoStoreYet
from api_server.jobs.events import JobTaken
from api_server.jobs.options import JobOptions
from api_server.jobs.request import digest, read_metadata
from api_server.models import CaseList, CaseResponse, JobList, JobResponse, Text
from api_server.pipeline.render import cases as render
from api_server.pipeline.render.formats import english_of
from api_server.store.errors import NoSuchCase, NoSuchJob
from api_server.store.recordings import Received
from api_server.store.records import CaseRecord, CaseState, NewCase, NewJob, Revision
from stt_engine.engine import check
from stt_engine.errors import EngineError, InvalidRequest
from stt_engine.events import emit
from stt_engine.hints import Hints

T = TypeVar("T")

if TYPE_CHECKING:  # it takes half a second
    from api_server.store.store import Store

router = strict_router()

_NOWHERE = Path()
_UNAVAILABLE: dict[int | str, dict[str, Any]] = {
    503: {"description": TITLES[503], "content": PROBLEM}
}
_ASKED: dict[int | str, dict[str, Any]] = {
    **{status: REFUSALS[status] for status in (400, 404)},
    **_UNAVAILABLE,
}

_STREAM = {"text/event-stream": {"schema": {"type": "string"}}}

Limit = Annotated[int, Query(ge=1, le=500, description="Entries of a page")]
Cursor = Annotated[
    int | None, Query(ge=1, le=2**62, description="`next_cursor` of the page before")
]


@router.post(
    "/jobs",
    status_code=202,
    response_model=JobResponse,
    responses={
        **REFUSALS,
        **_UNAVAILABLE,
        507: {"description": TITLES[507], "content": PROBLEM},
    },
)
async def submit(
    service: ServiceDependency,
    request: Request,
    response: Response,
    file: Annotated[
        list[UploadFile] | None, File(description="Recordings; as often as there are some")
    ] = None,
    file_path: FilePath = None,
    folder: FilePath = None,
    pattern: Annotated[Text | None, Form(description="Which files of 'folder', as *.wav")] = None,
    language: Language = "ko",
    word_timestamps: Annotated[bool, Form()] = False,
    incomplete_elements_check: Annotated[bool, Form()] = False,
    agent_url: Annotated[Text | None, Form()] = None,
    agent_request_format: Annotated[RequestFormat, Form()] = "prompt_based",
    chat_thread_id: Annotated[Text | None, Form()] = None,
    timeout: Annotated[float | None, Form(ge=1, allow_inf_nan=False)] = None,  # noqa: ASYNC109
    metadata: Annotated[Text | None, Form(description="A JSON object, returned as it is")] = None,
    priority: Annotated[int, Form(ge=0, le=9, description="Smaller ones come first")] = 5,
    translate: Translate = False,
    prompt: Prompt = None,
    keywords: Keywords = None,
    temperature: Temperature = 0.0,
    model: Model = None,
    webhook_url: Annotated[
        Text | None, Form(description="Told of the ends of its cases, and of its own")
    ] = None,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
) -> JobResponse:
    """Take recordings to be transcribed and, if asked, checked, behind all calls."""
    agent = None
    if incomplete_elements_check:
        agent = build_agent_config(
            service.settings, agent_url, agent_request_format, timeout, chat_thread_id
        )
    elif timeout is not None:
        check_timeout(service.settings, timeout)
    hints = Hints.of(prompt, keywords)
    named = await find_model(service, model)
    options = JobOptions(
        language, word_timestamps, agent, translate, hints, temperature, named.other
    )
    _check_options(service, options)
    _check_webhook(service, webhook_url)
    described = _metadata("{}" if metadata is None else metadata)
    received: list[Received] = []
    try:
        cases = await _cases(service, file or [], file_path, folder, pattern, received)
        # A folder is asked for by its name, not by what is in it now.
        inputs = (folder, pattern) if folder else cases
        new = NewJob(
            owner=owner_of(request),
            options=options.to_json(),
            metadata=described,
            priority=priority,
            cases=tuple(cases),
            request_sha256=digest(options, described, priority, inputs, webhook_url),
            idempotency_key=idempotency_key,
            webhook_url=webhook_url or None,
        )
        job, fresh = await _ask(service, lambda store: store.submit(new), make=True)
        found = await _ask(service, lambda store: store.get_job(job, None))
    finally:
        for one in received:
            service.storage.uploads.start(one.drop)
    if fresh:
        emit(service.observers, JobTaken(job=job, cases=len(cases)))
    service.jobs.wake()
    response.headers["Location"] = f"{request.scope.get('root_path', '')}/jobs/{job}"
    return render.job_response(found)


@router.get("/jobs", responses=_ASKED)
async def list_jobs(
    service: ServiceDependency, request: Request, limit: Limit = 50, cursor: Cursor = None
) -> JobList:
    """Show jobs, the newest first."""
    viewer = _viewer(request)
    try:
        found = await _ask(service, lambda store: store.list_jobs(viewer, limit + 1, cursor))
    except NoStoreYet:
        found = []
    return render.job_list(found, limit)


@router.get("/jobs/{job}", responses=_ASKED)
async def show_job(service: ServiceDependency, request: Request, job: str) -> JobResponse:
    """Show a job: its state, and how many of its cases are in which."""
    viewer = _viewer(request)
    found = await _ask_of_job(service, job, lambda store: store.get_job(job, viewer))
    return render.job_response(found)


@router.get(
    "/jobs/{job}/events",
    responses={
        **_ASKED,
        200: {"description": "The job, each time it changes", "content": _STREAM},
        204: {"description": "It has ended, and that was told"},
    },
)
async def follow_job(
    service: ServiceDependency,
    request: Request,
    job: str,
    last_event_id: Annotated[str | None, Header(description="As browsers send it again")] = None,
) -> Response:
    """Follow a job until it ends: server-sent events of the fields of `GET /jobs/{job}`."""
    viewer = _viewer(request)

    async def look() -> JobResponse:
        found = await _ask_of_job(service, job, lambda store: store.get_job(job, viewer))
        return render.job_response(found)

    first = await look()
    if last_event_id == LAST_ID and first.state in {"done", "cancelled"}:
        return Response(status_code=204)  # ends the browser's coming back
    return JobEvents(first, look, service.leaving.is_set)


@router.post("/jobs/{job}/cancel", responses=_ASKED)
async def cancel(service: ServiceDependency, request: Request, job: str) -> JobResponse:
    """End every case that has not ended; those that have stay as they are."""
    viewer = _viewer(request)
    found = await _ask_of_job(service, job, lambda store: store.cancel_job(job, viewer))
    await service.jobs.renew()  # stops the work on them
    return render.job_response(found)


@router.post("/jobs/{job}/retry", responses=_ASKED)
async def retry(service: ServiceDependency, request: Request, job: str) -> JobResponse:
    """Queue the cases again that failed or were cancelled."""
    viewer = _viewer(request)
    found = await _ask_of_job(service, job, lambda store: store.retry_job(job, viewer))
    service.jobs.wake()
    return render.job_response(found)


@router.get("/cases", responses=_ASKED)
async def list_cases(
    service: ServiceDependency,
    request: Request,
    job: Annotated[Text | None, Query(description="Of this job alone")] = None,
    state: Annotated[CaseState | None, Query(description="In this state alone")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CaseList:
    """Show cases, the newest first, without their answers."""
    viewer = _viewer(request)
    try:
        found = await _ask(
            service, lambda store: store.list_cases(viewer, limit + 1, cursor, job, state)
        )
    except NoStoreYet:
        if job is not None:
            raise build_store_problem(NoSuchJob(f"there is no job {job}")) from None
        found = []
    return render.case_list(found, limit)


@router.get(
    "/cases/{case}",
    response_model=CaseResponse,
    responses={**_ASKED, 409: {"description": TITLES[409], "content": PROBLEM}},
)
async def show_case(
    service: ServiceDependency,
    request: Request,
    case: str,
    form: Annotated[
        TextFormat | None, Query(alias="format", description="The text alone, as a file")
    ] = None,
    english: Annotated[bool, Query(description="The translation; with 'format'")] = False,
    revision: Annotated[
        int | None, Query(ge=1, le=2**31, description="Which answer; by default the latest")
    ] = None,
) -> CaseResponse | Response:
    """Show a case with an answer of it, which is that of `POST /transcribe`."""
    viewer = _viewer(request)
    if english and form is None:
        raise Problem(400, "bad-field", "english: only 'format' has it; the answer has both")

    def rendered(store: Store) -> CaseResponse | Response:
        """Render the case in the thread: an answer may be long."""
        found = store.get_case(case, viewer, revision)
        if form is not None:
            return _as_file(found, form, english=english)
        return render.case_response(*found)

    try:
        return await _ask(service, rendered)
    except NoStoreYet:
        raise build_store_problem(NoSuchCase(f"there is no case {case}")) from None


def _as_file(
    stored: tuple[CaseRecord, Revision | None], form: TextFormat, *, english: bool
) -> Response:
    """Return the text of a case.

    Raises:
        Problem: 409, it has none.
    """
    case, revision = stored
    found = render.case_transcript(revision)
    if found is None or (english and found.text and not found.text_en):
        what = "translation" if found else "transcript"
        raise Problem(409, f"no-{what}", f"case {case.id} ({case.state}) has no {what}")
    return text_response(form, english_of(found) if english else found)


async def _ask(service: Service, work: Callable[[Any], T], *, make: bool = False) -> T:
    """Return what ``work`` returns.

    Raises:
        Problem: what the store refuses.
        NoStoreYet: there is none.
    """
    try:
        return await service.desk.run(work, make=make)
    except EngineError as exc:
        raise build_store_problem(exc) from exc


async def _ask_of_job(service: Service, job: str, work: Callable[[Any], T]) -> T:
    try:
        return await _ask(service, work)
    except NoStoreYet:
        raise build_store_problem(NoSuchJob(f"there is no job {job}")) from None


def _check_options(service: Service, options: JobOptions) -> None:
    """Refuse now what would be refused of every recording."""
    try:
        check(options.speech(_NOWHERE, service.settings.stt_agent_channel))
    except InvalidRequest as exc:
        raise Problem(400, "bad-field", str(exc)) from exc


def _check_webhook(service: Service, url: str | None) -> None:
    if url and not service.settings.allows_webhook(url):
        raise Problem(
            403,
            "webhook-not-allowed",
            "webhook_url names an address that this server may not call; "
            "the operator can add it to WEBHOOK_ALLOWED_URLS.",
        )


async def _cases(
    service: Service,
    files: list[UploadFile],
    file_path: str | None,
    folder: str | None,
    pattern: str | None,
    received: list[Received],
) -> list[NewCase]:
    if sum(map(bool, (files, file_path, folder))) != 1:
        raise Problem(
            422, "one-input", "Send exactly one of 'file' (uploads), 'file_path' and 'folder'."
        )
    if pattern is not None and not folder:
        raise Problem(400, "bad-field", "pattern: only 'folder' has one")
    if folder:
        return await cases_of_folder(service, folder, pattern or "*")
    if file_path:
        return [await case_of_path(service, file_path)]
    check_count(len(files), service.settings.jobs_max_cases)
    return await receive_uploads(service, files, received)


def _metadata(given: str) -> str:
    try:
        return read_metadata(given)
    except InvalidRequest as exc:
        raise Problem(400, "bad-field", str(exc)) from exc


def _viewer(request: Request) -> str | None:
    """Return whose jobs the caller may see; ``None``: everybody's."""
    key = request.scope.get("key")
    return None if key is None or key.may("admin") else key.name
