"""MP4 edit lists: sound of the file that a player leaves out, repeats or plays in another order.

All of it is heard once, in the order of the file: nobody said it twice. A list that only says when
the sound begins is kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from stt_engine.audio.parts import Bytes, unpack_from

HIDES_SEC = 0.5
"""More than that is hidden on purpose, whatever the codec."""

_DELAY_PACKETS, _PADDING_PACKETS = 2.6, 2
"""An encoder's delay before the sound and the padding behind it are hidden in every file."""

_ROUNDED_SEC = 0.02
"""Edits are written in units of the movie, which are often milliseconds."""

_HEAD = 8
_WIDE = ">Qq4s"
_LONGEST = 0xFFFFFFFF
_RATE = b"\0\1\0\0"
_MAX_BOXES = 10_000
_MAX_EDITS = 100_000
Box = tuple[bytes, int, int]
"""A box's name, and where its content begins and ends."""

Patch = tuple[int, bytes]
"""Where in the file other bytes are to be seen, and which."""


def corrections(data: Bytes, start: int, end: int) -> list[Patch]:
    """Return what to put over the edit lists of the ``moov`` box with this content, in order.

    A list that hides, repeats or moves sound is made one that plays all of it once, and that of
    another track is left. The sound that is played first keeps its time where there is room.
    """
    try:
        return [patch for one in _tracks(data, start, end) if (patch := one.correction())]
    except struct.error:  # a box that ends before its numbers do
        return []


def _tracks(data: Bytes, start: int, end: int) -> Iterator[_Edits]:
    """Yield the edit lists of every track with sound.

    Raises:
        struct.error: a box is too short.
    """
    boxes = list(_boxes(data, start, end))
    movie = next((_numbers(data, at)[0] for name, at, _ in boxes if name == b"mvhd"), 0)
    for name, at, until in boxes:
        track = list(_boxes(data, at, until)) if name == b"trak" else []
        handler = _inside(data, track, b"mdia", b"hdlr")
        header = _inside(data, track, b"mdia", b"mdhd")
        scale, length = _numbers(data, header[1]) if header else (0, 0)
        sound = handler and data[handler[1] + 8 : handler[1] + 12] == b"soun"
        if not sound or not scale or not movie:
            continue
        packet = _packet_units(data, track)
        for around, first, last in track:
            lists = _boxes(data, first, last) if around == b"edts" else ()
            for inner, place, stop in lists:
                if inner == b"elst":
                    yield _edits(data, (place, stop), scale, length, movie, packet)


def _boxes(data: Bytes, start: int, end: int) -> Iterator[Box]:
    for _ in range(_MAX_BOXES):
        if start + _HEAD > end:
            return
        size, name = unpack_from(">I4s", data, start)
        head = _HEAD
        if size == 1:
            (size,), head = unpack_from(">Q", data, start + _HEAD), 2 * _HEAD
        size = size or end - start
        if not head <= size <= end - start:
            return
        yield name, start + head, start + size
        start += size


def _inside(data: Bytes, boxes: list[Box], *names: bytes) -> Box | None:
    """Return the first box of that path below ``boxes``."""
    found = next((one for one in boxes if one[0] == names[0]), None)
    if found is None or len(names) == 1:
        return found
    return _inside(data, list(_boxes(data, *found[1:])), *names[1:])


def _numbers(data: Bytes, at: int) -> tuple[int, int]:
    """Return units in a second and length of an ``mvhd`` or ``mdhd`` box (version 0 or 1)."""
    wide = data[at : at + 1] == b"\1"
    found = unpack_from(">IQ" if wide else ">II", data, at + (20 if wide else 12))
    return int(found[0]), int(found[1])


def _packet_units(data: Bytes, track: list[Box]) -> float:
    """Return how long a packet is in units of the track; endless where the index does not tell."""
    found = _inside(data, track, b"mdia", b"minf", b"stbl", b"stts")
    if found is None or found[2] - found[1] < _HEAD + 8:
        return float("inf")
    return float(unpack_from(">I", data, found[1] + _HEAD + 4)[0])


def _edits(
    data: Bytes, box: tuple[int, int], scale: int, length: int, movie: int, packet: float
) -> _Edits:
    """Return the list in a box with this content."""
    wide = data[box[0] : box[0] + 1] == b"\1"
    form = _WIDE if wide else ">Ii4s"
    size = struct.calcsize(form)
    room = (box[1] - box[0] - _HEAD) // size  # what FFmpeg goes by, whatever the list's own count
    rows = [
        unpack_from(form, data, box[0] + _HEAD + number * size)[:2]
        for number in range(min(room, _MAX_EDITS))
    ]
    start = box[0] - _HEAD * (1 if data[box[0] - 4 : box[0]] == b"elst" else 2)
    return _Edits(start, box[1], form, rows, scale, length, movie, packet)


@dataclass(frozen=True, slots=True)
class _Edits:
    """One edit list, a box from ``start`` to ``end``.

    ``rows``: how long each edit is in units of the movie, and where it begins in units of the
    track; -1 is silence.
    """

    start: int
    end: int
    form: str
    rows: list[tuple[int, int]]
    scale: int
    length: int
    movie: int
    packet: float

    def correction(self) -> Patch | None:
        """Return what to put over the list; ``None`` where it is true as it is."""
        silent = next((n for n, (_, at) in enumerate(self.rows) if at >= 0), None)
        if silent is None or not self._edited(silent):
            return None
        factor = self.scale / self.movie
        before = sum(length for length, _ in self.rows[:silent])
        before -= round(self.rows[silent][1] / factor)
        lengths = (before, int(self.length / factor) + 1) if before > 0 else ()
        rows = zip((min(one, _LONGEST) for one in lengths), (-1, 0), strict=False)
        return self.start, self._box(b"".join(struct.pack(self.form, *one, _RATE) for one in rows))

    def _box(self, rows: bytes) -> bytes:
        """Return a list of these rows and a box that says nothing, as long as the list is now."""
        size = self.end - self.start
        if not rows:
            return struct.pack(">I4s", size, b"free")
        used = 2 * _HEAD + len(rows)
        rest = size - used
        version = b"\1" if self.form == _WIDE else b"\0"
        head = struct.pack(">I4s4sI", used if rest >= _HEAD else size, b"elst",
                           version + bytes(3), 2)  # fmt: skip
        return head + rows + (struct.pack(">I4s", rest, b"free") if rest >= _HEAD else b"")

    def _edited(self, silent: int) -> bool:
        """Return whether the edits behind the first silence are not all of the sound in order."""
        rows = self.rows[silent:]
        if any(at < 0 for _, at in rows):  # FFmpeg plays the beginning once more there
            return True
        shown = [(at, self._end(length, at)) for length, at in rows]
        least = _ROUNDED_SEC * self.scale
        back = sum(max(0.0, one[1] - two[0]) for one, two in pairwise(shown))
        return back > least or self._hidden(sorted(shown)) > least

    def _end(self, length: int, at: int) -> float:
        return at + length * self.scale / self.movie if length else max(at, self.length)

    def _hidden(self, shown: list[tuple[int, float]]) -> float:
        """Return how much of the track is in no edit, beyond what its encoder hides."""
        most = HIDES_SEC * self.scale
        hidden = max(0.0, shown[0][0] - min(_DELAY_PACKETS * self.packet, most))
        at = shown[0][1]
        for start, end in shown:
            hidden += max(0.0, start - at)
            at = max(at, end)
        return hidden + max(0.0, self.length - at - min(_PADDING_PACKETS * self.packet, most))
