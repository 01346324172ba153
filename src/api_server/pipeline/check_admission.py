"""Who may have a transcript checked: so many at once, whatever each of them is waiting for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from api_server.pipeline.admission import QueueFull

_FIRST_SEC = 10.0
_MEMORY = 0.8


class CheckAdmission:
    """Counts the transcripts that are being checked; one more than ``most`` is refused at once.

    The check of a recording is not counted: its call was let in by the queue of recognition.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._typical_sec = _FIRST_SEC
        self.inside = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place for as long as a check takes.

        Raises:
            QueueFull: there is none; ``retry_after`` is what a check has lately taken.
        """
        if self.inside >= self._most:
            retry_after = max(1, math.ceil(self._typical_sec))
            raise QueueFull(f"{self.inside} transcripts are being checked", retry_after)
        self.inside += 1
        began = self._clock()
        try:
            yield
        finally:
            self.inside -= 1
            took = self._clock() - began
            self._typical_sec = _MEMORY * self._typical_sec + (1 - _MEMORY) * took
