"""Shared by the endpoints: the service container, problem responses, running an analysis."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Request

from api_server.container import Service
from api_server.http import problems
from api_server.http.disconnect import run_until_disconnect
from api_server.http.openapi import PROBLEM
from api_server.http.problems import Problem
from api_server.pipeline.admission import QueueFull
from api_server.pipeline.analysis import AnalysisRequest
from api_server.pipeline.model_names import Model
from api_server.pipeline.result import CallResult
from stt_engine.errors import AudioRejected, InvalidRequest, ModelNotFound
from stt_engine.native_errors import CANNOT_TELL

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": problems.TITLES[status], "content": PROBLEM}
    for status in (400, 401, 403, 404, 408, 413, 415, 422, 429)
}
"""OpenAPI responses of an endpoint that takes a recording or a transcript."""


def _get_service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDependency = Annotated[Service, Depends(_get_service)]
"""The service container, as a dependency of an endpoint."""


async def run_analysis(service: Service, call: AnalysisRequest, request: Request) -> CallResult:
    """Analyse a call until the client disconnects.

    Raises:
        Problem: the request cannot be processed.
        ClientDisconnected: the client disconnected.
    """
    work = partial(service.analysis.run, call)
    try:
        return await run_until_disconnect(request, work, call.context.cancel)
    except AudioRejected as exc:
        raise problems.build_audio_problem(exc) from exc
    except InvalidRequest as exc:
        raise Problem(400, "bad-field", str(exc)) from exc
    except QueueFull as exc:
        raise build_queue_problem(exc) from exc


async def find_model(service: Service, name: str | None) -> Model:
    """Return the model that a caller has named; without a name the default one.

    Raises:
        Problem: 404, there is no such model; 503, the folders of models give no answer.
    """
    try:
        return await service.models.find(name)
    except ModelNotFound as exc:
        raise Problem(404, "model-not-found", str(exc)) from exc
    except CANNOT_TELL as exc:
        raise problems.build_machine_problem(exc) from exc


def build_queue_problem(exc: QueueFull) -> Problem:
    """Return the problem of a call that may not wait."""
    return Problem(
        429,
        "queue-full",
        f"{exc}; try again in {exc.retry_after} s.",
        {"Retry-After": str(exc.retry_after)},
    )


def owner_of(request: Request) -> str:
    """Return whose a job or a case is: the name of the caller's key."""
    key = request.scope.get("key")
    return key.name if key else ""
