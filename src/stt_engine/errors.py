"""What can go wrong, as a tree.

::

    EngineError                       error_type (the name callers see)
    ├── ModelError
    │   ├── ModelNotFound             FileNotFoundError
    │   ├── ModelDamaged
    │   ├── ModelFetchFailed
    │   ├── ModelsFull                other models are at work in all the memory there is
    │   ├── ModelTooLarge             it has no room beside the default one
    │   └── LanguageNotSupported
    ├── NotApplicable                 (this backend cannot take part; not a fault)
    │   ├── BackendUnavailable        its library is not installed
    │   └── ModelFormatAbsent         the folder holds another backend's format
    ├── BackendError
    │   ├── DeviceUnavailable
    │   ├── OutOfMemory               MemoryError
    │   ├── TranscriptionFailed
    │   └── EmptyTranscript
    ├── WorkerError
    │   ├── WorkerDied
    │   ├── DeadlineExceeded
    │   ├── WorkerCrashLoop
    │   ├── RecordingQuarantined
    │   ├── CallExpired
    │   └── ServerStopping
    ├── WorkspaceError                no room or no right to write temporary files
    ├── StorageUnresponsive           a file system gives no answer
    ├── ResourcesExhausted            no more open files or processes
    ├── AudioRejected                 (the caller's mistake)
    │   ├── AudioNotFound             FileNotFoundError
    │   ├── AudioUnreadable
    │   ├── AudioEmpty
    │   ├── NotAudio
    │   ├── AudioTruncated
    │   ├── AudioDamaged
    │   ├── AudioTooLarge
    │   ├── AudioTooLong
    │   └── AudioTooManyChannels
    └── InvalidRequest                (the caller's mistake)

Anything outside the tree that reaches :class:`stt_engine.outcome.Attempts` is a defect of
ours: it is still answered, but logged with a traceback and counted as unexpected.
"""

from __future__ import annotations


class EngineError(Exception):
    """Root of every failure that was foreseen.

    ``error_type`` is the name shown to callers, in logs and in metrics. It is the class name
    unless a class says otherwise (the original request names some built-in types).
    """

    error_type: str = "EngineError"

    logged = False
    """True once an inner stage (loading) has logged it, so that the outer one need not."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Return each class its own name as ``error_type`` unless it sets one."""
        super().__init_subclass__(**kwargs)
        if "error_type" not in cls.__dict__:
            cls.error_type = cls.__name__


class ModelError(EngineError):
    """The model folder or its use is wrong."""


class ModelNotFound(ModelError):
    """No model folder, or no weights in it."""

    error_type = "FileNotFoundError"


class ModelDamaged(ModelError):
    """The folder is there but a file is missing, half-written or contradicts another."""


class ModelFetchFailed(ModelError):
    """No source could deliver the model's files, whole and with the right hashes."""


class ModelsFull(ModelError):
    """The model has no room while calls are at work with others; later it may."""


class ModelTooLarge(ModelError):
    """The model has no room beside the default one."""


class LanguageNotSupported(ModelError):
    """The model does not know the language that was asked for."""


class NotApplicable(EngineError):
    """The backend cannot take part in this call; recorded, but never *the* cause."""


class BackendUnavailable(NotApplicable):
    """The backend's library is not installed."""


class ModelFormatAbsent(NotApplicable):
    """The folder holds a model, but not in this backend's format."""


class BackendError(EngineError):
    """A loaded library failed."""


class DeviceUnavailable(BackendError):
    """The device that was asked for is absent or could not be initialised."""


class OutOfMemory(BackendError):
    """Host or device memory ran out."""

    error_type = "MemoryError"


class TranscriptionFailed(BackendError):
    """The library raised while loading or transcribing; the message holds its own words."""


class EmptyTranscript(BackendError):
    """Speech was heard, but all that the model made of it had to be rejected."""


class WorkspaceError(EngineError):
    """Temporary files could not be written (disk full, permissions)."""


class StorageUnresponsive(EngineError):
    """A file system gives no answer (a dead mount)."""


class ResourcesExhausted(EngineError):
    """No more open files or processes are to be had; no file and no caller is at fault."""


class WorkerError(EngineError):
    """The child process that did the work is gone or silent."""


class WorkerDied(WorkerError):
    """The child process ended in the middle of a call (signal or exit code in the message)."""


class DeadlineExceeded(WorkerError):
    """The child process gave no answer within its bound, and was ended."""


class WorkerCrashLoop(WorkerError):
    """The child process died again and again, and is given a rest before its next start."""


class RecordingQuarantined(WorkerError):
    """The recording has ended the child process twice in a row, and is not tried again for now."""


class CallExpired(WorkerError):
    """The call's time, its wait included, was over before its turn came."""


class ServerStopping(WorkerError):
    """The server was told to stop, and the time that calls in hand have was over."""


class AudioRejected(EngineError):
    """The recording cannot be used; sending the same bytes again will not help."""


class AudioNotFound(AudioRejected):
    """No such file."""

    error_type = "FileNotFoundError"


class AudioUnreadable(AudioRejected):
    """The file is there but cannot be opened or read (a folder, permissions, I/O)."""


class AudioEmpty(AudioRejected):
    """Zero bytes, or not one sample of sound."""


class NotAudio(AudioRejected):
    """The content is not audio in any format that is read here."""


class AudioTruncated(AudioRejected):
    """The file ends well before the length its own header declares."""


class AudioDamaged(AudioRejected):
    """So much of the recording cannot be decoded that what is left would not be the call."""


class AudioTooLarge(AudioRejected):
    """More bytes than the limit."""


class AudioTooLong(AudioRejected):
    """More seconds than the limit."""


class AudioTooManyChannels(AudioRejected):
    """More tracks or channels of sound than the limit."""


class InvalidRequest(EngineError):
    """A parameter has no meaning here (for example an unknown language)."""


def all_errors() -> dict[str, type[EngineError]]:
    """Every class of the tree by class name, however deep."""
    found: dict[str, type[EngineError]] = {}
    todo: list[type[EngineError]] = [EngineError]
    while todo:
        cls = todo.pop()
        found[cls.__name__] = cls
        todo.extend(cls.__subclasses__())
    return found
