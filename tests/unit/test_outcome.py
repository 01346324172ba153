"""The one failure mechanism: what is recorded, what passes through, what observers are told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_engine.errors import (
    AudioRejected,
    EngineError,
    ModelDamaged,
    ModelFormatAbsent,
    ModelNotFound,
    OutOfMemory,
    all_errors,
)
from stt_engine.events import Event, Stage, emit, request_id
from stt_engine.outcome import (
    DUMMY,
    AttemptFailed,
    Attempts,
    Failure,
    Outcome,
    Refused,
    StageSettled,
    capture,
)


class NotOurs(Exception):
    """Outside the taxonomy."""


STEPS: dict[str, type[Exception] | None] = {
    "ok": None,
    "damaged": ModelDamaged,
    "memory": OutOfMemory,
    "skipped": ModelFormatAbsent,
    "defect": NotOurs,
}


def _chain(steps: Sequence[str], attempts: Attempts) -> Outcome[str]:
    """The four lines that every stage has."""
    for number, step in enumerate(steps):
        source = f"source{number}"
        with attempts.of(source):
            error = STEPS[step]
            if error is not None:
                raise error(f"{step} at {source}")
            return attempts.settle(f"answer of {source}", source)
    return attempts.settle("", DUMMY)


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=8))
def test_any_chain_names_the_first_success_and_keeps_every_failure_before_it(
    steps: list[str],
) -> None:
    events: list[Event] = []
    outcome = _chain(steps, Attempts(Stage.STT, [events.append], subject="call 7"))

    first = steps.index("ok") if "ok" in steps else None
    failed = steps if first is None else steps[:first]
    assert outcome.source == (DUMMY if first is None else f"source{first}")
    assert outcome.value == ("" if first is None else f"answer of source{first}")
    assert outcome.is_dummy == (first is None)
    assert [failure.source for failure in outcome.failures] == [
        f"source{number}" for number in range(len(failed))
    ]
    for step, failure in zip(failed, outcome.failures, strict=True):
        assert failure.message == f"{step} at {failure.source}"
        assert failure.skipped == (step == "skipped")
        assert failure.unexpected == (step == "defect")
        assert (failure.trace is not None) == (step == "defect")
    *reported, settled = events
    assert isinstance(settled, StageSettled)
    assert settled.outcome is outcome
    assert (settled.stage, settled.subject) == (Stage.STT, "call 7")
    for step, event, failure in zip(failed, reported, outcome.failures, strict=True):
        assert isinstance(event, AttemptFailed)
        assert event.failure is failure
        assert type(event.error) is STEPS[step]
        assert (event.stage, event.subject) == (Stage.STT, "call 7")
    real = [failure for failure in outcome.failures if not failure.skipped]
    assert outcome.cause is (real[0] if real else outcome.failures[0] if outcome.failures else None)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_is_no_exception_passes_through_and_counts_as_nothing(
    kind: type[BaseException],
) -> None:
    events: list[Event] = []
    attempts = Attempts(Stage.STT, [events.append])
    with pytest.raises(kind), attempts.of("source"):
        raise kind
    assert attempts.failures == []
    assert events == []


async def test_cancellation_passes_through_and_counts_as_nothing() -> None:
    events: list[Event] = []
    attempts = Attempts(Stage.AGENT, [events.append])
    inside = asyncio.Event()

    async def call() -> None:
        with attempts.of("agent"):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert attempts.failures == []
    assert events == []


def test_what_the_caller_asked_to_see_passes_with_its_subclasses() -> None:
    class Tried(AudioRejected):
        pass

    events: list[Event] = []
    attempts = Attempts(Stage.STT, [events.append], propagate=(AudioRejected,))
    with pytest.raises(Tried) as error, attempts.of("audio"):
        raise Tried("no")
    assert attempts.failures == []
    (told,) = events
    assert told == Refused(stage=Stage.STT, error=error.value)
    with attempts.of("model"):
        raise ModelDamaged("this one is recorded")
    assert [failure.error_type for failure in attempts.failures] == ["ModelDamaged"]


def test_nested_attempts_pass_an_exception_through_both() -> None:
    attempts = Attempts(Stage.STT, (), propagate=(AudioRejected,))
    with pytest.raises(AudioRejected), attempts.of("outer"), attempts.of("inner"):
        raise AudioRejected("no")
    with attempts.of("outer"), attempts.of("inner"):
        raise ModelNotFound("once")
    assert [failure.source for failure in attempts.failures] == ["inner"]


def test_a_defect_is_flagged_with_the_traceback_of_where_it_happened() -> None:
    def the_guilty_line() -> None:
        raise NotOurs("why")

    attempts = Attempts(Stage.STT, ())
    with attempts.of("source"):
        the_guilty_line()
    (failure,) = attempts.failures
    assert failure.unexpected
    assert failure.error_type == "NotOurs"
    assert failure.trace is not None
    assert "the_guilty_line" in failure.trace
    assert "NotOurs: why" in failure.trace


def test_a_childs_own_traceback_is_kept_rather_than_ours() -> None:
    error = NotOurs("why")
    error.trace = "Traceback: in the child"  # type: ignore[attr-defined]
    failure = Failure.of(error, Stage.STT, "source", 0.0)
    assert failure.trace == "Traceback: in the child"


def test_an_exception_without_words_is_named_by_its_type() -> None:
    assert Failure.of(ModelDamaged(), Stage.LOAD, "source", 0.0).message == "ModelDamaged"


OWN = sorted(n for n, e in all_errors().items() if e.__module__ == EngineError.__module__)


@pytest.mark.parametrize("name", OWN)
def test_every_error_of_the_taxonomy_is_expected_and_has_a_name_for_callers(name: str) -> None:
    failure = Failure.of(all_errors()[name]("words"), Stage.STT, "source", 0.0)
    assert not failure.unexpected
    assert failure.trace is None
    renamed = {
        "ModelNotFound": "FileNotFoundError",
        "AudioNotFound": "FileNotFoundError",
        "OutOfMemory": "MemoryError",
    }
    assert failure.error_type == renamed.get(name, name)


def test_an_observer_that_breaks_does_not_break_the_call_nor_the_other_observers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(event: Event) -> None:
        raise OSError(28, f"No space left on device at {event}")

    events: list[Event] = []
    outcome = _chain(["damaged", "ok"], Attempts(Stage.STT, [broken, events.append]))
    assert outcome.source == "source1"
    assert [type(event) for event in events] == [AttemptFailed, StageSettled]
    told = [record for record in caplog.records if record.name == "stt.Observer"]
    assert [record.getMessage() for record in told] == [
        "observer failed on AttemptFailed",
        "observer failed on StageSettled",
    ]
    assert "No space left on device" in caplog.text


def test_what_is_captured_is_kept_and_what_is_no_exception_passes() -> None:
    with capture() as kept:
        raise ModelDamaged("kept")
    assert isinstance(kept.error, ModelDamaged)
    assert kept.raised is kept.error
    with capture() as kept:
        pass
    assert kept.error is None
    with pytest.raises(LookupError):
        _ = kept.raised
    with pytest.raises(KeyboardInterrupt), capture():
        raise KeyboardInterrupt


def test_an_event_carries_the_id_of_the_call_in_hand() -> None:
    assert Event().call_id is None
    token = request_id.set("call-1")
    try:
        assert Event().call_id == "call-1"
    finally:
        request_id.reset(token)


def test_an_observer_may_be_interrupted() -> None:
    def interrupted(_event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        emit([interrupted], Event())


def test_the_cause_is_never_a_source_that_could_not_take_part_unless_none_could() -> None:
    steps = ["skipped", "memory", "skipped", "damaged"]
    cause = _chain(steps, Attempts(Stage.STT, ())).cause
    assert cause is not None
    assert cause.error_type == "MemoryError"
    only = _chain(["skipped", "skipped"], Attempts(Stage.STT, ())).cause
    assert only is not None
    assert only.source == "source0"
    assert _chain([], Attempts(Stage.STT, ())).cause is None


def test_an_outcome_does_not_change_after_it_settled() -> None:
    attempts = Attempts(Stage.STT, ())
    with attempts.of("one"):
        raise ModelDamaged("x")
    outcome = attempts.settle("value", "two")
    with attempts.of("late"):
        raise ModelDamaged("late")
    assert [failure.source for failure in outcome.failures] == ["one"]
    with pytest.raises(AttributeError):
        outcome.source = "three"  # type: ignore[misc]


def test_elapsed_time_is_of_the_attempt_and_of_the_stage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with _clock(monkeypatch, [100.0, 101.0, 103.5, 110.0]):
        attempts = Attempts(Stage.STT, ())
        with attempts.of("slow"):
            raise ModelDamaged("x")
        outcome = attempts.settle("", DUMMY)
    assert outcome.failures[0].elapsed_sec == 2.5
    assert outcome.elapsed_sec == 10.0


@contextmanager
def _clock(monkeypatch: pytest.MonkeyPatch, ticks: list[float]) -> Iterator[None]:
    class _Time:
        monotonic = staticmethod(iter(ticks).__next__)

    with monkeypatch.context() as patched:
        patched.setattr("stt_engine.outcome.time", _Time)
        yield
