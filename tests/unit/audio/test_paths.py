"""Paths that cannot be read: folders, links, pipes, devices, permissions."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stt_engine.errors import (
    AudioNotFound,
    AudioRejected,
    AudioUnreadable,
)
from tests.support import sounds
from tests.support.decoding import decode
from tests.support.encoded_audio import LIMITS


def test_a_folder(tmp_path: Path, out: Path) -> None:
    with pytest.raises(AudioUnreadable, match="a folder"):
        decode(tmp_path, out, LIMITS)


def test_a_missing_file(tmp_path: Path, out: Path) -> None:
    with pytest.raises(AudioNotFound, match="not found"):
        decode(tmp_path / "none.wav", out, LIMITS)


def test_a_dangling_link(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.wav").symlink_to(tmp_path / "none.wav")
    with pytest.raises(AudioNotFound):
        decode(tmp_path / "a.wav", out, LIMITS)


def test_a_link_to_itself(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.wav").symlink_to(tmp_path / "a.wav")
    with pytest.raises(AudioUnreadable):
        decode(tmp_path / "a.wav", out, LIMITS)


def test_a_file_as_a_folder_of_the_path(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(AudioRejected):
        decode(tmp_path / "a" / "b.wav", out, LIMITS)


def test_a_fifo_that_nobody_writes_to_does_not_hold_the_call(tmp_path: Path, out: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(AudioUnreadable, match="not a regular file"):
        decode(tmp_path / "a.wav", out, LIMITS)


def test_a_device_without_end(out: Path) -> None:
    with pytest.raises(AudioUnreadable, match="not a regular file"):
        decode(Path("/dev/zero"), out, LIMITS)


def test_a_socket(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket has to be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("a.wav")
        with pytest.raises(AudioUnreadable):
            decode(Path("a.wav"), out, LIMITS)


@contextmanager
def _unprivileged() -> Iterator[None]:
    """Root may read everything; be nobody for a moment."""
    if os.geteuid():
        yield
        return
    os.setegid(65_534)
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_a_file_without_permission_to_read_it(tmp_path: Path, out: Path) -> None:
    path = sounds.sine(tmp_path / "a.wav", 1.0)
    path.chmod(0)
    parents = [parent for parent in path.parents if parent != Path("/")]
    reachable = [(parent, parent.stat().st_mode) for parent in parents]
    for parent, mode in reachable:
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(mode | 0o011)
    try:
        with _unprivileged(), pytest.raises(AudioUnreadable, match="Permission denied"):
            decode(path, out, LIMITS)
    finally:
        for parent, mode in reachable:
            if parent.stat().st_uid == os.geteuid():
                parent.chmod(mode)


def test_a_nul_in_the_name(tmp_path: Path, out: Path) -> None:
    with pytest.raises(AudioRejected):
        decode(Path(f"{tmp_path}/a\0.wav"), out, LIMITS)


def test_a_name_longer_than_the_system_allows(tmp_path: Path, out: Path) -> None:
    with pytest.raises(AudioUnreadable):
        decode(tmp_path / ("a" * 300), out, LIMITS)
