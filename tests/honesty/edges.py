"""The outermost edge of recognition, faked: files that need no decoding, recognisers with no model.

A recording is a file that holds its call's number. So what a recogniser hears depends on the very
file that it was given, as with real ones, and a mix-up of two calls is heard.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

from stt_engine import errors
from stt_engine.call import CallContext, OnWork
from stt_engine.coverage import (
    ChannelCoverage,
    SpeechCoverage,
    Unheard,
    UnheardReason,
    recognised_coverage,
)
from stt_engine.speech import DecodedAudio, Segment, SpeechOutcome, SpeechRequest, Transcript
from stt_engine.warnings import BARS_ABSENCE, AnswerWarning, warning
from tests.honesty.calls import Call, Failed, Heard, Line

NAMED_BY_THE_REQUEST = {
    "ModelNotFound": "FileNotFoundError",
    "AudioNotFound": "FileNotFoundError",
    "OutOfMemory": "MemoryError",
}
"""Error types that the contract calls by a built-in's name; every other has its class's name."""

SKIPPED = {"NotApplicable", "BackendUnavailable", "ModelFormatAbsent"}
REFUSALS = {
    "AudioRejected": 415,
    "AudioNotFound": 404,
    "AudioUnreadable": 400,
    "AudioEmpty": 415,
    "NotAudio": 415,
    "AudioTruncated": 415,
    "AudioDamaged": 415,
    "AudioTooLarge": 413,
    "AudioTooLong": 413,
    "AudioTooManyChannels": 413,
    "InvalidRequest": 400,
}
"""The caller's own mistakes, and their HTTP status."""

UNFORESEEN: dict[str, type[Exception]] = {
    "ValueError": ValueError,
    "RuntimeError": RuntimeError,
    "KeyError": KeyError,
    "OSError": OSError,
}
TAXONOMY = {
    name: cls for name, cls in errors.all_errors().items() if cls.__module__ == errors.__name__
}
CONTRADICTIONS: dict[str, tuple[str, SpeechOutcome]] = {
    "hollow": ("", "speech"),
    "blank": (" \n", "speech"),
    "mute": ("아무도 하지 않은 말", "no_speech"),
}
"""Transcripts that cannot be: a recogniser that gives one has failed."""

LOSSES = sorted({*get_args(UnheardReason), *BARS_ABSENCE} - {"rejected_text"})
"""What a ledger or a warning can say is not there."""

FAULTS = sorted({**TAXONOMY, **UNFORESEEN})
TAGS = {"remote": "r", "faster-whisper": "f", "transformers": "t", "openai-whisper": "o"}
GATE_SEC = 5.0


def fault(name: str, source: str, call: Call) -> tuple[Exception, Failed]:
    """Return the exception called ``name``, and what an answer has to tell of it."""
    words = f"{source} broke down ({name}, {call.marker})"
    error: Exception = {**TAXONOMY, **UNFORESEEN}[name](words)
    told = Failed(
        source,
        NAMED_BY_THE_REQUEST.get(name, name),
        str(error),
        skipped=name in SKIPPED,
        refusal=REFUSALS.get(name),
    )
    return error, told


class Edges:
    """Decoder and recognisers; each does with a call what the call says."""

    def __init__(self, call_of: Callable[[int], Call]) -> None:
        self.call_of = call_of
        self.gate = threading.Event()
        self.gate.set()
        self.unforeseen = 0

    def decoder(self, *_args: object, **_options: object) -> FakeDecoder:
        return FakeDecoder(self)

    def recogniser(self, name: str, *_args: object, **_options: object) -> FakeRecogniser:
        return FakeRecogniser(name, self)

    def pass_gate(self) -> None:
        """Wait while recognition is held up; nobody ending it is a failure of the test."""
        held = not self.gate.wait(GATE_SEC)
        self.gate.set()
        assert not held, "nobody opened the gate"

    def behave(self, mode: str, source: str, call: Call) -> None:
        if mode in {"ok", "silence"}:
            return
        error, told = fault(mode, source, call)
        call.failed.append(told)
        self.unforeseen += mode in UNFORESEEN
        raise error


class FakeDecoder:
    """Stands in for ``AudioDecoder``: the recording is its own decoded form."""

    def __init__(self, edges: Edges) -> None:
        self._edges = edges
        nothing = lambda: None  # noqa: E731
        self.worker = SimpleNamespace(state="idle", pid=None, stop=nothing, close=nothing)

    @contextmanager
    def opened(
        self,
        path: Path,
        context: CallContext,
        on_estimate: Callable[[float | None, int], float],
    ) -> Iterator[DecodedAudio]:
        call = self._edges.call_of(int(path.read_bytes()))
        context.check()
        on_estimate(call.duration, 1)
        self._edges.behave(call.decoder, "audio", call)
        yield DecodedAudio(path, call.duration, (path,), "fake")


class FakeRecogniser:
    """Stands in for ``IsolatedBackend``: a ``SpeechBackend`` that hears what the call says."""

    def __init__(self, name: str, edges: Edges) -> None:
        self.name = name
        self.state = "idle"
        self.pid = None
        self.loaded = True
        self._edges = edges

    def intact(self) -> bool:
        return True

    def ensure_loaded(self) -> None: ...

    def close(self) -> None: ...

    def stop(self) -> None: ...

    def transcribe(
        self, request: SpeechRequest, audio: DecodedAudio, context: CallContext, _on_work: OnWork
    ) -> Transcript:
        context.check()
        self._edges.pass_gate()
        call = self._edges.call_of(int(audio.files[0].read_bytes()))
        mode = call.recognisers.get(self.name, "ok")
        if mode in CONTRADICTIONS:
            return self._contradiction(call, mode, audio)
        self._edges.behave(mode, self.name, call)
        silent = mode == "silence" or not call.lines
        call.heard = Heard(
            () if silent else call.spoken(TAGS[self.name]),
            "no_speech" if silent else "speech",
            "faster-whisper" if self.name == "remote" else self.name,
            call.rejected,
        )
        return self._transcript(call, request, audio)

    def _contradiction(self, call: Call, mode: str, audio: DecodedAudio) -> Transcript:
        text, outcome = CONTRADICTIONS[mode]
        words = f"outcome {outcome} with {len(text)} characters"
        call.failed.append(Failed(self.name, "TranscriptionFailed", words))
        return Transcript(text, "ko", audio.duration, outcome)

    def _transcript(self, call: Call, request: SpeechRequest, audio: DecodedAudio) -> Transcript:
        heard = call.heard
        assert heard is not None
        return Transcript(
            heard.text,
            request.language,
            audio.duration,
            heard.outcome,
            segments=tuple(_segment(n, line) for n, line in enumerate(heard.lines)),
            provenance={
                "model": self.name,
                "rejected_segments": heard.rejected,
            },
            backend=heard.shown if self.name == "remote" else None,
            coverage=_coverage(call),
            warnings=tuple(_warnings(call)),
        )


def _coverage(call: Call) -> SpeechCoverage:
    sides = ("agent", "customer") if call.stereo else (call.unheard,)
    unheard = call.unheard or "nobody"
    channels = [
        ChannelCoverage(number, 10.0, 5.0 if unheard in {side, None} else 9.5)
        for number, side in enumerate(sides)
    ]
    return recognised_coverage(channels, undecoded(call), 1.0, "unknown")


def undecoded(call: Call) -> list[Unheard]:
    """Return what the decoder's ledger says of this recording."""
    reasons = get_args(UnheardReason)
    return [Unheard(2.0, 4.0, None, one) for one in reasons if one == call.lost]


def _warnings(call: Call) -> Iterator[AnswerWarning]:
    if call.heard and call.heard.rejected:
        yield warning("rejected_text", f"{call.heard.rejected} segments")
    if call.lost in BARS_ABSENCE:
        yield warning(call.lost, "somewhere")


def _segment(number: int, line: Line) -> Segment:
    return Segment(number, line.start, line.end, line.text, line.channel, line.speaker, 0.9)
