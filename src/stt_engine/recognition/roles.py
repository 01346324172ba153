"""Which of two voices is the agent: by what they say, never by who speaks first.

``roles.tsv`` holds pieces of two to four letters with a weight each: positive where agents say it
(a greeting with the bank's name, the recording notice, an explanation), else negative.
It was fitted to labelled dialogues (``evaluation/speakers/roles.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from stt_engine.speech import Segment

PHRASES = Path(__file__).with_name("roles.tsv")

LEAST = 0.98
"""Certainty from which on the two voices have their roles."""

_TEMPER = 0.7
"""Measured on writers that nothing was fitted to: see docs/speakers.md."""
_MOST = 4.0
"""What a single utterance may say, as a logarithm of odds: no one sentence decides alone."""

_SIZES = (2, 3, 4)
_ENGLISH: Mapping[str, float] = {
    "thiscallis": 2.0,
    "recordedforquality": 2.0,
    "howcanihelp": 2.0,
    "howmayihelp": 2.0,
    "thankyouforcalling": 2.0,
    "canihaveyour": 1.5,
    "mayihaveyour": 1.5,
    "verifyyour": 1.5,
    "anythingelseican": 2.0,
    "onbehalfof": 1.0,
    "ourproduct": 1.0,
    "icanofferyou": 1.5,
    "iwanttoask": -1.5,
    "icalledbecause": -1.5,
    "imcallingabout": -1.5,
    "isitsafe": -1.5,
    "whatifi": -1.0,
    "doihaveto": -1.5,
    "canigetmymoney": -2.0,
}
"""The same for English, by hand."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The voice that is the agent, or ``None``, and how certain that is (0.5 to 1).

    ``by``: what shows it, ``words`` or a known ``voice``.
    """

    agent: int | None = None
    certainty: float = 0.5
    by: Literal["words", "voice"] = "words"

    def as_data(self) -> dict[str, Any]:
        """Return it as what JSON knows."""
        return {
            "agent_voice": self.agent,
            "certainty": round(self.certainty, 4),
            "least": LEAST,
            "by": None if self.agent is None else self.by,
        }

    def with_agent(self, agent: int, certainty: float) -> Roles:
        """Return the roles where an agent's voice is known; nobody has one if words differ."""
        if certainty < LEAST:
            return self
        if self.agent not in {None, agent}:
            return Roles()
        return Roles(agent, max(certainty, self.certainty if self.agent == agent else 0), "voice")


def roles_of(segments: Sequence[Segment], least: float = LEAST) -> Roles:
    """Return which voice is the agent, where that is at least so certain."""
    lead = sum(
        (weight if one.voice == 0 else -weight)
        for one in segments
        if one.voice is not None and (weight := _said(one.text))
    )
    certainty = 1 / (1 + math.exp(-min(abs(lead) * _TEMPER, 50.0)))
    if lead == 0 or certainty < least:
        return Roles(None, certainty)
    return Roles(0 if lead > 0 else 1, certainty)


def _said(text: str) -> float:
    """Return what an utterance says about who speaks: positive for an agent."""
    letters = folded(text)
    phrases = read_phrases()
    pieces = {letters[at : at + n] for n in _SIZES for at in range(len(letters) - n + 1)}
    found = sum(phrases[one] for one in pieces if one in phrases)
    english = sum(weight for phrase, weight in _ENGLISH.items() if phrase in letters)
    return max(-_MOST, min(_MOST, found + english))


def folded(text: str) -> str:
    """Return the letters and digits of a text alone, in small ones."""
    return "".join(one for one in text.casefold() if one.isalnum())


@cache
def read_phrases() -> Mapping[str, float]:
    """Return the pieces and their weights; what is there for no piece is not an utterance's."""
    lines = PHRASES.read_text("utf-8").splitlines() if PHRASES.is_file() else []
    pairs = (line.split("\t") for line in lines)
    return {piece: float(weight) for piece, weight in pairs if piece}
