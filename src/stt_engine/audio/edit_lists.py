"""MP4 edit lists: sound that is in the file and that a player leaves out."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from stt_engine.audio.parts import Bytes, unpack_from

HIDES_SEC = 0.5
"""More than that is hidden on purpose, whatever the codec."""

_DELAY_PACKETS, _PADDING_PACKETS = 2.6, 2
"""An encoder's delay before the sound and the padding behind it are hidden in every file."""

_ROUNDED_SEC = 0.02
"""Edits are written in units of the movie, which are often milliseconds."""

_HEAD = 8
_MAX_BOXES = 10_000
_MAX_EDITS = 100_000
Box = tuple[bytes, int, int]
"""A box's name, and where its content begins and ends."""


def hides_sound(data: Bytes, start: int, end: int) -> bool:
    """Return whether an edit list in the ``moov`` box with this content hides sound of a track."""
    try:
        return max(_hidden(data, start, end), default=0.0) > _ROUNDED_SEC
    except struct.error:  # a box that ends before its numbers do
        return False


def _hidden(data: Bytes, start: int, end: int) -> list[float]:
    """Return the seconds that are hidden of each track, beyond what its encoder hides.

    Raises:
        struct.error: a box is too short.
    """
    boxes = list(_boxes(data, start, end))
    scale = next((_numbers(data, at)[0] for name, at, _ in boxes if name == b"mvhd"), 0)
    tracks = (list(_boxes(data, at, until)) for name, at, until in boxes if name == b"trak")
    return [_hidden_sec(data, track, scale) for track in tracks]


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


def _hidden_sec(data: Bytes, track: list[Box], movie_scale: int) -> float:
    """Return the seconds of a track that no edit shows, and no encoder hides; 0 for no sound."""
    handler = _inside(data, track, b"mdia", b"hdlr")
    header = _inside(data, track, b"mdia", b"mdhd")
    edits = _inside(data, track, b"edts", b"elst")
    if handler is None or header is None or edits is None or not movie_scale:
        return 0.0
    if data[handler[1] + 8 : handler[1] + 12] != b"soun":
        return 0.0
    scale, length = _numbers(data, header[1])
    if not scale:
        return 0.0
    shown = sorted(_shown(data, edits, scale / movie_scale, length))
    if not shown:
        return 0.0
    packet = _packet_units(data, track)
    hidden = max(0.0, shown[0][0] - min(_DELAY_PACKETS * packet, HIDES_SEC * scale))
    at = shown[0][1]
    for start, end in shown:
        hidden += max(0.0, start - at)
        at = max(at, end)
    hidden += max(0.0, length - at - min(_PADDING_PACKETS * packet, HIDES_SEC * scale))
    return hidden / scale


def _packet_units(data: Bytes, track: list[Box]) -> float:
    """Return how long a packet is in units of the track; endless where the index does not tell."""
    found = _inside(data, track, b"mdia", b"minf", b"stbl", b"stts")
    if found is None or found[2] - found[1] < _HEAD + 8:
        return float("inf")
    return float(unpack_from(">I", data, found[1] + _HEAD + 4)[0])


def _shown(data: Bytes, edits: Box, factor: float, length: int) -> Iterator[tuple[float, float]]:
    """Yield what the edits of a list show, in units of the track."""
    wide = data[edits[1] : edits[1] + 1] == b"\1"
    form, step = (">Qq", 20) if wide else (">Ii", 12)
    (count,) = unpack_from(">I", data, edits[1] + 4)
    room = (edits[2] - edits[1] - _HEAD) // step
    for number in range(min(count, room, _MAX_EDITS)):
        seconds, start = unpack_from(form, data, edits[1] + _HEAD + number * step)
        if start >= 0:  # -1: silence
            yield start, start + seconds * factor if seconds else max(start, length)
