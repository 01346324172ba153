"""Samples in several chunks, or behind the length that their chunk declares, are all heard."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from stt_engine.errors import AudioTruncated
from tests.support.tones import (
    AIFF,
    AU,
    AVI,
    CAF,
    W64,
    WAV,
    Kind,
    codes,
    decoded,
    heard,
    tones,
    unheard_seconds,
    write,
)

FIRST, SECOND = [0, 1, 2, 3], [10, 11, 12]
_LENGTH = {"w64": (16, "<q"), "caf": (4, ">q"), "aiff": (4, ">I"), "wav": (4, "<I")}
"""Where a chunk's length is, and how it is written."""

_SOUND = {"w64": b"data\xf3\xac", "caf": b"data", "aiff": b"SSND", "wav": b"data"}
_OUTER = {"w64": (16, "<q", 0), "aiff": (4, ">I", 8), "wav": (4, "<I", 8)}
EVERY = pytest.mark.parametrize("kind", [W64, CAF, AIFF, WAV], ids=str)


def _raw(kind: Kind, seconds: list[int]) -> bytes:
    order = "<i2" if kind in {W64, WAV} else ">i2"
    return np.round(tones(seconds) * 32_767).astype(order).tobytes()


def _chunk(kind: Kind, head: bytes, raw: bytes) -> bytes:
    """Return ``head``, which is that of a chunk, with the length of ``raw``."""
    at, form = _LENGTH[kind.container]
    own = len(head) if kind is W64 else len(head) - at - struct.calcsize(form)
    length = struct.pack(form, len(raw) + own)
    return head[:at] + length + head[at + len(length) :] + raw


def _parts(path: Path, kind: Kind) -> tuple[bytes, bytes]:
    """Return a file up to its samples, and the head of the chunk in which they are."""
    whole = write(path, kind, FIRST).read_bytes()
    place, begin = whole.find(_SOUND[kind.container]), whole.find(_raw(kind, [0])[:3_000])
    return whole[:place], whole[place:begin]


def _closed(kind: Kind, raw: bytes) -> bytes:
    """Return a file with its whole length in its header, where it has one."""
    if kind is CAF:
        return raw
    at, form, without = _OUTER[kind.container]
    length = struct.pack(form, len(raw) - without)
    return raw[:at] + length + raw[at + len(length) :]


def _two(path: Path, kind: Kind) -> bytes:
    before, head = _parts(path, kind)
    chunks = (_chunk(kind, head, _raw(kind, one)) for one in (FIRST, SECOND))
    return _closed(kind, before + b"".join(chunks))


@EVERY
def test_two_chunks_of_samples_are_both_heard(tmp_path: Path, kind: Kind) -> None:
    """FFmpeg plays the last one only, and the rest was lost without a word."""
    path = tmp_path / "a"
    path.write_bytes(_two(path, kind))
    found = decoded(path)
    assert heard(found) == [FIRST + SECOND]
    assert (found.ledger["whole"], codes(found)) == ("yes", set())


@EVERY
def test_the_second_of_two_chunks_is_cut(tmp_path: Path, kind: Kind) -> None:
    """Refused, or told where only the last byte of the file says that there was more."""
    path = tmp_path / "a"
    path.write_bytes(_two(path, kind)[: -2 * 32_000])
    if kind is AIFF:
        found = decoded(path)
        assert (found.ledger["whole"], codes(found)) == ("no", {"cut"})
        return
    with pytest.raises(AudioTruncated, match=r"5\.0 s of about 7\.0 s"):
        decoded(path)


@pytest.mark.parametrize("kind", [W64, AIFF, WAV], ids=str)
def test_a_chunk_says_half_of_its_samples(tmp_path: Path, kind: Kind) -> None:
    """The header tells where the file ends, and the sound goes on up to there."""
    path = tmp_path / "a"
    before, head = _parts(path, kind)
    half = _chunk(kind, head, _raw(kind, FIRST))
    path.write_bytes(_closed(kind, before + half + _raw(kind, SECOND)))
    found = decoded(path)
    assert heard(found) == [FIRST + SECOND]
    assert (found.ledger["whole"], codes(found)) == ("yes", {"length_too_short"})


@EVERY
def test_what_is_behind_the_samples_is_no_sound(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / "a"
    before, head = _parts(path, kind)
    names = {"w64": b"levl" + bytes(12), "caf": b"info", "aiff": b"ANNO", "wav": b"LIST"}
    length = bytes(struct.calcsize(_LENGTH[kind.container][1]))
    more = _chunk(kind, names[kind.container] + length, b"words of a recorder " * 200)
    path.write_bytes(_closed(kind, before + _chunk(kind, head, _raw(kind, FIRST)) + more))
    found = decoded(path)
    assert heard(found) == [FIRST]
    assert (found.ledger["whole"], codes(found)) == ("yes", set())


@pytest.mark.parametrize("junk", ["noise", "text", "samples"])
@pytest.mark.parametrize("kind", [W64, CAF, AIFF, WAV, AU, AVI], ids=str)
def test_junk_behind_the_end_is_told_and_not_played(tmp_path: Path, kind: Kind, junk: str) -> None:
    """Two lengths say where the recording ends, and what follows was played as sound."""
    path = tmp_path / "a"
    whole = write(path, kind, FIRST).read_bytes()
    size = len(whole) // 2
    rest = {
        "noise": np.random.default_rng(3).bytes(size),
        "text": (b"<html>answer of a server</html>\n" * size)[:size],
        "samples": np.round(tones(SECOND) * 32_767).astype("<i2").tobytes()[100:][:size],
    }[junk]
    path.write_bytes(whole + rest)
    found = decoded(path)
    assert [one for one in heard(found)[0] if one is not None] == FIRST
    assert found.ledger["trailing_bytes"] == pytest.approx(len(rest), abs=8)
    assert "trailing_bytes" in codes(found)
    assert unheard_seconds(found) == pytest.approx(2, abs=0.4)


@EVERY
def test_a_second_chunk_behind_the_end_is_heard(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / "a"
    before, head = _parts(path, kind)
    whole = _closed(kind, before + _chunk(kind, head, _raw(kind, FIRST)))
    path.write_bytes(whole + _chunk(kind, head, _raw(kind, SECOND)))
    assert heard(decoded(path)) == [FIRST + SECOND]
