"""Each job gets the result that it gets without batching."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stt_engine.backends import batching, recognition
from stt_engine.backends.batching import TOGETHER_SEC, DynamicBatcher
from stt_engine.backends.recognition import pieces
from tests.support.batching import (
    ENGLISH,
    JAPANESE,
    KOREAN,
    Job,
    Running,
    Watched,
    by_itself,
    loudness,
    owner,
)
from tests.support.stub_model import channel_at, job_of

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
            "single": st.sampled_from([False, False, True]),
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
    same = {name: plan[name] for name in ("language", "translate", "words", "single")}
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
        patched.setattr(batching, "TOGETHER_SEC", most_sec)
        place = DynamicBatcher(model, model.tell)
        running = [Running(model, job, place) for job in jobs]
        _moved(running, model, moves, drops)
    for one, expected in zip(running, alone, strict=True):
        if one.ending == "dropped":
            assert one.brought == expected.brought[: len(one.brought)]
        else:
            assert (one.brought, one.ending) == (expected.brought, expected.ending)
    assert place._streams == []
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
        assert len(sharers) == 1 or not any(jobs[one]["single"] for one in sharers)
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
