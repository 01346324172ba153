"""Whether what jobs depend on can be used is a metric each."""

from __future__ import annotations

import pytest

from api_server.jobs.events import (
    CasesTakenUp,
    CheckpointSent,
    CheckpointSigned,
    CheckpointUnsent,
    CheckpointUnsigned,
    ClockJumped,
    FolderAnswers,
    FolderFailing,
    RecordingsAnswer,
    RecordingsFailing,
    StoreAnswers,
    StoreFailing,
)
from api_server.observability.metrics import FailureMetrics
from stt_engine.events import Event, emit


@pytest.mark.parametrize(
    ("fails", "works", "name", "labels"),
    [
        (StoreFailing(reason="gone"), StoreAnswers(), "store_failing", {}),
        (RecordingsFailing(reason="gone"), RecordingsAnswer(), "recordings_failing", {}),
        (
            FolderFailing(folder="/a", reason="gone"),
            FolderAnswers(folder="/a"),
            "watch_folders_failing",
            {},
        ),
        (
            CheckpointUnsigned(reason="cut"),
            CheckpointSigned(),
            "checkpoint_failing",
            {"step": "sign"},
        ),
        (
            CheckpointUnsent(reason="away", after_sec=5.0),
            CheckpointSent(checkpoint="chk"),
            "checkpoint_failing",
            {"step": "send"},
        ),
    ],
)
def test_what_fails_is_seen_until_it_works(
    fails: Event, works: Event, name: str, labels: dict[str, str]
) -> None:
    metrics = FailureMetrics()
    for event, value in ((fails, 1.0), (works, 0.0)):
        emit([metrics], event)
        assert metrics.registry.get_sample_value(f"stt_engine_{name}", labels) == value


def test_what_happens_is_counted() -> None:
    metrics = FailureMetrics()
    emit([metrics], CasesTakenUp(queued=("a", "b"), failed=("c",)))
    emit([metrics], ClockJumped(seconds=-3600.0))
    sample = metrics.registry.get_sample_value
    assert sample("stt_engine_cases_taken_up_total") == 3.0
    assert sample("stt_engine_cases_total", {"end": "failed"}) == 1.0
    assert sample("stt_engine_clock_jumps_total") == 1.0
