"""Short calls with labels, one a line of JSON: ``id``, ``turns``, ``violated``, ``satisfied``.

``turns`` are pairs of speaker (``agent``, ``customer``) and text. Those of ``dialogues/`` say
more: ``scene``, ``product``, ``register``, ``kind`` (``violation``, ``lookalike``, ``clean``),
``near`` (what it only resembles), ``held`` (nothing is fitted to it) and ``second``: the labels of
somebody who saw the words alone, with what they were unsure of. A file is one writer's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from evaluation.passages import Passage
from stt_engine.speech import Segment

FOLDER = Path(__file__).parent / "dialogues"

_TURN_SEC = 3.0
_CHANNELS = {"agent": 0, "customer": 1}
_Z = 1.96


class DialogueInvalid(ValueError):
    """A line says no dialogue; the message has the file, the line and what is wrong."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A passage, and what is known of it beside its labels (empty where nothing is)."""

    passage: Passage
    kind: str = ""
    register: str = ""
    held: bool = False


def load_dialogues(files: Iterable[Path] = ()) -> list[Dialogue]:
    """Load files of dialogues; without any, those of ``dialogues/``.

    Raises:
        DialogueInvalid: a line cannot be read.
    """
    return [one for file in list(files) or sorted(FOLDER.glob("*.jsonl")) for one in _read(file)]


def _read(file: Path) -> Iterator[Dialogue]:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                yield _dialogue(json.loads(line))
            except (ValueError, KeyError, TypeError) as exc:
                raise DialogueInvalid(f"{file}:{number}: {type(exc).__name__}: {exc}") from exc


def _dialogue(data: dict[str, Any]) -> Dialogue:
    segments = tuple(
        _segment(number, speaker, text) for number, (speaker, text) in enumerate(data["turns"])
    )
    said = frozenset(data["violated"]) | frozenset(data["satisfied"])
    passage = Passage(str(data["id"]), segments, said, frozenset(data.get("near", ())))
    kind, register = str(data.get("kind", "")), str(data.get("register", ""))
    return Dialogue(passage, kind, register, bool(data.get("held")))


def _segment(number: int, speaker: str, text: str) -> Segment:
    start = number * _TURN_SEC
    return Segment(number, start, start + _TURN_SEC - 0.5, text, _CHANNELS[speaker], speaker)


def accused(
    dialogues: Sequence[Dialogue], found: dict[str, frozenset[str]], prohibited: frozenset[str]
) -> Iterator[tuple[str, int, int]]:
    """Yield of each kind and register how many dialogues without a violation are accused of one.

    Each is a name, the number of those accused, and the number of all.
    """
    innocent = [one for one in dialogues if not one.passage.said & prohibited]
    names = [one.kind or "no violation" for one in innocent]
    named = [f"{kind}, {one.register}" for kind, one in zip(names, innocent, strict=True)]
    taken = [bool(found[one.passage.id] & prohibited) for one in innocent]
    for name in sorted({*names, *(n for n in named if not n.endswith(", "))}):
        of = [
            hit for kind, more, hit in zip(names, named, taken, strict=True) if name in {kind, more}
        ]
        yield name, sum(of), len(of)


def interval(part: int, whole: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share (Wilson); 0 to 1 where there is nothing."""
    if not whole:
        return 0.0, 1.0
    share = part / whole
    middle = share + _Z**2 / (2 * whole)
    wide = _Z * sqrt(share * (1 - share) / whole + _Z**2 / (4 * whole**2))
    scale = 1 + _Z**2 / whole
    return max(0.0, (middle - wide) / scale), min(1.0, (middle + wide) / scale)
