"""What a drill is, and the benches: servers with the settings that some faults need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from api_server.drill.scene import Scene

Settings = Mapping[str, str]


@dataclass(frozen=True)
class Bench:
    """A server that several drills share: the settings that their faults need."""

    name: str
    settings: Settings = field(default_factory=dict)
    ready: bool = True
    """False where it cannot become ready: that is the fault."""
    remote: bool = False
    """Its first recogniser is a server of the drill's own (``STT_REMOTE_URL``)."""


@dataclass(frozen=True)
class Drill:
    """One fault and what is promised for it.

    ``covers`` names the error classes that it makes happen: one that is not seen is a failure.
    ``shows`` names the headings and rows of ``docs/fallback.md`` that it proves.
    """

    name: str
    promised: str
    run: Callable[[Scene], None]
    bench: Bench
    covers: Sequence[str] = ()
    shows: Sequence[str] = ()
    outside: bool = False
    """It can be done to a server that is not the drill's own."""
    asks_agent: bool = False
    """It needs a server that may ask an LLM server of the drill's."""
    needs: Callable[[], str | None] = lambda: None
    """Why it cannot be done on this machine, if it cannot."""


PLAIN = Bench(
    "plain",
    {
        "AUDIO_MAX_BYTES": "3000000",
        "AUDIO_MAX_DURATION_SEC": "60",
        "STT_STALL_TIMEOUT_SEC": "5",
    },
)
SMALL = Bench(
    "small",
    {
        "LOG_FILE": "/dev/full",
        "QUEUE_MAX_WAITING": "0",
        "CIRCUIT_FAILURE_THRESHOLD": "5",
        "CIRCUIT_RECOVERY_TIMEOUT_SEC": "6",
        "STOP_GRACE_SEC": "0",
    },
)
REMOTE = Bench(
    "remote",
    {"CIRCUIT_FAILURE_THRESHOLD": "1000", "STT_STALL_TIMEOUT_SEC": "3"},
    ready=False,
    remote=True,
)
LEAKING = Bench("leaking", {"STT_WORKER_RECYCLE_MB": "0"})
CROWDED = Bench(
    "crowded",
    {
        "STT_BACKENDS": "faster-whisper",
        "STT_MIN_TRANSCRIBE_SEC": "1",
        "STT_MAX_REALTIME_FACTOR": "2",
        "QUEUE_MAX_WAIT_SEC": "3",
    },
)
HURRIED = Bench(
    "hurried",
    {"STT_MIN_TRANSCRIBE_SEC": "0.1", "STT_MAX_REALTIME_FACTOR": "0.001"},
    ready=False,
)
LITTLE_MEMORY = Bench("little memory", {"STT_WORKER_MEMORY_MB": "600"}, ready=False)
NO_DEVICE = Bench("no device", {"STT_DEVICE": "cuda"}, ready=False)

OVER_THERE = "needs the server's files, processes or settings: drill without --url on its machine"
"""Why most drills are left out with ``--url``."""
