"""Many calls: nothing leaks, and no caller gets another's words."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jiwer
import numpy as np
import psutil
import pytest

from stt_engine import TranscribeResult, WhisperSTT
from stt_engine.events import Event
from stt_engine.outcome import AttemptFailed
from stt_engine.speech import SAMPLE_RATE, AudioLimits
from tests.support import sounds
from tests.support.decoding import decode

CALLS = 40
WARM_UP = CALLS // 4
CALLERS = 16
GROWTH_MB = 25.0
"""What may be noise over the whole run; one copy of a clip's features a call would be 50 MB."""


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where this process makes its temporary folders."""
    folder = tmp_path_factory.mktemp("scratch")
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    yield folder
    tempfile.tempdir = before


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return []


@pytest.fixture(scope="module")
def stt(whisper_base: Path, scratch: Path, events: list[Event]) -> Iterator[WhisperSTT]:
    found = WhisperSTT(whisper_base, backends=("faster-whisper",), observers=(events.append,))
    yield found
    found.close()


@pytest.fixture(scope="module")
def sentences(
    sample_call: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Path, str]]:
    """The longest sentences of the sample call, each as a recording of its own."""
    folder = tmp_path_factory.mktemp("sentences")
    files = decode(sample_call, folder, AudioLimits()).files
    channels = [np.fromfile(file, "<i2") / 32_768 for file in files]
    told = json.loads(sample_call.with_suffix(".json").read_text(encoding="utf-8"))["segments"]
    told.sort(key=lambda one: len(one["text"]), reverse=True)
    found = []
    for number, one in enumerate(told[:CALLERS]):
        low, high = (round(one[key] * SAMPLE_RATE) for key in ("start", "end"))
        sound = np.pad(channels[one["channel"]][low:high], SAMPLE_RATE // 4)
        found.append((sounds.write_wav(folder / f"{number}.wav", sound), one["text"]))
    return found


def _words(text: str) -> list[str]:
    kept = (char for char in text.lower().replace("-", " ") if char.isalpha() or char == " ")
    return "".join(kept).split()


def _megabytes(stt: WhisperSTT) -> tuple[float, float]:
    """Resident memory of this process and of its children together."""
    pids = [one.pid for one in stt.components() if one.pid is not None]
    mine = psutil.Process().memory_info().rss
    theirs = sum(psutil.Process(pid).memory_info().rss for pid in pids)
    return mine / 2**20, theirs / 2**20


def _descriptors(stt: WhisperSTT) -> list[int]:
    pids = [os.getpid(), *(one.pid for one in stt.components() if one.pid is not None)]
    return [psutil.Process(pid).num_fds() for pid in pids]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_calls_in_a_row_leak_nothing(
    stt: WhisperSTT,
    sentences: list[tuple[Path, str]],
    scratch: Path,
    tmp_path: Path,
    events: list[Event],
) -> None:
    """Every second call is speech; the others are what else comes in."""
    speech = [path for path, _ in sentences[-4:]]
    others = [
        (sounds.silence(tmp_path / "silence.wav", 2.0), None),
        (tmp_path / "none.wav", "FileNotFoundError"),
        (sounds.text_as_wav(tmp_path / "text.wav"), "NotAudio"),
        (sounds.truncated_wav(tmp_path / "cut.wav"), "AudioTruncated"),
    ]
    pids = None
    memory, descriptors = [], []
    for number in range(CALLS):
        if number % 2:
            path, expected = others[number // 2 % len(others)]
        else:
            path, expected = speech[number // 2 % len(speech)], None
        result = stt.transcribe(path, "en")
        assert result["error_type"] == expected, result
        assert (result["outcome"] == "speech") == (number % 2 == 0)
        if number == WARM_UP:
            pids = [one.pid for one in stt.components()]
        if number >= WARM_UP:
            memory.append(_megabytes(stt))
            descriptors.append(_descriptors(stt))
    assert [one.pid for one in stt.components()] == pids  # nothing was restarted on the way
    for whose, series in zip(("parent", "children"), np.array(memory).T, strict=True):
        slope = float(np.polyfit(np.arange(len(series)), series, 1)[0])
        assert slope * len(series) < GROWTH_MB, (whose, series.round(1).tolist())
    assert max(map(sum, descriptors)) - sum(descriptors[0]) <= 0, descriptors
    assert [path for path in scratch.glob("*/*") if path.is_dir()] == []
    assert not [one for one in events if isinstance(one, AttemptFailed) and one.failure.unexpected]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sixteen_callers_at_once_each_get_their_own_words(
    stt: WhisperSTT, sentences: list[tuple[Path, str]], scratch: Path
) -> None:
    gate = threading.Barrier(CALLERS)

    def call(path: Path) -> TranscribeResult:
        gate.wait()
        return stt.transcribe(path, "en")

    with ThreadPoolExecutor(CALLERS) as pool:
        results = list(pool.map(call, [path for path, _ in sentences]))
    said = [_words(text) for _, text in sentences]
    for number, (result, own) in enumerate(zip(results, said, strict=True)):
        assert result["success"], result
        heard = _words(result["text"])
        rates = [jiwer.wer(" ".join(one), " ".join(heard)) for one in said]
        assert rates[number] == min(rates) <= 0.4, (own, heard)
        only_others_say = {word for one in said for word in one} - set(own)
        foreign = [word for word in heard if word in only_others_say and len(word) > 4]
        assert foreign == [], (own, heard)
    assert [path for path in scratch.glob("*/*") if path.is_dir()] == []
    assert all(one.state in {"idle", "stopped"} for one in stt.components())
