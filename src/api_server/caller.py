"""The caller at the other end: work stops once nobody waits for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import anyio
from fastapi import Request

from api_server.services.groups import ungrouped
from stt_engine.turns import CallCancelled

T = TypeVar("T")

CLIENT_CLOSED_REQUEST = 499
"""The status that nginx made customary for a request that was given up; nobody receives it."""


class CallerGone(Exception):
    """The connection was closed before the answer was ready."""


async def while_waited_for(
    request: Request, work: Callable[[], Awaitable[T]], cancel: Callable[[], None]
) -> T:
    """Await ``work``; once the caller hangs up, ``cancel`` it and wait until it has stopped.

    The request's body has to be read already: what is received next is the end of the connection.

    Raises:
        CallerGone: he hung up first.
    """
    found: list[T] = []
    with ungrouped(), suppress(CallCancelled):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_watch, request, tasks.cancel_scope, cancel)
            found.append(await work())
            tasks.cancel_scope.cancel()
    if not found:
        raise CallerGone
    return found[0]


async def _watch(request: Request, scope: anyio.CancelScope, cancel: Callable[[], None]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    cancel()
    scope.cancel()
