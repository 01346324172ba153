"""What separates two groups of digits: how likely they are to be one number."""

from __future__ import annotations

import re
from enum import IntEnum

from api_server.pii.digit_groups import DigitGroup, is_ending
from api_server.pii.lexicon import CONTEXT_WORD, FILLERS, SEPARATORS, SYMBOL

_HANGUL_WORD = re.compile(r"[가-힣]{1,32}")  # longer than all endings and fillers
_PLAIN_GAP = re.compile(rf"{SYMBOL}*")
_WORDS_GAP = re.compile(rf"(?:[가-힣]|{SYMBOL})*")
_TIGHT_GAP = re.compile(r"[-‐-―−─_ᅳ]?")  # the last one is ㅡ, folded
_HYPHEN_GAP = re.compile(r"\s?[-‐-―−─_ᅳ]\s?")
_MAX_GAP_CHARS = 60
MAX_LOOSE_CHARS = 25
"""How many characters a loose gap may have."""
_MAX_FILLERS = 6


class Gap(IntEnum):
    """What separates two groups, the closest first."""

    TIGHT = 0
    """Nothing, or a hyphen without spaces."""
    HYPHEN = 1
    """A hyphen with spaces."""
    PLAIN = 2
    """Spaces or other punctuation."""
    WORDS = 3
    """Separators, endings and fillers."""
    LOOSE = 4
    """A few other words: accepted only within a number of unmistakable format."""


def classify_gap(text: str, left: DigitGroup, right: DigitGroup) -> Gap | None:
    """Return what separates two groups; ``None`` where they cannot be one number."""
    gap = text[left.end : right.start]
    if len(gap) > _MAX_GAP_CHARS:
        return None
    if _TIGHT_GAP.fullmatch(gap):
        return Gap.TIGHT
    if _HYPHEN_GAP.fullmatch(gap):
        return Gap.HYPHEN
    if _PLAIN_GAP.fullmatch(gap):
        return Gap.PLAIN
    if not _WORDS_GAP.fullmatch(gap):
        return None
    return _classify_words(gap, left)


def _classify_words(gap: str, left: DigitGroup) -> Gap | None:
    words = _HANGUL_WORD.findall(gap)
    if "가" <= gap[0] <= "힣" and _ends_group(words[0], left):
        del words[0]
    if len(words) <= _MAX_FILLERS and all(_is_filler(word) for word in words):
        return Gap.WORDS
    return Gap.LOOSE if len(gap) <= MAX_LOOSE_CHARS and not _changes_topic(gap) else None


def _changes_topic(gap: str) -> bool:
    """Return whether ``gap`` announces another number; resident and foreigner are one topic."""
    topics = {found.lastgroup for found in CONTEXT_WORD.finditer(gap)}
    return bool(topics - {"resident_number", "foreigner_number"}) or (not topics and "번호" in gap)


def _ends_group(word: str, left: DigitGroup) -> bool:
    """Return whether ``word`` is an ending of ``left``, alone or with its last syllables."""
    return is_ending(word) or any(reading.end < left.end for reading in left.readings)


def _is_filler(word: str) -> bool:
    return word in FILLERS or word in SEPARATORS or is_ending(word)
