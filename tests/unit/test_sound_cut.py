"""Cut files: where the container tells, they are told apart from whole ones; else nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from stt_engine.errors import AudioTruncated
from tests.support.tones import (
    AAC,
    AMR,
    AVI,
    DECLARE_LENGTH,
    FRAGMENTED,
    MARK_END,
    MP3_BARE,
    SILENT_ON_END,
    TS,
    Kind,
    codes,
    decoded,
    heard,
    write,
)

SECONDS = list(range(12))


def _cut(path: Path, share: float, exactly: int = 0) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: exactly or int(len(data) * share)])
    return path


@pytest.mark.parametrize("share", [0.4, 0.7])
@pytest.mark.parametrize("kind", DECLARE_LENGTH, ids=str)
def test_a_declared_length_is_missed(tmp_path: Path, kind: Kind, share: float) -> None:
    path = _cut(write(tmp_path / "a", kind, SECONDS), share)
    with pytest.raises(AudioTruncated, match=r" \d+\.\d s of (the|about) 1\d\.\d s"):
        decoded(path)


@pytest.mark.parametrize("kind", MARK_END, ids=str)
def test_the_end_is_missed(tmp_path: Path, kind: Kind) -> None:
    found = decoded(_cut(write(tmp_path / "a", kind, SECONDS), 0.7))
    assert (found.ledger["whole"], found.ledger["heard_share"]) == ("no", None)
    assert "cut" in codes(found)
    assert found.ledger["unheard"][-1]["reason"] == "cut"
    assert found.ledger["unheard"][-1]["end"] == pytest.approx(found.duration, abs=0.3)
    assert heard(found)[0][:6] == SECONDS[:6]


@pytest.mark.parametrize("kind", SILENT_ON_END, ids=str)
def test_where_nobody_can_know_it_says_so(tmp_path: Path, kind: Kind) -> None:
    whole = decoded(write(tmp_path / "a", kind, SECONDS))
    assert whole.ledger["whole"] == "unknown"
    assert whole.ledger["declared_sec"] is None
    cut = decoded(_cut(write(tmp_path / "b", kind, SECONDS), 0.5))
    assert cut.ledger["whole"] in {"unknown", "no"}  # a frame may be cut in two
    assert heard(cut)[0][:5] == SECONDS[:5]


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
def test_a_fragment_is_cut_in_two(tmp_path: Path, share: float) -> None:
    """Each fragment declares its own length, and nothing that of the whole."""
    found = decoded(_cut(write(tmp_path / "a", FRAGMENTED, SECONDS), share))
    assert found.ledger["declared_sec"] is None
    assert (found.ledger["whole"], found.ledger["heard_share"]) == ("no", None)
    assert "cut" in codes(found)


def test_a_cut_avi_is_no_empty_success(tmp_path: Path) -> None:
    path = write(tmp_path / "a", AVI, SECONDS)
    size = path.stat().st_size
    for end in (size // 2, size // 3, 6_000):
        write(path, AVI, SECONDS)
        with pytest.raises(AudioTruncated):
            decoded(_cut(path, 0, end))


def test_a_frame_that_is_cut_in_two_tells(tmp_path: Path) -> None:
    for kind in (AMR, AAC, MP3_BARE, TS):
        path = write(tmp_path / str(kind), kind, SECONDS)
        found = decoded(_cut(path, 0, path.stat().st_size - 5))
        assert (found.ledger["whole"], found.ledger["heard_share"]) == ("no", None), kind
        assert "cut" in codes(found)
