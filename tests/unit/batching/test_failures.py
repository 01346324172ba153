"""A failing chunk fails its own job only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from stt_engine.backends import recognition
from stt_engine.backends.base import SpeechChunk
from stt_engine.backends.batching import DynamicBatcher
from stt_engine.backends.recognition import pieces
from stt_engine.backends.vad import Samples, SpeechSpan
from stt_engine.errors import OutOfMemory, TranscriptionFailed
from tests.support.batching import (
    Job,
    Running,
    Watched,
    begun,
    by_itself,
    listening,
    loudness,
    owner,
    texts,
)
from tests.support.stub_model import channel_at, job_of, loud_spans


# Failures ---------------------------------------------------------------------------------
def _poisoned(number: int, error: Exception) -> Callable[[Sequence[SpeechChunk]], Exception | None]:
    """Break at the three-second stretch of a job."""

    def breaks(chunks: Sequence[SpeechChunk]) -> Exception | None:
        found = any(owner(one.samples) == number and one.seconds == 3 for one in chunks)
        return error if found else None

    return breaks


def test_a_shared_step_that_fails_is_repeated_with_the_leader_only(three: list[Job]) -> None:
    model = Watched(together=6)
    running = listening(model, three)
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
    running = listening(model, three)
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
    def spans(samples: Samples, _others: Sequence[Samples]) -> list[SpeechSpan]:
        if samples.max() > 0.5:
            raise RuntimeError("cannot be looked at")
        return loud_spans(samples)

    monkeypatch.setattr(recognition, "speech_spans", spans)
    model = Watched(together=8)
    gone = Path(channel_at(tmp_path / "gone", (1, 2), loud=30_000)).read_bytes()
    with Path(three[1]["files"][0]).open("ab") as file:
        file.write(gone)
    at_once = len(gone) // 2
    monkeypatch.setattr(
        recognition,
        "pieces",
        lambda raw: [(at, at + at_once) for at in range(0, len(raw), at_once)],
    )
    running = listening(model, three)
    running[0].step()  # looks past the end of the second job's first piece
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
    running = begun(model, three)
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
    place = DynamicBatcher(model, model.tell)
    running = [Running(model, job, place) for job in three]
    for one in running:
        one.step()
        one.step()
    assert running[1].ending == "FileNotFoundError"
    assert [listener.number for listener in place._streams] == [0, 2]


def test_what_stops_the_process_is_no_failure_of_a_step(three: list[Job]) -> None:
    """Ctrl-C in the child is not answered with a second try."""

    def interrupted(_stretches: Sequence[SpeechChunk]) -> Exception | None:
        raise KeyboardInterrupt

    model = Watched(together=6)
    running = listening(model, three)
    model.breaks = interrupted
    with pytest.raises(KeyboardInterrupt):
        running[0].step()
    assert [what for what, _ in model.events] == ["told", "heard"]
