"""Temporary files go with the call, and with the next start after a kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stt_engine.errors import WorkspaceError
from stt_engine.system import tempdirs

KILLED = """
import os, signal, sys
from stt_engine.system.tempdirs import scratch_folder
with scratch_folder() as folder:
    (folder / "call.s16").write_bytes(b"a customer's voice")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(tempdirs, "_own", None)
    return tmp_path


def test_a_folder_goes_with_its_call(tmp_path: Path) -> None:
    with tempdirs.scratch_folder() as folder:
        (folder / "x").write_bytes(b"x")
        assert folder.is_relative_to(tmp_path)
    assert not folder.exists()


def test_calls_of_one_process_have_folders_of_their_own() -> None:
    with tempdirs.scratch_folder() as one, tempdirs.scratch_folder() as other:
        assert one != other
        assert one.parent == other.parent


def test_what_a_killed_process_left_is_swept_and_what_lives_is_kept(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", KILLED]
    made = []
    for _ in range(2):
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        made.append((process, Path(process.stdout.readline().strip())))
    (killed, left), (living, kept) = made
    killed.send_signal(signal.SIGKILL)
    killed.wait(30)
    assert (left / "call.s16").exists()
    with tempdirs.scratch_folder():
        assert not left.exists()
        assert not left.parent.exists()
        assert (kept / "call.s16").exists()
    living.communicate("")
    assert not kept.exists()
    for process, _ in made:
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()


def test_no_room_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    with pytest.raises(WorkspaceError, match="No such file"), tempdirs.scratch_folder():
        raise AssertionError


def test_a_folder_that_somebody_removed_is_made_again() -> None:
    with tempdirs.scratch_folder() as first:
        pass
    tempdirs.remove_own()
    assert not first.parent.exists()
    with tempdirs.scratch_folder() as second:
        assert second.is_dir()
