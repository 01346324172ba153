"""The bit reservoir of an mp3: a frame's data begin in frames before it, which may be lost.

FFmpeg decodes such a frame to silence or noise and reports no error.
"""

from __future__ import annotations

_LAYER_3 = 0x02
_MPEG_1 = 0x18
_MONO = 0xC0
HEAD_BYTES = 40
"""Header, checksum and side information, or a tag's name."""

_TAGS, _VBRI = (b"Xing", b"Info", b"VBRI"), 36
"""What a frame that holds no sound has behind its side information, or always at one place."""

_DOUBTED_FRAMES = 14
"""Half a second behind one that misses something."""


class Reservoir:
    """Follows where the data of each frame begin and end."""

    def __init__(self) -> None:
        """Begin before the first frame: nothing is known of those before it."""
        self._free: int | None = None
        self._doubted = 0

    def misses(self, head: bytes, size: int) -> bool:
        """Return whether what a frame needs of those before it is not there."""
        if head[:1] != b"\xff" or len(head) < 4 or head[1] & 0x06 != _LAYER_3:  # noqa: PLR2004
            self._free = None
            return False
        first = head[1] & _MPEG_1 == _MPEG_1
        mono = head[3] & _MONO == _MONO
        offset = 4 if head[1] & 1 else 6
        length = (17 if mono else 32) if first else (9 if mono else 17)
        tagged = any(head[at : at + 4] in _TAGS for at in (4 + length, _VBRI))
        if tagged or len(head) < offset + length:
            self._free = None
            return False
        side = int.from_bytes(head[offset : offset + length], "big")
        total = 8 * length
        begin = side >> total - (9 if first else 8)
        needed = (_bits(side, total, first=first, mono=mono) + 7) // 8
        free, self._free = self._free, max(0, begin + size - offset - length - needed)
        if free is None:
            return begin > 0
        if begin > free:
            self._doubted = _DOUBTED_FRAMES
            return True
        # Most encoders fill every byte: another number means the bytes of frames that are lost.
        self._doubted = max(0, self._doubted - 1)
        return begin != free and self._doubted > 0


def _bits(side: int, total: int, *, first: bool, mono: bool) -> int:
    """Return how many bits the two granules or the one of this frame have."""
    channels = 1 if mono else 2
    if first:
        at, count, width = 9 + (5 if mono else 3) + 4 * channels, 2 * channels, 59
    else:
        at, count, width = 8 + (1 if mono else 2), channels, 63
    return sum(side >> total - at - width * n - 12 & 0xFFF for n in range(count))
