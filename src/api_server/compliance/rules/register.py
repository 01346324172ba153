"""Words as they are said, brought to the standard form in which rules know them.

Hesitations, endings of dialects and what is misheard are closed classes of Korean
(``register.toml``). Every letter keeps its place in what was said.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TypeVar

from api_server.compliance.patterns.linear_pattern import Pattern, Subject
from api_server.compliance.patterns.pattern_language import with_final

_FINAL = re.compile(r"\{([ㄱ-ㅎ])\}")
_END = "(?:[^가-힣]|$)"  # of a word

Place = TypeVar("Place")


def standardise(text: str, places: Sequence[Place]) -> tuple[str, Sequence[Place]]:
    """Return ``text`` in standard words, and the place of each of its letters.

    Args:
        text: folded, with its spaces.
        places: of each letter of ``text``.
    """
    parts: list[str] = []
    kept: list[Place] = []
    done = 0
    for start, end, standard in _found(text):
        parts += (text[done:start], standard)
        kept += places[done:start]
        kept += _placed(places, start, end, len(standard))
        done = end
    if not parts:
        return text, places
    parts.append(text[done:])
    kept += places[done:]
    return "".join(parts), kept


def _found(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield where a form stands, and its standard; from left to right, none over another."""
    forms, done = _forms(), 0
    for first, last in forms.likely.spans(Subject(text), 0, len(text) + 1):
        for at in range(max(first, done), last):
            found = forms.said.match(text, at)
            if found and at >= done:
                done = found.end()
                yield at, done, forms.standards[found.lastindex or 0]


def _placed(places: Sequence[Place], start: int, end: int, letters: int) -> list[Place]:
    """Return the places of a standard form; its last letter is the last one of what was said."""
    last = max(start, end - 1)
    return [places[last if at == letters - 1 else min(start + at, last)] for at in range(letters)]


@dataclass(frozen=True, slots=True)
class _Forms:
    """Everything in ``register.toml``."""

    likely: Pattern
    """Found wherever a form may be: RE2 looks for it, which does not look behind."""
    said: re.Pattern[str]
    """Matches where a form begins; its group tells which."""
    standards: Sequence[str]
    """By group, from 1 on."""


@cache
def _forms() -> _Forms:
    """Read the forms once a process."""
    file = resources.files("api_server") / "compliance" / "rules" / "register.toml"
    classes = tomllib.loads(file.read_text(encoding="utf-8"))
    forms = [[_classes(part) for part in form] for one in classes.values() for form in one]
    likely = "|".join(f"{said}(?:{behind})" for _, said, behind, _ in forms)
    exact = "|".join(f"{_behind(before)}({said})(?={behind})" for before, said, behind, _ in forms)
    standards = ("", *(standard for *_, standard in forms))
    return _Forms(
        Pattern(likely.replace("$", _END)), re.compile(exact.replace("$", _END)), standards
    )


def _classes(source: str) -> str:
    return _FINAL.sub(lambda final: with_final(final[1]), source)


def _behind(before: str) -> str:
    return "(?<![가-힣])" if before == "^" else f"(?<={before})" if before else ""
