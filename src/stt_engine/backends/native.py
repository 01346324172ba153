"""Exceptions of the native libraries, in the taxonomy's terms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stt_engine.errors import BackendError, DeviceUnavailable, OutOfMemory, TranscriptionFailed

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
