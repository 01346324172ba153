"""Character error rate of the product beside faster-whisper called directly.

``python benchmarks/error_rate.py [FOLDER]``: FOLDER holds ``manifest.tsv`` with the columns
``file language duration reference reference_alt``. Same weights, same beam, same clips; called
directly, it tries other temperatures too, as it does by itself. Text is compared without spaces and
punctuation, because Korean spacing is a matter of taste. Each clip is transcribed as it is, slower,
faster and with noise: with a few clips alone, a rounding error somewhere moves the rate by two
points either way. The same clips make monologues of half a minute to five minutes, in which
nothing may be lost for speed. Exit code 1 where the product is worse by more than half a point,
in monologues by more than 0.3, and by a standard error more than that: on another CPU the same
program's rounding moves both texts.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import jiwer
from faster_whisper import WhisperModel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.labelled_clips import parser_for, rows_of
from benchmarks.monologues import monologues, sentences
from benchmarks.renderings import Render, at_speed, files, with_noise
from stt_engine import WhisperSTT
from stt_engine.backends.faster_whisper.model import PARAMETERS

ALLOWED_POINTS = {"clips": 0.5, "monologues": 0.3}
LANGUAGES = ("ko", "en")


def main() -> int:
    """Measure, print a table (or JSON), and give the exit code."""
    parser = parser_for(__doc__)
    parser.add_argument(
        "--kinds", nargs="+", choices=tuple(ALLOWED_POINTS), default=tuple(ALLOWED_POINTS)
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = rows_of(options.folder)
    found = measure(options.folder, rows, options.model, options.kinds)
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        _print(found)
    return 0 if all(map(_is_kept, found)) else 1


def _is_kept(one: dict[str, Any]) -> bool:
    """Return whether the product is not worse than allowed, as far as so few letters can tell."""
    return bool(one["difference"] - one["standard_error"] <= ALLOWED_POINTS[one["kind"]])


def measure(
    folder: Path, rows: list[dict[str, str]], model: Path, kinds: Sequence[str]
) -> list[dict[str, Any]]:
    """Return per language and kind: recordings, error rates in per cent, points, seconds taken."""
    stt = WhisperSTT(model, device="cpu")
    direct = WhisperModel(
        str(model), device="cpu", compute_type="int8", cpu_threads=os.cpu_count() or 1
    )
    try:
        return [
            {"language": language, "kind": kind, **_compared(language, recordings, stt, direct)}
            for language in LANGUAGES
            for kind, recordings in _kinds(folder, [r for r in rows if r["language"] == language])
            if kind in kinds
        ]
    finally:
        stt.close()


def _kinds(
    folder: Path, rows: list[dict[str, str]]
) -> Iterator[tuple[str, Iterable[tuple[Path, str]]]]:
    """Yield the kinds of recordings, each with its files and what is said in them."""
    clips = [(folder / row["file"], row["reference_alt"] or row["reference"]) for row in rows]
    yield "clips", ((path, text) for clip, text in clips for path in files(clip, RENDERINGS))
    yield "monologues", monologues(sentences([clip for clip in clips if _one_voice(clip[0])]))


def _one_voice(clip: Path) -> bool:
    """Return whether nobody speaks on a second channel, at the same time."""
    with av.open(str(clip)) as file:
        return file.streams.audio[0].channels == 1


def _compared(
    language: str, recordings: Iterable[tuple[Path, str]], stt: WhisperSTT, direct: WhisperModel
) -> dict[str, Any]:
    settings = {name: value for name, value in PARAMETERS.items() if name != "temperature"}
    references, ours, theirs = [], [], []
    seconds = [0.0, 0.0]
    for path, text in recordings:
        references.append(_plain(text))
        began = time.monotonic()
        ours.append(_plain(_heard(stt, path, language)))
        middle = time.monotonic()
        segments, _ = direct.transcribe(str(path), language=language, vad_filter=True, **settings)
        theirs.append(_plain(" ".join(segment.text for segment in segments)))
        seconds[0] += middle - began
        seconds[1] += time.monotonic() - middle
    product, library = (_errors(references, found) for found in (ours, theirs))
    points = 100 / sum(map(len, references))
    return {
        "recordings": len(references),
        "letters": sum(map(len, references)),
        "product_cer": round(points * sum(product), 2),
        "direct_cer": round(points * sum(library), 2),
        "difference": round(points * (sum(product) - sum(library)), 2),
        "standard_error": round(points * _standard_error(product, library), 2),
        "product_sec": round(seconds[0], 1),
        "direct_sec": round(seconds[1], 1),
    }


def _errors(references: list[str], found: list[str]) -> list[int]:
    """Return the wrong, missing and added letters of each recording."""
    return [
        one.substitutions + one.deletions + one.insertions
        for one in map(jiwer.process_characters, references, found)
    ]


def _standard_error(product: list[int], library: list[int]) -> float:
    """Return the standard error, in letters, of the sum of the paired differences."""
    differences = [ours - theirs for ours, theirs in zip(product, library, strict=True)]
    return math.sqrt(len(differences)) * statistics.stdev(differences)


RENDERINGS: tuple[Render, ...] = (
    lambda clip: clip,
    at_speed(0.93),
    at_speed(1.07),
    with_noise(15),
)


def _heard(stt: WhisperSTT, path: Path, language: str) -> str:
    result = stt.transcribe(path, language=language)
    if not result["success"]:
        raise SystemExit(f"{path.name}: {result['error_type']}: {result['error']}")
    return result["text"]


def _plain(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


def _print(found: list[dict[str, Any]]) -> None:
    line = "{language:<9}{kind:<11}{recordings:>11}{letters:>8}"
    line += "{product_cer:>12}{direct_cer:>11}{difference:>12}{standard_error:>15}"
    line += "{product_sec:>12}{direct_sec:>11}\n"
    sys.stdout.write(line.format(**{name: name for name in found[0]}))
    for one in found:
        sys.stdout.write(line.format(**one))


if __name__ == "__main__":
    sys.exit(main())
