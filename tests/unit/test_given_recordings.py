"""Bytes and open files are recordings too; what is none is a dummy's cause."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from stt_engine import WhisperSTT
from stt_engine.errors import AudioTooLarge, AudioUnreadable, InvalidRequest, WorkspaceError
from stt_engine.recognition.given import as_file
from stt_engine.system import tempdirs

CONTENT = b"RIFF" * 700_000


def test_a_path_is_the_file_itself(tmp_path: Path) -> None:
    for given in (tmp_path, str(tmp_path)):
        with as_file(given, 1) as path:
            assert path == tmp_path


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO])
def test_what_is_no_file_is_one_for_a_while(kind: type) -> None:
    with as_file(kind(CONTENT), len(CONTENT)) as path:
        assert path.read_bytes() == CONTENT
    assert not path.exists()


def test_an_open_file_is_read_from_where_it_stands_and_left_open(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"head" + CONTENT)
    with (tmp_path / "a").open("rb") as opened:
        opened.read(4)
        with as_file(opened, len(CONTENT)) as path:
            assert path.read_bytes() == CONTENT
        assert not opened.closed


def test_a_pipe_is_read_to_its_end() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"sound")
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe, as_file(pipe, 100) as path:
        assert path.read_bytes() == b"sound"


class _Broken:
    def read(self, _size: int) -> bytes:
        raise RuntimeError("the line is dead")


def _closed() -> io.BytesIO:
    found = io.BytesIO(b"x")
    found.close()
    return found


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (b"12345", AudioTooLarge, "more than 4 bytes"),
        (io.BytesIO(CONTENT), AudioTooLarge, "more than 4 bytes"),
        (io.StringIO("text"), AudioUnreadable, "open it with 'rb'"),
        (_Broken(), AudioUnreadable, "the line is dead"),
        (_closed(), AudioUnreadable, "closed file"),
        (5, InvalidRequest, "not int"),
        (None, InvalidRequest, "not NoneType"),
    ],
)
def test_what_cannot_be_read_is_named(given: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words), as_file(given, 4):  # type: ignore[arg-type]
        pass


def test_no_room_for_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tempdirs.remove_own()
    monkeypatch.setattr(tempdirs.tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(WorkspaceError), as_file(b"x", 4):
        pass


@pytest.mark.parametrize("given", [b"", io.StringIO("x"), 5, None, _Broken()])
def test_the_engine_answers_with_a_dummy(given: object, tmp_path: Path) -> None:
    with WhisperSTT(tmp_path / "none", preload=False) as stt:
        result = stt.transcribe(given, "en")  # type: ignore[arg-type]
    assert (result["is_dummy"], result["text"]) == (True, "")
    assert result["error_type"] in {"AudioEmpty", "AudioUnreadable", "InvalidRequest"}
