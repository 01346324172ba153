"""Exceptions of the native libraries and of the system, in the taxonomy's terms."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from stt_engine.errors import (
    BackendError,
    DeviceUnavailable,
    EngineError,
    OutOfMemory,
    ResourcesExhausted,
    StorageUnresponsive,
    TranscriptionFailed,
)

_MEMORY = (
    "out of memory",
    "bad_alloc",
    "cannot allocate memory",
    "failed to allocate",
    "defaultcpuallocator",
    "failed to map segment",
    "can't start new thread",  # no room for its stack
)
_LIBRARIES = (RuntimeError, ValueError, OSError, KeyError, IndexError, ImportError)
_DEVICE = ("cuda", "cudnn", "cublas", "no kernel image", "mps backend", "unsupported device")

_MACHINES_OWN: dict[int, type[EngineError]] = {
    errno.ENOMEM: OutOfMemory,
    errno.EMFILE: ResourcesExhausted,
    errno.ENFILE: ResourcesExhausted,
    errno.EAGAIN: ResourcesExhausted,  # no more processes or threads
    errno.ESTALE: StorageUnresponsive,
    errno.ENOTCONN: StorageUnresponsive,
    errno.ETIMEDOUT: StorageUnresponsive,
    errno.EHOSTDOWN: StorageUnresponsive,
}

CANNOT_TELL = (OutOfMemory, ResourcesExhausted, StorageUnresponsive)
"""Errors of this machine, which say nothing about the file that was to be looked at."""


def raise_machines_own(exc: OSError, what: str = "") -> None:
    """Return where ``exc`` says something about the file that was asked for.

    ``what`` is what could not be done, for the message.

    Raises:
        EngineError: one of :data:`CANNOT_TELL`, where it is about this machine.
    """
    kind = _MACHINES_OWN.get(exc.errno or 0)
    if kind is not None:
        raise kind(f"{what}: {exc.strerror}".removeprefix(": ")) from exc


@contextmanager
def native_errors() -> Iterator[None]:
    """Turn what CTranslate2, onnxruntime, torch or a tokenizer raises into a ``BackendError``.

    The libraries have no exception types of their own for these cases, only words
    (``RuntimeError: CUDA out of memory``, ``ValueError: This CTranslate2 package was not ...``).
    """
    try:
        yield
    except MemoryError as exc:
        raise OutOfMemory(str(exc) or "memory ran out") from exc
    except Exception as exc:
        if isinstance(exc, OSError):
            raise_machines_own(exc)
        # tokenizers raises Exception itself; other types are defects of ours.
        if not isinstance(exc, _LIBRARIES) and type(exc) is not Exception:
            raise
        raise _named(exc) from exc


def _named(exc: Exception) -> BackendError:
    words = f"{type(exc).__name__}: {exc}"
    if isinstance(exc.__cause__, Exception):  # what the library itself stumbled over
        words += f" ({type(exc.__cause__).__name__}: {exc.__cause__})"
    lowered = words.lower()
    if any(sign in lowered for sign in _MEMORY):
        return OutOfMemory(words)
    if any(sign in lowered for sign in _DEVICE):
        return DeviceUnavailable(words)
    return TranscriptionFailed(words)
