"""A folder of clips with what is said in each: ``manifest.tsv`` and the files that it names."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def parser_for(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that knows the folder and the model's."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT.parent / "shared" / "audio")
    parser.add_argument(
        "--model", type=Path, default=ROOT / "models" / "Systran_faster-whisper-base"
    )
    return parser


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Return the clips that have a length; exit with 0 where the folder is not there."""
    manifest = folder / "manifest.tsv"
    if not manifest.is_file():
        print(f"SKIPPED: {manifest} is not here; give a folder of clips")
        raise SystemExit(0)
    with manifest.open(encoding="utf-8") as lines:
        return [row for row in csv.DictReader(lines, delimiter="\t") if row["duration"]]
