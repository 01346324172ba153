"""What jobs tell their observers."""

from __future__ import annotations

from dataclasses import dataclass

from stt_engine.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTaken(Event):
    """A job was taken: it survives this process from now on."""

    job: str
    cases: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEnded(Event):
    """A case has ended as ``state``, so many seconds after it came."""

    case: str
    job: str
    state: str
    seconds: float
    wait_sec: float
    """Seconds until it was begun this time."""
    error_type: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePutBack(Event):
    """A case waits for its next try, because this machine could not."""

    case: str
    tries: int
    after_sec: float
    error_type: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CasesTakenUp(Event):
    """Whoever worked on these cases has disappeared: they wait again, or are given up."""

    queued: tuple[str, ...]
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLost(Event):
    """A result was not taken: the job was cancelled, or another server has the case."""

    case: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailing(Event):
    """The store of jobs cannot be used; calls are answered all the same."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreAnswers(Event):
    """The store of jobs can be used again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingsFailing(Event):
    """Recordings of jobs cannot be kept or read; calls are answered all the same."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingsAnswer(Event):
    """Recordings can be kept again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockJumped(Event):
    """The machine's clock was set by so many seconds, or the machine has slept."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRevised(Event):
    """A missing stage was completed: the case has another answer, and keeps those before."""

    case: str
    job: str
    revision: int
    completed: tuple[str, ...]
    missing: tuple[str, ...]
    """What the new answer still lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairPutBack(Event):
    """The dependency was thought to be back, and is not; the repair waits again."""

    case: str
    after_sec: float
    error_type: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairsGivenUp(Event):
    """These answers stay as they are."""

    cases: tuple[str, ...]
    error_type: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallKept(Event):
    """A call was answered in part, and is kept to be completed."""

    case: str
    missing: tuple[str, ...]
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNotKept(Event):
    """A call was answered in part and could not be kept: it stays as it was answered."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivered(Event):
    """A webhook has arrived."""

    webhook: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookPutBack(Event):
    """A webhook has not arrived, and is sent again."""

    webhook: str
    what: str
    error: str
    after_sec: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDead(Event):
    """A webhook has not arrived, and is not sent again by itself."""

    webhook: str
    what: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTaken(Event):
    """A file of a watched folder was taken; ``known``: its content had been before."""

    name: str
    job: str
    known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUnreadable(Event):
    """A file of a watched folder cannot be read; it is tried again."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderFailing(Event):
    """A watched folder cannot be listed: nothing of it is taken."""

    folder: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderAnswers(Event):
    """A watched folder can be listed again."""

    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSigned(Event):
    """The log was signed, and that was written down on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointUnsigned(Event):
    """The log could not be signed, or that could not be written down."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSent(Event):
    """A checkpoint of the log has arrived where it is kept outside of this machine."""

    checkpoint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointUnsent(Event):
    """The latest checkpoint has not arrived; it is sent again after ``after_sec`` seconds."""

    reason: str
    after_sec: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarUnusable(Event):
    """What stands beside a recording cannot be used; the recording is taken without it."""

    name: str
    reason: str
