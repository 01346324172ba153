"""The FastAPI application: thin endpoints around :mod:`api_server.analysis`."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import anyio.to_thread
from fastapi import APIRouter, Depends, FastAPI, Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse

from api_server import paths, problems, render
from api_server.analysis import AgentConfig, Analysis, Call
from api_server.middleware import ApiKey, BodyLimit, RequestId
from api_server.models import (
    AnalyzeRequest,
    AnalyzeResponse,
    HealthResponse,
    ProblemDocument,
    ReadyResponse,
    TranscribeResponse,
)
from api_server.problems import Problem
from api_server.service import Service
from api_server.services.admission import QueueFull
from api_server.settings import Settings
from stt_engine.errors import AudioRejected, InvalidRequest, WorkspaceError
from stt_engine.log import request_id
from stt_engine.scratch import scratch_folder
from stt_engine.speech import SpeechRequest
from stt_engine.version import __version__

router = APIRouter()

_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemDocument, "content": {problems.MEDIA_TYPE: {}}}
    for status in (400, 401, 403, 404, 413, 415, 422, 429)
}


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the application; models are loaded and connections made once it starts.

    Raises:
        pydantic.ValidationError: a setting is wrong.
        RubricInvalid: the rubric file is wrong.
        ValueError: a backend's name is wrong.
    """
    settings = settings or Settings()
    app = FastAPI(
        title="stt-engine",
        version=__version__,
        description="Speech to text for calls that says what failed instead of inventing.",
        lifespan=_lifespan,
    )
    app.state.service = Service.of(settings)
    app.include_router(router)
    problems.install(app)
    app.add_middleware(
        BodyLimit,
        limits={"/analyze": settings.analyze_max_bytes},
        default=settings.audio_max_bytes,
    )
    app.add_middleware(ApiKey, keys=settings.api_keys)
    app.add_middleware(RequestId)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.readiness.watch)
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await service.aclose()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Wired = Annotated[Service, Depends(_service)]
AgentFormat = Literal["prompt_based", "text_only"]


@router.post(
    "/transcribe",
    response_model=TranscribeResponse,
    responses={**_REFUSALS, 503: {"model": TranscribeResponse}},
)
async def transcribe_v2(
    service: Wired,
    file_path: Annotated[str | None, Form(description="Path on the server")] = None,
    file: Annotated[UploadFile | None, "upload"] = None,
    language: Annotated[str, Form(description="Whisper code, or 'auto'")] = "ko",
    incomplete_elements_check: Annotated[bool, Form()] = False,
    agent_url: Annotated[str | None, Form()] = None,
    agent_request_format: Annotated[AgentFormat, Form()] = "prompt_based",
    chat_thread_id: Annotated[str | None, Form()] = None,
    timeout: Annotated[float | None, Form(ge=1, allow_inf_nan=False)] = None,  # noqa: ASYNC109
    strict: Annotated[bool | None, Form()] = None,
) -> Response:
    """Transcribe a recording and, if asked, check it for elements of an incomplete sale."""
    agent = None
    if incomplete_elements_check:
        agent = _agent_config(
            service.settings, agent_url, agent_request_format, timeout, chat_thread_id
        )
    async with _recording(service.settings, file_path, file) as (path, shown):
        speech = SpeechRequest(path, language, agent_channel=service.settings.stt_agent_channel)
        analysis = await _analysed(service, Call(speech, shown, agent))
    strict = service.settings.strict if strict is None else strict
    return _answer(analysis, strict=strict)


@router.post("/analyze", response_model=AnalyzeResponse, responses=_REFUSALS)
async def analyze(service: Wired, body: AnalyzeRequest, response: Response) -> AnalyzeResponse:
    """Check a transcript, without a recording."""
    agent = _agent_config(
        service.settings,
        body.agent_url,
        body.agent_request_format,
        body.timeout,
        body.chat_thread_id,
    )
    checked = await service.validator.check(
        body.turns() if body.segments is not None else body.text or "",
        agent.mapping(),
        timeout_sec=agent.timeout_sec,
    )
    if checked.value.agent.is_dummy:
        response.headers["X-STT-Degraded"] = "agent"
    return render.analyze_response(checked, request_id.get() or "")


@router.get("/health")
async def health(service: Wired) -> HealthResponse:
    """Every component's state; 200 while this process can answer."""
    return service.health()


@router.get("/health/live")
async def live() -> dict[str, str]:
    """200 while this process can answer."""
    return {"status": "alive"}


@router.get("/health/ready", responses={503: {"model": ReadyResponse}})
async def ready(service: Wired, response: Response) -> ReadyResponse:
    """503 until a real backend has recognised a known clip, and again when it cannot any more."""
    reason = service.readiness.reason
    response.status_code = 200 if reason is None else 503
    return ReadyResponse(ready=reason is None, reason=reason)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(service: Wired) -> Response:
    """Prometheus text."""
    return Response(service.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _agent_config(
    settings: Settings,
    url: str | None,
    request_format: AgentFormat,
    timeout_sec: float | None,
    chat_thread_id: str | None,
) -> AgentConfig:
    url = url or settings.agent_url
    if not settings.allows_agent(url):
        raise Problem(
            403,
            "agent-not-allowed",
            "agent_url names a host that this server may not call; "
            "the operator can add it to AGENT_ALLOWED_HOSTS.",
        )
    timeout_sec = settings.agent_timeout_sec if timeout_sec is None else timeout_sec
    if timeout_sec > settings.agent_max_timeout_sec:
        raise Problem(
            400,
            "bad-field",
            f"timeout: at most {settings.agent_max_timeout_sec:g} seconds (AGENT_MAX_TIMEOUT_SEC).",
        )
    return AgentConfig(url, request_format, timeout_sec, chat_thread_id)


@asynccontextmanager
async def _recording(
    settings: Settings, file_path: str | None, file: UploadFile | None
) -> AsyncIterator[tuple[Path, str]]:
    """Give the one recording that was sent, as a real path and the name the caller knows."""
    if (not file_path) == (file is None):
        raise Problem(422, "one-input", "Send exactly one of 'file_path' and 'file' (an upload).")
    if file_path:
        yield paths.resolve(file_path, settings.audio_roots), file_path
    elif file is not None:
        try:
            with scratch_folder() as folder:
                stored = folder / "upload"
                await anyio.to_thread.run_sync(_store, file, stored)
                yield stored, file.filename or "upload"
        except WorkspaceError as exc:
            raise _no_room(str(exc)) from exc


def _store(file: UploadFile, target: Path) -> None:
    """Copy an upload to a file with a name that another process can open."""
    try:
        with target.open("wb") as stored:
            shutil.copyfileobj(file.file, stored)
    except OSError as exc:
        raise _no_room(str(exc.strerror)) from exc


def _no_room(why: str) -> Problem:
    words = f"The upload could not be stored ({why}); try again later."
    return Problem(503, "no-room", words, {"Retry-After": "30"})


async def _analysed(service: Service, call: Call) -> Analysis:
    try:
        return await service.analysis.run(call)
    except AudioRejected as exc:
        raise problems.of_audio(exc, call.shown_path, str(call.speech.path)) from exc
    except InvalidRequest as exc:
        raise Problem(400, "bad-field", str(exc)) from exc
    except QueueFull as exc:
        raise Problem(
            429,
            "queue-full",
            f"{exc}; try again in {exc.retry_after} s.",
            {"Retry-After": str(exc.retry_after)},
        ) from exc


def _answer(analysis: Analysis, *, strict: bool) -> Response:
    answer = render.transcribe_response(analysis, request_id.get() or "")
    degraded = render.degraded_stages(analysis)
    headers = {"X-STT-Degraded": degraded} if degraded else {}
    status = 503 if degraded and strict else 200
    return JSONResponse(answer.model_dump(mode="json"), status, headers)
