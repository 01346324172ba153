"""The scripted LLM server in a process of its own, on a port that it may come back to."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from stt_tools.drill.llm import honest
from tests.support.fault_server import FaultServer
from tests.support.server import ROOT

_LISTENS = b"listens"


@contextmanager
def scripted_llm_process(port: int) -> Iterator[None]:
    """Run it for the length of a block; it is killed at the end."""
    command = [sys.executable, "-m", __name__, str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert _LISTENS in process.stdout.readline()
        yield
    finally:
        process.kill()
        process.communicate()


async def _serve(port: int) -> None:
    async with FaultServer(honest, port=port):
        sys.stdout.write(f"{_LISTENS.decode()}\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


if __name__ == "__main__":
    anyio.run(_serve, int(sys.argv[1]))
