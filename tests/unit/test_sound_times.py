"""Times stay those of the recording where FFmpeg's time stamps, or its frames, are not true."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.tones import AAC, AMR, MP3_BARE, WMA, Kind, codes, decoded, heard, write

SECONDS = list(range(12))
FIRST, SECOND = [0, 1, 2, 3], [10, 11, 12, 13, 14]
LATM = Kind("latm", "aac")


def _at(kind: Kind, rate: int) -> Kind:
    return Kind(kind.container, kind.codec, rate, options=kind.options)


@pytest.mark.parametrize("rates", [(16_000, 44_100), (8_000, 48_000), (44_100, 16_000)], ids=str)
@pytest.mark.parametrize("kind", [AAC, LATM, MP3_BARE], ids=str)
def test_parts_of_other_sample_rates_without_time_stamps(
    tmp_path: Path, kind: Kind, rates: tuple[int, int]
) -> None:
    """FFmpeg counts on by the first rate, and the difference was taken for gaps."""
    path = tmp_path / "a"
    both = zip(rates, (FIRST, SECOND), strict=True)
    path.write_bytes(b"".join(write(path, _at(kind, r), one).read_bytes() for r, one in both))
    found = decoded(path)
    assert found.duration == pytest.approx(9.2, abs=0.25)
    assert heard(found)[0][:4] == FIRST
    assert [one for one in heard(found)[0][4:] if one in SECOND][:4] == SECOND[:4]
    assert found.ledger["gaps"] == found.ledger["unheard"] == []
    assert codes(found) == set()


def _overwritten(path: Path) -> Path:
    raw = bytearray(path.read_bytes())
    third = len(raw) // 3
    raw[third : 2 * third] = random.Random(1).randbytes(third)
    path.write_bytes(raw)
    return path


THREE_GP = Kind("3gp", AMR.codec, AMR.rate, bit_rate=AMR.bit_rate)


@pytest.mark.parametrize(("kind", "late"), [(THREE_GP, 0.1), (LATM, 0.9)], ids=str)
def test_noise_in_the_middle_moves_nothing(tmp_path: Path, kind: Kind, late: float) -> None:
    """More AMR frames came out of packets than they last: 18.3 s were 29.0 s."""
    found = decoded(_overwritten(write(tmp_path / "a", kind, SECONDS)))
    assert found.duration == pytest.approx(12, abs=late)
    assert heard(found)[0][:3] == SECONDS[:3]
    if kind is THREE_GP:  # those of the other are counted by bytes
        assert heard(found)[0][9:12] == SECONDS[9:12]
    assert found.ledger["heard_share"] == pytest.approx(0.66, abs=0.08)
    assert "damaged" in codes(found)


@pytest.mark.parametrize("seconds", [3, 15])
def test_a_gap_of_asf_is_no_damage(tmp_path: Path, seconds: int) -> None:
    """Its large packets looked like bytes that are lost."""
    found = decoded(write(tmp_path / "a", WMA, SECONDS, gap=(8.0, seconds)))
    assert found.ledger["unheard"] == []
    assert found.ledger["gap_sec"] == pytest.approx(seconds, abs=0.2)
    assert codes(found) == {"gaps"}
