"""Recordings sent from the page, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import File, Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse

from api_server.http.job_files import check_count, receive_uploads
from api_server.http.problems import build_store_problem
from api_server.http.routes.agent_config import build_agent_config
from api_server.jobs.events import JobTaken
from api_server.jobs.options import JobOptions
from api_server.jobs.request import digest
from api_server.pipeline.render.cases import job_response
from api_server.store.errors import StoreFull
from api_server.store.recordings import Received
from api_server.store.records import CaseRecord, JobRecord, NewJob
from api_server.web import words
from api_server.web.desk import ReviewDesk
from api_server.web.errors import Refused
from api_server.web.rendering import language_of, render
from api_server.web.router import (
    DeskDependency,
    Seeing,
    Uploading,
    is_partial,
    redirect,
    review_router,
)
from stt_engine.events import emit

router = review_router()

_JOBS, _CASES = 20, 200
_NO_FILES = ("파일을 하나 이상 고르십시오.", "Choose at least one file.")


@router.get("/upload")
async def show_upload(request: Request, desk: DeskDependency, visitor: Seeing) -> Response:
    """Show where to drop files, and the newest jobs."""
    jobs = await desk.service.desk.run(lambda store: store.list_jobs(None, _JOBS, None), make=True)
    return render(request, "upload.html", visitor=visitor, jobs=[job_response(one) for one in jobs])


@router.post("/jobs")
async def submit(
    request: Request,
    desk: DeskDependency,
    visitor: Uploading,
    file: Annotated[list[UploadFile] | None, File()] = None,
    check: Annotated[bool, Form()] = False,
) -> Response:
    """Take recordings as a job; with ``check`` they are checked too."""
    service = desk.service
    files = [one for one in file or [] if one.filename]
    if not files:
        raise Refused(400, _NO_FILES)
    check_count(len(files), service.settings.jobs_max_cases)
    agent = None
    if check:
        agent = build_agent_config(service.settings, None, "prompt_based", None, None)
    options = JobOptions(agent=agent)
    received: list[Received] = []
    try:
        cases = await receive_uploads(service, files, received)
        new = NewJob(
            owner=f"review:{visitor.name}",
            options=options.to_json(),
            metadata="{}",
            priority=5,
            cases=tuple(cases),
            request_sha256=digest(options, "{}", 5, cases),
        )
        job = await _taken(desk, new)
    finally:
        for one in received:
            service.storage.uploads.start(one.drop)
    emit(service.observers, JobTaken(job=job, cases=len(cases)))
    service.jobs.wake()
    if is_partial(request):
        return JSONResponse({"job": job}, 202)
    return redirect(request, f"/review/jobs/{job}")


async def _taken(desk: ReviewDesk, new: NewJob) -> str:
    try:
        job, _ = await desk.service.desk.run(lambda store: store.submit(new), make=True)
    except StoreFull as exc:
        raise build_store_problem(exc) from exc
    return job


@router.get("/jobs/{job}")
async def show_job(request: Request, desk: DeskDependency, visitor: Seeing, job: str) -> Response:
    """Show what became of a job's recordings; scripts ask for the changing part alone."""
    record, cases = await _job(desk, job)
    template = "_job.html" if is_partial(request) else "job.html"
    found = job_response(record)
    language = language_of(request)
    return render(
        request,
        template,
        visitor=visitor,
        job=found,
        cases=[_line(one, language) for one in cases],
        percent=round(100 * found.share_done),
        ended=found.state in {"done", "cancelled"},
    )


async def _job(desk: ReviewDesk, job: str) -> tuple[JobRecord, Sequence[CaseRecord]]:
    run = desk.service.desk.run
    record = await run(lambda store: store.get_job(job, None), make=True)
    cases = await run(lambda store: store.list_cases(None, _CASES, None, job))
    return record, cases


def _line(case: CaseRecord, language: words.Language) -> dict[str, Any]:
    return {
        "id": case.id,
        "name": case.name,
        "state": case.state,
        "label": words.pick(words.CASE_STATE[case.state], language),
        "error": case.error,
        "error_type": case.error_type,
        "has_answer": case.state in {"done", "partial"},
    }


@router.post("/jobs/{job}/retry")
async def retry(request: Request, desk: DeskDependency, visitor: Uploading, job: str) -> Response:  # noqa: ARG001
    """Queue again what failed."""
    await desk.service.desk.run(lambda store: store.retry_job(job, None), make=True)
    desk.service.jobs.wake()
    return redirect(request, f"/review/jobs/{job}")
