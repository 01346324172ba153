"""A defect in one duty of a server ends neither it nor the others."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from api_server.jobs import duties
from api_server.jobs.duties import tend
from stt_engine.events import Event
from stt_engine.outcome import AttemptFailed


async def test_a_duty_begins_again_after_a_defect_and_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(duties, "REST_SEC", 0.0)
    told: list[Event] = []
    goes_on, tries = anyio.Event(), 0

    async def broken_twice() -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise TypeError("a string pattern on a bytes-like object")
        goes_on.set()

    async def other() -> None:
        await goes_on.wait()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tend, "rubrics", broken_twice, [told.append])
            tasks.start_soon(tend, "clock", other, [told.append])
    failed = [one for one in told if isinstance(one, AttemptFailed)]
    assert [(one.failure.source, type(one.error)) for one in failed] == [("rubrics", TypeError)] * 2
    assert tries == 3


async def test_a_duty_that_is_cancelled_ends() -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tend, "clock", anyio.sleep_forever, [])
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
