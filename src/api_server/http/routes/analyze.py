"""``POST /analyze``: checks a transcript, without a recording."""

from __future__ import annotations

from functools import partial

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

from api_server.compliance.request_body import BodyRejected, BodyTooLong
from api_server.compliance.result import ComplianceReport
from api_server.container import Service
from api_server.http.disconnect import ClientDisconnected, run_until_disconnect
from api_server.http.middleware import drain_body
from api_server.http.openapi import ANALYZE_BODY, PROBLEM
from api_server.http.problems import TITLES, Problem
from api_server.http.routes.agent_config import build_agent_config
from api_server.http.routes.dependencies import (
    REFUSALS,
    ServiceDependency,
    build_queue_problem,
)
from api_server.http.strict import strict_router
from api_server.models import AnalyzeResponse
from api_server.pipeline.admission import QueueFull
from api_server.pipeline.events import CallGivenUp
from api_server.pipeline.render import answers
from stt_engine.errors import OutOfMemory, WorkerError
from stt_engine.events import emit, request_id
from stt_engine.outcome import Outcome

router = strict_router()


@router.post(
    "/analyze",
    response_model=AnalyzeResponse,
    responses={**REFUSALS, 503: {"description": TITLES[503], "content": PROBLEM}},
    openapi_extra={"requestBody": ANALYZE_BODY},
)
async def analyze(
    service: ServiceDependency, request: Request, response: Response
) -> AnalyzeResponse:
    """Check a transcript, without a recording."""
    try:
        with service.checks.place():
            body = await _read_body(request)
            work = partial(_check, service, body)
            checked = await run_until_disconnect(request, work, partial(_give_up, service))
    except QueueFull as exc:
        await drain_body(request.receive)
        raise build_queue_problem(exc) from exc
    if checked.value.agent.is_dummy:
        response.headers["X-STT-Degraded"] = "agent"
    return answers.analyze_response(checked, request_id.get() or "")


async def _read_body(request: Request) -> bytes:
    try:
        return await request.body()
    except ClientDisconnect as exc:
        raise ClientDisconnected from exc


async def _check(service: Service, body: bytes) -> Outcome[ComplianceReport]:
    try:
        asked = await service.text.read(body)
    except BodyTooLong as exc:
        raise Problem(413, "body-too-large", str(exc)) from exc
    except BodyRejected as exc:
        raise Problem(400, "bad-field", str(exc)) from exc
    except OutOfMemory as exc:
        limit = "Reading the body needs more memory than there is (TEXT_WORKER_MEMORY_MB)."
        raise Problem(413, "body-too-large", limit) from exc
    except WorkerError as exc:
        raise Problem(503, "body-not-read", f"{exc}; try again.", {"Retry-After": "1"}) from exc
    agent = build_agent_config(
        service.settings,
        asked.agent_url,
        asked.agent_request_format,
        asked.timeout,
        asked.chat_thread_id,
    )
    return await service.validator.check(asked.call, agent.mapping(), timeout_sec=agent.timeout_sec)


def _give_up(service: Service) -> None:
    emit(service.observers, CallGivenUp())
