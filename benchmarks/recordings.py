"""The recordings of the load tests, and what an honest answer to each of them is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import sounds

ROOT = Path(__file__).resolve().parent.parent
CLIP = ROOT / "src/stt_engine/assets/canary.wav"
CALL = ROOT / "audio/sample_call.wav"

Judge = Callable[[int, dict[str, Any]], str | None]


@dataclass(frozen=True)
class Recording:
    """``weight``: how often it is sent; ``hostile``: whether it is one that must be refused."""

    name: str
    content: bytes
    weight: int
    judge: Judge
    hostile: bool = False


def recordings(folder: Path) -> list[Recording]:
    """Make them: nine of ten calls are speech or silence, one of ten is hostile."""
    voice = CLIP.read_bytes()
    words = {"this", "is", "a", "test", "of", "the", "speech", "recognition", "service"}
    told = sounds.first_seconds(CALL, 12)
    silent = sounds.silence(folder / "silence.wav", 3.0)
    usual = [
        Recording("clip", voice, 60, spoken(words, "recognition")),
        Recording("two channels", told, 12, spoken(None)),
        Recording("noise", sounds.white_noise(folder / "n.wav", 3.0).read_bytes(), 6, unspoken),
        Recording("silence", silent.read_bytes(), 6, unspoken),
        Recording("ringing", sounds.ring_tone(folder / "r.wav", 6.0).read_bytes(), 6, unspoken),
    ]
    target = CLIP.as_posix()
    hostile = {
        "playlist": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{target}\n".encode(),
        "concat": f"ffconcat version 1.0\nfile {target}\n".encode(),
        "text": b"This is not a recording.\n" * 400,
        "nothing": b"",
        "cut": voice[: len(voice) // 3],
        "header alone": voice[:44],
        "torn": voice[:44] + bytes(reversed(voice[:30])) * 3,
    }
    weights = {"playlist": 2, "concat": 2, "cut": 2}
    return usual + [
        Recording(name, content, weights.get(name, 1), refused, hostile=True)
        for name, content in hostile.items()
    ]


def spoken(words: set[str] | None, key: str | None = None) -> Judge:
    """Check an answer against the words that were spoken; a dummy has to name its cause."""

    def judge(status: int, body: dict[str, Any]) -> str | None:
        if status != 200:
            return f"HTTP {status}"
        if not body["success"]:
            return _honest_dummy(body)
        heard = re.findall(r"[a-z]+", body["text"].lower())
        if not heard or body["outcome"] != "speech" or body["is_dummy"]:
            return f"an empty success: {body['outcome']}"
        if key and key not in heard:
            return f"other words: {body['text']}"
        if words and len(set(heard) - words) > len(heard) / 2:
            return f"words that nobody said: {body['text']}"
        return None

    return judge


def unspoken(status: int, body: dict[str, Any]) -> str | None:
    """Hold an answer to a recording without speech to: no text."""
    if status != 200:
        return f"HTTP {status}"
    if not body["success"]:
        return _honest_dummy(body)
    return f"text where nobody spoke: {body['text']}" if body["text"] else None


def refused(status: int, body: dict[str, Any]) -> str | None:
    """Hold an answer to a recording that is none to: a problem document, or no text."""
    if status in {400, 413, 415}:
        return None if body.get("detail") else "a refusal without a reason"
    if status == 200:
        return f"text of a hostile file: {body['text']}" if body["text"] else None
    return f"HTTP {status}"


def _honest_dummy(body: dict[str, Any]) -> str | None:
    if body["text"] or not body["is_dummy"] or not body["error_type"] or not body["error"]:
        return f"a failure that does not say so: {body}"
    return None
