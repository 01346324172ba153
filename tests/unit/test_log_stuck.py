"""A log that stands still: nobody waits for it, and the lines that it lost are told."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stt_engine import log, log_writer
from stt_engine.log import configure, get_logger
from tests.support.documents import ROOT

pytestmark = [
    pytest.mark.usefixtures("own_logging"),
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs"),
]

MANY = 5_000
GAP = re.compile(r"WARNING - \[Log\] 쓰지 못한 줄이 여기에 빠져 있음 \((\d+)줄\)")


@pytest.fixture
def fifo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(log, "OPEN_SEC", 0.05)
    path = tmp_path / "api-server.log"
    os.mkfifo(path)
    return path


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """A pipe nobody reads: where to read it, and the stream that writes to it."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        yield reader, stream
        os.close(reader)  # the thread that is stuck in it gets an error


def read_all(descriptor: int, last: str, lines: int = 0) -> list[str]:
    """Read until ``last`` stands at the end of a line, and so many lines have come."""
    found = b""
    while not found.endswith(f"{last}\n".encode()) or found.count(b"[STT]") < lines:
        found += os.read(descriptor, 1 << 16)
    return [line.partition("] ")[2] for line in found.decode().splitlines()]


def test_a_fifo_without_a_reader_gets_its_lines_once_it_has_one(fifo: Path) -> None:
    stream = io.StringIO()
    configure(file=fifo, stream=stream)
    for number in range(MANY):
        get_logger("STT").info("줄 %d", number)
    assert "no answer within 0.05 s" in stream.getvalue().splitlines()[0]
    with fifo.open("rb") as reader:
        lines = read_all(reader.fileno(), f"줄 {MANY - 1}")
    assert [one for one in lines if "[STT]" in one] == [
        f"INFO - [STT] 줄 {number}" for number in range(MANY)
    ]
    log.flush()
    assert len([one for one in stream.getvalue().splitlines() if "[STT]" in one]) == MANY


def test_what_a_stopped_reader_leaves_no_room_for_is_counted_and_told_at_its_place(
    pipe: tuple[int, io.TextIOWrapper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "MOST_WAITING", 10_000)
    reader, stream = pipe
    configure(stream=stream)
    for number in range(MANY):
        get_logger("STT").info("줄 %d", number)
    lost = log.lost_lines()["stdout"]
    assert lost > 1_000
    lines = read_all(reader, "", MANY - lost)
    get_logger("STT").info("줄 %d", MANY)
    lines += read_all(reader, f"줄 {MANY}")
    expected = 0
    for line in lines:
        if gap := GAP.fullmatch(line):
            expected += int(gap[1])
        else:
            assert line == f"INFO - [STT] 줄 {expected}"
            expected += 1
    assert expected == MANY + 1


def test_the_other_log_is_told_once(
    pipe: tuple[int, io.TextIOWrapper], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "MOST_WAITING", 10_000)
    file = tmp_path / "api-server.log"
    configure(file=file, stream=pipe[1])
    while log.lost_lines()["stdout"] < 10:
        get_logger("STT").info("x" * 1_000)
        logging.getLogger().handlers[1].flush()
    told = "ERROR - [Log] 로그를 쓸 수 없어 줄이 빠짐 (stdout: stands still)"
    assert file.read_text("utf-8").count(told) == 1


def test_a_file_opened_anew_has_what_comes_after(tmp_path: Path) -> None:
    file = tmp_path / "api-server.log"
    configure(file=file, stream=io.StringIO())
    get_logger("STT").info("before")
    log.flush()
    file.rename(tmp_path / "moved")
    get_logger("STT").info("still there")
    log.reopen()
    get_logger("STT").info("after")
    log.flush()
    assert "still there" in (tmp_path / "moved").read_text("utf-8")
    assert [line[-5:] for line in file.read_text("utf-8").splitlines()] == ["after"]


def test_a_file_that_could_not_be_opened_is_tried_again_on_request(tmp_path: Path) -> None:
    file = tmp_path / "logs" / "api-server.log"
    file.parent.write_text("not a folder")
    configure(file=file, stream=io.StringIO())
    get_logger("STT").info("lost")
    file.parent.unlink()
    log.reopen()
    get_logger("STT").info("written")
    log.flush()
    assert [line[-7:] for line in file.read_text("utf-8").splitlines()] == ["written"]


STUCK = """
import sys
from pathlib import Path
from stt_engine import log
log.OPEN_SEC = log.FLUSH_SEC = 0.05
log.configure(file=Path(sys.argv[1]))
for number in range(5000):
    log.get_logger("STT").info("a line of some length, number %d", number)
"""


def test_a_process_ends_although_its_logs_stand_still(
    fifo: Path, pipe: tuple[int, io.TextIOWrapper]
) -> None:
    """Stdout is a full pipe, and the file a FIFO without a reader."""
    command = [sys.executable, "-c", STUCK, str(fifo)]
    done = subprocess.run(
        command, stdout=pipe[1], stderr=subprocess.PIPE, cwd=ROOT / "src", timeout=90, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
