"""The words of the scanners: a part of a file that is one container, and what it says of itself."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from mmap import mmap
from typing import Any, Literal

from stt_engine.audio.file_bytes import FileBytes
from stt_engine.audio.window import Piece
from stt_engine.coverage import Whole

NO_LENGTH = "no_length"
"""A note of a part: its format could declare a length, this one does not, and FFmpeg guesses."""

NO_INDEX = "no_index"
"""A note of an MP4: the box without which nobody knows where in the file its sound is."""

EDIT_LIST = "edit_list"
"""A note of an MP4: an edit list hides, repeats or moves sound, and another stands over it."""

ANY_BYTES = frozenset({"amrnb", "amrwb", "g722", "g726", "gsm"})
"""Formats of frames without a mark, for which FFmpeg takes a page of text: no proof of sound."""

Bytes = mmap | bytes | FileBytes
"""A file's bytes, mapped into memory where there is room; a slice of it is bytes."""


Begins = Callable[[Bytes, int, int], int]
"""Returns where between two places another file provably begins, or the second of them."""


def unpack_from(form: str, data: Bytes, at: int) -> tuple[Any, ...]:
    """Return the numbers at ``at``, as :func:`struct.unpack_from` does for a buffer."""
    return struct.unpack(form, data[at : at + struct.calcsize(form)])


@dataclass(frozen=True, slots=True)
class Hole:
    """Bytes that are lost, at ``offset`` of the window; ``seconds`` where no time stamp tells.

    With a ``stream`` they are a pause of that one alone, which its recorder wrote down as such.
    """

    offset: int
    lost_bytes: int
    seconds: float = 0.0
    stream: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One container in a file.

    ``present_share`` is how much of what its header declares in bytes is there; ``None`` where it
    declares none. ``declared_sec`` is a length from its header that is no estimate. ``late`` says
    of each stream: what FFmpeg takes for the time before the first number, in seconds, is later by
    the second.
    """

    kind: str
    pieces: tuple[Piece, ...]
    end: int
    whole: Whole = "unknown"
    present_share: float | None = None
    declared_sec: float | None = None
    holes: tuple[Hole, ...] = ()
    estimate_sec: float | None = None
    origin: Literal["zero", "first"] = "zero"
    notes: tuple[str, ...] = field(default=())
    late: tuple[tuple[float, float], ...] = ()
