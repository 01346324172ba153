"""Sends what is to be told of jobs, until it has arrived or a day is over."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio

from api_server.clients.webhooks import WebhookClient, WebhookRefused
from api_server.jobs.desk import JobDesk, NoStoreYet
from api_server.jobs.events import WebhookDead, WebhookDelivered, WebhookPutBack
from api_server.store.errors import StoreUnavailable
from api_server.store.records import WebhookRecord
from stt_engine.events import Event, Observer, Stage, emit
from stt_engine.outcome import Attempts

if TYPE_CHECKING:
    from api_server.store.store import Store

_LOOK_SEC = 1.0
_AT_ONCE = 4
_LEASES = 3.0
"""Times a delivery's, after which one whose sender is gone is sent again."""

_FIRST_REST_SEC, _LONGEST_REST_SEC = 5.0, 3600.0
_GROWTH = 3.0
_JITTER = 0.2
_DEFECT_SEC = 10.0


class WebhookSender:
    """Takes webhooks from the store, and notes there what became of each.

    Args:
        desk: the way to the store.
        client: sends one.
        allows: whether an address may be called, by the settings of now.
        observers: called with every event.
        random_unit: random numbers from 0 to 1, so that not all are tried again at once.
    """

    def __init__(
        self,
        desk: JobDesk,
        client: WebhookClient,
        allows: Callable[[str], bool],
        observers: Iterable[Observer],
        random_unit: Callable[[], float] = random.random,
    ) -> None:
        self._desk = desk
        self._client = client
        self._allows = allows
        self._observers = tuple(observers)
        self._random_unit = random_unit

    async def run(self) -> None:
        """Send for ever; what is under way when it is cancelled is sent again, under its id."""
        try:
            while True:
                await self._guarded(self._look)
                await anyio.sleep(_LOOK_SEC)
        finally:
            with anyio.CancelScope(shield=True):
                await self._client.aclose()

    async def _look(self) -> None:
        """Send what waits, as long as there is some."""
        if not self._desk.is_open or await self._desk.run(_at_rest):
            return
        claim = partial(_claimed, lease_sec=_LEASES * self._client.timeout_sec)
        while claimed := await self._desk.run(claim):
            async with anyio.create_task_group() as tasks:
                for one in claimed:
                    tasks.start_soon(self._guarded, partial(self._send, one))

    async def _send(self, webhook: WebhookRecord) -> None:
        if not self._allows(webhook.url):
            words = "the address is not in WEBHOOK_ALLOWED_URLS any more"
            await self._put_back(webhook, WebhookRefused(words, final=True))
            return
        try:
            await self._client.send(webhook.url, webhook.id, webhook.body.encode())
        except WebhookRefused as exc:
            await self._put_back(webhook, exc)
            return
        await self._desk.run(lambda store: store.outbox.note_delivered(webhook))
        self._emit(WebhookDelivered(webhook=webhook.id, what=webhook.event))

    async def _put_back(self, webhook: WebhookRecord, refused: WebhookRefused) -> None:
        rest = None if refused.final else self._rest(webhook.tries)
        note = partial(_note_undelivered, webhook=webhook, error=str(refused), after_sec=rest)
        became = await self._desk.run(note)
        told = {"webhook": webhook.id, "what": webhook.event, "error": str(refused)}
        if became == "dead":
            self._emit(WebhookDead(**told))
        else:
            self._emit(WebhookPutBack(**told, after_sec=rest or 0.0))

    def _rest(self, tries: int) -> float:
        rest = min(_FIRST_REST_SEC * _GROWTH ** (tries - 1), _LONGEST_REST_SEC)
        return rest * (1 + _JITTER * self._random_unit())

    async def _guarded(self, work: Callable[[], Awaitable[object]]) -> None:
        """Do a part of the work; a defect in it is told, and ends nothing else."""
        attempts = Attempts(Stage.JOB, self._observers)
        with attempts.of("webhooks"), suppress(NoStoreYet, StoreUnavailable):
            await work()
        if attempts.failures:
            await anyio.sleep(_DEFECT_SEC)

    def _emit(self, event: Event) -> None:
        emit(self._observers, event)


def _at_rest(store: Store) -> bool:
    return store.outbox.is_empty()


def _claimed(store: Store, lease_sec: float) -> list[WebhookRecord]:
    return store.outbox.claim(lease_sec, _AT_ONCE)


def _note_undelivered(
    store: Store, webhook: WebhookRecord, error: str, after_sec: float | None
) -> str:
    return store.outbox.note_undelivered(webhook, error, after_sec)
