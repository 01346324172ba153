"""Read a group of digits: written or spoken one by one, as a numeral, counted, or doubled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

from api_server.pii.lexicon import (
    COUNTED,
    COUNTS,
    DIGIT,
    DIGIT_VALUES,
    ENDING,
    LOOKALIKES,
    NUMERAL,
    REPEATED,
    REPEATS,
    TENS,
    WITH_COMMAS,
    WRITTEN,
)

TOKEN = re.compile(
    rf"{COUNTED}|{REPEATED}|(?P<commas>{WITH_COMMAS})|(?P<numeral>{NUMERAL})|{WRITTEN}"
    rf"|(?:(?!{COUNTED.replace('?P<counted>', '?:').replace('?P<count>', '?:')}){DIGIT})+"
)
"""A group of digits, and which kind of group it is."""

_STARTS = re.compile(
    "|".join(sorted({*"0123456789oil십백천", *DIGIT_VALUES, *REPEATS}, key=len, reverse=True))
)
_ONE_DIGIT = re.compile(rf"[\doilbsz]|{DIGIT}")
_HANGUL_WORD = re.compile(r"[가-힣]{1,32}")  # longer than all endings and fillers
_ONES_APART = re.compile(rf"\s[일이삼사오육륙칠팔구](?!{DIGIT}|[십백천])")
_AMBIGUOUS_DIGITS = frozenset("일이오")  # "this", "one", "oh": often words when they stand alone

_FUTURE = re.compile(r"일(?:\s?[거것겁걸]|까)")
_AFTER_VOWEL = re.compile(r"(?:에서?|에다가?|로|를|는|가|도|만|와|의|번.*|하고|부터|까지.*|이.*)")
_SUBJECT = re.compile(
    r"이\s(?:맞|아니|제|저|되|돼|됩|나|찍|뜨|뜹|있|없|여권|주민|면허|카드|계좌|전화|번호)"
)
_COPULAS = ("에요", "에여", "었")  # after a vowel they would be 예요, 였
_UNLIKELY = {"이", "이예요"}  # rarely said after numbers; 이에요 misspelt, or 2 and 예요
_UNGRAMMATICAL_COST, _RARE_COST, _LONE_COST = 2.0, 1.0, 0.6  # costs of readings


@dataclass(frozen=True, slots=True)
class NumberReading:
    """One way to read a group; ``cost`` is above 0 where it is less likely."""

    digits: str
    end: int
    cost: float


@dataclass(frozen=True, slots=True)
class DigitGroup:
    """An unbroken sequence of digits. ``팔이요`` is 8 or 82: one group, two readings.

    ``spoken``: in words. ``numeral``: as one number, which may be an amount: ``백십``, ``1,100``.
    """

    start: int
    end: int
    spoken: bool
    numeral: bool
    digits: str
    """The digits if every syllable is one."""
    readings: tuple[NumberReading, ...]

    @property
    def likely(self) -> NumberReading:
        """The reading of least cost."""
        readings = self.readings
        return readings[0] if len(readings) == 1 else min(readings, key=attrgetter("cost"))


def find_tokens(text: str) -> Iterator[re.Match[str]]:
    """Yield the matches of :data:`TOKEN` in the folded ``text``."""
    start = _STARTS.search(text)
    while start:
        token = TOKEN.match(text, start.start())
        if token:
            yield token
        start = _STARTS.search(text, token.end() if token else start.start() + 1)


def digit_value(written: str) -> str:
    """Return the digit that a word, a figure of any script or a lookalike letter stands for."""
    return DIGIT_VALUES.get(written) or LOOKALIKES.get(written) or str(int(written))


def read_group(text: str, token: re.Match[str]) -> DigitGroup:
    """Return the group that a match of :data:`TOKEN` is."""
    numeral = bool(token["numeral"] or token["commas"])
    readings = tuple(_readings(text, token))
    spoken = bool(token["numeral"]) or _is_spoken(token)
    return DigitGroup(token.start(), token.end(), spoken, numeral, readings[0].digits, readings)


def _is_spoken(token: re.Match[str]) -> bool:
    return token[0][-1] not in LOOKALIKES and not token[0][-1].isdigit()


def _readings(text: str, token: re.Match[str]) -> Iterator[NumberReading]:
    if token["counted"]:
        digits = digit_value(token["counted"]) * COUNTS[token["count"]]
    elif token["repeated"]:
        digits = digit_value(token["repeated"]) * REPEATS[token["repeat"]]
    elif token["commas"]:
        digits = token[0].replace(",", "")
    elif token["numeral"]:
        yield from _numeral_readings(text, token)
        return
    else:
        yield from _digit_readings(text, token)
        return
    yield NumberReading(digits, token.end(), 0.0)


def _numeral_readings(text: str, token: re.Match[str]) -> Iterator[NumberReading]:
    """Yield the numeral, and where its last digit may stand apart (구십 이) what comes before."""
    digits = _numeral_digits(token[0])
    likely = token[0][-1] == "이" and text.startswith(_COPULAS, token.end())
    yield NumberReading(digits, token.end(), _UNGRAMMATICAL_COST if likely else 0.0)
    if likely:
        yield NumberReading(_numeral_digits(token[0][:-1]), token.end() - 1, 0.0)
    if digits.endswith("0") and _ONES_APART.match(text, token.end()):
        yield NumberReading(digits[:-1], token.end(), _RARE_COST)


def _numeral_digits(numeral: str) -> str:
    """Return the digits of a numeral: 천이백삼십사 is 1234."""
    total, value, ones = 0, 0, 0
    for syllable in "".join(numeral.split()):
        if syllable == "만":
            total, value, ones = (value + ones) * 10_000, 0, 0
        elif syllable in TENS:
            value, ones = value + TENS[syllable] * (ones or 1), 0
        else:
            ones = ones * 10 + int(digit_value(syllable))
    return str(total + value + ones)


def _digit_readings(text: str, group: re.Match[str]) -> Iterator[NumberReading]:
    """Yield the readings of a group, the one with most digits first.

    The last syllables may be an ending: ``팔이요`` is more likely 8 than 82, ``사이요`` 42.
    """
    found = list(_ONE_DIGIT.finditer(text, group.start(), group.end()))
    digits = "".join(digit_value(one[0]) for one in found)
    ends = [one.end() for one in found]
    cuts = dict(_find_endings(text, group, ends))
    likely = max(
        (cut for cut, kept in cuts.items() if _is_grammatical(text, group, kept)), default=0
    )
    lone = _LONE_COST if group[0] in _AMBIGUOUS_DIGITS else 0.0
    yield NumberReading(digits, ends[-1], _UNGRAMMATICAL_COST if likely else lone)
    for cut, kept in cuts.items():
        yield NumberReading(digits[:-cut], kept, 0.0 if cut == likely else _RARE_COST)


def _find_endings(text: str, group: re.Match[str], ends: list[int]) -> Iterator[tuple[int, int]]:
    """Yield how many of the last syllables may be an ending, and where the digits end then."""
    if not _is_spoken(group):
        return
    suffix = read_suffix(text, group.end())
    for cut, kept in enumerate([group.start(), *ends[:-1]][:-3:-1], 1):
        lone = len(ends) == 1 and not suffix and group[0] in _AMBIGUOUS_DIGITS
        word = text[kept : group.end()] + suffix
        long = cut == 1 and kept > group.start() and _is_long_ending(text, kept, word)
        if lone or long or is_ending(word):
            yield cut, kept


def _is_long_ending(text: str, kept: int, word: str) -> bool:
    """Return whether a long ending starts at ``kept``: 이니까요, 이었던, 일 거예요."""
    copula = word[0] == "이" and len(word) > 1 and not _AFTER_VOWEL.fullmatch(word, 1)
    return copula or bool(_FUTURE.match(text, kept))


def _is_grammatical(text: str, group: re.Match[str], kept: int) -> bool:
    """Return whether the ending is grammatical: the copula's 이 follows consonants only."""
    alone = kept == group.start() and text[kept - 1 : kept] == " "  # a particle is attached
    if _FUTURE.match(text, kept) or (_SUBJECT.match(text, kept) and not alone):
        return True
    if text[kept : group.end()] + read_suffix(text, group.end()) in _UNLIKELY:
        return False
    return kept > group.start() and _has_coda(text[kept - 1]) == (text[kept] == "이")


def _has_coda(syllable: str) -> bool:
    return "가" <= syllable <= "힣" and (ord(syllable) - ord("가")) % 28 > 0


def read_suffix(text: str, end: int) -> str:
    """Return the Hangul suffix after ``end``, up to the next digit."""
    word = _HANGUL_WORD.match(text, end)
    if not word:
        return ""
    following = TOKEN.search(word[0])
    return word[0][: following.start()] if following else word[0]


def is_ending(word: str) -> bool:
    """Return whether ``word`` is a particle or a form of the copula."""
    return bool(ENDING.fullmatch(word))
