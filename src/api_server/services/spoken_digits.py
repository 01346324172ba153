"""Numbers that are dictated: ``공일공에 1234에 오육칠팔이요`` as groups of digits with a way back.

A :class:`Group` is digits in one piece, written or spoken digit by digit. A :class:`Run` is groups
with nothing between them but what people say while they dictate: separators (``다시``, ``에``),
endings (``이고요``), and words that keep the line open (``네``, ``그 다음에``). Amounts, rates,
dates and counts are no groups, so that a run ends at them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from api_server.services.number_words import (
    DIGIT,
    DIGIT_VALUES,
    ENDING,
    ENDING_START,
    FILLERS,
    KEYWORD,
    LETTER_UNIT,
    MONEY,
    NUMERAL,
    QUANTITIES,
    SEPARATORS,
    SPACED_UNIT,
    TENS,
    UNIT,
    UNIT_OF_NAMES,
)

_TOKEN = re.compile(rf"\d+|{NUMERAL}|(?:{DIGIT})+")
_NUMERAL = re.compile(NUMERAL)
_ONE_DIGIT = re.compile(rf"\d|{DIGIT}")
_HANGUL_WORD = re.compile(r"[가-힣]+")
_HANGUL_TAIL = re.compile(r"[가-힣]+\Z")
_PUNCTUATION = r"\s\-‐-―−.,·/()\[\]'\"?!…\u00ad\u200b-\u200f\u2060\ufeff"
_PLAIN_GAP = re.compile(rf"[{_PUNCTUATION}]*")
_WORDS_GAP = re.compile(rf"[가-힣{_PUNCTUATION}]*")
_TIGHT_GAP = re.compile(r"[-‐-―−]?")
_HYPHEN_GAP = re.compile(r"\s?[-‐-―−]\s?")
_LARGER = re.compile(r"[십백천억조]|만(?=\s?[원불엔]|\s?달러|[일이삼사오육륙칠팔구십백천])")
_WORDS_TOO = frozenset("일이오")  # "this", "one", "oh": words when they stand alone
_LARGER_AHEAD = re.compile(r"\s[십백천만억조]+(?![가-힣])")

_HYPHENED = re.compile(r"\d+-[\d-]*\Z")
_MANY_DIGITS = 10
_DAY = re.compile(r"일(?!\d|[공영일이삼사오육륙칠팔구])")
_DAY_SIZES = {1, 2, 3, 8}  # 22일, 365일, 20261122일
_FUTURE = re.compile(r"일(?:\s?[거것겁걸]|까)")
_AFTER_VOWEL = re.compile(r"(?:에서?|에다가?|로|를|는|가|도|만|와|의|번.*|하고|부터|까지.*|이.*)")
_THIS = re.compile(r"\s(?:번호|계좌|카드|상품|메일|주소|분|건|쪽|걸|거|게)")
_SMALL_UNIT = re.compile("[세시살분]")
_SUBJECT = re.compile(r"이\s(?:맞|아니|제|저|되|돼|됩|나|찍|뜨|뜹|있|없)")
_UNLIKELY = {"이", "이예요"}  # mostly left out behind numbers; 이에요 misspelt, or 2 and 예요
_ODD, _RARE, _LONE = 2.0, 1.0, 0.6  # costs of readings: against grammar, and seldom
_MAX_GAP_CHARS = 60
_MAX_LOOSE_CHARS = 25
_MAX_FILLERS = 6
_WHOLE_NUMBER = 6  # digits from which on a spoken group may be glued to any word before it
_MAX_COUNT = 4  # digits up to which 만 makes an amount
_CLEAR_NUMBER = 3  # digits from which on a group may be followed by any word


class Gap(IntEnum):
    """What stands between two groups, from the closest on."""

    TIGHT = 0
    """Nothing, or a hyphen without spaces."""
    HYPHEN = 1
    """A hyphen with spaces."""
    PLAIN = 2
    """Spaces and other punctuation."""
    WORDS = 3
    """Separators, endings and fillers in words."""
    LOOSE = 4
    """A few other words: enough only for a number whose form leaves no doubt."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How many digits of a group are meant; ``cost`` is above 0 where that is the odd reading."""

    digits: str
    end: int
    cost: float


@dataclass(frozen=True, slots=True)
class Group:
    """Digits in one piece. ``팔이요`` is 8 or 82: one group, two readings.

    ``spoken`` digits are said one by one, unless they are a ``numeral`` (``백십``).
    """

    start: int
    end: int
    spoken: bool
    numeral: bool
    digits: str
    """The digits where every syllable is one."""
    readings: tuple[Reading, ...]

    @property
    def likely(self) -> Reading:
        """The reading that grammar speaks for."""
        return min(self.readings, key=lambda reading: reading.cost)


@dataclass(frozen=True, slots=True)
class Run:
    """Groups that may be one number; ``gaps[i]`` stands between the groups ``i`` and ``i + 1``."""

    groups: Sequence[Group]
    gaps: Sequence[Gap]


def runs(text: str) -> Iterator[Run]:
    """Give the runs of ``text``, which is folded already."""
    groups: list[Group] = []
    gaps: list[Gap] = []
    for group in _groups(text):
        gap = _gap(text, groups[-1], group) if groups else None
        if gap is None and groups:
            yield Run(groups, gaps)
            groups, gaps = [], []
        if gap is not None:
            gaps.append(gap)
        groups.append(group)
    if groups:
        yield Run(groups, gaps)


def _groups(text: str) -> Iterator[Group]:
    taken = _quantities(text)
    last: Group | None = None
    for token in _TOKEN.finditer(text):
        if any(taken[token.start() : token.end()]):
            continue
        group = _group(text, token)
        if _begins(text, group, last) and _ends(text, group, last):
            yield group
            last = group


def _quantities(text: str) -> bytearray:
    """Mark what is written like an amount, a rate, a date or a time."""
    taken = bytearray(len(text))
    for pattern in QUANTITIES:
        for found in pattern.finditer(text):
            taken[found.start() : found.end()] = b"\1" * len(found[0])
    return taken


def _group(text: str, token: re.Match[str]) -> Group:
    spoken = not token[0].isdigit()
    numeral = spoken and not TENS.keys().isdisjoint(token[0])
    readings = tuple(_as_numeral(token) if numeral else _as_digits(text, token))
    return Group(token.start(), token.end(), spoken, numeral, readings[0].digits, readings)


def _as_numeral(token: re.Match[str]) -> Iterator[Reading]:
    yield Reading(_value(token[0]), token.end(), 0.0)


def _value(numeral: str) -> str:
    """Give the digits of a number said as one: 천이백삼십사 is 1234."""
    value, ones = 0, 0
    for syllable in numeral:
        if syllable in TENS:
            value, ones = value + TENS[syllable] * (ones or 1), 0
        else:
            ones = int(DIGIT_VALUES[syllable])
    return str(value + ones)


def _as_digits(text: str, group: re.Match[str]) -> Iterator[Reading]:
    """Give the ways to read a group, the full one first.

    The last syllables may belong to an ending: ``팔이요`` is rather 8 than 82, ``사이요`` 42.
    """
    found = list(_ONE_DIGIT.finditer(text, group.start(), group.end()))
    digits = "".join(DIGIT_VALUES.get(one[0]) or str(int(one[0])) for one in found)
    ends = [one.end() for one in found]
    cuts = dict(_cuts(text, group, ends))
    likely = max((cut for cut, kept in cuts.items() if _natural(text, group, kept)), default=0)
    lone = _LONE if group[0] in _WORDS_TOO else 0.0
    yield Reading(digits, ends[-1], _ODD if likely else lone)
    for cut, kept in cuts.items():
        yield Reading(digits[:-cut], kept, 0.0 if cut == likely else _RARE)


def _cuts(text: str, group: re.Match[str], ends: list[int]) -> Iterator[tuple[int, int]]:
    """Give how many last syllables of a spoken group may be no digits, and where it ends then."""
    if group[0].isdigit():
        return
    glued = _glued(text, group.end())
    for cut, kept in enumerate([group.start(), *ends[:-1]][:-3:-1], 1):
        lone = len(ends) == 1 and not glued and group[0] in _WORDS_TOO
        word = text[kept : group.end()] + glued
        long = cut == 1 and kept > group.start() and _goes_on(text, kept, word)
        if lone or long or ENDING.fullmatch(word):
            yield cut, kept


def _goes_on(text: str, kept: int, word: str) -> bool:
    """Tell whether a long ending begins at ``kept``: 이니까요, 이었던, 일 거예요."""
    copula = word[0] == "이" and len(word) > 1 and not _AFTER_VOWEL.fullmatch(word, 1)
    return copula or bool(_FUTURE.match(text, kept))


def _natural(text: str, group: re.Match[str], kept: int) -> bool:
    """Tell whether grammar expects the ending: the copula's 이 after a consonant only."""
    if _FUTURE.match(text, kept) or _SUBJECT.match(text, kept):
        return True
    if text[kept : group.end()] + _glued(text, group.end()) in _UNLIKELY:
        return False
    return kept > group.start() and _has_coda(text[kept - 1]) == (text[kept] == "이")


def _has_coda(syllable: str) -> bool:
    return "가" <= syllable <= "힣" and (ord(syllable) - ord("가")) % 28 > 0


def _glued(text: str, end: int) -> str:
    """Give the letters that follow ``end`` without a space, up to the next digit."""
    word = _HANGUL_WORD.match(text, end)
    if not word:
        return ""
    following = _TOKEN.search(word[0])
    return word[0][: following.start()] if following else word[0]


def _begins(text: str, group: Group, last: Group | None) -> bool:
    """Tell whether a number can begin where ``group`` does."""
    if group.start == 0:
        return True
    before = text[group.start - 1]
    if last and last.end == group.start:
        # 5678이에요, 5678이니까요: behind written digits, 이 is the copula's.
        said, glued = text[group.start : group.end], _glued(text, group.end)
        return not (_ending(said + glued) or (said == "이" and glued))
    if not group.spoken:
        return not ("a" <= before <= "z" or before == "*" or before.isdigit())
    if not "가" <= before <= "힣":
        return not (before.isalnum() or before == "*")
    return _begins_glued(text, group, last)


def _begins_glued(text: str, group: Group, last: Group | None) -> bool:
    if len(group.digits) >= _WHOLE_NUMBER:
        return True
    since = last.end if last and last.end > group.start - _MAX_GAP_CHARS else 0
    found = _HANGUL_TAIL.search(text, max(since, group.start - _MAX_GAP_CHARS), group.start)
    word = found[0] if found else ""
    if word in FILLERS and _ending(text[group.start : group.end] + _glued(text, group.end)):
        return False  # 그 다음이요: no 2
    behind_last = bool(found and found.start() == since)
    if word in SEPARATORS or word in FILLERS or (behind_last and _ending(word)):
        return True
    if group.numeral or len(group.digits) < _CLEAR_NUMBER:
        return False
    return word.endswith(("는", "은", "호", "좌", "행"))  # 번호는, 계좌, 은행


def _ends(text: str, group: Group, last: Group | None) -> bool:
    """Tell whether a number can end where ``group`` does: no unit and no other word goes on."""
    end = group.end
    if LETTER_UNIT.match(text, end) or _is_day(text, group, last):
        return False
    word = _HANGUL_WORD.match(text, end)
    if not word:
        this = text[group.start : end] == "이" and _THIS.match(text, end)
        return not (this or _spaced_unit(text, group))
    if _ONE_DIGIT.match(text, end) and not _NUMERAL.match(text, end):
        return True
    return not _is_unit(text, group, last) and _may_follow(text, group, last)


def _is_day(text: str, group: Group, last: Group | None) -> bool:
    if _FUTURE.match(text, group.end) and _follows(group, last):
        return False
    return bool(_DAY.match(text, group.end)) and len(group.digits) in _DAY_SIZES


def _spaced_unit(text: str, group: Group) -> bool:
    return bool(SPACED_UNIT.match(text, group.end) or _LARGER_AHEAD.match(text, group.end))


def _is_unit(text: str, group: Group, last: Group | None) -> bool:
    size = len(group.digits)
    follows = _follows(group, last)
    if text.startswith("번", group.end):  # 1번, 2번: in a list; 오육칠팔번: a number's end
        return size < _CLEAR_NUMBER and not follows and not group.digits.startswith("0")
    if group.spoken and _LARGER.match(text, group.end):
        return True
    if (size > _CLEAR_NUMBER or (group.spoken and follows)) and _SMALL_UNIT.match(text, group.end):
        return group.numeral  # 5678세요, 육칠팔오세요: no age
    if text.startswith("만", group.end) and not MONEY.match(text, group.end):
        clear = group.spoken and size >= _CLEAR_NUMBER
        return group.numeral or not (clear or follows or size > _MAX_COUNT)  # 5678만 있어요
    if group.numeral or size < _CLEAR_NUMBER:
        return bool(UNIT.match(text, group.end)) and len(group.readings) == 1
    unit = UNIT_OF_NAMES if group.spoken else UNIT
    return bool(unit.match(text, group.end)) and not _is_long(text, group)


def _follows(group: Group, last: Group | None) -> bool:
    return last is not None and group.start - last.end <= _MAX_LOOSE_CHARS


def _is_long(text: str, group: Group) -> bool:
    """Tell whether ``group`` ends ten or more digits with hyphens: no count is written so."""
    found = _HYPHENED.search(text, max(0, group.end - 30), group.end)
    return bool(found and sum(map(str.isdigit, found[0])) >= _MANY_DIGITS)


def _may_follow(text: str, group: Group, last: Group | None) -> bool:
    if not group.spoken or (len(group.digits) >= _CLEAR_NUMBER and not group.numeral):
        return True
    glued = _glued(text, group.end)
    if glued in SEPARATORS or glued in FILLERS or _ending(glued):
        return True
    if _follows(group, last) and ENDING_START.match(glued):
        return True
    return any(reading.end < group.end for reading in group.readings)


def _ending(word: str) -> bool:
    return bool(ENDING.fullmatch(word))


def _gap(text: str, left: Group, right: Group) -> Gap | None:
    """Tell what stands between two groups; ``None`` where they are not one number."""
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
    return _words_gap(gap, left)


def _words_gap(gap: str, left: Group) -> Gap | None:
    words = _HANGUL_WORD.findall(gap)
    if "가" <= gap[0] <= "힣" and _continues(words[0], left):
        del words[0]
    if len(words) <= _MAX_FILLERS and all(_keeps_line(word) for word in words):
        return Gap.WORDS
    return Gap.LOOSE if len(gap) <= _MAX_LOOSE_CHARS and not _changes_topic(gap) else None


def _changes_topic(gap: str) -> bool:
    """Tell whether another number is spoken of; the two parts of a resident number are one."""
    topics = {found.lastgroup for found in KEYWORD.finditer(gap)}
    return bool(topics - {"resident_number", "foreigner_number"}) or (not topics and "번호" in gap)


def _continues(word: str, left: Group) -> bool:
    """Tell whether ``word`` is an ending of ``left``, alone or with its last syllables."""
    return _ending(word) or any(reading.end < left.end for reading in left.readings)


def _keeps_line(word: str) -> bool:
    return word in FILLERS or word in SEPARATORS or _ending(word)
