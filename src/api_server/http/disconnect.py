"""Client disconnects: cancel the work of a request that nobody waits for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import anyio
from fastapi import Request

from api_server.clients.task_groups import unwrap_exception_group
from stt_engine.call import CallCancelled

T = TypeVar("T")

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a request whose client closed the connection; nobody receives it."""


class ClientDisconnected(Exception):
    """The client closed the connection before the response was ready."""


async def run_until_disconnect(
    request: Request, work: Callable[[], Awaitable[T]], cancel: Callable[[], None] | None = None
) -> T:
    """Await ``work``; if the client disconnects, cancel it and wait until it has stopped.

    ``cancel`` ends what ``work`` does in threads. The request's body has to be read already: the
    next message is then the disconnect.

    Raises:
        ClientDisconnected: the client disconnected first.
    """
    results: list[T] = []
    with suppress(CallCancelled), unwrap_exception_group():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_on_disconnect, request, tasks.cancel_scope, cancel)
            results.append(await work())
            tasks.cancel_scope.cancel()
    if not results:
        raise ClientDisconnected
    return results[0]


async def _cancel_on_disconnect(
    request: Request, scope: anyio.CancelScope, cancel: Callable[[], None] | None
) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    if cancel is not None:
        cancel()
    scope.cancel()
