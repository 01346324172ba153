"""Health and metrics: ``/health``, ``/health/live``, ``/health/ready``, ``/metrics``."""

from __future__ import annotations

from fastapi import Response
from fastapi.responses import PlainTextResponse

from api_server.http.routes.dependencies import ServiceDependency
from api_server.http.strict import strict_router
from api_server.models import HealthResponse, ReadyResponse

router = strict_router()


@router.get("/health")
async def health(service: ServiceDependency) -> HealthResponse:
    """Every component's state; 200 while this process can answer."""
    return service.report.response()


@router.get("/health/live")
async def live() -> dict[str, str]:
    """200 while this process can answer."""
    return {"status": "alive"}


@router.get("/health/ready", responses={503: {"model": ReadyResponse}})
async def ready(service: ServiceDependency, response: Response) -> ReadyResponse:
    """503 until a real backend has recognised a known clip, and again when it cannot any more.

    An LLM server that fails is told in ``degraded`` and changes no status.
    """
    reason = service.readiness.reason
    response.status_code = 200 if reason is None else 503
    return ReadyResponse(ready=reason is None, reason=reason, degraded=service.agent_probe.trouble)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(service: ServiceDependency) -> Response:
    """Prometheus text."""
    return Response(service.exposition(), media_type="text/plain; version=0.0.4; charset=utf-8")
