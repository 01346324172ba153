"""What a call says so far, in the order of its transcript, while the rest is still recognised.

The transcript is its segments in the order of time. A segment can be told once nothing that is
still to come stands before it: every channel has been recognised up to it, or nothing begins there.
"""

from __future__ import annotations

from collections.abc import Callable

from stt_engine.events import Event, RecognitionProgressed

_ROUNDED = 1e-3
"""Seconds by which a time may be rounded."""


class LiveText:
    """An observer of one call that gives its text away, piece by piece.

    The pieces together are the beginning of the transcript's text. Where another backend begins
    anew, no more are given: what was told may then not be in the transcript.

    Args:
        give: called with each piece, in the thread that recognises.
    """

    def __init__(self, give: Callable[[str], None]) -> None:
        self._give = give
        self._backend: str | None = None
        self._done_sec: dict[int, float] = {}
        self._waiting: list[tuple[float, int, int, str]] = []
        self._known = 0
        self._begun = self._over = False

    def __call__(self, event: Event) -> None:
        """Keep what was recognised, and give away what can be told."""
        if not isinstance(event, RecognitionProgressed) or self._over:
            return
        if self._begins_anew(event):
            self._over = True
            return
        self._backend = event.backend
        self._done_sec[event.channel] = event.done_sec
        for start, text in event.heard:
            self._known += 1
            self._waiting.append((start, event.channel, self._known, text))
        done_sec = min(self._done_sec.get(one, 0.0) for one in range(event.channels))
        self._tell(max(done_sec, event.settled_sec - _ROUNDED))

    def _begins_anew(self, event: RecognitionProgressed) -> bool:
        other = self._backend not in {None, event.backend}
        return other or event.done_sec < self._done_sec.get(event.channel, 0.0)

    def _tell(self, told_to: float) -> None:
        self._waiting.sort()
        while self._waiting and self._waiting[0][0] < told_to:
            *_, text = self._waiting.pop(0)
            self._give(f" {text}" if self._begun else text)
            self._begun = True
