"""What a recording says so far, in the last lines of a terminal; gone when the result is there.

Its order is that in which it is heard, and a fallback may say it anew: it is no result, so it goes
to stderr, and only where a person looks on.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from stt_engine.events import Event, Observer, RecognitionProgressed, RecognitionStarted
from stt_tools.cli.output import err

_BELOW = 3
"""Lines of the terminal that are left free."""


class _Heard:
    """The lines, as an observer of the recognition brings them."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._doing = "모델 로드 중"
        self._lines: deque[Text] = deque(maxlen=max(1, err.height - _BELOW))

    def __call__(self, event: Event) -> None:
        if isinstance(event, RecognitionStarted):
            self._lines.clear()
            self._began, self._doing = time.monotonic(), "음성 변환 중"
        elif isinstance(event, RecognitionProgressed):
            self._doing = f"음성 변환 중: 채널 {event.channel}, {event.done_sec:.0f}초까지"
            for start, text in event.heard:
                self._lines.append(Text(f"{start:7.1f} {text}", style="dim"))

    def __rich__(self) -> RenderableType:
        return Group(*self._lines, Text(f"{self._doing} ({time.monotonic() - self._began:.0f}초)"))


@contextmanager
def heard() -> Iterator[Observer]:
    """Yield an observer that shows on a terminal how far a recognition is, and its words."""
    shown = _Heard()
    if not err.is_terminal:
        yield shown
        return
    with Live(shown, console=err, transient=True):
        yield shown
