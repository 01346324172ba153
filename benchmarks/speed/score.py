"""Numbers out of texts and times: pure functions."""

from __future__ import annotations

import math
import re
import statistics
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import jiwer

_CONTRACTIONS = (
    (r"\bcan't\b|\bcan not\b", "cannot"),
    (r"\bwon't\b", "will not"),
    (r"n't\b", " not"),
    (r"\b(it|that|there|what|where|who|he|she|here)'s\b", r"\1 is"),
    (r"'re\b", " are"),
    (r"'m\b", " am"),
    (r"'ll\b", " will"),
    (r"'ve\b", " have"),
)
_WORDS = re.compile(r"[^\w\s]|_")
_LOOPS = (
    re.compile(r"(.{1,40}?)\1{7,}"),
    re.compile(r"(.{4,60}?)\1{3,}"),
    re.compile(r"(.{40,300}?)\1"),
)
"""A few letters eight times on end, a phrase four times, or a long sentence twice."""


def words(text: str) -> list[str]:
    """Return the words of an English text: no case, no punctuation, no contractions."""
    plain = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    for pattern, long in _CONTRACTIONS:
        plain = re.sub(pattern, long, plain)
    return _WORDS.sub("", plain.replace("-", " ")).split()


def letters(text: str) -> str:
    """Return the characters of a Korean text: no spaces, which are a matter of taste."""
    return "".join(char for char in unicodedata.normalize("NFC", text).lower() if char.isalnum())


def word_errors(pairs: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """Return how many words are wrong, missing or too many, and how many the reference has."""
    wrong = said = 0
    for reference, heard in pairs:
        found = jiwer.process_words(" ".join(words(reference)), " ".join(words(heard)))
        wrong += found.substitutions + found.deletions + found.insertions
        said += len(words(reference))
    return wrong, said


def character_errors(pairs: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """Return how many characters are wrong, missing or too many, and how many there should be."""
    wrong = said = 0
    for reference, heard in pairs:
        found = jiwer.process_characters(letters(reference), letters(heard))
        wrong += found.substitutions + found.deletions + found.insertions
        said += len(letters(reference))
    return wrong, said


def per_cent(errors: tuple[int, int]) -> float:
    """Return an error rate in per cent."""
    wrong, said = errors
    return round(100 * wrong / said, 2) if said else 0.0


def worse_by(ours: Sequence[int], theirs: Sequence[int], said: int) -> tuple[float, float]:
    """Return by how many points our errors are more than theirs in the same clips, and its chance.

    That is the standard error: of the sum of the differences, clip by clip.
    """
    differences = [our - their for our, their in zip(ours, theirs, strict=True)]
    error = statistics.pstdev(differences) * math.sqrt(len(differences))
    return round(100 * sum(differences) / said, 2), round(100 * error / said, 2)


def looped(text: str) -> bool:
    """Return whether a text repeats itself as Whisper does when its decoder is caught in a loop."""
    return any(pattern.search(letters(text)) for pattern in _LOOPS)


def spread(values: Sequence[float], digits: int = 3) -> dict[str, Any]:
    """Return median, least and most, and all values in order of measurement."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
        "values": [round(value, digits) for value in values],
    }


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> dict[str, Any]:
    """Divide round by round: what one round did to the machine, it did to both."""
    return spread([their / our for their, our in zip(theirs, ours, strict=True)], 2)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of the values are, between the two nearest."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
