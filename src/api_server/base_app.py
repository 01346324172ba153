"""What every application of this server has: its parts, middleware, health and metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse

from api_server import problems
from api_server.analysis import Analysis, Call
from api_server.caller import CLIENT_CLOSED_REQUEST, CallerGone, while_waited_for
from api_server.description import PROBLEM, DescribedApp
from api_server.middleware import ApiKey, BodyLimit, RequestId
from api_server.models import HealthResponse, ReadyResponse
from api_server.problems import Problem
from api_server.service import Service
from api_server.services.admission import QueueFull
from api_server.settings import Settings
from stt_engine.errors import AudioRejected, InvalidRequest
from stt_engine.version import __version__

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": problems.TITLES[status], "content": PROBLEM}
    for status in (400, 401, 403, 404, 413, 415, 422, 429)
}
"""The problem documents of an endpoint that takes a recording or a transcript."""


def base_app(
    settings: Settings, routers: tuple[APIRouter, ...], *, checks: bool, begin: bool
) -> FastAPI:
    """Make an application; connections are made once it starts, and models are loaded then too.

    With ``begin`` the model is loaded from now on; whoever makes it has to start it.
    ``checks`` tells whether it asks an agent, so that its health is of interest.

    Raises:
        RubricInvalid: the rubric file is wrong.
        ValueError: a backend's name is wrong.
    """
    app = DescribedApp(
        title="stt-engine",
        version=__version__,
        description="Speech to text for calls that says what failed instead of inventing.",
        lifespan=_lifespan,
    )
    app.state.service = Service.of(settings, begin=begin)
    app.state.checks = checks
    for router in routers:
        app.include_router(router)
    app.include_router(_health)
    problems.install(app)
    app.add_exception_handler(CallerGone, _gone)
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
        if app.state.checks:
            tasks.start_soon(service.agent_proof.watch, service.agent.probe)
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
"""The running server's parts, for an endpoint."""

_health = APIRouter()


@_health.get("/health")
async def health(service: Wired, request: Request) -> HealthResponse:
    """Every component's state; 200 while this process can answer."""
    return service.health(checks=request.app.state.checks)


@_health.get("/health/live")
async def live() -> dict[str, str]:
    """200 while this process can answer."""
    return {"status": "alive"}


@_health.get("/health/ready", responses={503: {"model": ReadyResponse}})
async def ready(service: Wired, response: Response) -> ReadyResponse:
    """503 until a real backend has recognised a known clip, and again when it cannot any more.

    An LLM server that fails is told in ``degraded`` and changes no status.
    """
    reason = service.readiness.reason
    response.status_code = 200 if reason is None else 503
    return ReadyResponse(ready=reason is None, reason=reason, degraded=service.agent_proof.trouble)


@_health.get("/metrics", response_class=PlainTextResponse)
async def metrics(service: Wired) -> Response:
    """Prometheus text."""
    return Response(service.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def analysed(service: Service, call: Call, request: Request) -> Analysis:
    """Analyse a call for as long as the caller waits; his mistakes become problem documents.

    Raises:
        CallerGone: he does not wait any more.
    """
    work = partial(service.analysis.run, call)
    try:
        return await while_waited_for(request, work, call.ticket.cancel)
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


async def _gone(_request: Request, _exc: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)
