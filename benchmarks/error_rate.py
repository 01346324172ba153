"""Character error rate of the product beside faster-whisper called directly.

``python benchmarks/error_rate.py [FOLDER]``: FOLDER holds ``manifest.tsv`` with the columns
``file language duration reference reference_alt``. Same weights, same beam, same clips; called
directly, it tries other temperatures too, as it does by itself. Text is compared without spaces and
punctuation, because Korean spacing is a matter of taste. Each clip is heard as it is, slower,
faster and with noise: with a few clips alone, a rounding error somewhere moves the rate by two
points either way. Exit code 1 where the product is worse by more than half a point.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import jiwer
from faster_whisper import WhisperModel

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.renderings import Render, at_speed, files, with_noise
from stt_engine import WhisperSTT
from stt_engine.backends.faster_whisper import PARAMETERS

ROOT = Path(__file__).resolve().parent.parent
ALLOWED_POINTS = 0.5
LANGUAGES = ("ko", "en")


def main() -> int:
    """Measure, print a table (or JSON), and give the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT.parent / "shared" / "audio")
    parser.add_argument(
        "--model", type=Path, default=ROOT / "models" / "Systran_faster-whisper-base"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    manifest = options.folder / "manifest.tsv"
    if not manifest.is_file():
        sys.stdout.write(f"SKIPPED: {manifest} is not here; give a folder of clips\n")
        return 0
    with manifest.open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines, delimiter="\t") if row["duration"]]
    found = measure(options.folder, rows, options.model)
    if options.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        _print(found)
    return 0 if all(one["difference"] <= ALLOWED_POINTS for one in found) else 1


def measure(folder: Path, rows: list[dict[str, str]], model: Path) -> list[dict[str, Any]]:
    """Give per language: clips, error rates in per cent, difference in points, seconds taken."""
    stt = WhisperSTT(model, device="cpu")
    direct = WhisperModel(
        str(model), device="cpu", compute_type="int8", cpu_threads=os.cpu_count() or 1
    )
    try:
        return [
            _language(language, folder, [r for r in rows if r["language"] == language], stt, direct)
            for language in LANGUAGES
        ]
    finally:
        stt.close()


def _language(
    language: str,
    folder: Path,
    rows: list[dict[str, str]],
    stt: WhisperSTT,
    direct: WhisperModel,
) -> dict[str, Any]:
    settings = {name: value for name, value in PARAMETERS.items() if name != "temperature"}
    references, ours, theirs = [], [], []
    seconds = [0.0, 0.0]
    heard = ((row, path) for row in rows for path in files(folder / row["file"], RENDERINGS))
    for row, path in heard:
        references.append(_plain(row["reference_alt"] or row["reference"]))
        began = time.monotonic()
        ours.append(_plain(_heard(stt, path, language)))
        middle = time.monotonic()
        segments, _ = direct.transcribe(str(path), language=language, vad_filter=True, **settings)
        theirs.append(_plain(" ".join(segment.text for segment in segments)))
        seconds[0] += middle - began
        seconds[1] += time.monotonic() - middle
    product, library = (100 * float(jiwer.cer(references, found)) for found in (ours, theirs))
    return {
        "language": language,
        "clips": len(references),
        "product_cer": round(product, 2),
        "direct_cer": round(library, 2),
        "difference": round(product - library, 2),
        "product_sec": round(seconds[0], 1),
        "direct_sec": round(seconds[1], 1),
    }


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
    line = "{language:<9}{clips:>6}{product_cer:>12}{direct_cer:>11}{difference:>12}"
    line += "{product_sec:>12}{direct_sec:>11}\n"
    sys.stdout.write(line.format(**{name: name for name in found[0]}))
    for one in found:
        sys.stdout.write(line.format(**one))


if __name__ == "__main__":
    sys.exit(main())
