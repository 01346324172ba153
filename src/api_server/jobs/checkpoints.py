"""Has the log's checkpoints written down outside of this machine: by syslog, or by a webhook.

The latest one is sent until it has arrived; one that a later one has overtaken is not, for the
later one signs all that it did.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import anyio

from api_server.clients.syslog import PORT, TLS_PORT, SyslogClient, TlsFiles
from api_server.clients.webhooks import WebhookClient, WebhookRefused
from api_server.jobs.events import CheckpointSent, CheckpointUnsent
from stt_engine.events import Observer, emit

_FIRST_REST_SEC, _LONGEST_REST_SEC = 5.0, 300.0

Deliver = Callable[[str, str, datetime], Awaitable[None]]
"""Delivers a note under its id, at a time; raises ``WebhookRefused``."""


class CheckpointSender:
    """Sends checkpoints.

    Args:
        deliver: the way to where they are kept.
        observers: told of each that has arrived, and of each try that failed.
        now: the time, with its zone.
    """

    def __init__(
        self,
        deliver: Deliver,
        observers: Iterable[Observer],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._deliver = deliver
        self._observers = tuple(observers)
        self._now = now
        self._latest: str | None = None
        self._sent: str | None = None
        self._wake = anyio.Event()

    @classmethod
    def of(
        cls,
        url: str,
        webhooks: WebhookClient,
        observers: Iterable[Observer],
        tls: TlsFiles | None = None,
    ) -> CheckpointSender:
        """Return the sender to a URL: ``syslog+tls://HOST:PORT``, ``syslog://`` or ``https://``.

        ``tls``: the files of the first.
        """
        parts = urlsplit(url)
        if parts.scheme in {"syslog", "syslog+tls"}:
            files = None if parts.scheme == "syslog" else tls or TlsFiles()
            port = parts.port or (PORT if files is None else TLS_PORT)
            client = SyslogClient(parts.hostname or "", port, webhooks.timeout_sec, files)
            return cls(_by_syslog(client), observers)
        return cls(_by_webhook(webhooks, url), observers)

    def offer(self, note: str) -> None:
        """Have a checkpoint sent; the same one again changes nothing."""
        self._latest = note
        self._wake.set()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            tries = 0
            while (note := self._latest) is not None and note != self._sent:
                if await self._try(note, tries):
                    self._sent = note
                tries += 1

    async def _try(self, note: str, tries: int) -> bool:
        identity = f"chk_{hashlib.sha256(note.encode()).hexdigest()[:32]}"
        try:
            await self._deliver(identity, note, self._now())
        except WebhookRefused as exc:
            rest = min(_FIRST_REST_SEC * 2.0**tries, _LONGEST_REST_SEC)
            emit(self._observers, CheckpointUnsent(reason=str(exc), after_sec=rest))
            await anyio.sleep(rest)
            return False
        emit(self._observers, CheckpointSent(checkpoint=identity))
        return True


def _by_syslog(client: SyslogClient) -> Deliver:
    async def deliver(identity: str, note: str, at: datetime) -> None:
        await client.send(identity, json.dumps({"checkpoint": note}), at)

    return deliver


def _by_webhook(client: WebhookClient, url: str) -> Deliver:
    async def deliver(identity: str, note: str, at: datetime) -> None:
        told = {"type": "audit.checkpoint", "timestamp": at.isoformat(), "data": {"note": note}}
        await client.send(url, identity, json.dumps(told).encode())

    return deliver
