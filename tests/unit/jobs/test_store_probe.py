"""What jobs depend on is asked for without any job, and what hangs holds up nobody."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from api_server.jobs.clock_watch import ClockWatch
from api_server.jobs.desk import JobDesk
from api_server.jobs.events import (
    ClockJumped,
    RecordingsAnswer,
    RecordingsFailing,
    StoreAnswers,
    StoreFailing,
)
from api_server.jobs.store_probe import StoreProbe
from api_server.store.errors import RecordingsUnreachable
from stt_engine.events import Event
from tests.support.clock import Clock
from tests.support.jobs_in_store import folder_at

pytestmark = pytest.mark.sqlite


class House:
    """A desk and its probe, and what they told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[Event] = []
        self.desk = JobDesk(path / "cases.db", folder_at(path), [self.events.append])
        self.probe = StoreProbe(self.desk, [self.events.append])

    async def use(self) -> None:
        """Have a store made."""
        await self.desk.run(lambda store: store.backlog(), make=True)

    def told(self) -> list[type[Event]]:
        return [type(one) for one in self.events]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    found = House(tmp_path)
    yield found
    found.desk.close()


async def test_where_there_was_never_a_job_nothing_is_made(house: House) -> None:
    await house.probe.look()
    assert (house.probe.state, list(house.path.iterdir())) == ("idle", [])


async def test_a_folder_that_cannot_be_written_to_is_told_once_and_since_when(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.use()
    await house.probe.look()
    assert house.probe.state == "ok"
    assert list((house.path / "recordings" / "incoming").iterdir()) == [], "it leaves nothing"
    really = Path.open

    def full(path: Path, *given: Any, **named: Any) -> Any:
        if path.parent.name == "incoming":
            raise OSError(28, "No space left on device")
        return really(path, *given, **named)

    monkeypatch.setattr(Path, "open", full)
    await house.probe.look()
    since = house.probe.trouble.since
    await house.probe.look()
    assert (house.probe.state, house.probe.trouble.since) == ("failing", since)
    assert house.probe.trouble.reason == "the disk of the recordings is full"
    monkeypatch.undo()
    await house.probe.look()
    assert (house.probe.state, house.probe.trouble.since) == ("ok", None)
    assert house.told() == [RecordingsFailing, RecordingsAnswer]


async def test_a_store_that_hangs_holds_up_the_probe_alone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.use()
    answers = threading.Event()
    monkeypatch.setattr(house.desk.recordings, "check_usable", lambda: answers.wait(30))
    monkeypatch.setattr(house.probe.place._threads, "timeout_sec", 0.05)
    try:
        with anyio.fail_after(5):
            await house.probe.look()
            assert house.probe.state == "failing"
            assert "no answer within" in str(house.probe.trouble.reason)
            await house.desk.run(lambda store: store.backlog())
        assert house.desk.trouble.reason is None
    finally:
        answers.set()


async def test_a_database_that_can_only_be_read_stays_failing_until_it_is_written_to(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api_server.store.sqlite_file.LOCKED_SEC", 0.05)
    await house.use()
    other = sqlite3.connect(house.path / "cases.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await house.probe.look()
    await house.desk.run(lambda store: store.backlog())
    assert "locked" in str(house.desk.trouble.reason), "a look that succeeds proves nothing"
    other.execute("COMMIT")
    other.close()
    await house.desk.run(lambda store: store.backlog())
    assert house.desk.trouble.reason is not None
    await house.probe.look()
    assert house.desk.trouble.reason is None
    assert [one for one in house.told() if one is not RecordingsAnswer] == [
        StoreFailing,
        StoreAnswers,
    ]


async def test_recordings_that_are_away_are_no_trouble_of_the_database(house: House) -> None:
    await house.use()

    def away(_store: object) -> None:
        raise RecordingsUnreachable("no answer")

    with pytest.raises(RecordingsUnreachable):
        await house.desk.run(away)
    assert house.desk.trouble.reason is None


async def test_who_could_not_keep_a_recording_has_it_asked_for_now(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.use()
    looks, more = list[int](), anyio.Event()
    really: Callable[[], Any] = house.probe.look

    async def look() -> None:
        nonlocal more
        await really()
        looks.append(1)
        more.set()
        more = anyio.Event()

    monkeypatch.setattr(house.probe, "look", look)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(house.probe.run)
        with anyio.fail_after(10):
            await more.wait()
            await anyio.lowlevel.checkpoint()
            house.probe.doubt()
            await more.wait()
        tasks.cancel_scope.cancel()
    assert len(looks) == 2


@pytest.mark.parametrize(
    ("wall", "told"), [(15.0, []), (12.0, []), (3615.0, [3600.0]), (-3585.0, [-3600.0])]
)
def test_a_clock_that_was_set_is_told_with_the_seconds(wall: float, told: list[float]) -> None:
    events: list[Event] = []
    day, counting = Clock(1e9), Clock(50.0)
    watch = ClockWatch([events.append], day, counting)
    day.now += wall
    counting.now += 15.0
    for _ in range(2):
        watch.look()
    assert [one.seconds for one in events if isinstance(one, ClockJumped)] == told
