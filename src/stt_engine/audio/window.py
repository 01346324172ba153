"""A file as a demuxer is to see it: ranges of the real one, and bytes put in place of others."""

from __future__ import annotations

import os
import time
from bisect import bisect_right
from dataclasses import dataclass

from stt_engine.errors import AudioUnreadable
from stt_engine.native_errors import raise_machines_own


@dataclass(frozen=True, slots=True)
class Range:
    """Bytes ``start`` up to ``end`` of the real file."""

    start: int
    end: int

    def __len__(self) -> int:
        """Return how many bytes there are."""
        return self.end - self.start


Piece = Range | bytes


class Window:
    """A read-only binary file made of pieces; what a hostile header asks for cannot leave it."""

    def __init__(self, descriptor: int, pieces: tuple[Piece, ...]) -> None:
        """Take an open file and what of it is to be seen, in order."""
        self._descriptor = descriptor
        self._pieces = pieces
        self._starts = [0]
        for piece in pieces:
            self._starts.append(self._starts[-1] + len(piece))
        self._at = 0
        self._deadline: float | None = None

    @property
    def size(self) -> int:
        """The length that a demuxer sees."""
        return self._starts[-1]

    def bound(self, seconds: float | None) -> None:
        """Let reading fail after ``seconds`` from now; ``None`` takes the bound away."""
        self._deadline = None if seconds is None else time.monotonic() + seconds

    def read(self, count: int = -1) -> bytes:
        """Return up to ``count`` bytes; fewer only at a seam or the end.

        Raises:
            AudioUnreadable: the time of :meth:`bound` is over, or the disk fails.
        """
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise AudioUnreadable("its header takes too long to read")
        left = self.size - self._at
        if left <= 0:
            return b""
        number = bisect_right(self._starts, self._at) - 1
        piece, inside = self._pieces[number], self._at - self._starts[number]
        wanted = min(len(piece) - inside, left if count < 0 else count)
        found = self._taken(piece, inside, wanted)
        self._at += len(found)
        return found

    def _taken(self, piece: Piece, inside: int, wanted: int) -> bytes:
        if isinstance(piece, bytes):
            return piece[inside : inside + wanted]
        try:
            return os.pread(self._descriptor, wanted, piece.start + inside)
        except OSError as exc:
            raise_machines_own(exc)
            raise AudioUnreadable(f"cannot be read: {exc.strerror}") from exc

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a position; behind the end there is nothing to read.

        Raises:
            AudioUnreadable: one before the start, as a damaged or hostile index has it.
        """
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise AudioUnreadable("its index points outside of the file")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def readable(self) -> bool:
        """Return true: it can be read."""
        return True

    def seekable(self) -> bool:
        """Return true: it can be read in any order."""
        return True
