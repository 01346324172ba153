"""How well personal data is masked: identifiers found, and characters masked beside them.

``python evaluation/masking.py [--json] [LINES.toml]`` scores the labelled lines of a file
(``masking.toml``). An identifier counts as found only if every one of its characters is masked, and
where a line holds two they count as found together. Exit code 1 where the recall is under its goal,
or an amount, a rate or a date lost a character.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from api_server.pii.redaction import MASK, redact
from stt_engine.speech import Segment

LINES = Path(__file__).with_name("masking.toml")
RECALL_GOAL = 0.99
EITHER = "?"
NEVER_MASKED = frozenset({"amount", "rate", "date"})

_VOICES = {"agent": (0, "agent"), "customer": (1, "customer"), "mono": (0, None)}
_TURN_SEC = 2.0
_SPEECH_SEC = 1.5


@dataclass(frozen=True, slots=True)
class Line:
    """One labelled line: what it is about, and its segments with the texts that are expected."""

    about: tuple[str, ...]
    form: str
    segments: tuple[Segment, ...]
    expected: tuple[str, ...]

    @property
    def has_identifiers(self) -> bool:
        """True where anything is to be masked."""
        return self.form != "none"


@dataclass(slots=True)
class Tally:
    """What was counted for one kind of identifier, or of line without any."""

    lines: int = 0
    identifiers: int = 0
    found: int = 0
    over_masked: int = 0
    over_masked_lines: int = 0

    @property
    def recall(self) -> float:
        """The share of identifiers that were masked whole; 1 where there are none."""
        return self.found / self.identifiers if self.identifiers else 1.0


@dataclass(slots=True)
class Score:
    """The tallies: all together, by kind of identifier, and by how they are spoken."""

    total: Tally = field(default_factory=Tally)
    by_kind: dict[str, Tally] = field(default_factory=dict)
    by_form: dict[str, Tally] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @property
    def reached(self) -> bool:
        """True where the goals are met."""
        kept = not any(self.by_kind[kind].over_masked for kind in NEVER_MASKED & set(self.by_kind))
        return kept and self.total.recall >= RECALL_GOAL


def load(path: Path = LINES) -> list[Line]:
    """Read the labelled lines."""
    return [_line(raw) for raw in tomllib.loads(path.read_text(encoding="utf-8"))["lines"]]


def _line(raw: dict[str, object]) -> Line:
    parts = raw.get("segments", [raw])
    if not isinstance(parts, list):
        raise TypeError("segments is no list")
    segments = []
    for number, part in enumerate(parts):
        channel, speaker = _VOICES[part.get("voice", "mono")]
        start = number * _TURN_SEC
        segment = Segment(number, start, start + _SPEECH_SEC, part["text"], channel, speaker)
        segments.append(segment)
    about = raw["about"]
    kinds = tuple(map(str, about)) if isinstance(about, list) else ()
    return Line(kinds, str(raw["form"]), tuple(segments), tuple(part["masked"] for part in parts))


def score(lines: Iterable[Line] | None = None) -> Score:
    """Mask ``lines`` (those of ``masking.toml``) and count."""
    result = Score()
    for line in load() if lines is None else lines:
        masked = [segment.text for segment in redact(line.segments).segments]
        missed, over = _compare(line, masked)
        for tally, number in _tallies(result, line):
            tally.lines += 1
            tally.identifiers += number
            tally.found += 0 if missed else number
            tally.over_masked += over
            tally.over_masked_lines += over > 0
        if missed or over:
            result.faults.append(" / ".join(masked))
    return result


def _compare(line: Line, masked: Sequence[str]) -> tuple[int, int]:
    """Return the characters that should be masked and are not, and those that should not be.

    `EITHER` in the expected text stands for a character that counts in neither.
    """
    missed = over = 0
    for expected, found in zip(line.expected, masked, strict=True):
        for wanted, got in zip(expected, found, strict=True):
            if wanted != EITHER:
                missed += wanted == MASK != got
                over += got == MASK != wanted
    return missed, over


def _tallies(result: Score, line: Line) -> list[tuple[Tally, int]]:
    """Return the tallies that a line belongs to, each with its number of identifiers."""
    number = len(line.about) if line.has_identifiers else 0
    tallies = [(result.total, number), (result.by_form.setdefault(line.form, Tally()), number)]
    for kind in dict.fromkeys(line.about):
        count = line.about.count(kind) if line.has_identifiers else 0
        tallies.append((result.by_kind.setdefault(kind, Tally()), count))
    return tallies


def main(arguments: Sequence[str] | None = None) -> int:
    """Score, print a table (or JSON), and give the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("lines", nargs="?", type=Path, default=LINES)
    options = parser.parse_args(arguments)
    result = score(load(options.lines))
    if options.json:
        sys.stdout.write(json.dumps(asdict(result), ensure_ascii=False, indent=2) + "\n")
    else:
        _print(result)
    return 0 if result.reached else 1


def _print(result: Score) -> None:
    sys.stdout.write(
        f"{'':20}{'lines':>6}{'identifiers':>12}{'found':>7}{'recall':>8}{'over-masked':>13}"
        f"{'in lines':>10}\n"
    )
    rows = [*result.by_kind.items(), *result.by_form.items(), ("total", result.total)]
    for name, tally in rows:
        recall = f"{tally.recall:8.3f}" if tally.identifiers else f"{'-':>8}"
        sys.stdout.write(
            f"{name:20}{tally.lines:6}{tally.identifiers:12}{tally.found:7}{recall}"
            f"{tally.over_masked:13}{tally.over_masked_lines:10}\n"
        )
    for fault in result.faults:
        sys.stdout.write(f"differs: {fault}\n")


if __name__ == "__main__":
    sys.exit(main())
