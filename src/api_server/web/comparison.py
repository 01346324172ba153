"""Two answers of one call beside each other: what was found, and which words are others. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from api_server.models import TranscribeResponse
from api_server.web import words
from api_server.web.facts import elements_of
from api_server.web.sentences import clock
from api_server.web.words import Pair, Tone
from stt_engine.speech import Segment


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; ``shown`` are its sentences as they may be shown, ``None`` where none may."""

    number: int
    made_at: float
    response: TranscribeResponse
    shown: Sequence[Segment] | None


@dataclass(frozen=True, slots=True)
class ComparedFinding:
    """An element in both answers; ``None``: that answer does not have it."""

    title: str
    before: tuple[Pair, Tone] | None
    after: tuple[Pair, Tone] | None

    @property
    def changed(self) -> bool:
        """Return whether the answers differ on it."""
        return self.before != self.after


@dataclass(frozen=True, slots=True)
class Side:
    """A sentence of one answer."""

    at: str
    speaker: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs; ``same`` sentences are in both answers, word for word, by the same speaker."""

    before: Answer
    after: Answer
    findings: tuple[ComparedFinding, ...]
    lines: tuple[tuple[Side | None, Side | None], ...]
    same: int

    @property
    def withheld(self) -> bool:
        """Return whether words of one of them must not be shown."""
        return self.before.shown is None or self.after.shown is None


def compare(before: Answer, after: Answer) -> Comparison:
    """Return what differs between two answers."""
    lines, same = _compare_lines(before.shown or (), after.shown or ())
    return Comparison(before, after, tuple(_compare_findings(before, after)), tuple(lines), same)


def _compare_findings(before: Answer, after: Answer) -> list[ComparedFinding]:
    old = {one["id"]: one for one in elements_of(before.response)}
    new = {one["id"]: one for one in elements_of(after.response)}
    found = []
    for one in {**old, **new}:
        title = (new.get(one) or old[one])["title"]
        found.append(ComparedFinding(title, _status(old.get(one)), _status(new.get(one))))
    return sorted(found, key=lambda one: not one.changed)


def _status(one: Mapping[str, Any] | None) -> tuple[Pair, Tone] | None:
    return None if one is None else words.STATUS[one["kind"], one["status"]]


def _compare_lines(
    before: Sequence[Segment], after: Sequence[Segment]
) -> tuple[list[tuple[Side | None, Side | None]], int]:
    old = [(one.speaker, one.text) for one in before]
    new = [(one.speaker, one.text) for one in after]
    found: list[tuple[Side | None, Side | None]] = []
    same = 0
    for tag, i, j, k, m in SequenceMatcher(None, old, new).get_opcodes():
        if tag == "equal":
            same += j - i
            continue
        left, right = map(_side, before[i:j]), map(_side, after[k:m])
        found += zip_longest(left, right)
    return found, same


def _side(one: Segment) -> Side:
    return Side(clock(one.start), one.speaker, one.text)
