"""Which chunks of which jobs a batch takes, and when results are delivered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from stt_engine.backends import batching, recognition
from stt_engine.backends.base import ChunkResult, SpeechChunk
from stt_engine.backends.batching import TOGETHER_SEC, DynamicBatcher
from stt_engine.backends.recognition import model_operations, pieces
from stt_engine.backends.vad import MAX_SPAN_SEC
from tests.support.batching import (
    Job,
    Running,
    Step,
    Watched,
    begun,
    by_itself,
    listening,
    loudness,
    texts,
)


def test_a_first_stretch_of_each_job_then_a_second_one(three: list[Job]) -> None:
    model = Watched(together=5)
    running = listening(model, three)
    running[1].step()
    assert model.events == [("told", [1, 0, 2]), ("heard", [1, 0, 2, 1, 0])]
    assert [one.seconds for one in model.batches[0]] == [2, 2, 2, 3, 3]


def test_what_was_heard_for_another_job_waits_for_its_step(three: list[Job]) -> None:
    model = Watched(together=6)
    running = listening(model, three)
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


def test_a_segment_says_whether_chunks_of_other_jobs_were_in_its_step(three: list[Job]) -> None:
    class Batched(Watched):
        def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
            return [
                replace(said, segments=tuple(replace(s, pipeline="batched") for s in said.segments))
                for said in super().transcribe(chunks)
            ]

    def pipelines(one: Running) -> set[str]:
        one.to_the_end()
        steps = one.brought
        return {said["pipeline"] for step in steps for said in step.get("segments", ())}

    assert [pipelines(one) for one in begun(Batched(together=9), three)] == [
        {"batched-shared"}
    ] * len(three)
    assert pipelines(by_itself(three[0], Batched())) == {"batched"}


def test_a_job_by_itself_is_heard_ahead_and_nobody_is_told(three: list[Job]) -> None:
    model = Watched(together=8)
    assert texts(by_itself(three[0], model))
    assert model.events == [("heard", [0, 0, 0])]


def test_a_step_of_several_jobs_is_bounded_more_and_gives_back_what_it_freed(
    three: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "SHARED_SEC", 3.5)
    freed: list[int] = []
    monkeypatch.setattr(batching, "return_freed", lambda: freed.append(len(model.batches)))
    model = Watched(together=8)
    by_itself(three[0], model)
    assert (len(model.batches), freed) == (1, [])
    running = begun(model, three)
    running[0].step()
    assert [one.seconds for one in model.batches[1]] == [1, 1, 1]
    assert freed == [2]


def test_the_first_step_of_a_job_that_is_read_as_it_comes_is_short(
    three: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "FIRST_SEC", 1.5)
    model = Watched(together=8)
    for chunks in (1, 2):
        by_itself({**three[0], "eager": chunks}, model)
    by_itself(three[0], model)
    first, rest, two, other, whole = [[one.seconds for one in batch] for batch in model.batches]
    assert (len(first), len(two)) == (1, 2), "so many chunks, if they are longer"
    assert [*first, *rest] == [*two, *other] == whole


def test_after_its_last_stretch_a_job_is_ready_up_to_its_end(three: list[Job]) -> None:
    model = Watched(together=3)
    running = Running(model, three[0], DynamicBatcher(model, model.tell))
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
    running = Running(model, three[0], DynamicBatcher(model, model.tell))
    running.step()
    running.step()
    assert "segments" not in running.brought[-1], "the end of a piece in which nobody speaks"
    assert running.ready == []


def test_a_job_that_was_dropped_is_not_heard_any_more(three: list[Job]) -> None:
    model = Watched(together=8)
    running = listening(model, three)
    running[1].drop()
    running[0].step()
    assert model.events[0] == ("told", [0, 2])
    assert 1 not in model.events[1][1]


def test_a_job_that_must_be_alone_shares_no_step(three: list[Job]) -> None:
    model = Watched(together=8)
    three[1]["single"] = True
    running = listening(model, three)
    running[1].step()
    running[0].step()
    assert model.events == [
        ("heard", [1, 1]),
        ("told", [0, 2]),
        ("heard", [0, 2, 0, 2]),
    ]


def test_the_background_shares_its_steps_with_the_background_alone(three: list[Job]) -> None:
    model = Watched(together=8)
    three[0]["background"] = three[2]["background"] = True
    running = listening(model, three)
    running[1].step()
    running[0].step()
    assert model.events == [
        ("heard", [1, 1]),
        ("told", [0, 2]),
        ("heard", [0, 2, 0, 2]),
    ]


def test_a_step_of_the_background_is_short(
    three: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "BACKGROUND_SEC", 1.5)
    model = Watched(together=8)
    for one in three:
        one["background"] = True
    for one in listening(model, three):
        one.to_the_end()
    assert [len(batch) for batch in model.batches] == [1] * 6


def test_a_stretch_longer_than_the_bound_is_heard_by_itself(
    three: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "TOGETHER_SEC", 1.5)
    model = Watched(together=8)
    for one in listening(model, three):
        one.to_the_end()
    assert [len(batch) for batch in model.batches] == [1] * 6


def test_the_bound_leaves_room_for_the_longest_stretch() -> None:
    assert TOGETHER_SEC >= MAX_SPAN_SEC


def test_the_operations_of_a_backend_tell_which_jobs_share(three: list[Job]) -> None:
    model = Watched(together=8)
    operations = model_operations(lambda _job: model, model.tell)
    operations["load"]({"facts": {}})
    running: list[Iterator[Step]] = [
        iter(operations["transcribe"](job, job["job"])) for job in three
    ]
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
    again = iter(operations["transcribe"](three[0], 7))
    for _ in range(2):
        next(again)
    assert model.events[-1] == ("heard", [0, 0, 0])
    model.together = 1
    late = [iter(operations["transcribe"](three[at], 8 + at)) for at in (0, 1)]
    for one in late:
        next(one)
        next(one)
    model.together = 2
    next(late[1])
    assert model.events[-2:] == [("told", [9, 8]), ("heard", [1, 0])]
