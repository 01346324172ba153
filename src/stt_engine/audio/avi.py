"""AVI files: where they end, and pauses of the sound, which are chunks of nothing."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from stt_engine.audio.parts import Begins, Bytes, Hole, Part, unpack_from
from stt_engine.audio.window import Piece, Range
from stt_engine.coverage import Whole

_UNKNOWN = 0xFFFFFFFF
_HEAD = 8
_LISTS = {b"RIFF", b"LIST"}
_MAX_CHUNKS = 2_000_000
_STRH_BYTES = 48
_SOUND = b"wb"
_AAC = {b"\xff\0", b"\x6d\x70"}
_BLOCK_SIZE = 12


@dataclass(slots=True)
class _Pause:
    """Empty chunks of a stream in a row: ``last`` is where the latest begins."""

    count: int = 0
    last: int = 0


def begins_avi(data: Bytes, at: int) -> bool:
    """Return whether an AVI file begins at ``at``."""
    return data[at + 8 : at + 16] == b"AVI LIST"


def avi_part(data: Bytes, at: int, _begins: Begins) -> Part:
    """Return the AVI file that begins at ``at``, with its extensions."""
    size, end = len(data), _end(data, at)
    whole: Whole = "unknown" if end is None else "no" if end > size else "yes"
    share = None if end is None else (min(end, size) - at) / (end - at)
    stop = size if end is None else min(end, size)
    holes = tuple(_pauses(data, at, stop))
    pieces: list[Piece] = []
    kept = at
    for place in _block_sizes(data, at, stop):
        pieces += [Range(kept, place), b"\xff\xff"]
        kept = place + 2
    pieces.append(Range(kept, stop))
    return Part("avi", tuple(pieces), stop, whole, present_share=share, holes=holes)


def _block_sizes(data: Bytes, at: int, stop: int) -> Iterator[int]:
    """Yield where the header of an AAC stream says how large a block is.

    Each chunk is a frame, and FFmpeg takes one that is larger than a block for two.
    """
    for name, place, size in _chunks(data, at, stop):
        if name[2:] == _SOUND:
            return
        if name == b"strf" and size >= _BLOCK_SIZE + 2 and data[place : place + 2] in _AAC:
            yield place + _BLOCK_SIZE


def _end(data: Bytes, at: int) -> int | None:
    """Return where it ends by its header; ``None`` where a recorder did not know it."""
    total = int(unpack_from("<I", data, at + 4)[0])
    if not 0 < total < _UNKNOWN:
        return None
    end = at + _HEAD + total
    while data[end : end + 4] == b"RIFF" and data[end + 8 : end + 12] == b"AVIX":
        end += _HEAD + int(unpack_from("<I", data, end + 4)[0])
    return end


def _pauses(data: Bytes, at: int, stop: int) -> Iterator[Hole]:
    """Yield how long the sound of a stream pauses, and where in the file.

    A chunk lasts as long as every other of its stream, with nothing in it too; FFmpeg counts those
    with something in them alone.
    """
    lasts: list[float] = []
    pauses: dict[int, _Pause] = {}
    for name, place, size in _chunks(data, at, stop):
        if name == b"strh":
            lasts.append(_lasting(data, place, size))
            continue
        number = int(name[:2]) if name[2:] == _SOUND and name[:2].isdigit() else -1
        if not 0 <= number < len(lasts) or not lasts[number]:
            continue
        pause = pauses.setdefault(number, _Pause())
        if not size:
            pause.count, pause.last = pause.count + 1, place - _HEAD
        elif pause.count:
            yield _hole(pause, number, lasts[number], at)
            pauses[number] = _Pause()
    for number, pause in pauses.items():
        if pause.count:
            yield _hole(pause, number, lasts[number], at)


def _hole(pause: _Pause, stream: int, lasting: float, at: int) -> Hole:
    seconds = pause.count * lasting
    return Hole(pause.last - at, pause.count * _HEAD, seconds, stream=stream)


def _chunks(data: Bytes, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield each chunk's name, where its content begins and how long it is, those of lists too."""
    for _ in range(_MAX_CHUNKS):
        head = data[at : at + _HEAD]
        if at + _HEAD > stop or len(head) < _HEAD:
            return
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name in _LISTS:
            at += _HEAD + 4
            continue
        yield name, at + _HEAD, size
        at += _HEAD + size + size % 2


def _lasting(data: Bytes, place: int, size: int) -> float:
    """Return how many seconds a chunk of sound lasts; 0 where its bytes tell, or no header does."""
    if size < _STRH_BYTES or data[place : place + 4] != b"auds":
        return 0.0
    try:
        scale, rate = unpack_from("<II", data, place + 20)
        (sample_size,) = unpack_from("<I", data, place + 44)
    except struct.error:
        return 0.0
    return scale / rate if rate and not sample_size else 0.0
