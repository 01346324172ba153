"""The HTTP server process: it stops without leaving a caller unanswered."""

from __future__ import annotations

import logging
import socket

import anyio
import uvicorn
from fastapi import FastAPI

from api_server.service import Service
from api_server.settings import Settings
from stt_engine import heaps

_ANSWER_SEC = 10
"""What writing the last answers may take."""

_PROBES = ("/health", "/metrics")
_OK = 200


def serve(app: FastAPI, settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C; a second one ends at once."""
    heaps.keep_few()
    logging.getLogger("uvicorn.access").addFilter(is_of_interest)
    config = uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        timeout_graceful_shutdown=round(settings.stop_grace_sec) + _ANSWER_SEC,
    )
    _Server(config, app.state.service, settings.stop_grace_sec).run()


class _Server(uvicorn.Server):
    """uvicorn, which alone would drop the calls that are not done when its patience ends."""

    def __init__(self, config: uvicorn.Config, service: Service, grace_sec: float) -> None:
        super().__init__(config)
        self._service = service
        self._grace_sec = grace_sec

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._answer_in_time)
            await super().shutdown(sockets)
            tasks.cancel_scope.cancel()

    async def _answer_in_time(self) -> None:
        await anyio.sleep(self._grace_sec)
        await self._service.stop()


def is_of_interest(record: logging.LogRecord) -> bool:
    """Tell whether an access line is: probes that went well would drown the others."""
    match record.args:
        case (_, "GET", str(path), _, int(status)):
            return not (path.startswith(_PROBES) and status == _OK)
    return True
