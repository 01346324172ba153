"""Whether this server can do its work, proved by doing it."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import as_file, files
from typing import Any

import anyio
import anyio.to_thread

from api_server.observability.events import CANARY
from stt_engine.engine import ComponentState, WhisperSTT
from stt_engine.errors import EngineError
from stt_engine.events import Event, Observer, Stage
from stt_engine.outcome import DUMMY, AttemptFailed, Attempts, Outcome
from stt_engine.speech import SpeechRequest, Transcript

KEPT_FAILURES = 20
_LONGEST_WAIT = 8  # intervals


class CanaryFailed(EngineError):
    """The built-in clip was not recognised."""


class LastFailures:
    """An observer that keeps the latest failures."""

    def __init__(self) -> None:
        self._failures: deque[dict[str, Any]] = deque(maxlen=KEPT_FAILURES)

    def __call__(self, event: Event) -> None:
        """Keep what ``/health`` shows."""
        if isinstance(event, AttemptFailed) and not event.failure.skipped:
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

    def failures(self) -> list[dict[str, Any]]:
        """Return the latest failures, newest first."""
        return list(self._failures)


class Readiness:
    """Ready while a real backend has lately recognised a known clip, and still lives.

    The clip is recognised again every ``proof_sec`` while nothing else is; a process that is at
    work shows by its heartbeat that it lives.

    Args:
        stt: the engine.
        words: of these one must be heard; empty: any text will do.
        interval_sec: how often :meth:`watch` looks.
        proof_sec: how long a proof is good for.
        observers: told of each proof that is new or fails (``Stage.HEALTH``).
    """

    def __init__(
        self,
        stt: WhisperSTT,
        words: str,
        interval_sec: float,
        proof_sec: float,
        observers: Iterable[Observer],
    ) -> None:
        self._stt = stt
        self._words = words
        self._interval_sec = interval_sec
        self._proof_sec = proof_sec
        self._observers = tuple(observers)
        self._proof: _Proof | None = None
        self._reason = "the model is loading"
        self._ended = False
        self._begun: threading.Thread | None = None

    @property
    def reason(self) -> str | None:
        """Why the server is not ready; ``None`` while it is."""
        serving = [one for one in self._stt.components() if one.name != "audio" and one.loaded]
        stalled = [one.name for one in serving if one.state == "stalled"]
        if stalled:
            return f"{', '.join(stalled)} has stopped answering"
        proof = self._proof
        if proof is None or not any(proof.is_of(one) for one in serving):
            return self._reason
        return None

    def begin(self) -> None:
        """Load and prove beside what else a start has to do; :meth:`watch` goes on from there."""
        self._begun = threading.Thread(target=self._prove, name="first proof", daemon=True)
        self._begun.start()

    async def watch(self) -> None:
        """Load, prove, and look again for ever; a lost model is loaded again.

        A model that cannot be loaded is tried less and less often: each try is logged. One that a
        call has loaded meanwhile is proved at the next look.
        """
        rest = 0
        wait = 1
        begun, self._begun = self._begun, None
        if begun is not None:
            await anyio.to_thread.run_sync(begun.join, abandon_on_cancel=True)
            rest = 0 if self.reason is None else wait
        while True:
            if self.reason is None:
                rest, wait = 0, 1
                if await anyio.to_thread.run_sync(self._is_due, abandon_on_cancel=True):
                    await anyio.to_thread.run_sync(self._prove, abandon_on_cancel=True)
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

    def _is_due(self) -> bool:
        """Return whether the proof is old, or its model is not on disk any more."""
        if any(one.state == "busy" for one in self._stt.components()):
            return False
        old = self._proof is None or time.monotonic() - self._proof.at > self._proof_sec
        return old or not self._stt.intact()

    def _prove(self) -> None:
        attempts = Attempts(Stage.HEALTH, self._observers)
        with attempts.of(CANARY):
            source = self._recognise_clip()
            known, self._proof = self._proof, _Proof.of(source, self._stt.components())
            self._reason = "the model was lost and is loaded again"
            if known is None or not known.is_same(self._proof):
                attempts.settle(None, CANARY)
            return
        self._proof = None
        self._reason = attempts.failures[-1].message
        attempts.settle(None, DUMMY)

    def _recognise_clip(self) -> str:
        """Return the name of the backend that recognised it."""
        if self._ended:
            raise CanaryFailed("the server is stopping")
        if not self._stt.preload():
            raise CanaryFailed("no backend could load a model (see the log)")
        found = recognise_clip(self._stt)
        check_clip(found, self._words)
        return found.source


def recognise_clip(stt: WhisperSTT) -> Outcome[Transcript]:
    """Return what is recognised in the built-in clip, which is no call and counts as none."""
    assets = files("stt_engine") / "assets"
    language = json.loads((assets / "canary.json").read_text(encoding="utf-8"))["language"]
    with as_file(assets / "canary.wav") as clip:
        return stt.recognise(SpeechRequest(clip, language), counted=False)


def check_clip(found: Outcome[Transcript], words: str) -> None:
    """Return where one of ``words`` (empty: any text) was recognised in the built-in clip.

    Raises:
        CanaryFailed: it was not.
    """
    text = found.value.text
    if found.is_dummy or not text:
        took = f"{found.elapsed_sec:.1f} s"
        raise CanaryFailed(f"nothing was recognised in the built-in clip ({took})")
    wanted = set(_words(words))
    if wanted and not wanted.intersection(_words(text)):
        raise CanaryFailed("other words than the built-in clip's were recognised")


@dataclass(frozen=True, slots=True)
class _Proof:
    """Who recognised the clip, and when (monotonic seconds)."""

    source: str
    pid: int | None
    at: float

    @classmethod
    def of(cls, source: str, components: Iterable[ComponentState]) -> _Proof:
        pid = next((one.pid for one in components if one.name == source), None)
        return cls(source, pid, time.monotonic())

    def is_of(self, component: ComponentState) -> bool:
        return (component.name, component.pid) == (self.source, self.pid)

    def is_same(self, other: _Proof) -> bool:
        return (self.source, self.pid) == (other.source, other.pid)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
