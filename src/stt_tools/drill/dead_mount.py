"""A real file system (FUSE) that stops answering, for as long as one wants; needs root on Linux.

The kernel talks to a process of our own over ``/dev/fuse``. The process is stopped (SIGSTOP), and
whoever asks for a file then waits in the kernel, as on a network share whose server is gone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stt_tools.drill.client import DrillError

NAME = "call.wav"
_HEADER, _OUT = "<IIQQIIII", "<IiQ"
_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _FLUSH, _RELEASE = 1, 2, 3, 14, 15, 25, 18
_INIT, _INTERRUPT, _BATCH_FORGET = 26, 36, 42
_UNASKED = {_FORGET, _INTERRUPT, _BATCH_FORGET}
_ENOENT, _ENOSYS = 2, 38
_ROOT, _FILE = 1, 2


def supported() -> bool:
    """Return whether this user may mount one here."""
    return sys.platform == "linux" and os.geteuid() == 0 and Path("/dev/fuse").exists()


class DeadMount:
    """A mounted folder with one file in it; it answers until :meth:`die`.

    Raises:
        DrillError: it cannot be mounted.
    """

    def __init__(self, folder: Path, content: Path) -> None:
        self.folder, self.file = folder, folder / NAME
        self._process = subprocess.Popen(  # noqa: S603 - this file
            [sys.executable, "-m", __name__, str(folder), str(content)],
            stdout=subprocess.PIPE,
            encoding="ascii",
        )
        if self._next_word() != "mounted" or not self.file.is_file():
            self.close()
            raise DrillError("FUSE cannot be used here")

    def die(self) -> None:
        """Answer nothing more."""
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    def die_holding(self) -> None:
        """Answer nothing more, and take the next question: who asks it cannot even be killed."""
        self._process.send_signal(signal.SIGUSR1)
        if self._next_word() != "holding":
            raise DrillError("the file system ended")

    def revive(self) -> None:
        """Answer again, what was asked meanwhile too."""
        self._process.send_signal(signal.SIGCONT)

    def _next_word(self) -> str:
        """Return the next line that the process writes; empty where it has ended."""
        return self._process.stdout.readline().strip() if self._process.stdout else ""

    def close(self) -> None:
        """End it: whoever still waits gets an error."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        ctypes.CDLL(None).umount2(os.fsencode(self.folder), 2)  # MNT_DETACH


@contextmanager
def dead_mount(folder: Path, content: Path) -> Iterator[DeadMount]:
    """Mount a folder for the length of a block."""
    folder.mkdir()
    found = DeadMount(folder, content)
    try:
        yield found
    finally:
        found.close()


def _attributes(node: int, size: int) -> bytes:
    mode = 0o040755 if node == _ROOT else 0o100644
    times = (0,) * 6
    return struct.pack("<QQQQQQ10I", node, size, 8, *times, mode, 1, 0, 0, 0, 512, 0)


def _answer(code: int, node: int, body: bytes, content: bytes) -> bytes | int:
    """Return the answer to a request, or its error."""
    size = len(content) if node == _FILE else 0
    if code == _INIT:
        return struct.pack("<IIIIHHIIHHI28x", 7, 31, 65536, 0, 12, 10, 131072, 1, 32, 0, 0)
    if code == _LOOKUP:
        found = struct.pack("<QQQQII", _FILE, 0, 0, 0, 0, 0) + _attributes(_FILE, len(content))
        return found if body.rstrip(b"\0") == NAME.encode() else _ENOENT
    if code == _GETATTR:
        return struct.pack("<QII", 0, 0, 0) + _attributes(node, size)
    if code == _OPEN:
        return struct.pack("<QII", 1, 1, 0)  # FOPEN_DIRECT_IO: every read is asked for
    if code == _READ:
        offset, wanted = struct.unpack_from("<8xQI", body)
        return content[offset : offset + wanted]
    return b"" if code in {_FLUSH, _RELEASE} else _ENOSYS


def _serve(folder: str, content: bytes) -> None:
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if ctypes.CDLL(None).mount(b"test", os.fsencode(folder), b"fuse", 0, options):
        sys.exit("cannot be mounted")
    holding: list[int] = []

    def hold(number: int, _frame: object) -> None:
        holding.append(number)
        os.write(1, b"holding\n")

    signal.signal(signal.SIGUSR1, hold)
    os.write(1, b"mounted\n")
    while True:
        request = os.read(device, 1 << 20)
        if holding:
            os.kill(os.getpid(), signal.SIGSTOP)
        _, code, unique, node, *_ = struct.unpack_from(_HEADER, request)
        if code in _UNASKED:
            continue
        found = _answer(code, node, request[struct.calcsize(_HEADER) :], content)
        error, data = (-found, b"") if isinstance(found, int) else (0, found)
        os.write(device, struct.pack(_OUT, 16 + len(data), error, unique) + data)


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]).read_bytes())
