"""Jobs that share a step: their results, and whose failure a crash is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from stt_engine.errors import (
    DeadlineExceeded,
    ServerStopping,
    WorkerDied,
)
from stt_engine.events import WorkerChanged
from stt_engine.workers import child
from stt_engine.workers.worker import ChildDefect, JobLost
from tests.support.server import awaited
from tests.support.stub_child import DEADLY, ORDINARY, STOPPING, WAITING
from tests.support.stub_model import job_of
from tests.support.worker_jobs import BOUND, QUIET, Job, Shared, StubJob, entry_of, four


def test_jobs_that_share_a_step_get_their_own_words(shared: Shared) -> None:
    first, second = shared.job(*four()), shared.job(*four(ORDINARY + 3))
    for _ in range(2):
        first.step()
        second.step()
    assert first.texts == ["transcribe ko 16000 1000"] * 2
    assert first.to_the_end().texts == ["transcribe ko 16000 1000"] * 4
    second.to_the_end()
    assert second.texts[2] == "transcribe ko 16000 1003"
    assert len(second.texts) == 4


@pytest.mark.parametrize("whose", ["the leader's", "the neighbour's"])
def test_a_child_that_ends_in_a_shared_step_blames_nobody(shared: Shared, whose: str) -> None:
    own = whose == "the leader's"
    neighbour = shared.job(*four(ORDINARY if own else DEADLY))
    neighbour.step()
    leader = shared.job(DEADLY if own else ORDINARY)
    bystander = shared.job(ORDINARY)
    pid = shared.worker.pid
    assert isinstance(leader.fails(), JobLost)
    assert isinstance(neighbour.fails(), JobLost)
    assert isinstance(bystander.fails(), JobLost)
    assert (leader.entry.single, neighbour.entry.single) == (True, True)
    assert not bystander.entry.single, "it had no part in that step"
    assert shared.worker.state == "stopped"
    shared.load()
    assert shared.worker.pid != pid


def test_of_two_that_are_heard_alone_the_one_that_ends_its_child_is_known(shared: Shared) -> None:
    innocent = shared.job(*four())
    innocent.step()
    guilty = shared.job(DEADLY)
    assert isinstance(guilty.fails(), JobLost)
    assert isinstance(innocent.fails(), JobLost)
    shared.load()
    innocent = shared.job(*four(), alone=True)
    innocent.step()
    guilty = shared.job(DEADLY, alone=True)
    died = guilty.fails()
    assert isinstance(died, WorkerDied)
    assert "SIGKILL" in str(died)
    assert isinstance(innocent.fails(), JobLost), "its neighbour's death is not its own"
    shared.load()
    assert len(shared.job(*four(), alone=True).to_the_end().texts) == 4


def test_a_job_with_nobody_beside_it_that_ends_its_child_is_at_fault(shared: Shared) -> None:
    only = shared.job(*four(DEADLY))
    assert isinstance(only.fails(), WorkerDied)
    assert not only.entry.single


def test_a_neighbour_that_was_dropped_before_is_no_sharer(shared: Shared) -> None:
    neighbour = shared.job(*four())
    neighbour.step()
    leader = shared.job(DEADLY)
    neighbour._steps.close()
    assert isinstance(leader.fails(), WorkerDied)
    assert not neighbour.entry.single


def test_a_death_after_a_shared_step_is_not_the_sharers(shared: Shared) -> None:
    neighbour = shared.job(*four())
    neighbour.step()
    leader = shared.job(*four())
    leader.step()  # the shared one
    last = shared.job(DEADLY, alone=True)
    assert isinstance(last.fails(), WorkerDied)
    for one in (neighbour, leader):
        assert isinstance(one.fails(), JobLost)
        assert not one.entry.single
    assert (len(neighbour.texts), len(leader.texts)) == (3, 1), "nothing heard is lost"


def test_what_was_heard_in_anothers_step_is_taken_without_a_turn(shared: Shared) -> None:
    neighbour = shared.job(*four())
    neighbour.step()
    shared.job(*four()).step()
    thread, found = shared.job(WAITING, alone=True).in_background()
    awaited(lambda: shared.worker._scheduler._held, "somebody else's step")
    neighbour.step()
    neighbour.step()
    assert len(neighbour.texts) == 3
    assert thread.is_alive(), "and the step goes on"
    with shared.at_work():
        pass
    thread.join(BOUND)
    assert found == []
    assert len(neighbour.to_the_end().texts) == 4


def test_one_that_waits_for_its_turn_is_let_go_with_what_it_was_heard(shared: Shared) -> None:
    waiting, leader = shared.job(ORDINARY), shared.job(WAITING)
    first, found = leader.in_background()
    awaited(lambda: shared.worker._sharing, "they share a step")
    second, also = waiting.in_background()
    awaited(lambda: shared.worker._scheduler._waiting, "one waits")
    with shared.at_work():
        pass
    for thread in (first, second):
        thread.join(BOUND)
    assert (found, also) == ([], [])
    assert (len(leader.texts), len(waiting.texts)) == (1, 1)


def test_what_goes_wrong_in_leaving_a_job_ends_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaves_badly(a_job: Job) -> Iterator[Job]:
        try:
            yield {"kind": "progress"}
        finally:
            raise OSError("the folder is gone")

    sent: list[Job] = []

    class Pipe:
        def requests(self) -> Iterator[Job]:
            yield {"request": "begin", "number": 1, "job": {"operation": "decode"}}
            yield {"request": "drop", "number": 1}

        def send(self, message: Job) -> None:
            sent.append(message)

    monkeypatch.setitem(child.ROLES, "left", (__name__, "operations"))
    monkeypatch.setattr(f"{__name__}.operations", lambda _: {"decode": leaves_badly}, raising=False)
    child._serve("left", Pipe())  # type: ignore[arg-type]
    events = [message["event"] for message in sent]
    assert events == ["step", "turn", "error"], "and no turn is answered"
    assert sent[-1]["number"] == 1


def test_what_is_wrong_with_another_job_is_not_the_leaders(shared: Shared) -> None:
    wrong = StubJob(shared.worker, job_of("gone"), entry_of(), BOUND)
    leader = shared.job(ORDINARY)
    assert len(leader.to_the_end().texts) == 1
    with pytest.raises(ChildDefect, match="gone") as caught:
        wrong.step()
    assert caught.value.error_type == "FileNotFoundError"
    assert shared.worker.state == "idle"


@pytest.mark.parametrize(("loud", "timeout"), [(WAITING, QUIET), (STOPPING, BOUND)])
def test_a_shared_step_without_an_answer_blames_nobody(
    shared: Shared, loud: int, timeout: float
) -> None:
    """The child waits for ever, or is stopped so that even its heart stands still."""
    neighbour = shared.job(*four())
    neighbour.step()
    leader = shared.job(loud, timeout=timeout)
    lost = leader.fails()
    assert isinstance(lost, JobLost)
    assert isinstance(lost.__cause__, DeadlineExceeded)
    assert isinstance(neighbour.fails(), JobLost)
    assert (leader.entry.single, neighbour.entry.single) == (True, True)
    assert shared.worker._deaths == 1


def test_a_job_alone_that_gives_no_answer_is_late_itself(shared: Shared) -> None:
    neighbour = shared.job(*four())
    neighbour.step()
    late = shared.job(WAITING, timeout=QUIET, alone=True)
    assert isinstance(late.fails(), DeadlineExceeded)
    assert isinstance(neighbour.fails(), JobLost)
    assert not neighbour.entry.single


@pytest.mark.parametrize(("end", "named"), [("close", WorkerDied), ("stop", ServerStopping)])
def test_closing_in_a_shared_step_is_no_death(
    shared: Shared, events: list[WorkerChanged], end: str, named: type[Exception]
) -> None:
    neighbour = shared.job(*four())
    neighbour.step()
    leader = shared.job(WAITING)
    thread, found = leader.in_background()
    with contextlib.suppress(BrokenPipeError), shared.at_work():
        getattr(shared.worker, end)()
        thread.join(BOUND)
    assert [type(one) for one in found] == [named]
    assert isinstance(neighbour.fails(), JobLost if end == "close" else ServerStopping)
    assert (leader.entry.single, neighbour.entry.single) == (False, False)
    assert shared.worker._deaths == 0
