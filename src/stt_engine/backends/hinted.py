"""Hints of a caller: they may correct what a model heard, and never make it up.

A model that is shown words before it listens writes them where nobody said them: over music, in
place of other words, again and again. So a chunk is transcribed without the hints first, and with
them only where it has text. The second text is taken where it is the first one but for a few
letters, and each keyword that only it has stands where the first has something that sounds alike.
A model that can say how likely a text is by the sound alone has to find the second one hardly less
likely than the first, which one that is only spelled alike is not. Where there are keywords alone
and none is new, the first text stays, letter by letter.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Literal, Protocol, runtime_checkable

from stt_engine.backends.base import ChunkResult, Model, SpeechChunk
from stt_engine.hints import NO_HINTS, Hints

Verdict = Literal["same", "taken", "refused"]

LIKE_KEYWORD = 0.5
"""Share of a keyword's letters (of a Korean syllable: its two or three) that the text without hints
has at the same place."""

LIKE_TEXT = 0.8
"""The same of all that is no keyword."""

MOST_LOSS = 7.0
"""How much less likely (natural logarithm) the sound alone may make the text for each new keyword.
On the clips of ``benchmarks/hints.py`` two names that were said cost 4.2 and 6.2, words that only
sound like one 7.7 to 9.6."""

TAKES_HINTS = "hints"
"""In ``takes`` of a model's facts: it can be shown words."""


@runtime_checkable
class Listens(Protocol):
    """A model that can say how likely a text is by the sound alone."""

    def log_likelihoods(self, chunk: SpeechChunk, texts: Sequence[str]) -> Sequence[float]:
        """Return the natural logarithm of the probability of each text of a chunk."""
        ...


class HintedModel:
    """A model that is asked twice where there are hints."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.multilingual = model.multilingual
        self.facts = model.facts
        self.together = model.together
        self.detect = model.detect

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
        """Transcribe chunks; ``hinted`` of a result says what came of its hints."""
        if not any(one.hints for one in chunks):
            return self._model.transcribe(chunks)
        found = self._model.transcribe([replace(one, hints=NO_HINTS) for one in chunks])
        if TAKES_HINTS not in self._takes():
            return found
        asked = [at for at, one in enumerate(chunks) if one.hints and _text(found[at])]
        again = [replace(chunks[at], language_check=False) for at in asked]
        for at, hinted in zip(asked, self._model.transcribe(again) if again else (), strict=True):
            found[at] = self._chosen(found[at], hinted, chunks[at])
        return found

    def _chosen(self, plain: ChunkResult, hinted: ChunkResult, chunk: SpeechChunk) -> ChunkResult:
        """Return the one of two results that is taken; the sound has the last word."""
        taken = chosen(plain, hinted, chunk.hints)
        new = _new_keywords(_text(plain), _text(hinted), chunk.hints)
        if taken.hinted != "taken" or not new or not isinstance(self._model, Listens):
            return taken
        before, after = self._model.log_likelihoods(chunk, (_text(plain), _text(hinted)))
        heard = before - after <= MOST_LOSS * new
        return taken if heard else replace(plain, hinted="refused")

    def _takes(self) -> Sequence[str]:
        takes = self.facts.get("takes", ())
        return takes if isinstance(takes, list | tuple) else ()


def chosen(plain: ChunkResult, hinted: ChunkResult, hints: Hints) -> ChunkResult:
    """Return the one of two results of a chunk that is taken, with what came of the hints."""
    verdict = judge(_text(plain), _text(hinted), hints)
    if verdict != "taken":
        return replace(plain, hinted=verdict)
    facts = {**plain.facts, **hinted.facts}
    return replace(hinted, languages=plain.languages, hinted=verdict, facts=facts)


def judge(plain: str, hinted: str, hints: Hints) -> Verdict:
    """Return whether the text with hints is to be taken for the one without."""
    if plain == hinted or not (hints.prompt or _new_keywords(plain, hinted, hints)):
        return "same"
    before, after = letters_in(plain), letters_in(hinted)
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    pairs = [(one.a + at, one.b + at) for one in blocks for at in range(one.size)]
    new: set[int] = set()
    old: set[int] = set()
    for keyword in map(letters_in, hints.keywords):
        for start in _places(after, keyword):
            end = start + len(keyword)
            if after[start:end] == _across(before, pairs, start, end):
                continue  # it was heard without the hints, too
            here = _range(pairs, start, end, len(before))
            if _alike(before[slice(*here)], keyword) < LIKE_KEYWORD:
                return "refused"
            new.update(range(start, end))
            old.update(range(*here))
    kept = sum(a not in old and b not in new for a, b in pairs)
    rest = max(len(before) - len(old), len(after) - len(new))
    return "taken" if kept >= LIKE_TEXT * rest else "refused"


def _new_keywords(plain: str, hinted: str, hints: Hints) -> int:
    """Return how many keywords stand in the second text that are not in the first."""
    return sum(max(0, hinted.count(one) - plain.count(one)) for one in hints.keywords)


def letters_in(text: str) -> str:
    """Return the letters and digits alone, a Korean syllable as its two or three."""
    return "".join(one for one in unicodedata.normalize("NFKD", text.casefold()) if one.isalnum())


def _text(result: ChunkResult) -> str:
    return " ".join(one.text.strip() for one in result.segments).strip()


def _places(text: str, keyword: str) -> Iterator[int]:
    at = text.find(keyword)
    while at >= 0:
        yield at
        at = text.find(keyword, at + len(keyword))


def _range(pairs: list[tuple[int, int]], start: int, end: int, length: int) -> tuple[int, int]:
    """Return the part of the text without hints that stands where this part of the other does."""
    first = max((a + 1 for a, b in pairs if b < start), default=0)
    last = min((a for a, b in pairs if b >= end), default=length)
    return first, max(first, last)


def _across(before: str, pairs: list[tuple[int, int]], start: int, end: int) -> str:
    """Return the letters of the text without hints that are those of this part, one by one."""
    return "".join(before[a] for a, b in pairs if start <= b < end)


def _alike(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()
