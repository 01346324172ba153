"""Memory limits of the child."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from stt_engine.errors import (
    OutOfMemory,
    WorkerDied,
)
from stt_engine.workers.process import WorkerLimits
from stt_engine.workers.worker import Worker
from tests.support import sounds
from tests.support.workers import decode


# Memory -----------------------------------------------------------------------------------
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS binds on Linux only")
def test_memory_that_runs_out_in_the_child_is_named_memory_error(tmp_path: Path) -> None:
    """A real ceiling, put on the running child: the next big allocation fails."""
    import resource  # noqa: PLC0415

    worker = Worker("audio", WorkerLimits(memory_mb=2048))
    try:
        decode(worker, sounds.sine(tmp_path / "a.wav", 0.2), tmp_path)
        pid = worker.pid
        assert pid is not None
        room = psutil.Process(pid).memory_info().vms + (4 << 20)
        resource.prlimit(pid, resource.RLIMIT_AS, (room, room))
        # A name of 40 MB: reading the job itself needs more than there is.
        with pytest.raises((OutOfMemory, WorkerDied)):
            decode(worker, "x" * (40 << 20), tmp_path)
    finally:
        worker.close()


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS binds on Linux only")
@pytest.mark.parametrize("memory_mb", [100, 150, 200])
def test_a_ceiling_too_low_for_the_decoder_is_an_honest_failure(
    short: Path, tmp_path: Path, memory_mb: int
) -> None:
    worker = Worker("audio", WorkerLimits(memory_mb=memory_mb))
    try:
        with pytest.raises((OutOfMemory, WorkerDied)):
            decode(worker, short, tmp_path)
    finally:
        worker.close()


def test_a_memory_error_of_the_child_is_no_defect_of_ours() -> None:
    from stt_engine.workers.worker import _rebuilt  # noqa: PLC0415

    told = {"error": "MemoryError", "error_type": "MemoryError", "message": "m", "trace": "t"}
    assert type(_rebuilt(told)) is OutOfMemory
