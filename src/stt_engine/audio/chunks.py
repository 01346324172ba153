"""Chunks of samples: several in one file, and lengths that say less than is there."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from stt_engine.audio.parts import Begins, Bytes, Part, unpack_from
from stt_engine.audio.tags import PADDING, tag_bytes
from stt_engine.audio.window import Piece, Range
from stt_engine.coverage import Whole

_MAX_CHUNKS = 1_000_000
_ZEROS = 65_536


@dataclass(frozen=True, slots=True)
class Form:
    """How a container writes a chunk: ``name`` bytes, then its length, then what it holds.

    ``before`` are bytes of the sound's chunk that are no samples; with ``whole`` a length counts
    its chunk's own head, too. A chunk named ``packed`` says where samples of other sizes are.
    """

    length: str
    sound: bytes
    align: int = 2
    before: int = 0
    whole: bool = False
    packed: bytes = b""

    @property
    def head(self) -> int:
        """How many bytes name a chunk and its length."""
        return len(self.sound) + struct.calcsize(self.length)

    def length_at(self, data: Bytes, at: int) -> int:
        """Return how many bytes the chunk at ``at`` says it holds."""
        found = int(unpack_from(self.length, data, at + len(self.sound))[0])
        return found - self.head if self.whole else found

    def is_chunk(self, data: Bytes, at: int, limit: int) -> bool:
        """Return whether a chunk with a name of letters, that ends before ``limit``, is there."""
        named = all(32 <= one < 127 for one in data[at : at + 4])  # noqa: PLR2004 - ASCII
        room = limit - at - self.head
        return named and room >= 0 and 0 <= self.length_at(data, at) <= room + 1


RIFF, RIFX = Form("<I", b"data"), Form(">I", b"data")


@dataclass(slots=True)
class Sound:
    """The samples of a file, chunk by chunk, against what their chunks declare in bytes.

    ``outer`` is where the file ends by its header, ``limit`` where the samples do at the latest.
    """

    form: Form
    data: Bytes
    outer: int
    limit: int
    begins: Begins
    ranges: list[Range] = field(default_factory=list)
    declared: int = 0
    known: bool = True
    notes: list[str] = field(default_factory=list)

    @property
    def present(self) -> int:
        """How many bytes of samples there are."""
        return sum(len(one) for one in self.ranges)

    @property
    def share(self) -> float | None:
        """How much of what is declared is there; ``None`` where nobody knows."""
        return self.present / self.declared if self.known and self.declared else None

    @property
    def whole(self) -> Whole:
        """Whether all that is declared is there."""
        cut = self.known and self.present < self.declared
        return "no" if cut else "yes" if self.known else "unknown"

    def keep(self, body: int, length: int | None) -> int:
        """Keep the samples at ``body``, and return where the next chunk is.

        Without a ``length`` they go on up to the next file.
        """
        begins, data, limit = self.begins, self.data, self.limit
        if length is None:
            self.known = False
            return self._kept(body, begins(data, body, limit))
        self.declared += length
        end = min(body + length, limit)
        after = end + -length % self.form.align
        whole = body + length <= limit and (end == limit or self._ends(after))
        if not whole and (other := begins(data, body, end)) < end:  # cut, and another glued on
            return self._kept(body, other)
        if whole or end == limit or self._ends(end):
            self._kept(body, end)
            return min(after if after >= limit or self._ends(after) else end, limit)
        if end <= self.outer <= after:  # the file's header says the same: the rest is not its own
            self._kept(body, end)
            return self.outer
        # The samples go on behind the length that their chunk declares.
        stop = begins(data, end, self.outer if end < self.outer < limit else limit)
        self.declared += stop - end
        self.known = self.known and self.outer >= stop - 1
        self.notes.append("length_too_short")
        return self._kept(body, stop)

    def _kept(self, start: int, end: int) -> int:
        self.ranges.append(Range(start, end))
        return end

    def _ends(self, at: int) -> bool:
        """Return whether what is at ``at`` is no sound: a chunk, a file, a tag, padding."""
        data = self.data
        if self.limit - at <= PADDING or self.begins(data, at, at + 1) == at:
            return True
        rest = data[at : at + PADDING]
        if tag_bytes(data, at) or rest.startswith(b"<?xml"):
            return True
        if rest.startswith(self.form.sound) or self.form.is_chunk(data, at, len(data)):
            return True  # one of samples may be cut
        return not any(rest) and not any(data[at : at + _ZEROS])


def rejoined(kind: str, sound: Sound, at: int, place: int) -> Part | None:
    """Return a file with all of its samples in one chunk; ``None`` where they are in one.

    FFmpeg plays the last chunk only, and no more of it than it declares. ``place`` is the first
    chunk of the file at ``at``.
    """
    form, data, head = sound.form, sound.data, 0
    for _ in range(_MAX_CHUNKS):
        if place + form.head > sound.limit:
            break
        name, length = data[place : place + len(form.sound)], form.length_at(data, place)
        body = place + form.head
        if name == form.packed or length < 0:
            return None
        if name == form.sound:
            if not sound.ranges and not form.before < length <= sound.outer - body:
                return None
            head = head or body
            place = sound.keep(body + form.before, max(0, length - form.before))
        elif sound.ranges and not form.is_chunk(data, place, len(data)):
            break
        else:
            place = body + length + -length % form.align
    if len(sound.ranges) < 2 and not sound.notes:  # noqa: PLR2004
        return None
    length = sound.present + form.before + (form.head if form.whole else 0)
    field_at = head - struct.calcsize(form.length)
    pieces: tuple[Piece, ...] = (Range(at, field_at), struct.pack(form.length, length),
              Range(head, head + form.before), *sound.ranges)  # fmt: skip
    return Part(kind, pieces, min(place, sound.limit), sound.whole, present_share=sound.share,
                notes=tuple(sound.notes))  # fmt: skip
