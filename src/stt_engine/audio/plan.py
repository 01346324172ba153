"""Which containers a file holds, one after the other, and what of each a demuxer is to see.

What is behind the end of one and is neither padding nor a tag is another one, or is left to FFmpeg
up to where the next one provably begins; what FFmpeg cannot open either is unheard.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace

from stt_engine.audio.formats import begins, format_at
from stt_engine.audio.frame_headers import WALKERS
from stt_engine.audio.frames import frames_part
from stt_engine.audio.parts import ANY_BYTES, Bytes, Part
from stt_engine.audio.tags import PADDING, behind_tags, behind_zeros
from stt_engine.audio.window import Range

_MAX_PARTS = 1_000
"""Containers in one file; a chained ogg of a day has some hundreds."""

Ask = Callable[[Part], str]
"""Returns what FFmpeg takes a part for; nothing where it cannot open it."""


def plan(data: Bytes, ask: Ask) -> list[Part]:
    """Return the containers of a file in order."""
    at, size = behind_tags(data, 0), len(data)
    found = _known(data, at) or _asked(data, at, size, ask)
    while (at := _next(data, found[-1].end)) < size - PADDING and len(found) < _MAX_PARTS:
        known = _known(data, at)
        found += known or _asked(data, at, begins(data, at + 1, size), lambda p: _proved(ask(p)))
    if at < size - PADDING:
        found.append(Part("", (Range(at, size),), size))
    return found


def _known(data: Bytes, at: int) -> list[Part]:
    one = format_at(data, at) if at < len(data) else None
    if one is None:
        return []
    try:
        parts = one.read(data, at, begins)
        found = [parts] if isinstance(parts, Part) else list(parts or [])
    except (struct.error, IndexError):  # a header that ends with the file
        return []
    return found if found and found[-1].end > at else []


def _asked(data: Bytes, at: int, stop: int, ask: Ask) -> list[Part]:
    """Return what nobody here knows as FFmpeg does."""
    part = Part("", (Range(at, stop),), stop)
    kind = ask(part)
    framed = frames_part(data, at, kind, begins) if kind in WALKERS else None
    place = begins(data, at + 1, stop) if kind == "mpeg" else stop
    if place < stop and (known := _known(data, place)):
        # FFmpeg passes over a damaged first pack without a word.
        return [replace(known[0], notes=(*known[0].notes, "damaged")), *known[1:]]
    return [framed or Part(kind, part.pieces, stop)]


def _proved(kind: str) -> str:
    """Return what FFmpeg takes for a part behind another, unless any bytes can be that."""
    return "" if kind in ANY_BYTES else kind


def _next(data: Bytes, at: int) -> int:
    """Return where behind the end of a container, zeros and tags, another may begin."""
    while True:
        begin, at = at, behind_tags(data, at)
        zeros = behind_zeros(data, at)
        # The first bytes of some files are zeros.
        first = begins(data, max(at, zeros - 3), zeros)
        if first < zeros or zeros == begin:
            return first
        at = zeros
