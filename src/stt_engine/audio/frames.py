"""Files that are nothing but frames (mp3, AAC, AMR, AC-3): which bytes are frames, which are not.

Their frames carry no time, so what is lost among them can only be counted in bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from stt_engine.audio.frame_headers import (
    AMR_MAGIC,
    CHAIN,
    HEADER_BYTES,
    SYNC,
    WALKERS,
    ReadFrame,
    amr_wide_frame,
    begins_tagged,
    chained,
    form,
    mp3_frame,
)
from stt_engine.audio.parts import Begins, Bytes, Hole, Part, unpack_from
from stt_engine.audio.tags import lost_bytes, tag_bytes
from stt_engine.audio.window import Range
from stt_engine.coverage import Whole

_UNSYNCED_CHAIN = 8
_CERTAIN = 12
"""Frames in a row that are a file, wherever they are."""

_MAX_HOLES = 10_000
_MAX_TRIED_BYTES = 1 << 20
_STRAYED_BYTES = 4_096
"""A frame that is cut goes on in the file behind it, and what is there may look like more."""

_MIN_HOLE = 16


@dataclass
class _Runs:
    """Frames in a row, each run as bytes ``start`` up to ``end``; ``stop``: what is no more."""

    spans: list[tuple[int, int]]
    seconds: float
    stop: int
    cut_frame: bool = False


@dataclass
class _Walker:
    data: Bytes
    kind: str
    read: ReadFrame
    begins: Begins
    left: int = _MAX_TRIED_BYTES

    def runs(self, at: int, stop: int) -> _Runs:
        """Return the frames from ``at`` on, up to where another file begins."""
        runs = _Runs([], 0.0, stop)
        start, seconds, frames, last = at, 0.0, 0, at
        while at < stop and len(runs.spans) < _MAX_HOLES:
            found = self._frame(at, stop)
            if found is not None and at + found[0] <= stop:
                last, at = at, at + found[0]
                seconds += found[1]
                frames += 1
                continue
            long = frames >= CHAIN or (frames > 0 and at >= stop - HEADER_BYTES)
            cut = found is not None and long  # the last frame goes on behind the end
            again = stop if cut else self.resync(at if frames >= CHAIN else start + 1, stop)
            back = last + 1 if self.kind in SYNC else at - _STRAYED_BYTES
            other = self.begins(self.data, max(start, min(back, at)), again)
            if other < again:
                at, seconds = self._until(start, other) if other < at else (at, seconds)
                if self._goes_on(start, other):
                    again, other, cut = other, stop, False
                else:
                    runs.stop = other
                    cut = at < other and self._frame(at, stop) is not None
            if long and at > start:
                runs.spans.append((start, at))
                runs.seconds += seconds
            runs.cut_frame = cut
            if cut or other < again:
                return runs
            at = start = last = again
            seconds, frames = 0.0, 0
        if frames:
            runs.spans.append((start, at))
            runs.seconds += seconds
        return runs

    def _goes_on(self, start: int, at: int) -> bool:
        """Return whether the frames at ``at`` are those of ``start``, behind a damaged one.

        Its header told a wrong length, and so the frame behind it was passed over.
        """
        data, kind = self.data, self.kind
        if kind not in SYNC or self._frame(at, len(data)) is None or begins_tagged(data, at, kind):
            return False
        return form(data, start, kind) == form(data, at, kind)

    def _until(self, at: int, stop: int) -> tuple[int, float]:
        """Return where the last frame ends that ends before ``stop``, and the seconds up to it."""
        seconds = 0.0
        while (found := self._frame(at, stop)) is not None and at + found[0] <= stop:
            at += found[0]
            seconds += found[1]
        return at, seconds

    def _frame(self, at: int, stop: int) -> tuple[int, float] | None:
        fits = at <= stop - HEADER_BYTES or self.kind == "amr"
        return self.read(self.data, at) if fits else None

    def resync(self, at: int, stop: int) -> int:
        """Return where frames in a row begin again, or ``stop``."""
        data, sync = self.data, SYNC.get(self.kind)
        while at < stop - HEADER_BYTES and self.left:
            tag = tag_bytes(data, at)
            if tag:
                at += tag
                continue
            if sync is not None:
                at = data.find(sync, at, stop)
                if at < 0 or at > stop - HEADER_BYTES:
                    return stop
            else:  # every byte has to be tried
                self.left -= 1
            if self._chained(at, stop):
                return at
            at += 1
        return stop

    def _chained(self, at: int, stop: int) -> bool:
        for _ in range(CHAIN if self.kind in SYNC else _UNSYNCED_CHAIN):
            if at > stop - HEADER_BYTES:
                return at <= stop
            found = self.read(self.data, at)
            if found is None:
                return False
            at += found[0]
        return at <= stop


def begins_frames(data: Bytes, at: int, kind: str) -> bool:
    """Return whether a file of bare frames begins at ``at``: no chance makes so many of them."""
    return chained(data, at, len(data), kind, _CERTAIN)


def begins_amr(data: Bytes, at: int) -> bool:
    """Return whether an AMR file begins at ``at``."""
    first = next((one for one in AMR_MAGIC if data[at : at + len(one)] == one), b"")
    read = amr_wide_frame if first == AMR_MAGIC[1] else WALKERS["amr"]
    return bool(first) and at + len(first) < len(data) and read(data, at + len(first)) is not None


def frames_part(
    data: Bytes, at: int, kind: str, begins: Begins, stop: int | None = None
) -> Part | None:
    """Return the frames from ``at`` up to ``stop`` as one file without what is between them.

    ``None`` where there are none.
    """
    first = next((one for one in AMR_MAGIC if data[at : at + len(one)] == one), b"")
    read = amr_wide_frame if first == AMR_MAGIC[1] else WALKERS[kind]
    walker, before = _Walker(data, kind, read, begins), at + len(first)
    runs = walker.runs(before, len(data) if stop is None else stop)
    if not runs.spans:
        return None
    good = sum(end - start for start, end in runs.spans)
    pace = runs.seconds / good
    holes, offset = [], len(first)
    for start, end in runs.spans:
        lost = lost_bytes(data, before, start, zeros=before > at + len(first))
        if lost >= _MIN_HOLE:
            holes.append(Hole(offset, lost, lost * pace))
        offset, before = offset + end - start, end
    trailing = lost_bytes(data, before, runs.stop)
    if trailing >= _MIN_HOLE and not runs.cut_frame:
        holes.append(Hole(offset, trailing, trailing * pace))
    heard = runs.seconds + sum(one.seconds for one in holes)
    declared, cut = _declared(data, runs, kind, heard)
    whole: Whole = "no" if cut or runs.cut_frame else "yes" if declared else "unknown"
    pieces = tuple(Range(*span) for span in runs.spans)
    return Part(
        kind, (first, *pieces) if first else pieces, runs.stop, whole, declared_sec=declared,
        holes=tuple(holes), estimate_sec=runs.seconds,
    )  # fmt: skip


def _declared(data: Bytes, runs: _Runs, kind: str, seconds: float) -> tuple[float | None, bool]:
    """Return the seconds that an mp3's first frame declares, and whether bytes are missing."""
    start = runs.spans[0][0]
    found = mp3_frame(data, start) if kind == "mp3" else None
    if found is None:
        return None, False
    head = data[start : start + found[0]]
    frames = size = 0
    place = max(head.find(b"Xing"), head.find(b"Info"))
    if place > 0 and len(head) >= place + 16:
        flags, frames, size = unpack_from(">III", head, place + 4)
        frames, size = frames * (flags & 1), size * (flags >> 1 & 1) if flags & 1 else 0
    place = head.find(b"VBRI")
    if place > 0 and len(head) >= place + 18:
        size, frames = unpack_from(">II", head, place + 10)
    if not frames:
        return None, False
    declared = frames * found[1]
    present = runs.spans[-1][1] - start
    if size and present >= size * 0.98:
        # As many bytes as it says, or more: what it says of the frames was true or is of no use.
        return (declared if declared <= seconds * 1.02 else None), False
    return declared, bool(size) or declared > seconds * 1.02
