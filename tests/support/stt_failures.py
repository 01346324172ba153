"""Assertions on a failed and a working recognition."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

from stt_engine import TranscribeResult, WhisperSTT
from stt_engine.events import Event, RecognitionProgressed, Stage
from stt_engine.log import DUMMY_REASON, LogObserver, escape
from stt_engine.outcome import StageSettled
from stt_engine.recognition.log_lines import stt_lines

ROOT = Path(__file__).resolve().parents[2]


CANARY = ROOT / "src" / "stt_engine" / "assets" / "canary.wav"


ONLY = ("faster-whisper",)


BOUND = 90.0
"""Seconds that no wait of these tests comes near unless the product hangs."""


DUMMY_LINES = [
    "WARNING - [STT] Dummy 응답으로 fallback (로깅됨)",
    f"INFO - [STT] Dummy 응답: is_dummy=True, reason={DUMMY_REASON}",
]


class Watch:
    """The observers of an engine: its events, its log lines, and when it is in mid call."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.heard = threading.Event()
        self.observers = (self.events.append, LogObserver(stt_lines()), self._listen)

    def _listen(self, event: Event) -> None:
        if isinstance(event, RecognitionProgressed):
            self.heard.set()

    def settled(self, stage: Stage) -> int:
        return sum(isinstance(one, StageSettled) and one.stage == stage for one in self.events)


Make = Callable[..., WhisperSTT]


def assert_dummy(result: TranscribeResult, error_type: str, *words: str) -> None:
    assert result["error_type"] == error_type, result
    for word in words:
        assert word in (result["error"] or ""), result
    assert result["success"] is False
    assert (result["text"], result["text_en"], result["segments"]) == ("", "", [])
    assert (result["backend"], result["is_dummy"]) == ("dummy", True)
    assert result["dummy_reason"] == DUMMY_REASON
    assert result["outcome"] == "failed"
    assert result["attempts"] != []
    json.dumps(result)


def assert_works(stt: WhisperSTT) -> None:
    result = stt.transcribe(CANARY, "en")
    assert result["success"] is True, result
    assert "speech recognition" in result["text"].lower()


def stt_of(lines: list[str], start: int = 0) -> list[str]:
    """What an operator sees of the component STT at level INFO."""
    return [line for line in lines[start:] if "- [STT] " in line and not line.startswith("DEBUG")]


def lines_of(result: TranscribeResult, source: str, language: str = "en") -> list[str]:
    """The lines of a call that failed in one source that was loaded, or before any was asked."""
    cause = escape(f"{result['error_type']}: {result['error']}")
    return [
        f"INFO - [STT] 음성 변환 시작 (language={language})",
        f"WARNING - [STT] 시도 실패 ({source}): {cause}",
        f"ERROR - [STT] 모든 백엔드 실패: {cause}",
        *DUMMY_LINES,
    ]


def lines_of_load(
    result: TranscribeResult, folder: Path | None = None, *, started: bool = False
) -> list[str]:
    """The lines of a call whose model could not be loaded."""
    lines = lines_of(result, "faster-whisper")
    cause = escape(f"{result['error_type']}: {result['error']}")
    lines[1] = f"ERROR - [STT] 모델 로드 실패: {cause}"  # said once, by the stage it happened in
    if started:
        lines.insert(1, f"INFO - [STT] 모델 로드 시작 ({folder})")
    return lines


def half(path: Path) -> None:
    change(path, path.read_bytes()[: path.stat().st_size // 2])


def change(path: Path, data: bytes) -> None:
    path.unlink()  # it may be a link to the real weights
    path.write_bytes(data)


# 5. The process ---------------------------------------------------------------------------
def pid_of(stt: WhisperSTT) -> int:
    (pid,) = (one.pid for one in stt.components() if one.name == "faster-whisper")
    assert pid is not None
    return pid
