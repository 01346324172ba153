"""The chain of backends, with backends of a few lines in place of processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stt_engine import WhisperSTT, engine
from stt_engine.call import CallCancelled, CallContext, OnWork, Work
from stt_engine.speech import DecodedAudio, SpeechRequest, Transcript

DURATION = 3.0


class Decoder:
    """Takes any recording for one of :data:`DURATION` seconds."""

    worker = SimpleNamespace(state="idle", pid=None)

    def __init__(self, *_: object) -> None: ...

    @contextmanager
    def opened(self, path: Path, _context: object, on_estimate: Any) -> Iterator[DecodedAudio]:
        assert on_estimate(None, 1) >= engine.UNKNOWN_SEC
        yield DecodedAudio(path, DURATION, (path,))


class Backend:
    """Recognises anything; counts how often, and breaks where it is told to."""

    state = "idle"
    pid = None
    loaded = True

    def __init__(self, name: str, *_: object, **__: object) -> None:
        self.name = name
        self.calls = 0
        self.breaks = False
        self.breaks_in_closing = False

    def transcribe(
        self, _request: object, audio: DecodedAudio, _context: CallContext, on_work: OnWork
    ) -> Transcript:
        self.calls += 1
        if self.breaks:
            raise RuntimeError("no model")
        on_work(Work(DURATION, 0.0))
        return Transcript(self.name, "ko", audio.duration, "speech")

    def close(self) -> None:
        if self.breaks_in_closing:
            raise OSError("cannot be closed")


@pytest.fixture
def stt(monkeypatch: pytest.MonkeyPatch) -> WhisperSTT:
    monkeypatch.setattr(engine, "AudioDecoder", Decoder)
    monkeypatch.setattr(engine, "IsolatedBackend", Backend)
    return WhisperSTT("none", preload=False, observers=())


@pytest.fixture
def backends(stt: WhisperSTT) -> Any:
    return stt._backends


def test_a_fallback_that_cannot_be_closed_leads_to_no_second_transcription(
    stt: WhisperSTT, backends: Any, tmp_path: Path
) -> None:
    backends[1].breaks_in_closing = True
    outcome = stt.recognise(SpeechRequest(tmp_path / "a.wav"))
    assert [one.calls for one in backends] == [1, 0, 0]
    assert outcome.source == outcome.value.text == backends[0].name
    assert [(one.source, one.message) for one in outcome.failures] == [
        (backends[1].name, "cannot be closed")
    ]


def test_the_fallbacks_behind_the_one_that_answers_are_closed_whatever_one_of_them_does(
    stt: WhisperSTT, backends: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    backends[0].breaks_in_closing = backends[1].breaks_in_closing = True
    monkeypatch.setattr(backends[2], "close", lambda: closed.append(backends[2].name))
    stt.recognise(SpeechRequest(tmp_path / "a.wav"))
    assert closed == [backends[2].name]


def test_a_fallback_is_kept_while_nothing_before_it_answers(
    stt: WhisperSTT, backends: Any, tmp_path: Path
) -> None:
    backends[0].breaks = backends[0].breaks_in_closing = True
    outcome = stt.recognise(SpeechRequest(tmp_path / "a.wav"))
    assert outcome.source == backends[1].name
    assert [one.source for one in outcome.failures] == [backends[0].name]


def test_the_work_of_a_call_is_reported_as_estimated_as_measured_and_as_it_is_left(
    stt: WhisperSTT, tmp_path: Path
) -> None:
    works: list[Work] = []
    stt.recognise(SpeechRequest(tmp_path / "a.wav", translate=True), on_work=works.append)
    estimate = 2 * engine.UNKNOWN_SEC
    assert works == [
        Work(estimate, estimate),
        Work(2 * DURATION, 2 * DURATION),
        Work(DURATION, 0.0),
    ]


def test_who_follows_the_work_may_cancel_the_call_before_it_is_done(
    stt: WhisperSTT, backends: Any, tmp_path: Path
) -> None:
    context = CallContext()
    request = SpeechRequest(tmp_path / "a.wav")
    with pytest.raises(CallCancelled):
        stt.recognise(request, context=context, on_work=lambda _work: context.cancel())
    assert [one.calls for one in backends] == [0, 0, 0]
