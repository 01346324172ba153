"""What ``stt-engine`` starts with: Ctrl-C ends it quietly from here on, whatever is imported then.

So this imports nothing that takes time.
"""

from __future__ import annotations

import os
import signal
import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command line, and end the process with its exit code."""
    _on_interrupt(signal.default_int_handler, _end_at_once)
    sys.exit(_run())


def _run() -> int:
    try:
        from stt_tools.cli import program  # noqa: PLC0415 - takes a second
    except ModuleNotFoundError as exc:
        from stt_tools import extras  # noqa: PLC0415

        return extras.tell_missing(exc)
    _on_interrupt(_end_at_once, signal.default_int_handler)
    code = program.run()
    _on_interrupt(signal.default_int_handler, _end_at_once)  # the interpreter's end is quiet too
    return code


def _on_interrupt(before: object, after: object) -> None:
    """Replace the handler of Ctrl-C, unless it is another one: a background job ignores it."""
    if signal.getsignal(signal.SIGINT) is before:
        signal.signal(signal.SIGINT, after)  # type: ignore[arg-type]


def _end_at_once(_number: int, _frame: object) -> None:
    os._exit(_INTERRUPTED)
