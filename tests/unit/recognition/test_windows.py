"""A recording is processed in windows that lose and repeat nothing."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_engine.backends import recognition
from stt_engine.backends.base import RawSegment
from stt_engine.backends.recognition import pieces
from stt_engine.speech import SAMPLE_RATE
from tests.support.recognition_runs import collected, run, steps_of, told
from tests.support.stub_model import EchoModel, FakeModel, channel_at, job_of


# Pieces -----------------------------------------------------------------------------------
@settings(max_examples=60, deadline=None)
@given(
    seconds=st.floats(0, 200),
    limit=st.floats(1, 90),
    seed=st.integers(0, 2**32 - 1),
    quiet=st.booleans(),
)
def test_pieces_cover_everything_in_order_and_none_is_too_long(
    seconds: float, limit: float, seed: int, quiet: bool
) -> None:
    total = int(seconds * SAMPLE_RATE)
    samples = np.zeros(total, np.int16)
    if not quiet:
        samples[:] = np.random.default_rng(seed).integers(-32_768, 32_767, total, np.int16)
    found = list(pieces(samples, limit))
    assert [start for start, _ in found] == [0, *(end for _, end in found[:-1])][: len(found)]
    assert (found[-1][1] if found else 0) == total
    assert all(0 < end - start <= int(limit * SAMPLE_RATE) for start, end in found)


def test_no_samples_are_no_pieces() -> None:
    assert list(pieces(np.zeros(0, np.int16))) == []


def test_a_piece_is_cut_in_the_pause_and_not_in_a_word() -> None:
    samples = np.full(100 * SAMPLE_RATE, 5_000, np.int16)
    samples[50 * SAMPLE_RATE : 52 * SAMPLE_RATE] = 0
    (_, cut), *_ = pieces(samples, 60.0)
    assert 50 * SAMPLE_RATE <= cut <= 52 * SAMPLE_RATE


def test_a_long_call_is_heard_piece_by_piece_with_its_own_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognition, "pieces", lambda raw: pieces(raw, 40.0))
    file = channel_at(tmp_path / "a", (5, 8), (45, 48), (85, 88), seconds=100)
    model = FakeModel([[RawSegment(0.5, 2.5, text)] for text in ("하나", "둘", "셋")])
    so_far = collected(job_of(file))
    done = []
    for step in steps_of(model, job_of(file)):
        so_far.add(step, 1.0)
        done.append(so_far.done_sec)
    found = told(so_far)
    assert [(one["start"], one["end"], one["text"]) for one in found["segments"]] == [
        (5.5, 7.5, "하나"),
        (45.5, 47.5, "둘"),
        (85.5, 87.5, "셋"),
    ]
    assert done == sorted(done)
    assert done[-1] == so_far.work_sec == 100.0


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_job_that_goes_on_in_another_process_loses_and_repeats_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("resume")
    talks = [[(s, s + 1) for s in range(1, 30, gap)] for gap in data.draw(_GAPS)]
    files = [
        channel_at(folder / str(number), *spans, seconds=32) for number, spans in enumerate(talks)
    ]
    translate, language = data.draw(st.booleans()), data.draw(st.sampled_from(["ko", "auto"]))
    job = job_of(*files, translate=translate, language=language)
    together = data.draw(st.integers(1, 5))

    def model() -> FakeModel:
        return EchoModel(together=together)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recognition, "pieces", lambda raw: pieces(raw, 11.0))
        whole = run(model(), job)
        so_far = collected(job)
        while True:
            lives = data.draw(st.integers(1, 9))
            steps = list(islice(steps_of(model(), so_far.job()), lives + 1))
            for step in steps[:lives]:
                so_far.add(step, 0.0)
            if len(steps) <= lives:
                break
            if lives == 1:  # the first step only tells who listens: no progress for ever
                so_far.add(steps[1], 0.0)
    assert told(so_far) == whole
    assert so_far.done_sec == so_far.work_sec


_GAPS = st.lists(st.sampled_from([2, 3, 7]), min_size=1, max_size=2)
