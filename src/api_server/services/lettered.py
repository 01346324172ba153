"""Identifiers with letters in them, written or spoken: e-mail addresses and passport numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from api_server.services.identifiers import Identifier, Span
from api_server.services.number_words import DIGIT, DIGIT_VALUES, ENDING, FILLER, FILLERS

_SURE = 100.0  # nothing else looks like these, so their label wins

_LETTER = (
    "에이치|에이|에치|비|씨|시|디|이|에프|지|쥐|아이|제이|케이|엘|엠|앰|엔|오|피|큐|알|아르|에스|티|유"
    "|브이|더블유|더블류|엑스|와이|제트|제드"
)
_SPELLED = re.compile(rf"(?:{DIGIT}|{_LETTER})+")
_JOINERS = frozenset("언더바 언더스코어 밑줄 점 쩜 닷 대시 하이픈 다시".split())
_SAID_OF_LETTERS = frozenset(
    "숫자 소문자 대문자 영문 영어 소문자로 대문자로 영문으로 영어로".split()
)

_AT = re.compile(r"\s*(?:@|[골꼴][뱅벵]\s?이)\s*|\s+(?P<weak>앳|엣|at)\s+")
_SPOKEN_DOT = r"(?:\s*(?:점|쩜|닷|도트|\bdot\b)\s*|\s\.\s)"
_DOT = rf"(?:\.|{_SPOKEN_DOT})"
_TOP = r"(?:[a-z]{2,12}|컴|콤|넷|네트|씨오|시오|케이알|오알지?|씨오엠|에이씨|지오|인포|비즈|아이오)"
_KNOWN = (
    r"(?:네이버|다음|한메일|지메일|쥐메일|구글|카카오|네이트|핫메일|야후|아웃룩|아이클라우드"
    r"|naver|daum|hanmail|gmail|kakao|nate|hotmail|yahoo|outlook|icloud)"
)
_CHARACTER = rf"(?:{DIGIT}|{_LETTER})"
_LABEL = rf"(?:[a-z0-9-]+|{_CHARACTER}(?:\s?{_CHARACTER}){{1,11}}|[가-힣]{{1,10}}?)"
_DOMAIN = re.compile(
    rf"{_KNOWN}(?:{_DOT}{_TOP}){{1,3}}|{_LABEL}(?:{_DOT}[a-z0-9-]+){{0,2}}(?:{_DOT}{_TOP}){{1,3}}"
    rf"|{_KNOWN}(?:\s?(?:컴|콤|넷))?(?![a-z])"
)
_SURE_DOMAIN = re.compile(
    rf"{_KNOWN}(?:{_DOT}{_TOP}){{1,3}}|(?:[a-z0-9-]+|[가-힣]{{1,10}}?)(?:{_SPOKEN_DOT}{_TOP}){{1,3}}"
)
"""What makes an at sign of a word that is one only sometimes: ``at``, ``앳``."""
_LOCAL_CHARS = 60
_LOCAL_TOKEN = re.compile(r"[a-z0-9][a-z0-9._%+-]*|[가-힣]+")
_ANNOUNCED = re.compile(
    r"(?:메일|주소|아이디|계정)(?:\s?주소)?(?:은요?|는요?|이요?|가|요|이고요|입니다|예요|:|,)?[\s:,]+"
)
_BETWEEN_TOKENS = re.compile(r"[\s.,_+-]*")
_DIGITS_ONLY = re.compile(rf"(?:\d|{DIGIT})+")
_ENGLISH_ABOUT = frozenset("email mail e-mail address id is my the".split())
_MAX_WORDS = 3
_PARTICLE = re.compile(r"(?:이고요?|이구요?|에다가?|하고|에|(?<=\w{3})고요?)\Z")
_ABOUT = re.compile(r"이?메일|주소|아이디|계정")
_NO_NAME = re.compile(r"(?:는|요|로|를|을|에|면|데|다|고|은|메일이?|주소가?|아이디가?)\Z")
_NAME_IN_EUN = re.compile(  # 박지은: a name, and no topic
    r"(?!이름|이것)[김이박최정강조윤장임한오서신권황안송전홍유고문양손배백허남심노]\w은"
)

_BETWEEN = rf"(?:이?요|이?고요?|에|자)?[\s,.-]*(?:(?:{FILLER})[\s,.-]+){{0,2}}"
_PASSPORT_LETTER = (
    r"(?:(?<![a-z0-9가-힣])([msrgd]|엠|앰|에스|알|아르|지|디)|(?<=[는은호가])([msrgd]|엠|에스))"
)
_ONE = rf"{_BETWEEN}(\d|{DIGIT})"
_PASSPORT = re.compile(
    rf"{_PASSPORT_LETTER}{_ONE * 3}(?:{_ONE * 5}|{_BETWEEN}([a-z]|{_LETTER}){_ONE * 4})(?![0-9a-z])"
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
        domain = (_SURE_DOMAIN if at["weak"] else _DOMAIN).match(text, at.end())
        most = 1 if at["weak"] else _MAX_WORDS
        local = _local(text, at.start(), most) if domain else ()
        if domain and local:
            spoken = () if at[0].strip() == "@" else ((at.start(), at.end()),)
            yield Identifier("email", (*local, *spoken, domain.span()), (), _SURE, _SURE)


def _local(text: str, end: int, most: int) -> list[Span]:
    """Give the spans of what is said before the at sign, from there back."""
    first = max(0, end - _LOCAL_CHARS)
    announced = [found.end() for found in _ANNOUNCED.finditer(text, first, end)]
    floor = announced[-1] if announced else end
    taken: list[re.Match[str]] = []
    for token in reversed(list(_LOCAL_TOKEN.finditer(text, first, end))):
        if not _BETWEEN_TOKENS.fullmatch(text, token.end(), end):
            break
        end = token.start()
        if _keeps_line(token[0], taken):
            continue
        if not (_is_part(token[0]) or (len(taken) < most and _belongs(token, taken, floor))):
            break
        taken.append(token)
    return [(token.start(), token.start() + len(_stem(token[0]))) for token in taken]


def _belongs(token: re.Match[str], taken: list[re.Match[str]], floor: int) -> bool:
    """Tell whether a word goes on backwards with the name before the at sign."""
    word = token[0]
    if not taken:
        return not _ABOUT.match(word)
    if _NO_NAME.search(word) and not _NAME_IN_EUN.fullmatch(word):
        return False
    if word.isascii():
        return word not in _ENGLISH_ABOUT
    only_digits = all(_DIGITS_ONLY.fullmatch(other[0]) for other in taken)
    return only_digits or token.start() >= floor


def _is_part(word: str) -> bool:
    """Tell whether ``word`` is a letter, digits, or what joins them in an address."""
    return word in _JOINERS or _is_spelled(word) or (len(word) == 1 and word.isascii())


def _keeps_line(word: str, taken: list[re.Match[str]]) -> bool:
    """Tell whether ``word`` is no part of the address: 네, or an ending after Latin letters."""
    if _is_spelled(word):
        return False
    return word in FILLERS | _SAID_OF_LETTERS or (not taken and bool(ENDING.fullmatch(word)))


def _is_spelled(word: str) -> bool:
    return bool(_SPELLED.fullmatch(word))


def _stem(word: str) -> str:
    """Cut the ending off a Korean word: 홍길동이고 골뱅이."""
    stem = _PARTICLE.sub("", word)
    return stem if len(stem) > 1 else word
