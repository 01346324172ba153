"""Find dictated numbers: ``공일공에 1234에 오육칠팔이요`` is a run of three groups of digits.

A :class:`DigitGroup` is an unbroken sequence of digits, written or spoken digit by digit. A
:class:`NumberRun` is groups separated only by what people say while they dictate: separators
(``다시``, ``에``), endings (``이고요``) and fillers (``네``, ``그 다음에``). A run ends at amounts,
rates, dates and counts, which are not groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from operator import attrgetter

from api_server.pii.lexicon import (
    CONTEXT_WORD,
    DIGIT,
    DIGIT_VALUES,
    ENDING,
    ENDING_START,
    FILLERS,
    MONEY,
    NUMERAL,
    QUANTITIES,
    SEPARATORS,
    SPACED_UNIT,
    SYMBOL_UNIT,
    TENS,
    UNIT,
    UNIT_OF_NAMES,
)

_TOKEN = re.compile(rf"\d+|{NUMERAL}|(?:{DIGIT})+")
_NUMERAL = re.compile(NUMERAL)
_ONE_DIGIT = re.compile(rf"\d|{DIGIT}")
_HANGUL_WORD = re.compile(r"[가-힣]{1,32}")  # longer than all endings and fillers
_HANGUL_TAIL = re.compile(r"[가-힣]+\Z")
_PUNCTUATION = r"\s\-‐-―−.,·/()\[\]'\"?!…\u00ad\u200b-\u200f\u2060\ufeff"
_PLAIN_GAP = re.compile(rf"[{_PUNCTUATION}]*")
_WORDS_GAP = re.compile(rf"[가-힣{_PUNCTUATION}]*")
_TIGHT_GAP = re.compile(r"[-‐-―−]?")
_HYPHEN_GAP = re.compile(r"\s?[-‐-―−]\s?")
_LARGE_UNIT = re.compile(r"[십백천억조]|만(?=\s?[원불엔]|\s?달러|[일이삼사오육륙칠팔구십백천])")
_AMBIGUOUS_DIGITS = frozenset("일이오")  # "this", "one", "oh": often words when they stand alone
_LARGE_UNIT_AHEAD = re.compile(r"\s[십백천만억조]+(?![가-힣])")

_HYPHENED = re.compile(r"\d+-[\d-]*\Z")
_LONG_NUMBER_DIGITS = 10
_DAY = re.compile(r"일(?!\d|[공영일이삼사오육륙칠팔구])")
_DATE_SIZES = {1, 2, 3, 8}  # 22일, 365일, 20261122일
_FUTURE = re.compile(r"일(?:\s?[거것겁걸]|까)")
_AFTER_VOWEL = re.compile(r"(?:에서?|에다가?|로|를|는|가|도|만|와|의|번.*|하고|부터|까지.*|이.*)")
_THIS = re.compile(r"\s(?:번호|계좌|카드|상품|메일|주소|분|건|쪽|걸|거|게)")
_SMALL_UNIT = re.compile("[세시살분]")
_SUBJECT = re.compile(r"이\s(?:맞|아니|제|저|되|돼|됩|나|찍|뜨|뜹|있|없)")
_UNLIKELY = {"이", "이예요"}  # rarely said after numbers; 이에요 misspelt, or 2 and 예요
_UNGRAMMATICAL_COST, _RARE_COST, _LONE_COST = 2.0, 1.0, 0.6  # costs of readings
_MAX_GAP_CHARS = 60
_MAX_LOOSE_CHARS = 25
_MAX_FILLERS = 6
_WHOLE_DIGITS = 6  # from here on a spoken group may be attached to any word before it
_MAX_COUNT_DIGITS = 4  # up to here 만 makes an amount
_CLEAR_DIGITS = 3  # from here on any word may follow a group


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


@dataclass(frozen=True, slots=True)
class NumberReading:
    """One way to read a group; ``cost`` is above 0 where it is less likely."""

    digits: str
    end: int
    cost: float


@dataclass(frozen=True, slots=True)
class DigitGroup:
    """An unbroken sequence of digits. ``팔이요`` is 8 or 82: one group, two readings.

    ``spoken``: in words, either digit by digit or, where it is a ``numeral``, as one (``백십``).
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


@dataclass(frozen=True, slots=True)
class NumberRun:
    """Groups that may be one number; ``gaps[i]`` separates the groups ``i`` and ``i + 1``."""

    groups: Sequence[DigitGroup]
    gaps: Sequence[Gap]


def find_runs(text: str) -> Iterator[NumberRun]:
    """Yield the runs in ``text``, which is folded already."""
    groups: list[DigitGroup] = []
    gaps: list[Gap] = []
    for group in _find_groups(text):
        gap = _classify_gap(text, groups[-1], group) if groups else None
        if gap is None and groups:
            yield NumberRun(groups, gaps)
            groups, gaps = [], []
        if gap is not None:
            gaps.append(gap)
        groups.append(group)
    if groups:
        yield NumberRun(groups, gaps)


def _find_groups(text: str) -> Iterator[DigitGroup]:
    taken = _mark_quantities(text)
    last: DigitGroup | None = None
    for token in _TOKEN.finditer(text):
        if any(taken[token.start() : token.end()]):
            continue
        group = _read_group(text, token)
        if _can_start(text, group, last) and _can_end(text, group, last):
            yield group
            last = group


def _mark_quantities(text: str) -> bytearray:
    """Return, for each character, whether it belongs to an amount, rate, date or time."""
    taken = bytearray(len(text))
    for pattern in QUANTITIES:
        for found in pattern.finditer(text):
            taken[found.start() : found.end()] = b"\1" * len(found[0])
    return taken


def _read_group(text: str, token: re.Match[str]) -> DigitGroup:
    spoken = not token[0].isdigit()
    numeral = spoken and not TENS.keys().isdisjoint(token[0])
    readings = tuple(_numeral_reading(token) if numeral else _digit_readings(text, token))
    return DigitGroup(token.start(), token.end(), spoken, numeral, readings[0].digits, readings)


def _numeral_reading(token: re.Match[str]) -> Iterator[NumberReading]:
    yield NumberReading(_numeral_digits(token[0]), token.end(), 0.0)


def _numeral_digits(numeral: str) -> str:
    """Return the digits of a numeral: 천이백삼십사 is 1234."""
    value, ones = 0, 0
    for syllable in numeral:
        if syllable in TENS:
            value, ones = value + TENS[syllable] * (ones or 1), 0
        else:
            ones = int(DIGIT_VALUES[syllable])
    return str(value + ones)


def _digit_readings(text: str, group: re.Match[str]) -> Iterator[NumberReading]:
    """Yield the readings of a group, the one with most digits first.

    The last syllables may be an ending: ``팔이요`` is more likely 8 than 82, ``사이요`` 42.
    """
    found = list(_ONE_DIGIT.finditer(text, group.start(), group.end()))
    digits = "".join(DIGIT_VALUES.get(one[0]) or str(int(one[0])) for one in found)
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
    if group[0].isdigit():
        return
    suffix = _read_suffix(text, group.end())
    for cut, kept in enumerate([group.start(), *ends[:-1]][:-3:-1], 1):
        lone = len(ends) == 1 and not suffix and group[0] in _AMBIGUOUS_DIGITS
        word = text[kept : group.end()] + suffix
        long = cut == 1 and kept > group.start() and _is_long_ending(text, kept, word)
        if lone or long or ENDING.fullmatch(word):
            yield cut, kept


def _is_long_ending(text: str, kept: int, word: str) -> bool:
    """Return whether a long ending starts at ``kept``: 이니까요, 이었던, 일 거예요."""
    copula = word[0] == "이" and len(word) > 1 and not _AFTER_VOWEL.fullmatch(word, 1)
    return copula or bool(_FUTURE.match(text, kept))


def _is_grammatical(text: str, group: re.Match[str], kept: int) -> bool:
    """Return whether the ending is grammatical: the copula's 이 follows consonants only."""
    if _FUTURE.match(text, kept) or _SUBJECT.match(text, kept):
        return True
    if text[kept : group.end()] + _read_suffix(text, group.end()) in _UNLIKELY:
        return False
    return kept > group.start() and _has_coda(text[kept - 1]) == (text[kept] == "이")


def _has_coda(syllable: str) -> bool:
    return "가" <= syllable <= "힣" and (ord(syllable) - ord("가")) % 28 > 0


def _read_suffix(text: str, end: int) -> str:
    """Return the Hangul suffix after ``end``, up to the next digit."""
    word = _HANGUL_WORD.match(text, end)
    if not word:
        return ""
    following = _TOKEN.search(word[0])
    return word[0][: following.start()] if following else word[0]


def _can_start(text: str, group: DigitGroup, last: DigitGroup | None) -> bool:
    """Return whether a number can start at ``group``."""
    if group.start == 0:
        return True
    before = text[group.start - 1]
    if last and last.end == group.start:
        # 5678이에요, 5678이니까요: after written digits, 이 is the copula.
        digits, suffix = text[group.start : group.end], _read_suffix(text, group.end)
        return not (_is_ending(digits + suffix) or (digits == "이" and suffix))
    if not group.spoken:
        return not ("a" <= before <= "z" or before == "*" or before.isdigit())
    if not "가" <= before <= "힣":
        return not (before.isalnum() or before == "*")
    return _can_start_attached(text, group, last)


def _can_start_attached(text: str, group: DigitGroup, last: DigitGroup | None) -> bool:
    if len(group.digits) >= _WHOLE_DIGITS:
        return True
    since = last.end if last and last.end > group.start - _MAX_GAP_CHARS else 0
    found = _HANGUL_TAIL.search(text, max(since, group.start - _MAX_GAP_CHARS), group.start)
    word = found[0] if found else ""
    if word in FILLERS and _is_ending(
        text[group.start : group.end] + _read_suffix(text, group.end)
    ):
        return False  # 그 다음이요 holds no 2
    follows_last = bool(found and found.start() == since)
    if word in SEPARATORS or word in FILLERS or (follows_last and _is_ending(word)):
        return True
    if group.numeral or len(group.digits) < _CLEAR_DIGITS:
        return False
    return word.endswith(("는", "은", "호", "좌", "행"))  # 번호는, 계좌, 은행


def _can_end(text: str, group: DigitGroup, last: DigitGroup | None) -> bool:
    """Return whether a number can end at ``group``: no unit and no other word continues it."""
    end = group.end
    if SYMBOL_UNIT.match(text, end) or _is_day(text, group, last):
        return False
    word = _HANGUL_WORD.match(text, end)
    if not word:
        this = text[group.start : end] == "이" and _THIS.match(text, end)
        return not (this or _has_spaced_unit(text, group))
    if _ONE_DIGIT.match(text, end) and not _NUMERAL.match(text, end):
        return True
    return not _has_unit(text, group, last) and _allows_following(text, group, last)


def _is_day(text: str, group: DigitGroup, last: DigitGroup | None) -> bool:
    if _FUTURE.match(text, group.end) and _follows(group, last):
        return False
    return bool(_DAY.match(text, group.end)) and len(group.digits) in _DATE_SIZES


def _has_spaced_unit(text: str, group: DigitGroup) -> bool:
    return bool(SPACED_UNIT.match(text, group.end) or _LARGE_UNIT_AHEAD.match(text, group.end))


def _has_unit(text: str, group: DigitGroup, last: DigitGroup | None) -> bool:
    size = len(group.digits)
    follows = _follows(group, last)
    if text.startswith("번", group.end):  # 1번, 2번: list items; 오육칠팔번: end of a number
        return size < _CLEAR_DIGITS and not follows and not group.digits.startswith("0")
    if group.spoken and _LARGE_UNIT.match(text, group.end):
        return True
    if (size > _CLEAR_DIGITS or (group.spoken and follows)) and _SMALL_UNIT.match(text, group.end):
        return group.numeral  # 5678세요, 육칠팔오세요: not an age
    if text.startswith("만", group.end) and not MONEY.match(text, group.end):
        clear = group.spoken and size >= _CLEAR_DIGITS
        return group.numeral or not (clear or follows or size > _MAX_COUNT_DIGITS)  # 5678만 있어요
    if group.numeral or size < _CLEAR_DIGITS:
        return bool(UNIT.match(text, group.end)) and len(group.readings) == 1
    unit = UNIT_OF_NAMES if group.spoken else UNIT
    return bool(unit.match(text, group.end)) and not _is_long_number(text, group)


def _follows(group: DigitGroup, last: DigitGroup | None) -> bool:
    return last is not None and group.start - last.end <= _MAX_LOOSE_CHARS


def _is_long_number(text: str, group: DigitGroup) -> bool:
    """Return whether ``group`` ends ten or more digits with hyphens, which no count has."""
    found = _HYPHENED.search(text, max(0, group.end - 30), group.end)
    return bool(found and sum(map(str.isdigit, found[0])) >= _LONG_NUMBER_DIGITS)


def _allows_following(text: str, group: DigitGroup, last: DigitGroup | None) -> bool:
    if not group.spoken or (len(group.digits) >= _CLEAR_DIGITS and not group.numeral):
        return True
    suffix = _read_suffix(text, group.end)
    if suffix in SEPARATORS or suffix in FILLERS or _is_ending(suffix):
        return True
    if _follows(group, last) and ENDING_START.match(suffix):
        return True
    return any(reading.end < group.end for reading in group.readings)


def _is_ending(word: str) -> bool:
    return bool(ENDING.fullmatch(word))


def _classify_gap(text: str, left: DigitGroup, right: DigitGroup) -> Gap | None:
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
    return Gap.LOOSE if len(gap) <= _MAX_LOOSE_CHARS and not _changes_topic(gap) else None


def _changes_topic(gap: str) -> bool:
    """Return whether ``gap`` announces another number; resident and foreigner are one topic."""
    topics = {found.lastgroup for found in CONTEXT_WORD.finditer(gap)}
    return bool(topics - {"resident_number", "foreigner_number"}) or (not topics and "번호" in gap)


def _ends_group(word: str, left: DigitGroup) -> bool:
    """Return whether ``word`` is an ending of ``left``, alone or with its last syllables."""
    return _is_ending(word) or any(reading.end < left.end for reading in left.readings)


def _is_filler(word: str) -> bool:
    return word in FILLERS or word in SEPARATORS or _is_ending(word)
