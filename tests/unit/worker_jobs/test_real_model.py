"""Two calls share a step of a real model that is killed."""

from __future__ import annotations

import os
import signal
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from stt_engine.call import CallContext
from stt_engine.events import WorkerChanged
from stt_engine.limits import Limits
from stt_engine.recognition.backend import IsolatedBackend
from stt_engine.speech import SAMPLE_RATE, DecodedAudio, SpeechRequest, Transcript
from stt_engine.workers.scheduler import QueueEntry
from tests.conftest import REPOSITORY
from tests.support.server import awaited
from tests.support.worker_jobs import BOUND


def test_two_calls_outlive_a_real_model_that_is_killed_in_a_step_they_share(
    whisper_base: Path,
    tmp_path: Path,
    events: list[WorkerChanged],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both are heard to the end in the next process, each by itself."""
    with wave.open(str(REPOSITORY / "src/stt_engine/assets/canary.wav")) as clip:
        said = np.frombuffer(clip.readframes(clip.getnframes()), "<i2")
    pause = np.zeros(3 * SAMPLE_RATE, np.int16)
    backend = IsolatedBackend(
        "faster-whisper",
        whisper_base,
        device="cpu",
        compute_type="int8",
        limits=Limits(),
        observers=[events.append],
    )
    heard: dict[int, Transcript] = {}
    contexts = [CallContext(), CallContext()]
    entries: dict[CallContext, QueueEntry] = {}

    def entry(context: CallContext) -> QueueEntry:
        return entries.setdefault(context, QueueEntry(context))

    times = 30  # more than one step takes of a call

    def run(number: int) -> None:
        file = tmp_path / str(number)
        np.tile(np.concatenate([said, pause]), times).tofile(file)
        audio = DecodedAudio(file, file.stat().st_size / 2 / SAMPLE_RATE, (file,))
        request = SpeechRequest(file, "en")
        heard[number] = backend.transcribe(request, audio, contexts[number])

    threads = [threading.Thread(target=run, args=[number]) for number in range(2)]
    try:
        backend.ensure_loaded()
        monkeypatch.setattr(backend.worker, "entry", entry)
        for thread in threads:
            thread.start()
        awaited(lambda: backend.worker._sharing, "they share a step")
        assert backend.pid is not None
        os.kill(backend.pid, signal.SIGKILL)
        for thread in threads:
            thread.join(BOUND)
    finally:
        backend.close()
    assert [entries[context].single for context in contexts] == [True, True]
    for number in range(2):
        assert heard[number].text.lower().count("speech recognition service") == times
    told = [event.what for event in events if isinstance(event, WorkerChanged)]
    assert told == ["started", "ended", "started", "closed"]
