"""Webhooks as their sender sees them; each method is one transaction."""

from __future__ import annotations

from collections.abc import Callable

from api_server.store import webhooks
from api_server.store.database import Database
from api_server.store.records import WebhookRecord, WebhookStatus


class Outbox:
    """What is to be told, until it has arrived.

    Args:
        database: of the store.
        clock: seconds since 1970, UTC.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def claim(self, lease_sec: float, limit: int) -> list[WebhookRecord]:
        """Take webhooks to be sent; see :func:`webhooks.claim`."""
        with self._database.claim() as connection:
            return webhooks.claim(connection, self._clock(), lease_sec, limit)

    def note_delivered(self, sent: WebhookRecord) -> None:
        """Note that a webhook has arrived."""
        with self._database.write() as connection:
            webhooks.note_delivered(connection, sent, self._clock())

    def note_undelivered(
        self, sent: WebhookRecord, error: str, after_sec: float | None
    ) -> WebhookStatus:
        """Note that a webhook has not arrived; see :func:`webhooks.note_undelivered`."""
        with self._database.write() as connection:
            return webhooks.note_undelivered(connection, sent, error, after_sec, self._clock())

    def is_empty(self) -> bool:
        """Return whether no webhook waits to be sent."""
        with self._database.read() as connection:
            return webhooks.count(connection, "pending") == 0

    def list(
        self, limit: int, before: int | None, status: WebhookStatus | None = None
    ) -> list[WebhookRecord]:
        """Return a page of webhooks; see :func:`webhooks.list_webhooks`."""
        with self._database.read() as connection:
            return webhooks.list_webhooks(connection, limit, before, status)

    def resend(self, identity: str | None) -> int:
        """Queue one webhook, or every dead one; raises as :func:`webhooks.resend` does."""
        with self._database.write() as connection:
            return webhooks.resend(connection, identity, self._clock())
