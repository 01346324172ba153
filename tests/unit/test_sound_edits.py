"""MP4 edit lists: sound that players leave out is heard, and said to be there."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_engine.audio.edit_lists import corrections
from tests.support.tones import AAC, FRAGMENTED, M4A, MP4, Kind, codes, decoded, heard, write

NUMBERS = [1, 2, 3, 4, 5, 6]
MOV = Kind("mov", "pcm_s16le")
Edit = tuple[float, float | None]
"""Seconds that an edit shows, and where in the track it begins; ``None`` is silence."""


def _edited(path: Path, *edits: Edit, track: int = 0) -> Path:
    """Write this edit list into a track of a file instead of its own."""
    data = path.read_bytes()
    moov, movie = _place(data, b"moov"), _place(data, b"mvhd")
    scale = struct.unpack_from(">I", data, _place(data, b"mdhd") + 20)[0]
    movie_scale = struct.unpack_from(">I", data, movie + 20)[0]
    rows = [
        struct.pack(
            ">IiI", round(sec * movie_scale), -1 if at is None else round(at * scale), 1 << 16
        )
        for sec, at in edits
    ]
    body = struct.pack(">II", 0, len(rows)) + b"".join(rows)
    box = _box(b"edts", _box(b"elst", body))
    end = moov + struct.unpack_from(">I", data, moov)[0]
    inside = data[moov:end]
    place = [one.start() - 4 for one in re.finditer(b"trak", inside)][track]
    length = struct.unpack_from(">I", inside, place)[0]
    whole = inside[place + 8 : place + length]
    if b"edts" in whole:
        at = whole.index(b"edts") - 4
        whole = whole[:at] + whole[at + struct.unpack_from(">I", whole, at)[0] :]
    head = whole.index(b"mdia") - 4
    whole = _box(b"trak", whole[:head] + box + whole[head:])
    assert end == len(data), "samples behind the index would move"
    path.write_bytes(
        data[:moov] + _box(b"moov", inside[8:place] + whole + inside[place + length :])
    )
    return path


def _place(data: bytes, name: bytes) -> int:
    return data.index(name) - 4


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + name + body


@pytest.mark.parametrize("kind", [MP4, M4A, MOV], ids=str)
@pytest.mark.parametrize(
    "edits",
    [
        ((3.0, 3.0),),
        ((3.0, 0.0),),
        ((2.0, 0.0), (2.0, 4.0)),
        ((5.0, None), (2.0, 2.0)),
        ((1.0, 5.0), (1.0, 0.0)),
    ],
    ids=["begin", "end", "middle", "silence-first", "other-order"],
)
def test_what_an_edit_list_hides_is_heard_and_told(
    tmp_path: Path, kind: Kind, edits: tuple[Edit, ...]
) -> None:
    found = decoded(_edited(write(tmp_path / "a", kind, NUMBERS), *edits))
    assert [one for one in heard(found)[0] if one is not None] == NUMBERS
    assert "edit_list" in codes(found)


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
@pytest.mark.parametrize(
    "edits",
    [((5.6, 0.4),), ((5.6, 0.0),), ((2.0, 0.0), (3.7, 2.3))],
    ids=["begin", "end", "middle"],
)
def test_a_syllable_is_not_hidden_either(
    tmp_path: Path, rate: int, edits: tuple[Edit, ...]
) -> None:
    """Up to half a second was taken for an encoder's delay: an answer is as short."""
    path = write(tmp_path / "a", replace(MP4, rate=rate), NUMBERS)
    found = decoded(_edited(path, *edits))
    assert found.duration == pytest.approx(6, abs=0.15)
    assert heard(found)[0][:6] == NUMBERS
    assert codes(found) == {"edit_list"}


@pytest.mark.parametrize("kind", [MP4, M4A, MOV, FRAGMENTED, AAC], ids=str)
def test_an_encoders_delay_is_no_edit(tmp_path: Path, kind: Kind) -> None:
    found = decoded(write(tmp_path / "a", kind, NUMBERS))
    assert heard(found)[0][:6] == NUMBERS
    assert "edit_list" not in codes(found)


@pytest.mark.parametrize("kind", [MP4, MOV], ids=str)
@pytest.mark.parametrize(
    "edits",
    [
        ((6.0, 0.0), (6.0, 0.0)),
        ((4.0, 0.0), (4.0, 2.0)),
        ((6.0, 0.0), (0.4, 2.3)),
        ((3.0, 3.0), (3.0, 0.0)),
        ((2.0, 0.0), (3.0, None), (4.0, 2.0)),
    ],
    ids=["twice", "overlap", "syllable", "swapped", "pause"],
)
def test_what_an_edit_list_repeats_was_said_once(
    tmp_path: Path, kind: Kind, edits: tuple[Edit, ...]
) -> None:
    """It was transcribed as often as it is played, and in the order of the player."""
    found = decoded(_edited(write(tmp_path / "a", kind, NUMBERS), *edits))
    assert [one for one in heard(found)[0] if one is not None] == NUMBERS
    assert found.duration == pytest.approx(6, abs=0.15)
    assert codes(found) == {"edit_list"}


def test_what_is_played_first_keeps_its_time(tmp_path: Path) -> None:
    edits = ((5.0, None), (2.0, 2.0), (2.0, 2.0))
    found = decoded(_edited(write(tmp_path / "a", MOV, NUMBERS), *edits))
    assert heard(found)[0] == [None, None, None, *NUMBERS]
    assert codes(found) == {"edit_list", "gaps"}


def test_the_edit_list_of_one_track_leaves_the_time_of_another(tmp_path: Path) -> None:
    """All edit lists of a file were ignored where one hides something."""
    path = write(tmp_path / "a", MOV, NUMBERS, [11, 12, 13])
    _edited(_edited(path, (6.0, 0.0), (6.0, 0.0)), (2.0, None), (3.0, 0.0), track=1)
    found = decoded(path)
    assert [one[:6] for one in heard(found)] == [NUMBERS, [None, None, 11, 12, 13, None]]
    assert "edit_list" in codes(found)


def test_an_edit_list_that_only_says_when_sound_begins_is_kept_to(tmp_path: Path) -> None:
    found = decoded(_edited(write(tmp_path / "a", MP4, NUMBERS), (2.0, None), (6.0, 0.0)))
    assert heard(found)[0][:8] == [None, None, *NUMBERS]
    assert "edit_list" not in codes(found)


@given(st.data())
def test_a_broken_index_hides_nothing_and_raises_nothing(data: st.DataObject) -> None:
    names = st.sampled_from([b"trak", b"edts", b"elst", b"mdia", b"mdhd", b"hdlr", b"mvhd"])
    boxes = st.recursive(
        st.builds(_box, names, st.binary(max_size=40)),
        lambda inner: st.builds(lambda name, all_: _box(name, b"".join(all_)), names,
                                st.lists(inner, max_size=4)),
        max_leaves=12,
    )  # fmt: skip
    raw = b"".join(data.draw(st.lists(boxes, max_size=4)))
    cut = data.draw(st.integers(0, len(raw)))
    assert all(at < cut for at, _ in corrections(raw[:cut], 0, cut))
