"""Jobs that are heard together: each gets what it would get by itself, and only its own failure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stt_engine.backends import hearing, recognition
from stt_engine.backends.hearing import TOGETHER_SEC, Hearing
from stt_engine.backends.model import Said, Stretch
from stt_engine.backends.recognition import model_operations, pieces, recognise
from stt_engine.backends.vad import MAX_SPAN_SEC, Samples
from stt_engine.errors import OutOfMemory, TranscriptionFailed
from tests.support.stub_model import EchoModel, channel_at, job_of, loud_spans

Step = dict[str, Any]
Job = dict[str, Any]

BASE = 999
"""Loudness of job 0; a job's is three above the one before, so that a stretch tells whose it is."""

ENGLISH, KOREAN, JAPANESE = range(3)


@pytest.fixture(autouse=True)
def loud_is_speech(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "speech_spans", loud_spans)


def loudness(number: int, speaks: int = KOREAN) -> int:
    return BASE + 3 * number + speaks


def owner(samples: Samples) -> int:
    return (round(float(samples[0]) * 32768) - BASE) // 3


@dataclass
class Watched(EchoModel):
    """Notes what it is asked, and what was told before; breaks at what ``breaks`` names."""

    events: list[tuple[str, list[int]]] = field(default_factory=list)
    batches: list[list[Stretch]] = field(default_factory=list)
    breaks: Callable[[Sequence[Stretch]], Exception | None] = lambda _stretches: None
    deaf_to: set[int] = field(default_factory=set)

    def detect(self, samples: Samples) -> str:
        if owner(samples) in self.deaf_to:
            raise RuntimeError("no such language")
        return super().detect(samples)

    def hear(self, stretches: Sequence[Stretch]) -> list[Said]:
        self.events.append(("heard", [owner(one.samples) for one in stretches]))
        self.batches.append(list(stretches))
        broken = self.breaks(stretches)
        if broken is not None:
            raise broken
        return super().hear(stretches)

    def tell(self, numbers: list[int]) -> None:
        self.events.append(("told", numbers))


class Running:
    """A job that is stepped by hand, with all that it brought."""

    def __init__(self, model: Watched, job: Job, place: Hearing) -> None:
        self.job = job
        self.brought: list[Step] = []
        self.ready: list[int] | None = None
        """The jobs that could go on without any work after its last step, if that told."""
        self.ending: str | None = None
        self._steps = recognise(model, {}, job, place)

    def step(self) -> None:
        self.ready = None
        try:
            step = json.loads(json.dumps(next(self._steps)))
            self.ready = step.pop("ready", None)
            self.brought.append(step)
        except StopIteration:
            self.ending = "done"
        except Exception as exc:  # noqa: BLE001 - whatever it is belongs to this job
            self.ending = type(exc).__name__

    def drop(self) -> None:
        self._steps.close()
        self.ending = "dropped"

    def to_the_end(self) -> Running:
        while self.ending is None:
            self.step()
        return self


def by_itself(job: Job, model: Watched | None = None) -> Running:
    model = model or Watched()
    return Running(model, job, Hearing(model, model.tell)).to_the_end()


def texts(running: Running) -> list[str]:
    return [one["text"] for step in running.brought for one in step.get("segments", ())]


# Any jobs in any order --------------------------------------------------------------------

_TALKS = st.lists(
    st.tuples(st.integers(1, 6), st.integers(1, 9)), max_size=4
)  # gap and length, quarters of a second
_JOBS = st.lists(
    st.fixed_dictionaries(
        {
            "channels": st.lists(_TALKS, min_size=1, max_size=2),
            "speaks": st.sampled_from([ENGLISH, KOREAN, JAPANESE]),
            "language": st.sampled_from(["auto", "ko", "en", "de"]),
            "translate": st.booleans(),
            "words": st.booleans(),
            "alone": st.sampled_from([False, False, True]),
            "second_file_is_gone": st.sampled_from([False, False, False, True]),
        }
    ),
    min_size=1,
    max_size=5,
)


def _written(folder: Path, number: int, plan: Job) -> Job:
    files = []
    for channel, talks in enumerate(plan["channels"]):
        at, spans = 0, []
        for gap, length in talks:
            spans.append(((at + gap) / 4, (at + gap + length) / 4))
            at += gap + length
        path = folder / f"{number}-{channel}"
        loud = loudness(number, plan["speaks"])
        files.append(channel_at(path, *spans, seconds=at / 4 + 0.5, loud=loud))
    if plan["second_file_is_gone"]:
        files[1:] = [str(folder / "gone")]
    same = {name: plan[name] for name in ("language", "translate", "words", "alone")}
    return job_of(*files, **same, job=number)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    plans=_JOBS,
    together=st.integers(1, 6),
    most_sec=st.sampled_from([2.0, 5.0, TOGETHER_SEC]),
    moves=st.lists(st.tuples(st.integers(0, 59), st.booleans()), max_size=60),
    drops=st.sets(st.integers(0, 4), max_size=2),
)
def test_each_job_gets_what_it_gets_by_itself(
    tmp_path_factory: pytest.TempPathFactory,
    plans: list[Job],
    together: int,
    most_sec: float,
    moves: list[tuple[int, bool]],
    drops: set[int],
) -> None:
    folder = tmp_path_factory.mktemp("jobs")
    jobs = [_written(folder, number, plan) for number, plan in enumerate(plans)]
    model = Watched(together=together)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recognition, "pieces", lambda raw: pieces(raw, 3.0))
        alone = [by_itself(job) for job in jobs]
        patched.setattr(hearing, "TOGETHER_SEC", most_sec)
        place = Hearing(model, model.tell)
        running = [Running(model, job, place) for job in jobs]
        _moved(running, model, moves, drops)
    for one, expected in zip(running, alone, strict=True):
        if one.ending == "dropped":
            assert one.brought == expected.brought[: len(one.brought)]
        else:
            assert (one.brought, one.ending) == (expected.brought, expected.ending)
    assert place._listeners == []
    _check_what_was_asked(model, jobs, most_sec)
    _check_nothing_is_heard_twice(model, running)


def _moved(
    running: list[Running], model: Watched, moves: list[tuple[int, bool]], drops: set[int]
) -> None:
    """Step the jobs in the order of ``moves``, then all to their ends, one step each at a time."""
    moves = [*moves, *((at, False) for at in range(10_000))]
    ready: list[int] = []
    for at, drop in moves:
        living = [number for number, one in enumerate(running) if one.ending is None]
        if not living:
            return
        chosen = living[at % len(living)]
        if drop and chosen in drops:
            running[chosen].drop()
            continue
        before = len(model.events)
        running[chosen].step()
        heard = [owners for what, owners in model.events[before:] if what == "heard"]
        assert len(heard) <= 1
        assert all(owners[0] == chosen for owners in heard), "the first is of whose step it is"
        assert not (heard and chosen in ready), "one that is ready needs no work"
        others = [one for one in ready if one != chosen]
        ready = others if running[chosen].ready is None else running[chosen].ready
    pytest.fail("it never ends")


def _check_what_was_asked(model: Watched, jobs: list[Job], most_sec: float) -> None:
    told: list[int] | None = None
    batches = iter(model.batches)
    for what, numbers in model.events:
        if what == "told":
            assert told is None, "told once for each step"
            told = numbers
            continue
        batch = next(batches)
        assert 1 <= len(batch) <= model.together
        assert len(batch) == 1 or sum(one.seconds for one in batch) <= most_sec
        sharers = list(dict.fromkeys(numbers))
        assert told == (sharers if len(sharers) > 1 else None)
        assert len(sharers) == 1 or not any(jobs[one]["alone"] for one in sharers)
        told = None
    assert told is None


def _check_nothing_is_heard_twice(model: Watched, running: list[Running]) -> None:
    asked = [owner(one.samples) for batch in model.batches for one in batch]
    for number, one in enumerate(running):
        told = sum("speech_sec" in step for step in one.brought)
        if one.ending == "dropped":
            assert asked.count(number) >= told
        else:
            assert asked.count(number) == told


# Who is heard with whom -------------------------------------------------------------------


@pytest.fixture
def three(tmp_path: Path) -> list[Job]:
    """Three jobs of three stretches: of one, two and three seconds."""
    talks = (1, 2), (3, 5), (6, 9)
    return [
        job_of(channel_at(tmp_path / str(at), *talks, loud=loudness(at)), job=at) for at in range(3)
    ]


def _begun(model: Watched, jobs: list[Job]) -> list[Running]:
    """Have every job listen; the last one's first step is still to come."""
    place = Hearing(model, model.tell)
    running = [Running(model, job, place) for job in jobs]
    for one in running:
        one.step()  # who listens
    return running


def _listening(model: Watched, jobs: list[Job]) -> list[Running]:
    """Have every job heard once, each by itself, since the next ones have not begun to listen."""
    together, model.together = model.together, 1
    running = _begun(model, jobs)
    for one in running:
        one.step()
    model.together = together
    model.events.clear()
    model.batches.clear()
    return running


def test_a_first_stretch_of_each_job_then_a_second_one(three: list[Job]) -> None:
    model = Watched(together=5)
    running = _listening(model, three)
    running[1].step()
    assert model.events == [("told", [1, 0, 2]), ("heard", [1, 0, 2, 1, 0])]
    assert [one.seconds for one in model.batches[0]] == [2, 2, 2, 3, 3]


def test_what_was_heard_for_another_job_waits_for_its_step(three: list[Job]) -> None:
    model = Watched(together=6)
    running = _listening(model, three)
    running[0].step()
    assert len(model.batches) == 1
    for one in running:
        assert len(texts(one)) == (2 if one is running[0] else 1)
    for one in running:
        one.to_the_end()
    assert len(model.batches) == 1, "nothing is heard again"
    for number, one in enumerate(running):
        assert texts(one) == [
            f"transcribe ko {seconds * 16_000} {loudness(number)}" for seconds in (1, 2, 3)
        ]


def test_a_job_by_itself_is_heard_ahead_and_nobody_is_told(three: list[Job]) -> None:
    model = Watched(together=8)
    assert texts(by_itself(three[0], model))
    assert model.events == [("heard", [0, 0, 0])]


def test_a_step_of_several_jobs_is_bounded_more_and_gives_back_what_it_freed(
    three: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "SHARED_SEC", 3.5)
    freed: list[int] = []
    monkeypatch.setattr(hearing, "return_freed", lambda: freed.append(len(model.batches)))
    model = Watched(together=8)
    by_itself(three[0], model)
    assert (len(model.batches), freed) == (1, [])
    running = _begun(model, three)
    running[0].step()
    assert [one.seconds for one in model.batches[1]] == [1, 1, 1]
    assert freed == [2]


def test_after_its_last_stretch_a_job_is_ready_up_to_its_end(three: list[Job]) -> None:
    model = Watched(together=3)
    running = Running(model, three[0], Hearing(model, model.tell))
    told = []
    while running.ending is None:
        running.step()
        told.append(running.ready)
    assert told == [None, [0], [0], [0], [0], None], "begun, three stretches, the place, the end"


def test_a_job_is_not_ready_where_speech_has_to_be_looked_for(
    three: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognition, "pieces", lambda raw: pieces(raw, 5.0))
    model = Watched(together=2)
    running = Running(model, three[0], Hearing(model, model.tell))
    running.step()
    running.step()
    assert "segments" not in running.brought[-1], "the end of a piece in which nobody speaks"
    assert running.ready == []


def test_a_job_that_was_dropped_is_not_heard_any_more(three: list[Job]) -> None:
    model = Watched(together=8)
    running = _listening(model, three)
    running[1].drop()
    running[0].step()
    assert model.events[0] == ("told", [0, 2])
    assert 1 not in model.events[1][1]


def test_a_job_that_must_be_alone_shares_no_step(three: list[Job]) -> None:
    model = Watched(together=8)
    three[1]["alone"] = True
    running = _listening(model, three)
    running[1].step()
    running[0].step()
    assert model.events == [
        ("heard", [1, 1]),
        ("told", [0, 2]),
        ("heard", [0, 2, 0, 2]),
    ]


def test_a_stretch_longer_than_the_bound_is_heard_by_itself(
    three: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "TOGETHER_SEC", 1.5)
    model = Watched(together=8)
    for one in _listening(model, three):
        one.to_the_end()
    assert [len(batch) for batch in model.batches] == [1] * 6


def test_the_bound_leaves_room_for_the_longest_stretch() -> None:
    assert TOGETHER_SEC >= MAX_SPAN_SEC


def test_the_operations_of_a_backend_tell_which_jobs_share(three: list[Job]) -> None:
    model = Watched(together=8)
    operations = model_operations(lambda _job: model, model.tell)
    operations["load"]({"facts": {}})
    running: list[Iterator[Step]] = [iter(operations["transcribe"](job)) for job in three]
    for one in running:
        next(one)  # who listens; from then on all do
    next(running[0])
    assert model.events == [("told", [0, 1, 2]), ("heard", model.events[1][1])]
    assert len(model.events[1][1]) > 3
    next(running[1])
    next(running[2])
    assert len(model.events) == 2, "what was heard for them is theirs already"
    for one in running:
        one.close()
    again = iter(operations["transcribe"]({**three[0], "job": 7}))
    for _ in range(2):
        next(again)
    assert model.events[-1] == ("heard", [0, 0, 0])
    model.together = 1
    late = [iter(operations["transcribe"]({**three[at], "job": 8 + at})) for at in (0, 1)]
    for one in late:
        next(one)
        next(one)
    model.together = 2
    next(late[1])
    assert model.events[-2:] == [("told", [9, 8]), ("heard", [1, 0])]


# Failures ---------------------------------------------------------------------------------


def _poisoned(number: int, error: Exception) -> Callable[[Sequence[Stretch]], Exception | None]:
    """Break at the three-second stretch of a job."""

    def breaks(stretches: Sequence[Stretch]) -> Exception | None:
        found = any(owner(one.samples) == number and one.seconds == 3 for one in stretches)
        return error if found else None

    return breaks


def test_a_shared_step_that_fails_is_repeated_with_the_leader_only(three: list[Job]) -> None:
    model = Watched(together=6)
    running = _listening(model, three)
    model.breaks = _poisoned(1, RuntimeError("cannot be heard"))
    running[0].step()
    assert model.events == [
        ("told", [0, 1, 2]),
        ("heard", [0, 1, 2, 0, 1, 2]),
        ("heard", [0]),
    ]
    assert len(texts(running[0])) == 2


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (RuntimeError("cannot be heard"), TranscriptionFailed),
        (MemoryError(), OutOfMemory),
        (TypeError("a defect of ours"), TypeError),
    ],
)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
def test_a_stretch_that_cannot_be_heard_fails_its_own_job_only(
    three: list[Job], error: Exception, named: type[Exception], order: tuple[int, ...]
) -> None:
    model = Watched(together=6)
    running = _listening(model, three)
    model.breaks = _poisoned(1, error)
    while any(one.ending is None for one in running):
        for at in order:
            if running[at].ending is None:
                running[at].step()
    assert [one.ending for one in running] == ["done", named.__name__, "done"]
    for number in (0, 2):
        assert running[number].brought == by_itself(three[number]).brought
    clean = by_itself(three[1]).brought
    assert running[1].brought == clean[: len(running[1].brought)]


def test_a_step_of_one_job_that_fails_is_its_failure(three: list[Job]) -> None:
    model = Watched(together=1, breaks=_poisoned(0, RuntimeError("cannot be heard")))
    found = by_itself(three[0], model)
    assert found.ending == "TranscriptionFailed"
    assert len(texts(found)) == 2
    assert model.events == [("heard", [0])] * 3


def test_what_goes_wrong_in_finding_anothers_stretch_waits_for_the_others_step(
    three: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spans(samples: Samples) -> list[tuple[int, int]]:
        if samples.max() > 0.5:
            raise RuntimeError("cannot be looked at")
        return loud_spans(samples)

    monkeypatch.setattr(recognition, "speech_spans", spans)
    model = Watched(together=8)
    three[1]["files"].append(channel_at(tmp_path / "gone", (1, 2), loud=30_000))
    running = _listening(model, three)
    running[0].step()  # looks past the end of the second job's first channel
    assert model.events[0] == ("told", [0, 1, 2])
    assert running[1].ending is None
    for one in running:
        one.to_the_end()
    assert [one.ending for one in running] == ["done", "TranscriptionFailed", "done"]
    expected = by_itself(three[1])
    assert (running[1].brought, running[1].ending) == (expected.brought, expected.ending)
    assert len(texts(running[1])) == 3


def test_a_language_that_cannot_be_found_is_the_jobs_own_failure(
    three: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second job is silent in its first piece, so that its language is looked for later."""
    monkeypatch.setattr(recognition, "pieces", lambda raw: pieces(raw, 4.0))
    late = channel_at(tmp_path / "late", (12, 13), seconds=14, loud=loudness(1))
    three[1] = job_of(late, language="auto", job=1)
    model = Watched(together=2, deaf_to={1})
    running = _begun(model, three)
    running[1].step()  # its silent beginning
    while not model.events:
        running[0].step()  # looks on in the second job
    assert 1 not in model.events[0][1]
    assert running[1].ending is None
    for one in running:
        one.to_the_end()
    assert [one.ending for one in running] == ["done", "TranscriptionFailed", "done"]
    assert running[0].brought == by_itself(three[0]).brought


def test_a_job_that_failed_is_not_looked_at_again(three: list[Job], tmp_path: Path) -> None:
    model = Watched(together=1)
    three[1]["files"] = [str(tmp_path / "gone")]
    place = Hearing(model, model.tell)
    running = [Running(model, job, place) for job in three]
    for one in running:
        one.step()
        one.step()
    assert running[1].ending == "FileNotFoundError"
    assert [listener.number for listener in place._listeners] == [0, 2]


def test_what_stops_the_process_is_no_failure_of_a_step(three: list[Job]) -> None:
    """Ctrl-C in the child is not answered with a second try."""

    def interrupted(_stretches: Sequence[Stretch]) -> Exception | None:
        raise KeyboardInterrupt

    model = Watched(together=6)
    running = _listening(model, three)
    model.breaks = interrupted
    with pytest.raises(KeyboardInterrupt):
        running[0].step()
    assert [what for what, _ in model.events] == ["told", "heard"]
