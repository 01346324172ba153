"""The base of both applications: service container, middleware, health and metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
from fastapi import APIRouter, FastAPI, Request, Response

from api_server.container import Service
from api_server.http import docs_pages, problems
from api_server.http.disconnect import CLIENT_CLOSED_REQUEST, ClientDisconnected
from api_server.http.front import Forwarded, HostCheck, RootPath
from api_server.http.job_files import open_for_job
from api_server.http.middleware import ApiKey, BodyLimit, RequestId
from api_server.http.openai.errors import OpenAIErrors
from api_server.http.openapi import DescribedApp
from api_server.http.routes import health, openai
from api_server.jobs.duties import tend
from api_server.settings import Settings
from stt_engine.version import __version__


def build_app(
    settings: Settings, routers: tuple[APIRouter, ...], *, checks: bool, begin: bool
) -> FastAPI:
    """Return an application with ``routers``. It loads the model once it is started.

    With ``begin``, the model is loaded in the background from now on, and the caller has to start
    the application. ``checks``: it has endpoints that call an agent, whose health is monitored.

    Raises:
        RubricInvalid: the rubric file is wrong.
        KeysInvalid: the keys cannot be used.
        KeyMissing: the keys of recordings cannot be used.
    """
    app = DescribedApp(
        title="stt-engine",
        version=__version__,
        description="Speech to text for calls that says what failed instead of inventing.",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,  # FastAPI's own pages need the internet
    )
    app.state.service = Service.of(settings, begin=begin, checks=checks)
    app.state.checks = checks
    for router in routers:
        app.include_router(router)
    app.include_router(openai.router)
    app.include_router(health.router)
    docs_pages.install(app)
    problems.install(app)
    app.add_exception_handler(ClientDisconnected, _respond_to_nobody)
    app.add_middleware(
        BodyLimit,
        limits={
            "/analyze": (settings.analyze_max_bytes, "ANALYZE_MAX_BYTES"),
            "/jobs": (settings.jobs_max_bytes, "JOBS_MAX_BYTES"),
            "/review/jobs": (settings.jobs_max_bytes, "JOBS_MAX_BYTES"),
        },
        default=(settings.audio_max_bytes, "AUDIO_MAX_BYTES"),
        timeout_sec=settings.api_body_timeout_sec,
    )
    app.add_middleware(ApiKey, ring=app.state.service.keys)
    app.add_middleware(HostCheck, settings=settings, ring=app.state.service.keys)
    app.add_middleware(RequestId)
    app.add_middleware(OpenAIErrors)
    app.add_middleware(RootPath, root=settings.api_root_path)
    app.add_middleware(Forwarded, proxies=settings.api_trusted_proxies)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service: Service = app.state.service
    opener = partial(open_for_job, service.storage)
    async with anyio.create_task_group() as tasks:
        duty = partial(tend, observers=service.observers)
        tasks.start_soon(duty, "readiness", service.readiness.watch)
        tasks.start_soon(duty, "keys", service.keys.watch)
        if app.state.checks:
            tasks.start_soon(duty, "text", service.text.begin)
            tasks.start_soon(duty, "rubrics", partial(service.rubrics.run, service.desk))
            tasks.start_soon(
                duty, "agent_probe", partial(service.agent_probe.watch, service.agent.probe)
            )
            tasks.start_soon(duty, "runner", partial(service.jobs.run, opener))
            tasks.start_soon(duty, "webhooks", service.webhooks.run)
            tasks.start_soon(duty, "store_probe", service.store_probe.run)
            tasks.start_soon(duty, "clock", service.clock.run)
            for watcher in service.watchers:
                tasks.start_soon(duty, "watcher", watcher.run)
            tasks.start_soon(duty, "repairer", partial(service.repairer.run, opener))
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await service.aclose()


async def _respond_to_nobody(_request: Request, _exc: Exception) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)
