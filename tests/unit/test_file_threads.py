"""Work that a file system may never answer: bounded in time, in threads, and in what it leaves."""

from __future__ import annotations

import threading

import pytest

from stt_engine.errors import StorageUnresponsive
from stt_engine.system.file_threads import MOST, MOST_LATE, FileThreads


@pytest.fixture
def gate() -> threading.Event:
    """Open at the end of a test, so that no thread of it is left."""
    return threading.Event()


def test_work_is_done_and_its_errors_are_its_own() -> None:
    threads = FileThreads("disk")
    assert threads.run(lambda: 1) == 1
    with pytest.raises(KeyError):
        threads.run(lambda: {}["x"])
    with pytest.raises(TimeoutError, match="the work's"):
        threads.run(lambda: (_ for _ in ()).throw(TimeoutError("the work's")))
    assert (threads.waiting, threads.late) == (0, 0)


def test_a_place_that_hangs_is_left_and_then_refuses_at_once(gate: threading.Event) -> None:
    threads = FileThreads("disk", timeout_sec=0.01)
    back = threading.Barrier(MOST_LATE + 1)

    def work() -> None:
        gate.wait()
        back.wait()

    for _ in range(MOST_LATE):
        with pytest.raises(StorageUnresponsive, match=r"disk gave no answer within 0\.01 s"):
            threads.run(work)
    assert (threads.late, threads.hangs) == (MOST_LATE, True)
    with pytest.raises(StorageUnresponsive, match=f"{MOST_LATE} attempts hang"):
        threads.run(lambda: pytest.fail("not begun"))
    gate.set()
    back.wait()
    while threads.waiting:
        pass
    assert threads.run(lambda: "again") == "again"


def test_many_at_once_wait_and_more_are_refused(gate: threading.Event) -> None:
    threads = FileThreads("disk")
    begun = [threads.start(gate.wait) for _ in range(MOST)]
    with pytest.raises(StorageUnresponsive, match=f"{MOST} already wait for disk"):
        threads.start(gate.wait)
    gate.set()
    assert all(one.future.result(10) for one in begun)


def test_what_comes_when_nobody_waits_is_dropped(gate: threading.Event) -> None:
    dropped: list[str] = []
    there = threading.Event()

    def drop(what: str) -> None:
        dropped.append(what)
        there.set()

    threads = FileThreads("disk")
    late = threads.start(lambda: str(gate.wait() and "late"), drop)
    late.leave()
    gate.set()
    assert there.wait(10)
    early = threads.start(lambda: "early", drop)
    early.future.result(10)
    early.leave()
    assert dropped == ["late", "early"]


def test_what_has_to_be_done_is_done_however_many_hang(gate: threading.Event) -> None:
    threads = FileThreads("disk")
    begun = [threads.start(gate.wait) for _ in range(MOST)]
    done = threading.Event()
    threads.start(done.set, always=True)
    assert done.wait(10)
    gate.set()
    assert all(one.future.result(10) for one in begun)
