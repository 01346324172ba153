"""The real application in the test's own process, and its log lines call by call."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import httpx2
from fastapi import FastAPI

from api_server.app import create_app
from api_server.container import Service
from api_server.settings import Settings
from stt_engine.events import request_id
from stt_engine.log import LineFormatter
from tests.support.models import whisper_base

NEVER = 3600.0
CANARY_WORDS = "test of the speech recognition service"


class CallLog(logging.Handler):
    """Every line of the product, as written, with the id of the call that it belongs to."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(LineFormatter())
        self.lines: list[tuple[str | None, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((request_id.get(), self.format(record).partition("] ")[2]))

    def all(self) -> list[str]:
        return [line for _, line in self.lines]

    def of(self, identity: str, *components: str) -> list[str]:
        """Return what an operator sees of one call at level INFO, from ``components`` (or all)."""
        return [
            line
            for owner, line in self.lines
            if owner == identity
            and not line.startswith("DEBUG")
            and (not components or line.split("[")[1].split("]")[0] in components)
        ]


@asynccontextmanager
async def call_log() -> AsyncIterator[CallLog]:
    log, logger = CallLog(), logging.getLogger("stt")
    before = logger.level
    logger.addHandler(log)
    logger.setLevel(logging.DEBUG)
    try:
        yield log
    finally:
        logger.removeHandler(log)
        logger.setLevel(before)


@dataclass
class Running:
    """An application with its lifespan running."""

    app: FastAPI
    client: httpx2.AsyncClient
    log: CallLog
    defects_expected: bool = False
    answers: list[httpx2.Response] = field(default_factory=list)

    @property
    def service(self) -> Service:
        service: Service = self.app.state.service
        return service

    async def post(
        self, form: dict[str, Any], audio: tuple[str, bytes] | None = None
    ) -> httpx2.Response:
        files = {"file": audio} if audio else None
        return await self.client.post("/transcribe", data=form, files=files)

    async def until_ready(self) -> None:
        with anyio.fail_after(90):
            while self.service.readiness.reason is not None:  # noqa: ASYNC110 - it has no event
                await anyio.sleep(0.01)

    def model_pid(self) -> int | None:
        """Return the process that holds the model, if one does."""
        found = [one for one in self.service.stt.components() if one.name == "faster-whisper"]
        return found[0].pid if found[0].loaded else None

    async def busy_pid(self) -> int:
        """Wait until the loaded model is at work, and give its process."""
        with anyio.fail_after(90):
            while True:
                found = self.service.stt.components()
                busy = [one for one in found if one.name != "audio" and one.state == "busy"]
                if busy and busy[0].loaded and busy[0].pid:
                    return busy[0].pid
                await anyio.sleep(0.002)


@asynccontextmanager
async def _held(folder: TemporaryDirectory[str]) -> AsyncIterator[None]:
    with folder:
        yield


@asynccontextmanager
async def running(
    *, ready: bool = True, defects_expected: bool = False, **settings: object
) -> AsyncIterator[Running]:
    """Run an application for the length of a block.

    At its end no failure outside the taxonomy may have been counted, unless the test made one.
    """
    kept = TemporaryDirectory()
    given = {
        "stt_model_path": whisper_base(),
        "database_url": f"sqlite:///{kept.name}/cases.db",
        "agent_allowed_hosts": ["127.0.0.1:*"],
        "ready_interval_sec": 0.05,
        "agent_proof_sec": 0,
        "log_file": None,
        **settings,
    }
    app = create_app(Settings(_env_file=None, **given))  # type: ignore[arg-type]
    transport = httpx2.ASGITransport(app=app)
    async with (
        _held(kept),
        call_log() as log,
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=90) as client,
    ):
        found = Running(app, client, log)
        if ready:
            await found.until_ready()
        yield found
        counted = found.service.metrics.registry.get_sample_value(
            "stt_engine_unexpected_failures_total"
        )
        assert bool(counted) == defects_expected, f"{counted} unexpected failures"
