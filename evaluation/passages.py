"""The labelled passages, and what recognition errors would make of them."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stt_engine.speech import Segment

FOLDER = Path(__file__).parent / "passages"
PHRASES = Path(__file__).parent / "phrases"
CONTRASTS = Path(__file__).parent / "contrasts"
COMPLIANT = Path(__file__).parent / "compliant.txt"
SPEAKERS = {
    "상담원": ("agent", 0),
    "고객": ("customer", 1),
    "A": ("agent", 0),
    "C": ("customer", 1),
}

_HELD = 10  # of so many contrasting lines one is kept back
_TURN_SEC = 3.0
_SYLLABLES, _FIRST, _FINALS, _VOWELS = 11172, 0xAC00, 28, 21


@dataclass(frozen=True, slots=True)
class Passage:
    """A short piece of a call: what it says, and what it only seems to say (element ids)."""

    id: str
    segments: tuple[Segment, ...]
    said: frozenset[str]
    near: frozenset[str]
    about: str | None = None
    """The one element that the labels are complete for; ``None``: for all."""


def load(*names: str) -> list[Passage]:
    """Load sets by name (``dev``, ``heldout``); without a name, all of them."""
    files = [FOLDER / f"{name}.toml" for name in names] or sorted(FOLDER.glob("*.toml"))
    return [_passage(one) for file in files for one in _read(file)]


def _read(file: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = tomllib.loads(file.read_text(encoding="utf-8"))["passages"]
    return found


def phrases() -> list[Passage]:
    """Load the many ways to say one thing: a file for each element, a line for each way.

    ``+`` says it and ``-`` only seems to; ``A:`` is the agent, ``C:`` the customer, ``|`` between.
    """
    return [one for file in sorted(PHRASES.glob("*.txt")) for one in _phrases(file)]


def contrasts(*, held: bool) -> list[Passage]:
    """Load plain statements and their opposites: those that nothing is fitted to, or the others."""
    return [
        one
        for file in sorted(CONTRASTS.glob("*.txt"))
        for number, one in enumerate(_phrases(file))
        if (number % _HELD == 0) is held
    ]


def compliant() -> list[Passage]:
    """Load what agents say as they should: no prohibited element is in it."""
    return list(_phrases(COMPLIANT))


def _phrases(file: Path) -> Iterator[Passage]:
    own, none = frozenset({file.stem}), frozenset[str]()
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
        turns = line[1:].split("|")
        segments = tuple(_segment(position, turn) for position, turn in enumerate(turns))
        said, near = (own, none) if line[0] == "+" else (none, own)
        yield Passage(f"{file.stem}-{number + 1:03}", segments, said, near, file.stem)


def _passage(data: dict[str, object]) -> Passage:
    lines = [line for line in str(data["turns"]).splitlines() if line.strip()]
    said, near = data["said"], data["near"]
    assert isinstance(said, list)
    assert isinstance(near, list)
    segments = tuple(_segment(number, line) for number, line in enumerate(lines))
    return Passage(str(data["id"]), segments, frozenset(said), frozenset(near))


def _segment(number: int, line: str) -> Segment:
    name, _, words = line.partition(":")
    speaker, channel = SPEAKERS[name.strip()]
    start = number * _TURN_SEC
    return Segment(number, start, start + _TURN_SEC - 0.5, words.strip(), channel, speaker)


def noisy(passages: Sequence[Passage], rate: float, seed: int = 1) -> list[Passage]:
    """Return the passages with about ``rate`` of their syllables misheard, dropped or doubled."""
    chance = random.Random(seed)
    return [
        replace(one, segments=tuple(_misheard(s, rate, chance) for s in one.segments))
        for one in passages
    ]


def _misheard(segment: Segment, rate: float, chance: random.Random) -> Segment:
    text = "".join(_wrong(c, chance) if chance.random() < rate else c for c in segment.text)
    return replace(segment, text=text)


def _wrong(char: str, chance: random.Random) -> str:
    """Change one sound of a syllable, drop it or double it; spaces come and go."""
    if char.isspace():
        return ""
    number = ord(char) - _FIRST
    if not 0 <= number < _SYLLABLES:
        return char
    kind = chance.random()
    if kind < 0.15:
        return ""
    if kind < 0.25:
        return char * 2
    initial, rest = divmod(number, _VOWELS * _FINALS)
    vowel, final = divmod(rest, _FINALS)
    which = chance.randrange(3)
    initial = chance.randrange(19) if which == 0 else initial
    vowel = chance.randrange(_VOWELS) if which == 1 else vowel
    final = chance.choice((0, 1, 4, 8, 16, 17, 19, 21)) if which == 2 else final
    return chr(_FIRST + (initial * _VOWELS + vowel) * _FINALS + final)
