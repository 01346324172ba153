"""The backends of each model: the default one's, and those of others while they are used.

The default model is here for good. Another one comes with the first call that names it, stays for
the next ones, and goes when it was not used for long or when its memory is needed. All of them
together keep below a bound, in which the default one always has its place.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stt_engine.errors import ModelsFull, ModelTooLarge, ServerStopping
from stt_engine.events import ModelUnloaded, Observer, UnloadReason, emit
from stt_engine.limits import Limits
from stt_engine.model_store.installed import files_mb, name_at
from stt_engine.outcome import capture
from stt_engine.recognition.backend import IsolatedBackend
from stt_engine.speech import SpeechBackend
from stt_engine.system.file_threads import FileThreads

AT_WORK_MB = 700.0
"""What a model's process holds beside its weights while it works, in MiB: base, with files of 141,
held 881 (measured). What it really holds counts where that is more."""

Build = Callable[[Path], tuple[IsolatedBackend, ...]]
"""Returns new backends for the model of a folder, none of them loaded."""


@dataclass(eq=False)
class _Resident:
    """Another model's backends, how many calls have them now, and since when nobody has."""

    folder: Path
    backends: tuple[IsolatedBackend, ...]
    least_mb: float
    users: int = 0
    left_at: float = 0.0
    timer: threading.Timer | None = None

    @property
    def held_mb(self) -> float:
        return max(self.least_mb, _measured_mb(self.backends))


@dataclass
class Chains:
    """Hands out the backends of a model to a call, and keeps those of all within their bounds.

    Args:
        folder: the default model's.
        build: makes the backends of another one.
        limits: ``models_memory_mb`` and ``model_idle_sec``.
        observers: told of each model that is unloaded.
        first: tried before the default model's own backends.
    """

    folder: Path
    build: Build
    limits: Limits
    observers: Iterable[Observer] = ()
    first: SpeechBackend | None = None
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _others: dict[Path, _Resident] = field(init=False, default_factory=dict)
    _stopped: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Build the default model's backends."""
        self._disk = FileThreads("the models' folder")
        self._own = self.build(self.folder)
        self.default: tuple[SpeechBackend, ...] = (
            (self.first, *self._own) if self.first else self._own
        )

    @contextmanager
    def held(self, folder: Path | None) -> Iterator[tuple[SpeechBackend, ...]]:
        """Keep the backends of a model for a call; ``None`` is the default one.

        Raises:
            ModelsFull: no memory is left for it while other calls use theirs.
            ModelTooLarge: beside the default model it will never have room.
            ServerStopping: nothing is begun any more.
        """
        if folder is None or folder == self.folder:
            yield self.default
            return
        needs = tuple(self._least_mb(one) for one in (self.folder, folder))
        one = self._entered(folder, *needs)
        try:
            yield one.backends
        finally:
            self._left(one, needs[0])

    def others(self) -> list[tuple[str, IsolatedBackend]]:
        """Return the backends of other models that have a process, each with its model's name."""
        residents = list(self._others.values())
        return [
            (name_at(one.folder), backend)
            for one in residents
            for backend in one.backends
            if backend.pid is not None
        ]

    def close(self) -> None:
        """Free what is held; a later call takes it again."""
        for backend in self.default:
            backend.close()
        with self._lock:
            for one in list(self._others.values()):
                self._forget(one)

    def stop(self) -> None:
        """Fail calls in hand and to come at once."""
        self._stopped = True
        with self._lock:
            residents = list(self._others.values())
        for backends in (self.default, *(one.backends for one in residents)):
            for backend in backends:
                backend.stop()

    def _entered(self, folder: Path, own_mb: float, need_mb: float) -> _Resident:
        with self._lock:
            if self._stopped:
                raise ServerStopping("the server is stopping")
            one = self._others.get(folder)
            if one is None:
                self._make_room(folder, own_mb, need_mb)
                one = self._others[folder] = _Resident(folder, self.build(folder), need_mb)
            one.users += 1
            if one.timer is not None:
                one.timer.cancel()
                one.timer = None
            return one

    def _left(self, one: _Resident, own_mb: float) -> None:
        """Note that a call has it no more; what grew beyond the bound meanwhile goes now."""
        with self._lock:
            one.users -= 1
            one.left_at = time.monotonic()
            if self._others.get(one.folder) is not one:
                _close(one)  # all was closed under a call, which may have begun anew since
            elif one.users == 0:
                one.timer = threading.Timer(self.limits.model_idle_sec, self._idle, [one])
                one.timer.daemon = True
                one.timer.start()
            self._unload_until(own_mb, 0.0)

    def _idle(self, one: _Resident) -> None:
        with self._lock:
            if one.users == 0 and self._others.get(one.folder) is one:
                self._unload(one, "idle")

    def _make_room(self, folder: Path, own_mb: float, need_mb: float) -> None:
        """Unload what nobody uses, the longest unused first, until ``need_mb`` MiB fit."""
        bound, own = self.limits.models_memory_mb, max(own_mb, _measured_mb(self._own))
        words = f"{name_at(folder)} needs about {need_mb:.0f} MiB"
        bounded = f"STT_MODELS_MEMORY_MB={bound:g}"
        if own + need_mb > bound:
            raise ModelTooLarge(f"{words}, the default model {own:.0f}, and {bounded}")
        busy = sum(one.held_mb for one in self._others.values() if one.users)
        if own + busy + need_mb > bound:
            raise ModelsFull(f"{words}, models at work hold {own + busy:.0f}, and {bounded}")
        self._unload_until(own_mb, need_mb)

    def _unload_until(self, own_mb: float, need_mb: float) -> None:
        own = max(own_mb, _measured_mb(self._own))
        unused = [one for one in self._others.values() if not one.users]
        for one in sorted(unused, key=lambda one: one.left_at):
            held = sum(one.held_mb for one in self._others.values())
            if own + held + need_mb <= self.limits.models_memory_mb:
                return
            self._unload(one, "room")

    def _unload(self, one: _Resident, reason: UnloadReason) -> None:
        self._forget(one)
        emit(self.observers, ModelUnloaded(model=name_at(one.folder), reason=reason))

    def _forget(self, one: _Resident) -> None:
        del self._others[one.folder]
        if one.timer is not None:
            one.timer.cancel()
        _close(one)

    def _least_mb(self, folder: Path) -> float:
        """Return what a model holds at work, by its files; a load finds out what is wrong."""
        with capture():
            return AT_WORK_MB + self._disk.run(lambda: files_mb(folder))
        return AT_WORK_MB


def _measured_mb(backends: Iterable[IsolatedBackend]) -> float:
    return sum(one.memory_mb for one in backends)


def _close(one: _Resident) -> None:
    for backend in one.backends:
        with capture():  # one that cannot be closed keeps no other from it
            backend.close()
