"""Stdout that nobody reads and a log file that is a FIFO: the server serves, and ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.server import CLEAN_EXITS, CLI, DEADLINE_SEC, ApiServer, awaited

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no FIFOs")

LINES = 1_000
"""Lines of access, each of 200 letters and more: three times what a pipe holds."""


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[int]:
    """The end of stdout that nobody reads."""
    os.mkfifo(tmp_path / "stdout")
    descriptor = os.open(tmp_path / "stdout", os.O_RDONLY | os.O_NONBLOCK)
    yield descriptor
    os.close(descriptor)


def test_a_server_whose_logs_stand_still(tmp_path: Path, reader: int) -> None:
    os.mkfifo(tmp_path / "api-server.log")
    # The port is told to a log that nobody reads any more: so it is read there first.
    script = f'exec "$0" "$@" > {tmp_path / "stdout"} 2>&1'
    server = ApiServer(
        tmp_path, command=("bash", "-c", script, *CLI), stt_model_path=tmp_path / "none"
    )
    try:
        server._port = awaited(lambda: port_in(reader), "the server listens")
        long = "/" + "x" * 190
        with httpx2.Client(base_url=server.base, trust_env=False, timeout=DEADLINE_SEC) as client:
            for _ in range(LINES):
                assert client.get(long).status_code == 404
            assert client.get("/health/live").status_code == 200
            assert "stt_engine_log_lines_lost_total" in client.get("/metrics").text
        server.send(signal.SIGTERM)
        assert server.process.wait(DEADLINE_SEC) in CLEAN_EXITS
    finally:
        server.kill()


def port_in(descriptor: int) -> int | None:
    """Return the port that a line of what has come names, if one does."""
    try:
        told = os.read(descriptor, 1 << 16).decode()
    except BlockingIOError:
        return None
    return int(told.partition("127.0.0.1:")[2].split()[0]) if "127.0.0.1:" in told else None
