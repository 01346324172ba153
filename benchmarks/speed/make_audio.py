"""Make the benchmark's audio out of ``texts/``: run by the audio environment's own Python.

``python -m benchmarks.speed.make_audio FOLDER`` writes WAV files and ``audio.json``, which has the
exact text of each. One synthetic voice speaks; the second speaker is that voice with pitch and
formants raised and another pace. The same packages and seed give the same audio.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.trap_sounds import make_traps
from examples.make_sample_call import (
    CALL_RATE,
    NOISE_DBFS,
    Samples,
    Synthesiser,
    band_limit,
    set_level,
    write_mulaw,
    write_pcm,
)

TEXTS = Path(__file__).parent / "texts"
SEED = 20
CLIP_RATE = 16_000
CALL_SEC = 1_010.0
QUICK_SEC = 60.0
CLIP_PACE = 0.95
"""The clips are spoken a little faster than the call."""
EDGE_SEC = 0.6
CLOSING_TURNS = 4
OVERLAP_SEC = 0.7
PAUSES_SEC = (0.25, 0.4, 0.55, 0.3, 0.9, 0.35, 0.5)
"""Between turns, in turn; scaled so that the call has the length that is wanted."""


@dataclass(frozen=True)
class Voice:
    """How one speaker differs from the other."""

    shift: float
    pace: float
    dbfs: float


VOICES = {"A": Voice(1.0, 1.16, -19.0), "B": Voice(1.14, 1.12, -20.0)}


@dataclass(frozen=True)
class Turn:
    """What one speaker says without a break; ``cut_in``: the next one does not wait."""

    speaker: str
    text: str
    cut_in: bool

    @property
    def channel(self) -> int:
        """Left is the agent."""
        return "AB".index(self.speaker)


def turns() -> list[Turn]:
    """Read the call's text."""
    lines = (TEXTS / "call.txt").read_text("utf-8").splitlines()
    return [Turn(line[0], line[3:].removesuffix(" -"), line.endswith(" -")) for line in lines]


def with_monologues(call: list[Turn]) -> list[Turn]:
    """Put among the turns what the agent explains for half a minute, 50 s, almost four minutes."""
    told = (TEXTS / "monologues.txt").read_text("utf-8").splitlines()
    told.append(" ".join((TEXTS / "clips.txt").read_text("utf-8").splitlines()))
    every = len(call) // (len(told) + 1)
    for number, text in reversed(list(enumerate(told, 1))):
        call = [*call[: number * every], Turn("A", text, cut_in=False), *call[number * every :]]
    return call


def placed(call: list[Turn], spoken: list[Samples], scale: float) -> Iterator[tuple[int, int]]:
    """Yield the first and last sample of each turn, with pauses ``scale`` times as long."""
    last = round(EDGE_SEC * CALL_RATE)
    for index, samples in enumerate(spoken):
        pause = scale * PAUSES_SEC[index % len(PAUSES_SEC)] if index else 0.0
        if index and call[index - 1].cut_in:
            pause = -OVERLAP_SEC
        start = last + round(pause * CALL_RATE)
        last = max(last, start + len(samples))
        yield start, start + len(samples)


def make_call(
    folder: Path, name: str, call: list[Turn], spoken: list[Samples], to: float
) -> dict[str, Any]:
    """Write a call about ``to`` seconds long, and each of its channels by itself."""
    *_, (_, close) = placed(call, spoken, 0.0)
    *_, (_, paused) = placed(call, spoken, 1.0)
    scale = ((to - EDGE_SEC) * CALL_RATE - close) / (paused - close)
    places = list(placed(call, spoken, scale))
    frames = places[-1][1] + round(EDGE_SEC * CALL_RATE)
    noise = np.random.default_rng(SEED).standard_normal((frames, 2))
    both = np.stack([set_level(band_limit(one, CALL_RATE), NOISE_DBFS) for one in noise.T], axis=1)
    told = []
    for turn, samples, (start, end) in zip(call, spoken, places, strict=True):
        both[start:end, turn.channel] += samples
        told.append({"channel": turn.channel, "start": start, "end": end, "text": turn.text})
    write_mulaw(folder / f"{name}.wav", both, CALL_RATE)
    for channel in range(2):
        write_mulaw(folder / f"{name}.{channel}.wav", both[:, [channel]], CALL_RATE)
    for one in told:
        one |= {edge: round(one[edge] / CALL_RATE, 3) for edge in ("start", "end")}
    return {
        "file": f"{name}.wav",
        "channels": [f"{name}.{channel}.wav" for channel in range(2)],
        "language": "en",
        "seconds": round(frames / CALL_RATE, 2),
        "words": sum(len(turn.text.split()) for turn in call),
        "pause_scale": round(scale, 3),
        "turns": told,
    }


def fitting(
    call: list[Turn], spoken: list[Samples], seconds: float
) -> tuple[list[Turn], list[Samples]]:
    """Leave out turns before the closing ones, so that the rest fits into ``seconds``."""
    kept = len(call) - CLOSING_TURNS
    while True:
        chosen = [*range(kept), *range(len(call) - CLOSING_TURNS, len(call))]
        some, said = [call[k] for k in chosen], [spoken[k] for k in chosen]
        *_, (_, end) = placed(some, said, 1.0)
        if end / CALL_RATE + EDGE_SEC <= seconds:
            return some, said
        kept -= 1


def make_clips(folder: Path, voice: Synthesiser) -> list[dict[str, Any]]:
    """Write the short clips, wideband, the two speakers by turns."""
    told = []
    for index, text in enumerate((TEXTS / "clips.txt").read_text("utf-8").splitlines()):
        how = VOICES["AB"[index % 2]]
        spoken = set_level(
            voice.say(text, CLIP_RATE, pace=how.pace * CLIP_PACE, shift=how.shift), how.dbfs
        )
        edge = np.zeros(round(0.25 * CLIP_RATE))
        samples = np.concatenate([edge, spoken, edge])
        name = f"clip_{index:02}.wav"
        write_pcm(folder / name, samples, CLIP_RATE)
        seconds = round(len(samples) / CLIP_RATE, 3)
        told.append({"file": name, "language": "en", "seconds": seconds, "text": text})
    return told


def main() -> None:
    """Write everything into the folder that is given."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    voice = Synthesiser(None, SEED)
    clips = make_clips(folder, voice)
    call = with_monologues(turns())
    spoken = []
    for turn in call:
        how = VOICES[turn.speaker]
        said = voice.say(turn.text, CALL_RATE, pace=how.pace, shift=how.shift)
        spoken.append(set_level(band_limit(said, CALL_RATE), how.dbfs))
    found = {
        "call": make_call(folder, "call", *fitting(call, spoken, CALL_SEC), CALL_SEC),
        "call_quick": make_call(folder, "call_quick", *fitting(call, spoken, QUICK_SEC), QUICK_SEC),
        "clips": clips,
        "traps": make_traps(folder, clips),
    }
    (folder / "audio.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
