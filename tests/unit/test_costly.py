"""What is dear is asked for seldom, what is cheap each time."""

from __future__ import annotations

import pytest

from api_server.web.costly import Costly
from tests.support.clock import Clock


@pytest.mark.parametrize(("takes_sec", "asked"), [(1.0, 1), (0.1, 3), (0.04, 10)])
async def test_the_dearer_the_seldomer(takes_sec: float, asked: int) -> None:
    clock, answers = Clock(), 0

    async def ask() -> int:
        nonlocal answers
        clock.now += takes_sec
        answers += 1
        return answers

    costly = Costly(ask, clock)
    for _ in range(10):
        found = await costly.get()
        assert found == answers
        clock.now += 1.0
    assert answers == asked


async def test_what_fails_is_asked_again() -> None:
    clock, failing = Clock(), True

    async def ask() -> str:
        clock.now += 9.0
        if failing:
            raise OSError
        return "well"

    costly = Costly(ask, clock)
    with pytest.raises(OSError):
        await costly.get()
    failing = False
    assert await costly.get() == "well"
