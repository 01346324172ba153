"""Whether this server can do its work, proved by doing it."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.resources import as_file, files
from typing import Any

import anyio
import anyio.to_thread

from api_server.transcribe_lines import CANARY
from stt_engine.engine import WhisperSTT
from stt_engine.errors import EngineError
from stt_engine.outcome import DUMMY, Attempts, Event, Observer, Stage
from stt_engine.speech import SpeechRequest

KEPT_FAILURES = 20
_LONGEST_WAIT = 8  # intervals


class CanaryFailed(EngineError):
    """The built-in clip was not recognised."""


class LastFailures:
    """An observer that keeps the latest failures, and each agent's latest outcome."""

    def __init__(self) -> None:
        self._failures: deque[dict[str, Any]] = deque(maxlen=KEPT_FAILURES)
        self._agents: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        """Keep what ``/health`` shows."""
        if event.failure is not None and not event.failure.skipped:
            failure = event.failure
            self._failures.appendleft(
                {
                    "at": datetime.now(UTC).isoformat(timespec="seconds"),
                    "stage": failure.stage,
                    "source": failure.source,
                    "error_type": failure.error_type,
                    "message": failure.message,
                }
            )
        if event.stage == Stage.AGENT and event.kind == "settled" and event.outcome:
            state = "failing" if event.outcome.is_dummy else "ok"
            self._agents[str(event.detail["url"])] = state

    def failures(self) -> list[dict[str, Any]]:
        """Give the latest failures, newest first."""
        return list(self._failures)

    def agent(self, url: str) -> str:
        """``ok``, ``failing`` or ``unknown`` (not called yet)."""
        return self._agents.get(url, "unknown")


class Readiness:
    """Ready once a real backend has recognised a known clip, for as long as its process lives.

    Args:
        stt: the engine.
        words: of these one must be heard; empty: any text will do.
        interval_sec: how often :meth:`watch` looks again.
        observers: told of each look (``Stage.HEALTH``).
    """

    def __init__(
        self, stt: WhisperSTT, words: str, interval_sec: float, observers: Iterable[Observer]
    ) -> None:
        self._stt = stt
        self._words = set(_words(words))
        self._interval_sec = interval_sec
        self._observers = tuple(observers)
        self._proved_pids: frozenset[int] = frozenset()
        self._reason = "the model is loading"
        self._ended = False

    @property
    def reason(self) -> str | None:
        """Why the server is not ready; ``None`` while it is."""
        serving = [one for one in self._stt.components() if one.name != "audio" and one.loaded]
        stalled = [one.name for one in serving if one.state == "stalled"]
        if stalled:
            return f"{', '.join(stalled)} has stopped answering"
        if not self._proved_pids.intersection(one.pid for one in serving if one.pid):
            return self._reason
        return None

    async def watch(self) -> None:
        """Load, prove, and look again for ever; a lost model is loaded again.

        A model that cannot be loaded is tried less and less often: each try is logged. One that a
        call has loaded meanwhile is proved at the next look.
        """
        rest = 0
        wait = 1
        while True:
            if self.reason is None:
                rest, wait = 0, 1
            elif rest == 0 or self._stt.ready:
                await anyio.to_thread.run_sync(self._prove, abandon_on_cancel=True)
                wait = 1 if self.reason is None else min(wait * 2, _LONGEST_WAIT)
                rest = 0 if self.reason is None else wait
            else:
                rest -= 1
            await anyio.sleep(self._interval_sec)

    def end(self) -> None:
        """Stop proving: the engine is being closed."""
        self._ended = True

    def _prove(self) -> None:
        attempts = Attempts(Stage.HEALTH, self._observers)
        with attempts.of(CANARY):
            self._recognise_clip()
            self._proved_pids = frozenset(
                one.pid for one in self._stt.components() if one.loaded and one.pid
            )
            self._reason = "the model was lost and is loaded again"
            attempts.settle(None, CANARY)
            return
        self._reason = attempts.failures[-1].message
        attempts.settle(None, DUMMY)

    def _recognise_clip(self) -> None:
        if self._ended:
            raise CanaryFailed("the server is stopping")
        if not self._stt.preload():
            raise CanaryFailed("no backend could load a model (see the log)")
        assets = files("stt_engine") / "assets"
        language = json.loads((assets / "canary.json").read_text(encoding="utf-8"))["language"]
        began = time.monotonic()
        with as_file(assets / "canary.wav") as clip:
            heard = self._stt.recognise(SpeechRequest(clip, language), counted=False).value
        took = time.monotonic() - began
        if not heard.text:
            raise CanaryFailed(f"nothing was recognised in the built-in clip ({took:.1f} s)")
        if self._words and not self._words.intersection(_words(heard.text)):
            raise CanaryFailed("other words than the built-in clip's were recognised")


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
