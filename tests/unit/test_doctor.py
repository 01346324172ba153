"""What the doctor says of recognition is what makes a server ready, and no more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from api_server.settings import Settings
from stt_engine.events import Stage
from stt_engine.outcome import DUMMY, Failure, Outcome
from stt_engine.speech import Transcript
from stt_tools.doctor import _recognition

WORDS = "This is a test of the speech recognition service."
NO_MEMORY = Failure(Stage.STT, "faster-whisper", "MemoryError", "no room", 0.1)


def _heard(text: str) -> Transcript:
    return Transcript(text, "en", 3.0, "speech" if text else "no_speech")


NOTHING = Transcript("", "en", 3.0, "failed")


@pytest.mark.parametrize(
    ("outcome", "verdict", "words"),
    [
        (Outcome(_heard(WORDS), "faster-whisper", (NO_MEMORY,)), "ok", WORDS),
        (Outcome(_heard(""), "faster-whisper", (NO_MEMORY,)), "fail", "nothing was recognised"),
        (Outcome(_heard("Thanks for watching!"), "faster-whisper"), "fail", "other words"),
        (Outcome(NOTHING, DUMMY, (NO_MEMORY,)), "fail", "MemoryError: no room"),
        (Outcome(NOTHING, DUMMY), "fail", "nothing was recognised"),
    ],
    ids=["the clip", "no text", "other words", "no backend", "no backend and no cause"],
)
def test_recognition_is_well_where_the_clip_was_recognised(
    outcome: Outcome[Transcript], verdict: str, words: str
) -> None:
    service: Any = SimpleNamespace(
        settings=Settings(_env_file=None),  # type: ignore[call-arg]
        stt=SimpleNamespace(preload=lambda: True, recognise=lambda *_, **__: outcome),
    )
    found = _recognition(service)
    assert (found.verdict, bool(found.advice)) == (verdict, verdict == "fail")
    assert words in found.found
