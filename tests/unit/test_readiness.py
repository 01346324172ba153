"""A start that loads the model beside everything else: one proof, waited for."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

from api_server.observability.readiness import Readiness
from stt_engine.engine import ComponentState
from stt_engine.events import Event
from stt_engine.outcome import AttemptFailed, Outcome, StageSettled
from stt_engine.speech import Transcript

INTERVAL_SEC = 0.01
WORDS = "speech recognition"


class StubEngine:
    """Loads once it is let, and hears ``text``."""

    def __init__(self, text: str) -> None:
        self.let = threading.Event()
        self.asked = threading.Event()
        self.loads = 0
        self._text = text
        self.ready = True

    def preload(self) -> bool:
        self.loads += 1
        self.asked.set()
        return self.let.wait(60)

    def intact(self) -> bool:
        return True

    def recognise(self, _request: object, *, counted: bool) -> Outcome[Transcript]:
        assert not counted
        return Outcome(Transcript(self._text, "en", 3.0, "speech"), "faster-whisper")

    def components(self) -> list[ComponentState]:
        return [ComponentState("faster-whisper", "idle", loaded=self.let.is_set(), pid=1)]


def _readiness(engine: StubEngine, told: list[Event]) -> Readiness:
    stt: Any = engine
    return Readiness(stt, WORDS, INTERVAL_SEC, 60.0, (told.append,))


@pytest.mark.timeout(60)
async def test_a_proof_that_was_begun_is_waited_for_and_not_made_twice() -> None:
    engine, told = StubEngine(WORDS), list[Event]()
    readiness = _readiness(engine, told)
    readiness.begin()
    assert engine.asked.wait(30)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(readiness.watch)
        await anyio.sleep(5 * INTERVAL_SEC)
        assert (engine.loads, readiness.reason) == (1, "the model is loading")
        engine.let.set()
        while readiness.reason is not None:  # noqa: ASYNC110 - it has no event
            await anyio.sleep(INTERVAL_SEC)
        await anyio.sleep(5 * INTERVAL_SEC)
        tasks.cancel_scope.cancel()
    assert engine.loads == 1
    (only,) = told
    assert isinstance(only, StageSettled)
    assert only.outcome.source == "canary"


@pytest.mark.timeout(60)
async def test_one_that_failed_is_told_and_made_again_later() -> None:
    engine, told = StubEngine("something else"), list[Event]()
    engine.let.set()
    readiness = _readiness(engine, told)
    readiness.begin()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(readiness.watch)
        while engine.loads < 2:  # noqa: ASYNC110 - it has no event
            await anyio.sleep(INTERVAL_SEC)
        tasks.cancel_scope.cancel()
    assert readiness.reason is not None
    assert "other words" in readiness.reason
    assert {type(event) for event in told} == {AttemptFailed, StageSettled}
