"""What a scenario is, and the server profiles: the settings that its faults need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from stt_tools.drill.experiment import Experiment
from stt_tools.drill.surroundings import Around, alone, remote_recogniser

Settings = Mapping[str, str]


@dataclass(frozen=True)
class ServerProfile:
    """A server that several scenarios share: the settings that their faults need."""

    name: str
    settings: Settings = field(default_factory=dict)
    ready: bool = True
    """False where the fault is that it cannot become ready."""
    around: Around = alone
    """Starts what it depends on."""


@dataclass(frozen=True)
class Scenario:
    """One fault to inject, and what is expected of the server under it.

    ``covers`` names the error classes that it provokes: one that is not observed is a failure.
    ``shows`` names the headings and rows of ``docs/fallback.md`` that it demonstrates.
    """

    name: str
    expected: str
    run: Callable[[Experiment], None]
    profile: ServerProfile
    covers: Sequence[str] = ()
    shows: Sequence[str] = ()
    external: bool = False
    """It can run against a server that the drill did not start (``--url``)."""
    needs_agent: bool = False
    """The server has to be allowed to call the drill's LLM server."""
    precondition: Callable[[], str | None] = lambda: None
    """Return why it cannot run on this machine, or None."""


PLAIN = ServerProfile(
    "plain",
    {
        "AUDIO_MAX_BYTES": "3000000",
        "AUDIO_MAX_DURATION_SEC": "60",
        "STT_STALL_TIMEOUT_SEC": "5",
    },
)
SMALL = ServerProfile(
    "small",
    {
        "LOG_FILE": "/dev/full",
        "QUEUE_MAX_WAITING": "0",
        "CIRCUIT_FAILURE_THRESHOLD": "5",
        "CIRCUIT_RECOVERY_TIMEOUT_SEC": "6",
        "STOP_GRACE_SEC": "0",
    },
)
REMOTE = ServerProfile(
    "remote",
    {"CIRCUIT_FAILURE_THRESHOLD": "1000", "STT_STALL_TIMEOUT_SEC": "3"},
    ready=False,
    around=remote_recogniser,
)
LEAKING = ServerProfile("leaking", {"STT_WORKER_RECYCLE_MB": "0"})
CROWDED = ServerProfile(
    "crowded",
    {
        "STT_BACKENDS": "faster-whisper",
        "STT_MIN_TRANSCRIBE_SEC": "1",
        "STT_MAX_REALTIME_FACTOR": "2",
        "QUEUE_MAX_WAIT_SEC": "3",
    },
)
HURRIED = ServerProfile(
    "hurried",
    {"STT_MIN_TRANSCRIBE_SEC": "0.1", "STT_MAX_REALTIME_FACTOR": "0.001"},
    ready=False,
)
LITTLE_MEMORY = ServerProfile("little memory", {"STT_WORKER_MEMORY_MB": "600"}, ready=False)
NO_DEVICE = ServerProfile("no device", {"STT_DEVICE": "cuda"}, ready=False)

NEEDS_LOCAL_SERVER = (
    "needs the server's files, processes or settings: drill without --url on its machine"
)
"""Why most scenarios are skipped with ``--url``."""
