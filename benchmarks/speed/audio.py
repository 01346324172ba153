"""The benchmark's audio: made once into the cache, with the exact text of each file."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.speed.environments import python_of
from benchmarks.speed.places import AUDIO, KOREAN, PEERS, ROOT, progress, run

_HERE = Path(__file__).parent
_SOURCES = (
    _HERE / "make_audio.py",
    _HERE / "trap_sounds.py",
    _HERE / "texts" / "call.txt",
    _HERE / "texts" / "clips.txt",
    _HERE / "texts" / "monologues.txt",
    PEERS / "audio.txt",
    ROOT / "examples" / "make_sample_call.py",
)


class Audio:
    """Paths and texts."""

    @cached_property
    def _told(self) -> dict[str, Any]:
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()
        stamp = AUDIO / "made-from"
        if not (stamp.is_file() and stamp.read_text("utf-8") == digest):
            python = python_of("audio")
            progress("making the audio (once)")
            shutil.rmtree(AUDIO, ignore_errors=True)
            run(python, "-m", "benchmarks.speed.make_audio", AUDIO)
            stamp.write_text(digest, "utf-8")
        found: dict[str, Any] = json.loads((AUDIO / "audio.json").read_bytes())
        return found

    def prepare(self) -> None:
        """Make what is not there yet."""
        progress(f"audio: {self._told['call']['words']} words in the long call")

    def call(self, *, quick: bool) -> dict[str, Any]:
        """Return the long call, or its first minute."""
        found: dict[str, Any] = self._told["call_quick" if quick else "call"]
        return found

    def clips(self) -> list[dict[str, Any]]:
        """Return the short clips."""
        found: list[dict[str, Any]] = self._told["clips"]
        return found

    def traps(self) -> list[dict[str, Any]]:
        """Return the sounds that Whisper invents text on."""
        found: list[dict[str, Any]] = self._told["traps"]
        return found

    def long_call(self, hours: float = 2.0) -> tuple[Path, float]:
        """Return a call of that many hours: the long call again and again, and its length."""
        call = self.call(quick=False)
        times = round(hours * 3600 / call["seconds"])
        target = AUDIO / f"call_{times}_times.wav"
        if not target.exists():
            target.write_bytes(repeated((AUDIO / call["file"]).read_bytes(), times))
        return target, times * call["seconds"]


def repeated(raw: bytes, times: int) -> bytes:
    """Return a WAV file whose samples are those of ``raw``, ``times`` times on end."""
    start = raw.index(b"data") + 8
    size = int.from_bytes(raw[start - 4 : start], "little")
    samples = raw[start : start + size] * times
    head = raw[: start - 4] + len(samples).to_bytes(4, "little")
    fact = head.find(b"fact")
    if fact > 0:
        frames = times * int.from_bytes(head[fact + 8 : fact + 12], "little")
        head = head[: fact + 8] + frames.to_bytes(4, "little") + head[fact + 12 :]
    return head[:4] + (start + len(samples) - 8).to_bytes(4, "little") + head[8:] + samples


def references(call: dict[str, Any]) -> list[str]:
    """Return the reference text of each channel."""
    return [
        " ".join(turn["text"] for turn in call["turns"] if turn["channel"] == channel)
        for channel in range(2)
    ]


def mixed_reference(call: dict[str, Any]) -> str:
    """Return the reference text of both channels, in order of the turns' beginnings."""
    return " ".join(turn["text"] for turn in sorted(call["turns"], key=lambda turn: turn["start"]))


def korean() -> list[dict[str, str]]:
    """Return the Korean clips with a reference, where that folder is beside the project."""
    manifest = KOREAN / "manifest.tsv"
    if not manifest.is_file():
        return []
    with manifest.open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    return [row for row in rows if row["language"] == "ko" and row["duration"]]
