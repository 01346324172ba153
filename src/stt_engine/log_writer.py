"""Where log lines end up. Each log has a thread that writes it; whoever logs never waits for it.

A log may stand still for ever: a FIFO that nobody reads, a dead mount, a pager that was stopped.
Its lines then wait up to a bound; what does not fit is lost, counted, and told once it can be
written.
"""

from __future__ import annotations

import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

MOST_WAITING = 4 * 1024 * 1024
"""Characters of lines that wait for one log."""

FILE_BYTES = 10 * 1024 * 1024
FILE_COUNT = 5
"""A file of so many bytes is rotated; so many old ones are kept."""

STANDS_STILL = "stands still"
"""The reason of lines that were lost because no more may wait."""

_SILENCE_SEC = 60.0

_Entry = str | int | Callable[[], None]
"""A line, the number of lines that are lost at this place, or work on the sink."""


class Sink(Protocol):
    """What lines are written to. Every method may wait for ever, or raise ``OSError``."""

    name: str

    def open(self) -> None:
        """Open it, or open it anew."""
        ...

    def write(self, line: str) -> None:
        """Write one line, which has no end of line yet."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class StreamSink:
    """A stream such as stdout. Its own buffer is left out: a lock of it would be held for ever."""

    name = "stdout"

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def open(self) -> None:
        """Do nothing: it is open."""

    def write(self, line: str) -> None:
        """Write one line; see :class:`Sink`."""
        try:
            descriptor = self._stream.fileno()
        except (OSError, ValueError, AttributeError):  # in memory, or closed
            self._stream.write(f"{line}\n")
            self._stream.flush()
            return
        coding = getattr(self._stream, "encoding", None) or "utf-8"
        _, error = _write(descriptor, f"{line}\n".encode(coding, "backslashreplace"))
        if error is not None:
            raise error

    def close(self) -> None:
        """Do nothing: it is not ours."""


class FileSink:
    """A file that is rotated, where it is one; a device or a FIFO is only written."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._torn = False

    def open(self) -> None:
        """Open it, or open it anew; see :class:`Sink`."""
        self.close()
        self._descriptor = self._open()

    def write(self, line: str) -> None:
        """Write one line; see :class:`Sink`. A part of one that could not be written stays one."""
        start = "\n" if self._torn else ""
        data = f"{start}{line}\n".encode("utf-8", "backslashreplace")
        descriptor = self._opened()
        if self._is_full(descriptor, len(data)):
            self._rotate()
            descriptor = self._opened()
        left, error = _write(descriptor, data)
        if error is not None:
            self._torn = self._torn or len(left) < len(data)
            raise error
        self._torn = False

    def close(self) -> None:
        """Let go of it; the next line opens it by its name."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _opened(self) -> int:
        if self._descriptor is None:
            self._descriptor = self._open()
        return self._descriptor

    def _open(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOCTTY", 0)
        return os.open(self._path, flags, 0o666)

    def _is_full(self, descriptor: int, more: int) -> bool:
        found = os.fstat(descriptor)
        return stat.S_ISREG(found.st_mode) and 0 < found.st_size > FILE_BYTES - more

    def _rotate(self) -> None:
        self.close()
        names = [self._path, *(Path(f"{self._path}.{n}") for n in range(1, FILE_COUNT + 1))]
        for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
            if newer.exists():
                newer.replace(older)


def _write(descriptor: int, data: bytes) -> tuple[bytes, OSError | None]:
    """Write ``data``, however long that takes; return what could not be written, and why."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # somebody else made it non-blocking: wait all the same
            select.select([], [descriptor], [])
        except OSError as exc:
            return data, exc
    return b"", None


class LineWriter:
    """Writes the lines of one log in a thread of its own.

    Args:
        sink: what they are written to.
        regret: makes the line that tells how many lines before it are lost.
        complain: is told the reason when lines are lost, at most once a minute; it may not wait.
        refused: is told why the log cannot be opened; it is left out until :meth:`reopen`.
    """

    def __init__(
        self,
        sink: Sink,
        regret: Callable[[int], str],
        complain: Callable[[str], None],
        refused: Callable[[Exception], None],
    ) -> None:
        self._sink = sink
        self._regret, self._complain, self._refused = regret, complain, refused
        self._changed = threading.Condition()  # of an RLock: a signal handler may log
        self._waiting: deque[_Entry] = deque()
        self._room = MOST_WAITING
        self._busy = False
        self._untold = 0
        self._told_at = float("-inf")
        self._left_out = self._ended = False
        self.lost = 0
        """Lines that were not written."""
        self.opened = threading.Event()
        """Set once it is known whether the log can be opened."""
        self._waiting.append(self._open)
        name = f"log-{sink.name}"
        threading.Thread(target=self._write_all, name=name, daemon=True).start()

    def put(self, line: str) -> None:
        """Have ``line`` written; where no more may wait, it is lost."""
        with self._changed:
            if self._left_out or self._ended:
                return
            if len(line) <= self._room:
                self._tell_untold()
                self._room -= len(line)
                self._waiting.append(line)
                self._changed.notify_all()
                return
            self._lose(1)
        self.complain(STANDS_STILL)

    def lose(self, reason: str) -> None:
        """Count a line that could not even be made."""
        with self._changed:
            self._lose(1)
        self.complain(reason)

    def complain(self, reason: str) -> None:
        """Have the other logs told that lines are lost here, unless they were lately."""
        with self._changed:
            now = time.monotonic()
            if now - self._told_at < _SILENCE_SEC:
                return
            self._told_at = now
        self._complain(reason)

    def reopen(self) -> None:
        """Open the log anew, once what waits is written."""
        with self._changed:
            self._left_out = False
            self._waiting.append(self._open)
            self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until every line is written, ``seconds`` at most; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._waiting or self._busy), seconds)

    def end(self) -> None:
        """Have the thread end once what waits is written; nobody waits for that."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _lose(self, lines: int) -> None:
        self.lost += lines
        self._untold += lines

    def _tell_untold(self) -> None:
        """Put the number of lost lines where they are missing."""
        if self._untold:
            self._waiting.append(self._untold)
            self._untold = 0

    def _write_all(self) -> None:
        while (entry := self._next()) is not None:
            try:
                self._do(entry)
                done = True
            except Exception as exc:  # noqa: BLE001 - a log that breaks breaks nothing else
                self._failed(entry, exc)
                done = False
            with self._changed:
                self._room += len(entry) if isinstance(entry, str) else 0
                self._busy = False
                if done and not self._waiting:
                    self._tell_untold()
                self._changed.notify_all()
        with suppress(OSError):
            self._sink.close()

    def _next(self) -> _Entry | None:
        """Wait for what comes next; ``None`` once nothing will."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            self._busy = bool(self._waiting)
            return self._waiting.popleft() if self._waiting else None

    def _do(self, entry: _Entry) -> None:
        match entry:
            case str():
                self._sink.write(entry)
            case int():
                self._sink.write(self._regret(entry))
            case _:
                entry()

    def _failed(self, entry: _Entry, error: Exception) -> None:
        with self._changed:
            if isinstance(entry, str):
                self._lose(1)
            elif isinstance(entry, int):
                self._untold += entry
        self.complain(type(error).__name__)

    def _open(self) -> None:
        try:
            self._sink.open()
        except OSError as exc:
            with self._changed:
                self._left_out, self._room = True, MOST_WAITING
                self._waiting.clear()
            self._refused(exc)
        finally:
            self.opened.set()
