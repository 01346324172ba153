"""What a server does beside its calls: a defect in one duty ends neither it nor the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import anyio

from stt_engine.events import Observer, Stage
from stt_engine.outcome import Attempts

REST_SEC = 10.0
"""Between a defect and the next try, which it may only repeat."""


async def tend(
    name: str, work: Callable[[], Awaitable[object]], observers: Iterable[Observer]
) -> None:
    """Do ``work`` until it ends by itself; a defect in it is told, and it begins again."""
    told = tuple(observers)
    while True:
        attempts = Attempts(Stage.JOB, told)
        with attempts.of(name):
            await work()
        if not attempts.failures:
            return
        await anyio.sleep(REST_SEC)
