"""Identifiers with letters in them, written or spoken: e-mail addresses and passport numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from api_server.services.identifiers import Identifier, Span
from api_server.services.number_words import DIGIT, DIGIT_VALUES, FILLER, FILLERS

_SURE = 100.0  # nothing else looks like these, so their label wins

_LETTER = (
    "에이치|에이|에치|비|씨|시|디|이|에프|지|쥐|아이|제이|케이|엘|엠|앰|엔|오|피|큐|알|아르|에스|티|유"
    "|브이|더블유|더블류|엑스|와이|제트|제드"
)
_SPELLED = re.compile(rf"(?:{DIGIT}|{_LETTER})+")
_JOINERS = frozenset("언더바 언더스코어 밑줄 점 쩜 닷 대시 하이픈 다시 숫자 소문자 대문자 영문".split())

_AT = re.compile(r"\s*(?:@|골뱅이|골벵이|골뱅기)\s*|\s+(?:앳|엣|at)\s+")
_DOT = r"\s*(?:\.|점|쩜|닷|도트|dot\b)\s*"
_TOP = (
    r"(?:[a-z]{2,12}|컴|콤|넷|네트|씨오|시오|케이알|오알지|오알|씨오엠|에이씨|지오|인포|비즈|아이오)"
)
_KNOWN = (
    r"(?:네이버|다음|한메일|지메일|쥐메일|구글|카카오|네이트|핫메일|야후|아웃룩|아이클라우드|naver|daum"
    r"|hanmail|gmail|kakao|nate|hotmail|yahoo|outlook|icloud)"
)
_LABEL = rf"(?:[a-z0-9-]+|(?:{DIGIT}|{_LETTER})(?:\s?(?:{DIGIT}|{_LETTER})){{1,11}}|[가-힣]{{1,10}}?)"
_DOMAIN = re.compile(
    rf"{_KNOWN}(?:{_DOT}{_TOP}){{1,3}}|{_LABEL}(?:{_DOT}[a-z0-9-]+){{0,2}}(?:{_DOT}{_TOP}){{1,3}}"
    rf"|{_KNOWN}(?![a-z])"
)
_LOCAL_CHARS = 60
_LOCAL_TOKEN = re.compile(r"[a-z0-9][a-z0-9._%+-]*|[가-힣]+")
_ANNOUNCED = re.compile(
    r"(?:메일|주소|아이디|계정)(?:\s?주소)?(?:은요?|는요?|이요?|가|요|이고요|입니다|예요|:|,)?[\s:,]+"
)
_BETWEEN_TOKENS = re.compile(r"[\s.,_+-]*")
_DIGITS_ONLY = re.compile(rf"(?:\d|{DIGIT})+")
_ENGLISH_ABOUT = frozenset("email mail e-mail address id is my the".split())
_MAX_WORDS = 3
_PARTICLE = re.compile(r"(?:이고요?|이구요?|에다가?|하고|에)\Z")
_NO_NAME = re.compile(r"(?:는|요|로|를|을|에|면|데|다|고|은|메일이?|주소가?|아이디가?)\Z")

_NAME_IN_EUN = re.compile(r"(?!이름|이것)[김이박최정강조윤장임한오서신권황안송전홍유고문양손배백허남심노]\w은")

_BETWEEN = rf"(?:이?요|이?고요?|에|자)?[\s,.-]*(?:(?:{FILLER})[\s,.-]+){{0,2}}"
_PASSPORT_LETTER = (
    r"(?:(?<![a-z0-9가-힣])([msrgd]|엠|앰|에스|알|아르|지|디)|(?<=[는은호가])([msrgd]|엠|에스))"
)
_PASSPORT = re.compile(
    _PASSPORT_LETTER
    + rf"{_BETWEEN}(\d|{DIGIT})" * 3
    + rf"(?:{_BETWEEN}([a-z]|{_LETTER})"
    + rf"{_BETWEEN}(\d|{DIGIT})" * 4
    + "|"
    + rf"{_BETWEEN}(\d|{DIGIT})" * 5
    + r")(?![0-9a-z])"
)


def lettered(text: str) -> Iterator[Identifier]:
    """Give the e-mail addresses and passport numbers in the folded ``text``."""
    yield from _addresses(text)
    for found in _PASSPORT.finditer(text):
        spans = [found.span(part) for part in range(1, _PASSPORT.groups + 1) if found[part]]
        parts = tuple(_digits(text, spans[1:]))
        yield Identifier("passport", tuple(spans), parts, _SURE, _SURE)


def _digits(text: str, spans: list[Span]) -> Iterator[str]:
    """Give the digits of a passport number as they were grouped."""
    digits, last = "", spans[0][0]
    for start, end in spans:
        if last < start:
            yield digits
            digits = ""
        digits += DIGIT_VALUES.get(text[start:end], text[start:end])
        last = end
    yield digits


def _addresses(text: str) -> Iterator[Identifier]:
    for at in _AT.finditer(text):
        domain = _DOMAIN.match(text, at.end())
        local = tuple(_local(text, at.start())) if domain else ()
        if domain and local:
            spoken = () if at[0].strip() == "@" else ((at.start(), at.end()),)
            yield Identifier("email", (*local, *spoken, domain.span()), (), _SURE, _SURE)


def _local(text: str, end: int) -> list[Span]:
    """Give the spans of what is said before the at sign, from there back."""
    first = max(0, end - _LOCAL_CHARS)
    announced = [found.end() for found in _ANNOUNCED.finditer(text, first, end)]
    floor = announced[-1] if announced else end
    taken: list[re.Match[str]] = []
    for token in reversed(list(_LOCAL_TOKEN.finditer(text, first, end))):
        if not _BETWEEN_TOKENS.fullmatch(text, token.end(), end):
            break
        end = token.start()
        if token[0] in FILLERS and not _is_spelled(token[0]):
            continue
        if not _belongs(token, taken, floor):
            break
        taken.append(token)
    return [(token.start(), token.start() + len(_stem(token[0]))) for token in taken]


def _belongs(token: re.Match[str], taken: list[re.Match[str]], floor: int) -> bool:
    """Tell whether the word goes on backwards with the name before the at sign."""
    word = token[0]
    if word in _JOINERS or _is_spelled(word):
        return True
    if _NO_NAME.search(word) and not _NAME_IN_EUN.fullmatch(word):
        return False
    if word.isascii():
        return word not in _ENGLISH_ABOUT
    only_digits = all(_DIGITS_ONLY.fullmatch(other[0]) for other in taken)
    return only_digits or (token.start() >= floor and len(taken) < _MAX_WORDS)


def _is_spelled(word: str) -> bool:
    return bool(_SPELLED.fullmatch(word))


def _stem(word: str) -> str:
    """Cut the ending off a Korean word: 홍길동이고 골뱅이."""
    stem = _PARTICLE.sub("", word)
    return stem if len(stem) > 1 else word
