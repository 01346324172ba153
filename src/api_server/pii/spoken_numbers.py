"""Find dictated numbers: ``공일공에 1234에 오육칠팔이요`` is a run of three groups of digits.

A :class:`DigitGroup` is an unbroken sequence of digits. A :class:`NumberRun` is groups separated
only by what people say while they dictate: separators (``다시``, ``에``), endings (``이고요``) and
fillers (``네``, ``그 다음에``). A run ends at amounts, rates, dates and counts, which are not
groups.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from api_server.pii.digit_groups import DigitGroup, find_tokens, is_ending, read_group, read_suffix
from api_server.pii.gaps import MAX_LOOSE_CHARS, Gap, classify_gap
from api_server.pii.lexicon import (
    DIGIT,
    ENDING_START,
    FILLERS,
    MONEY,
    NUMERAL,
    QUANTITIES,
    SEPARATORS,
    SPACED_UNIT,
    SYMBOL,
    SYMBOL_UNIT,
    UNIT,
    UNIT_OF_NAMES,
)

_NUMERAL = re.compile(NUMERAL)
_ONE_DIGIT = re.compile(rf"\d|{DIGIT}")
_HANGUL_WORD = re.compile(r"[가-힣]{1,32}")  # longer than all endings and fillers
_HANGUL_TAIL = re.compile(r"[가-힣]+\Z")
_FIGURES = re.compile(r"[\d$€¥₩][\d$€¥₩.,:/\s-]*")
_SYMBOL = re.compile(SYMBOL)
_POINT = re.compile(rf"\s?[점쩜]\s?(?=\d|{DIGIT})")
_MAX_WHOLE_SYLLABLES = 2
_TOPICS = ("는", "은", "호", "좌", "행")  # 번호는, 계좌, 은행
_BEFORE_NUMBERS = frozenset(word[-1] for word in (*SEPARATORS, *FILLERS, *_TOPICS))
_LARGE_UNIT = re.compile(r"[십백천억조]|만(?=\s?[원불엔]|\s?달러|[일이삼사오육칠팔구십백천])")
_LARGE_UNIT_AHEAD = re.compile(r"\s[십백천만억조]+(?![가-힣])")
_HYPHENED = re.compile(r"\d+-[\d-]*\Z")
_LONG_NUMBER_DIGITS = 10
_DAY = re.compile(r"일(?!\d|[공영일이삼사오육칠팔구])")
_DATE_SIZES = {1, 2, 3, 8}  # 22일, 365일, 20261122일
_FUTURE = re.compile(r"일(?:\s?[거것겁걸]|까)")
_THIS = re.compile(r"\s(?:번호|계좌|카드|상품|메일|주소|분|건|쪽|걸|거|게)")
_SMALL_UNIT = re.compile("[세시살분]")
_MAX_GAP_CHARS = 60
_WHOLE_DIGITS = 6  # from here on a spoken group may be attached to any word before it
_MAX_COUNT_DIGITS = 4  # up to here 만 makes an amount
_CLEAR_DIGITS = 3  # from here on any word may follow a group


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
        gap = classify_gap(text, groups[-1], group) if groups else None
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
    fraction = -1
    for token in find_tokens(text):
        if token.start() == fraction:
            continue
        fraction = _fraction_start(text, token, last)
        if fraction >= 0:
            continue
        if any(taken[token.start() : token.end()]) or _is_inside_word(text, token, last):
            continue
        group = read_group(text, token)
        if _can_start(text, group, last) and _can_end(text, group, last):
            yield group
            last = group


def _fraction_start(text: str, token: re.Match[str], last: DigitGroup | None) -> int:
    """Return where the fraction starts of a number that is said with a point (삼 점 오), or -1."""
    if (last and last.end >= token.start() - 1) or (
        len(token[0]) > _MAX_WHOLE_SYLLABLES and not token["numeral"]
    ):
        return -1
    point = _POINT.match(text, token.end())
    return point.end() if point else -1


def _mark_quantities(text: str) -> bytearray:
    """Return, for each character, whether it belongs to an amount, rate, date or time."""
    taken = bytearray(len(text))
    for figures in _FIGURES.finditer(text):
        for pattern in QUANTITIES:
            for found in pattern.finditer(text, figures.start(), figures.end()):
                taken[found.start() : found.end()] = b"\1" * len(found[0])
    return taken


def _is_inside_word(text: str, token: re.Match[str], last: DigitGroup | None) -> bool:
    """Return whether a short token is certainly a part of a word: the quick test of most."""
    start, end = token.span()
    if start == 0 or end - start >= _WHOLE_DIGITS or token["counted"]:
        return False
    near = last is not None and last.end >= start - _MAX_GAP_CHARS
    return "가" <= text[start - 1] <= "힣" and not near and text[start - 1] not in _BEFORE_NUMBERS


def _can_start(text: str, group: DigitGroup, last: DigitGroup | None) -> bool:
    """Return whether a number can start at ``group``."""
    if group.start == 0:
        return True
    before = text[group.start - 1]
    if last and last.end == group.start:
        # 5678이에요, 5678이니까요: after written digits, 이 is the copula.
        digits, suffix = text[group.start : group.end], read_suffix(text, group.end)
        return not (is_ending(digits + suffix) or (digits == "이" and suffix))
    if not group.spoken:
        return not ("a" <= before <= "z" or before == "*" or before.isdigit())
    if not "가" <= before <= "힣":
        return bool(_SYMBOL.match(before))
    return _can_start_attached(text, group, last)


def _can_start_attached(text: str, group: DigitGroup, last: DigitGroup | None) -> bool:
    if len(group.digits) >= _WHOLE_DIGITS:
        return True
    since = last.end if last and last.end > group.start - _MAX_GAP_CHARS else 0
    found = _HANGUL_TAIL.search(text, max(since, group.start - _MAX_GAP_CHARS), group.start)
    word = found[0] if found else ""
    if word in FILLERS and is_ending(text[group.start : group.end] + read_suffix(text, group.end)):
        return False  # 그 다음이요 holds no 2
    follows_last = bool(found and found.start() == since)
    if word in SEPARATORS or word in FILLERS or (follows_last and is_ending(word)):
        return True
    if group.numeral or len(group.digits) < _CLEAR_DIGITS:
        return False
    return word.endswith(_TOPICS)


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
    following = _NUMERAL.match(text, group.end + 1)
    if following and len(group.digits) >= _CLEAR_DIGITS <= len(following[0]):
        return False  # 공일공 천이백삼십사
    ahead = _LARGE_UNIT_AHEAD.match(text, group.end)
    if ahead and len(group.digits) > 1 and (ahead[0] == " 십" or _ends_in_ones(group)):
        ahead = None  # 공사 십: 04 and 10; 육십이 천백: 62 and 1100
    return bool(SPACED_UNIT.match(text, group.end) or ahead)


def _ends_in_ones(group: DigitGroup) -> bool:
    return group.numeral and not group.digits.endswith("0")


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
    return last is not None and group.start - last.end <= MAX_LOOSE_CHARS


def _is_long_number(text: str, group: DigitGroup) -> bool:
    """Return whether ``group`` ends ten or more digits with hyphens, which no count has."""
    found = _HYPHENED.search(text, max(0, group.end - 30), group.end)
    return bool(found and sum(map(str.isdigit, found[0])) >= _LONG_NUMBER_DIGITS)


def _allows_following(text: str, group: DigitGroup, last: DigitGroup | None) -> bool:
    if not group.spoken or (len(group.digits) >= _CLEAR_DIGITS and not group.numeral):
        return True
    suffix = read_suffix(text, group.end)
    if suffix in SEPARATORS or suffix in FILLERS or is_ending(suffix):
        return True
    if _follows(group, last) and ENDING_START.match(suffix):
        return True
    return any(reading.end < group.end for reading in group.readings)
