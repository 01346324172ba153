"""No child outlives its parent: not one that is stuck in native code, nor one that is stopped.

A heartbeat that fails ends a child that can still run Python. For the others there is Linux'
*parent-death signal*, which the child asks for itself. The kernel takes the end of the **thread**
that started a child for its parent's death, and calls come from pool threads that end when they
are idle; so a child is started by a thread that stays as long as it does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

from stt_engine.outcome import capture

Process = subprocess.Popen[bytes]

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process with its parent; does nothing where that is not Linux.

    A parent that died before (while the interpreter started) is noticed by its closed pipe.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def kept(start: Callable[[], Process]) -> Process:
    """Return the child that ``start`` starts, in a thread that stays until the child has ended."""
    handed: queue.SimpleQueue[Process | BaseException | None] = queue.SimpleQueue()
    threading.Thread(target=_keep, args=(start, handed), name="keeper", daemon=True).start()
    found = handed.get()
    if not isinstance(found, subprocess.Popen):
        raise found or ChildProcessError("no process was started")
    return found


def _keep(start: Callable[[], Process], handed: queue.SimpleQueue[object]) -> None:
    with capture() as kept:
        child = start()
        handed.put(child)
        if sys.platform == "linux":
            with contextlib.suppress(ChildProcessError):  # its owner was faster
                os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # the owner's to reap
        return
    handed.put(kept.error)
