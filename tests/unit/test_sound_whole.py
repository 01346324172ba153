"""A whole recording of any kind: every second at its time, and nothing is said to be missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stt_engine.audio.reservoir import Reservoir
from tests.support.tones import KINDS, MORE, TS, Kind, codes, decoded, heard, write

SECONDS = list(range(12))
TELLS = {
    "mp3",
    "ogg",
    "webm",
    "matroska",
    "mp4",
    "mov",
    "asf",
    "avi",
    "wav",
    "w64",
    "caf",
    "voc",
    "wv",
    "tta",
    "aiff",
    "au",
}
"""Containers that tell whether their end is there."""

VARIABLE = (("flags", "+qscale"), ("global_quality", "590"))
PAUSING = (TS, Kind("mpegts", "libmp3lame"), Kind("mpegts", "mp2"),
           *(Kind("mp3", "libmp3lame", rate, codec_options=VARIABLE)
             for rate in (16_000, 22_050, 24_000)))  # fmt: skip
"""Kinds whose silent frames looked like something else: tags, or the beginning of a file."""


@pytest.mark.parametrize("kind", [*KINDS, *MORE], ids=str)
def test_every_second_is_heard_at_its_time(tmp_path: Path, kind: Kind) -> None:
    found = decoded(write(tmp_path / "a", kind, SECONDS))
    assert heard(found)[0][:12] == SECONDS
    assert found.duration == pytest.approx(12, abs=0.2)
    assert found.ledger["unheard"] == []
    assert found.ledger["gaps"] == []
    assert codes(found) == ({"channel_copies"} if kind.layout == "stereo" else set())
    assert found.ledger["heard_share"] == 1.0
    assert found.ledger["whole"] == ("yes" if kind.container in TELLS else "unknown")


@pytest.mark.parametrize("kind", PAUSING, ids=lambda kind: f"{kind}-{kind.rate}")
def test_silence_is_no_damage(tmp_path: Path, kind: Kind) -> None:
    """The first frame behind a pause was thrown away, or the last one called another file."""
    found = decoded(write(tmp_path / "a", kind, [-1, 1, -1, 3, 4, -1, -1]))
    assert heard(found)[0][:5] == [None, 1, None, 3, 4]
    assert found.ledger["unheard"] == []
    assert codes(found) == set()


def test_a_silent_frame_of_zeros_has_room_for_the_next_one() -> None:
    """Some encoders write digital silence like that; a tag has its name behind the zeros."""
    header, sound = bytes.fromhex("fff318c4"), bytes.fromhex("170000034800000000")
    follows = Reservoir()
    assert not follows.misses(header + bytes(32), 36)
    assert not follows.misses(header + sound + bytes(23), 36)
    behind_tag = Reservoir()
    assert not behind_tag.misses(header + bytes(9) + b"Xing" + bytes(19), 36)
    assert behind_tag.misses(header + sound + bytes(23), 36)


def test_the_ledger_is_plain_data(tmp_path: Path) -> None:
    found = decoded(write(tmp_path / "a", KINDS[0], SECONDS))
    assert json.loads(json.dumps(found.ledger)) == found.ledger
    assert found.ledger["streams_found"] == found.ledger["streams_decoded"] == 1
    assert found.ledger["channels"] == [{"track": 0, "channel": 0, "copies": []}]
    assert found.ledger["declared_by"] == "mp3"
    assert found.ledger["declared_sec"] == pytest.approx(12, abs=0.15)
