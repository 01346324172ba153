"""Two-channel calls in which each side can be heard on the other's channel.

``python benchmarks/crosstalk.py [FOLDER]``: FOLDER holds ``manifest.tsv`` as for ``error_rate.py``.
Its Korean clips make a call in turns and one in which every second turn begins two seconds before
the last one ends. Each is transcribed as it is and with the other side on each channel at -20 to
-44 dB, 12 ms late. Error rates are those of both channels' texts, each beside its own words, and of
what stands on a channel alone. Exit code 1 where crosstalk costs more than two points.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jiwer
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.labelled_clips import parser_for, rows_of
from benchmarks.monologues import Sentence, sentences
from stt_engine import WhisperSTT
from tests.support.sounds import RATE, Samples, write_wav

LEVELS_DB = (-20, -26, -32, -38, -44)
ALLOWED = 0.02
PAUSE_SEC, OVERLAP_SEC, DELAY_SEC = 0.6, 2.0, 0.012
PEAK = 0.3
NOISE = 3e-5

Turn = tuple[int, int, str]
"""Where it begins, in samples; its channel; its words."""


def main() -> int:
    """Measure, print a table, and give the exit code."""
    options = parser_for(__doc__).parse_args()
    rows = [row for row in rows_of(options.folder) if row["language"] == "ko"]
    said = sentences(
        [(options.folder / row["file"], row["reference_alt"] or row["reference"]) for row in rows]
    )
    stt = WhisperSTT(options.model, device="cpu")
    try:
        kept = [_measured(stt, said, overlap) for overlap in (0.0, OVERLAP_SEC)]
        return 0 if all(kept) else 1
    finally:
        stt.close()


def _measured(stt: WhisperSTT, said: Sequence[Sentence], overlap: float) -> bool:
    channels, turns = call(said, overlap)
    clean = _error_rate(stt, with_crosstalk(channels, None), turns)
    found = {level: _error_rate(stt, with_crosstalk(channels, level), turns) for level in LEVELS_DB}
    rates = "".join(f"{level:>6} dB{rate:7.3f}" for level, rate in found.items())
    sys.stdout.write(f"overlap {overlap:.1f} s   without{clean:7.3f}{rates}\n")
    return max(found.values()) <= clean + ALLOWED


def call(said: Sequence[Sentence], overlap_sec: float) -> tuple[Samples, list[Turn]]:
    """Return a call of all sentences, speaker by speaker, a row for each channel."""
    turns, at = list[Turn](), 0.0
    for number, one in enumerate(said):
        turns.append((round(at * RATE), number % 2, one.text))
        at += len(one.samples) / RATE
        at += -overlap_sec if overlap_sec and number % 2 == 0 else PAUSE_SEC
    channels = np.zeros((2, round((at + 3) * RATE)))
    for (start, channel, _), one in zip(turns, said, strict=True):
        loud = PEAK / np.abs(one.samples).max()
        channels[channel, start : start + len(one.samples)] += loud * one.samples
    return channels, turns


def with_crosstalk(channels: Samples, level_db: float | None) -> Samples:
    """Return both channels with each other's sound on them, a little later, and some noise."""
    heard = channels + NOISE * np.random.default_rng(1).standard_normal(channels.shape)
    if level_db is not None:
        late = round(DELAY_SEC * RATE)
        heard[:, late:] += 10 ** (level_db / 20) * channels[::-1, :-late]
    return heard


def _error_rate(stt: WhisperSTT, channels: Samples, turns: Sequence[Turn]) -> float:
    with tempfile.TemporaryDirectory(prefix="crosstalk-") as name:
        path = write_wav(Path(name) / "call.wav", channels.T, RATE)
        result = stt.transcribe(path, language="ko")
    if not result["success"]:
        raise SystemExit(f"{result['error_type']}: {result['error']}")
    texts = [
        "".join(one["text"] for one in result["segments"] if one["channel"] == channel)
        for channel in (0, 1)
    ]
    words = ["".join(text for _, on, text in turns if on == channel) for channel in (0, 1)]
    return float(jiwer.cer([_plain(one) for one in words], [_plain(one) for one in texts]))


def _plain(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


if __name__ == "__main__":
    sys.exit(main())
