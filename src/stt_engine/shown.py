"""Words that others chose (callers, environments), as they may be shown: cut, and put right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 200
"""Characters of one such string in a log line or an answer."""

_SIMILAR = 0.6
"""Least similarity (0 to 1) of a name with the known one that is suggested instead."""


def shorten(text: str, longest: int = LONGEST, *, tail: int = 0) -> str:
    """Return ``text``, cut where it is longer than ``longest``, with its length.

    What is cut leaves the beginning and the last ``tail`` characters.
    """
    if len(text) <= longest:
        return text
    end = text[len(text) - tail :]
    return f"{text[: longest - tail]}… ({len(text)} characters){' …' if end else ''}{end}"


def nearest(name: str, known: Iterable[str], similar: float = _SIMILAR) -> str | None:
    """Return the one of ``known`` that ``name`` was most likely meant to be, if any is near."""
    folded = {_fold(one): one for one in known}
    meant = _fold(name[:LONGEST])
    if meant in folded:
        return folded[meant]
    found = difflib.get_close_matches(meant, folded, n=1, cutoff=similar)
    return folded[found[0]] if found else None


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return one sentence about a name that has no meaning: the one that was meant, or all."""
    known = sorted(known)
    near = nearest(name, known)
    said = f"unknown {what} '{shorten(name, 64)}'"
    if near:
        return f"{said}; did you mean '{near}'?"
    return f"{said}; {'there is ' + ', '.join(known) if known else 'there is none here'}"


def _fold(name: str) -> str:
    return name.casefold().replace("-", "_").strip(" []")
