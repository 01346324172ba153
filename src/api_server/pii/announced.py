"""Recognise short numbers by the words beside them: no format tells four digits from an amount.

The last digits of a number (``뒷자리 오육칠팔``), a card's security code (``CVC 일이삼``), and what
takes back a part of a number that is masked already (``**** 아니 오육칠구``). A question that asks
for such a number announces the answer.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from api_server.pii.digit_groups import DigitGroup, NumberReading, is_ending
from api_server.pii.gaps import Gap
from api_server.pii.identifiers import PiiMatch
from api_server.pii.lexicon import COUNTS, DIGIT, DIGIT_VALUES, FILLERS, SEPARATORS
from api_server.pii.spoken_numbers import NumberRun

_SCORE = 2.0
_MASK = "*"
_COUNT = r"(?:(?:한|두|세|네|다섯|여섯|일곱|[1-7])\s?(?:개|자리|숫자|글자)|[일이삼사칠]\s?자리)"
_BACK = "뒤|뒷|끝|마지막|가운데|중간|하위|끄트머리"
_RETRACTIONS = "|".join(
    """
    아니 아닌 아뇨 아차 앗 말고 정정 수정 죄송 미안 실수 오타 달라 다르 바뀌 바뀐 잘못 잠깐 틀렸
    바꿔 헷갈 착각
    """.split()
)
_CUE = re.compile(
    rf"(?P<part>(?:맨\s?)?(?:{_BACK})(?:에|의|쪽에?)?\s?(?:있는\s|적힌\s)?(?:자리|번호|숫자|{_COUNT})"
    r"|(?:(?<=번호 )|(?<=번호는 )|(?<=전화 )|(?<=카드 )|(?<=계좌 )|(?<=폰 ))"
    r"(?:맨\s)?[끝뒤][이은가는](?![가-힣])"
    rf"|(?:마지막|끝)\s(?=(?:{DIGIT}){{4}}\s(?:아니|아뇨|앗|죄송|정정)))"
    r"|(?P<code>c[\s.]?v[\s.]?[cvn]2?(?:\s?(?:code|number))?|cid|[씨시]\s?[브비부]이?\s?(?:씨|시|브이|비)(?:투|2)?"
    rf"|유효\s?기간[은이]?\s?(?:\d\d\s?[/.-]?\s?\d\d|(?:{DIGIT}){{2}}에?\s?(?:{DIGIT}){{2}})(?:이?고요?)?"
    r"|(?:보안|시큐리티)\s?(?:코드|번호|숫자)|확인\s?코드|카드\s?(?:인증\s?코드|확인\s?번호)|뒷면|서명란)"
    r"|(?P<pin>비밀\s?번호\s?(?:의\s)?앞(?:에)?\s?(?:자리\s?)?(?:두|2)\s?(?:개|자리))"
    rf"|(?P<retraction>(?:{_RETRACTIONS}|다시\s(?=[할말불해])|{_BACK})[가-힣]{{0,6}})"
    r"|(?P<echo>(?<=\*)[가-힣]{0,5}[ .,?!~]{0,3}(?:\n|(?<=[ .,])(?:아|앗|어|참|음)(?=[\s,.])))"
)
"""Words that announce a short number, by what it is."""
_CUE_STARTS = re.compile(
    rf"맨|{_BACK}|c|씨|시|보안|확인|카드|서명란|비밀|유효|다시|{_RETRACTIONS}|\*"
)
"""How they start: an expression that is looked for quickly."""
_SIZES = {
    "part": frozenset({3, 4, 7}),
    "code": frozenset({3, 4}),
    "pin": frozenset({2}),
    "retraction": frozenset(range(2, 9)),
    "echo": frozenset(range(4, 9)),
}
"""How many digits it has."""
_ENTITY_TYPES = {"code": "card_security_code", "pin": "card_security_code"}
_ABOUT_MASKED = frozenset({"retraction", "echo"})
"""What only speaks of a number that is masked already."""
_COUNT_VALUES = {
    **COUNTS,
    **{word: int(digit) for word, digit in DIGIT_VALUES.items()},
    "1": 1,
    "한": 1,
}
_USUAL_TAIL = 4
_COUNTED = re.compile(
    r"(?P<said>한|두|세|네|다섯|여섯|일곱|[1-7일이삼사오육칠])\s?(?:개|자리|숫자|글자)[가-힣]{0,2}"
)
_REQUEST = re.compile(
    r"말씀|불러|부르|알려|눌러|어떻게|확인|부탁|뭐|무엇|몇|주세요|주시|[요까]\W*\Z"
)
_END_OF_QUESTION = re.compile(r"\n|(?<=[요까])[ ,.?!]+")
_WORD = re.compile(r"[가-힣a-z0-9]+")
_NAMED_AFTER = re.compile(
    r"(?:이|가)\s(?:제\s|내\s)?(?:뒷|끝)\s?(?:자리|번호)|번?으?로\s(?:끝나|되어|된)"
)
_ALONE = re.compile(r"[가-힣]{0,4}[ .,?!~]*(?:\n|\Z|맞)")
_OWN_WORD = re.compile(
    r"(?:숫자|번호|코드|값|끝|카드|자리|그거|거기|옆에|위에|아래|밑에|뒤에|뒤쪽에?|안쪽에?)"
    r"(?:[은는이가요도]|에|에는)?|[은는이가만도]요|입니다|이에요|예요|인데|그러면|그럼|제가|제"
    r"|(?:말씀|불러|다시|할|말할)?(?:드리|드릴|할|부를)[가-힣]{1,3}|말씀|불러|말하[면자]"
    r"|아뇨|아니에요|(?:죄송|미안)[가-힣]{2,3}|달라요|다른데요?|틀려요|어떻게|되냐면|되는데|되냐"
    r"|적힌|적혀|있는|보이는|나온|찍힌|써진|쓰인|그러니까|보니까|보면"
)
"""Small words between the announcement and the number."""
_AFTER_CHARS = 20
_CUE_CHARS, _QUESTION_CHARS, _MASKED_CHARS = 80, 60, 30
_MAX_CUES = 4

_Read = tuple[DigitGroup, NumberReading]
_Number = tuple[_Read, ...]
"""Groups, and how each is read."""


@dataclass(frozen=True, slots=True)
class _Cue:
    """Words that announce a number, and where they stand."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Wanted:
    """How many digits a number may have, how many it has most often (0: unknown), and its form."""

    sizes: frozenset[int]
    preferred: int
    numerals: bool

    def best(self, readings: Sequence[NumberReading], total: int) -> NumberReading | None:
        """Return the reading that makes a number after ``total`` digits, the likeliest first."""
        fitting = [one for one in readings if total + len(one.digits) in self.sizes]
        return min(
            fitting,
            key=lambda one: (total + len(one.digits) != self.preferred, one.cost),
            default=None,
        )


def recognise_announced(text: str, runs: Sequence[NumberRun]) -> Iterator[PiiMatch]:
    """Yield the short numbers in ``runs`` of the folded ``text``, with other numbers masked."""
    cues = list(_find_cues(text))
    chars = list(text)
    for run in runs if cues or _NAMED_AFTER.search(text) else ():
        first = 0
        while first < len(run.groups):
            match, first = _match_at(chars, run, first, cues)
            if match:
                for start, end in match.spans:
                    chars[start:end] = _MASK * (end - start)
                yield match


def _find_cues(text: str) -> Iterator[_Cue]:
    start = _CUE_STARTS.search(text)
    while start:
        cue = _CUE.match(text, start.start() + (start[0] == _MASK))
        if cue:
            yield _Cue(str(cue.lastgroup), *cue.span())
        start = _CUE_STARTS.search(text, max(cue.end() if cue else 0, start.start() + 1))


def _match_at(
    chars: Sequence[str], run: NumberRun, first: int, cues: Sequence[_Cue]
) -> tuple[PiiMatch | None, int]:
    """Return the number that starts with a group, if any, and the group to go on with."""
    for cue in _cues_before(cues, run.groups[first].start):
        between = "".join(chars[cue.end : run.groups[first].start])
        if not _leads_to(cue, between, chars):
            continue
        count = _count_in("".join(chars[cue.start : cue.end]) + between)
        wanted = _Wanted(_SIZES[cue.kind], 0, numerals=cue.kind not in _ABOUT_MASKED)
        if cue.kind == "part":
            wanted = replace(wanted, preferred=count or _USUAL_TAIL)
        if cue.kind == "retraction":
            wanted = replace(wanted, preferred=_masked_before(cue, chars))
        if cue.kind == "part" and 0 < count < min(wanted.sizes):
            wanted = replace(wanted, sizes=frozenset({count}))
        found = _number_at(chars, run, first, wanted)
        if found and (cue.kind != "echo" or _is_echo(found, chars)):
            return _match(found, cue.kind), first + len(found)
    near = chars[max(0, run.groups[first].start - _MASKED_CHARS) : run.groups[first].start]
    sizes = _SIZES["retraction"] if _MASK in near else _SIZES["part"]
    found = _number_at(chars, run, first, _Wanted(sizes, 0, numerals=False))
    named = found and _NAMED_AFTER.match(_text_after(found, chars))
    return (_match(found, "part"), first + len(found)) if named else (None, first + 1)


def _count_in(said: str) -> int:
    """Return how many digits were last spoken of (뒷자리 네 자리), or 0."""
    counts = [found["said"] for found in _COUNTED.finditer(said)]
    return _COUNT_VALUES[counts[-1]] if counts else 0


def _text_after(found: _Number, chars: Sequence[str]) -> str:
    end = found[-1][1].end
    return "".join(chars[end : end + _AFTER_CHARS])


def _cues_before(cues: Sequence[_Cue], start: int) -> Sequence[_Cue]:
    """Return the last cues shortly before ``start``, the closest first."""
    after = bisect_right(cues, start, key=attrgetter("end"))
    near = cues[max(0, after - _MAX_CUES) : after]
    return [cue for cue in reversed(near) if start - cue.end <= _CUE_CHARS]


def _leads_to(cue: _Cue, between: str, chars: Sequence[str]) -> bool:
    """Return whether nothing but small words, or a question, stands between cue and number."""
    if _MASK in between:
        return False
    if cue.kind in _ABOUT_MASKED and not _follows_masked(cue, chars):
        return False
    end = _END_OF_QUESTION.search(between)
    if end and _REQUEST.search(between[: end.start()]) and end.start() <= _QUESTION_CHARS:
        return _is_small_talk(between[end.end() :])
    return _is_small_talk(between)


def _follows_masked(cue: _Cue, chars: Sequence[str]) -> bool:
    before = "".join(chars[max(0, cue.start - _MASKED_CHARS) : cue.start])
    _, masked, said = before.rpartition(_MASK)
    return bool(masked) and not any(char.isdigit() for char in said)


def _masked_before(cue: _Cue, chars: Sequence[str]) -> int:
    """Return how many digits the group has that is taken back."""
    before = "".join(chars[max(0, cue.start - _MASKED_CHARS) : cue.start])
    masked = before[: before.rfind(_MASK) + 1]
    return len(masked) - len(masked.rstrip(_MASK))


def _is_small_talk(between: str) -> bool:
    words = _WORD.findall(_COUNTED.sub(" ", between))
    return all(
        word in FILLERS or word in SEPARATORS or bool(_OWN_WORD.fullmatch(word)) or is_ending(word)
        for word in words
    )


def _is_echo(found: _Number, chars: Sequence[str]) -> bool:
    """Return whether a number is all that is said, and no round amount."""
    is_round = found[-1][1].digits.endswith("000")
    return not is_round and bool(_ALONE.match(_text_after(found, chars)))


def _number_at(chars: Sequence[str], run: NumberRun, first: int, wanted: _Wanted) -> _Number:
    """Return the most groups from ``first`` on that are as long as is ``wanted``."""
    total, read, found = 0, list[_Read](), list[_Read]()
    for index, group in enumerate(run.groups[first : first + max(wanted.sizes)], first):
        loose = index > first and run.gaps[index - 1] is Gap.LOOSE
        if loose or chars[group.start] == _MASK or (group.numeral and not wanted.numerals):
            break
        reading = wanted.best(group.readings, total)
        if reading:
            found = [*read, (group, reading)]
        read.append((group, group.likely))
        total += len(group.likely.digits)
    return tuple(found)


def _match(found: _Number, kind: str) -> PiiMatch:
    spans = tuple([(group.start, one.end) for group, one in found if one.digits])
    digits = tuple([one.digits for _, one in found if one.digits])
    return PiiMatch(_ENTITY_TYPES.get(kind, "number_part"), spans, digits, _SCORE, _SCORE)
