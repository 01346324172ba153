"""Recogniser of entities that contain letters: e-mail addresses and passport numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from api_server.pii.identifiers import PiiMatch, Span
from api_server.pii.lexicon import DIGIT, DIGIT_VALUES, ENDING, FILLER, FILLERS, SYMBOL

_SCORE = 100.0  # above any number recogniser's: nothing else has this format

_LETTER = (
    "에이치|에이|에치|비|씨|시|디|이|에프|지|쥐|아이|제이|케이|엘|엠|앰|엔|오|피|큐|알|아르|에스|티|유"
    "|브이|더블유|더블류|엑스|와이|제트|제드"
)
_SPELLED = re.compile(rf"(?:{DIGIT}|{_LETTER})+")
_SYMBOL_WORDS = frozenset("언더바 언더스코어 밑줄 점 쩜 닷 대시 하이픈 다시".split())
_SPELLING_WORDS = frozenset(
    "숫자 소문자 대문자 영문 영어 소문자로 대문자로 영문으로 영어로".split()
)

_AT = re.compile(r"@|[골꼴][뱅벵]\s?이|(?<=\s)(?P<weak>앳|엣|at)(?=\s)")
_SPACES = re.compile(r"[\s)\]\"']*")
_SPOKEN_DOT = r"(?:\s*(?:점|쩜|닷|도트|\bdot\b)\s*|\s\.\s)"
_DOT = rf"(?:\.|,(?=com|net|co|kr|org)|{_SPOKEN_DOT})"
_TLD = r"(?:[a-z]{2,12}|컴|콤|넷|네트|씨오|시오|케이알|오알지?|씨오엠|에이씨|지오|인포|비즈|아이오)"
_KNOWN_PROVIDER = (
    r"(?:네이버|다음|한메일|지메일|쥐메일|구글|카카오|네이트|핫메일|야후|아웃룩|아이클라우드"
    r"|naver|daum|hanmail|gmail|kakao|nate|hotmail|yahoo|outlook|icloud)"
)
_CHARACTER = rf"(?:{DIGIT}|{_LETTER})"
_LABEL = rf"(?:[a-z0-9-]+|{_CHARACTER}(?:\s?{_CHARACTER}){{1,11}}|[가-힣]{{1,10}}?)"
_DOMAIN = re.compile(
    rf"{_KNOWN_PROVIDER}(?:{_DOT}{_TLD}){{1,3}}|{_LABEL}(?:{_DOT}[a-z0-9-]+){{0,2}}(?:{_DOT}{_TLD}){{1,3}}"
    rf"|{_KNOWN_PROVIDER}(?:\s?(?:컴|콤|넷))?(?![a-z])"
)
_CLEAR_DOMAIN = re.compile(
    rf"{_KNOWN_PROVIDER}(?:{_DOT}{_TLD}){{1,3}}|(?:[a-z0-9-]+|[가-힣]{{1,10}}?)(?:{_SPOKEN_DOT}{_TLD}){{1,3}}"
)
"""The domain that has to follow an ambiguous at sign (``at``, ``앳``)."""
_MAX_LOCAL_CHARS = 60
_LOCAL_TOKEN = re.compile(r"[a-z0-9][a-z0-9._%+-]*|[가-힣]+")
_ANNOUNCEMENT = re.compile(
    r"(?:메일|주소|아이디|계정)(?:\s?주소)?(?:은요?|는요?|이요?|가|요|이고요|입니다|예요|:|,)?[\s:,]+"
    r"|(?:메일|주소|아이디|계정)[^\n]{0,20}\n"
)
_BETWEEN_TOKENS = re.compile(r"[\s.,_+()\[\]\"'-]*")
_ENGLISH_CONTEXT = frozenset("email mail e-mail address id is my the".split())
_MAX_WORDS, _MAX_ANNOUNCED_WORDS = 3, 6
_PARTICLE = re.compile(r"(?:이고요?|이구요?|에다가?|하고|에|(?<=\w{3})고요?)\Z")
_END_OF_TURN = re.compile(r"이?요\Z")
_CONTEXT = re.compile(r"이?메일|주소|아이디|계정")
_NO_LOCAL_PART = re.compile(
    r"(?:요|로|를|을|에|면|[는은던인]데|[니겠었았했있없이한간온된]다|[하이되있없시쓰보가오라다니]고|은"
    r"|메일이?|주소가?|아이디가?)\Z"
)
_ENDS_ANNOUNCEMENT = re.compile(r"(?:요|니다|는데|는|를|을)\Z")
_NEVER_LOCAL = frozenset(
    """
    제 내 저 나 저희 이거 그거 담당자 상담원 직원 대표 사장님 선생님 이쪽 그쪽 이번 저기 이건 그건
    이름 우리 오늘 어제 지금 이제 그럼 그러면 일단 혹시 회사 개인 집 신청 하나 아까 여기 거기 영문
    등록 확인 명의 고객님 성함 성함이 사용 안 못 다 좀 더 꼭 바로 전부 이메일 메일 주소 아이디
    계정 본인 가족 남편 아내 아들 딸 번호 전화 연락처 약관 계약서 명세서 안내 자료
    """.split()
)
_NAME_IN_EUN = re.compile(  # 박지은: a name, not a topic particle
    r"(?!이름|이것)[김이박최정강조윤장임한오서신권황안송전홍유고문양손배백허남심노]\w은"
)

_BETWEEN = (
    rf"(?:이?요|이?고요?|에|자)?(?:{SYMBOL}){{0,3}}(?:(?:{FILLER})(?:{SYMBOL}){{1,3}}){{0,2}}"
)
_PASSPORT_LETTER = (
    r"(?:(?<![a-z0-9가-힣])([msrgd]|엠|앰|에스|알|아르|지|디)|(?<=[는은호가])([msrgd]|엠|에스))"
)
_NEXT = rf"{_BETWEEN}(\d|{DIGIT})"
_PASSPORT = re.compile(
    rf"{_PASSPORT_LETTER}{_NEXT * 3}(?:{_NEXT * 5}|{_BETWEEN}([a-z]|{_LETTER}){_NEXT * 4})"
    r"(?![0-9a-z])"
)


def recognise_emails_and_passports(text: str) -> Iterator[PiiMatch]:
    """Yield the e-mail addresses and passport numbers in the folded ``text``."""
    yield from _recognise_emails(text)
    for found in _PASSPORT.finditer(text):
        spans = [found.span(part) for part in range(1, _PASSPORT.groups + 1) if found[part]]
        groups = tuple(_group_digits(text, spans[1:]))
        yield PiiMatch("passport", tuple(spans), groups, _SCORE, _SCORE)


def _group_digits(text: str, spans: list[Span]) -> Iterator[str]:
    """Yield the digits of a passport number by group."""
    digits, last = "", spans[0][0]
    for start, end in spans:
        if last < start:
            yield digits
            digits = ""
        digits += DIGIT_VALUES.get(text[start:end], text[start:end])
        last = end
    yield digits


def _recognise_emails(text: str) -> Iterator[PiiMatch]:
    for at in _AT.finditer(text):
        after = _SPACES.match(text, at.end())
        domain = (_CLEAR_DOMAIN if at["weak"] else _DOMAIN).match(text, after.end() if after else 0)
        max_words = 1 if at[0] == "at" else _MAX_WORDS
        end = _end_before(text, at.start()) if domain else 0
        local_part = _local_part_spans(text, end, max_words) if domain else ()
        if domain and local_part:
            spoken = () if at[0] == "@" else (at.span(),)
            yield PiiMatch("email", (*local_part, *spoken, domain.span()), (), _SCORE, _SCORE)


def _end_before(text: str, end: int) -> int:
    """Return where the text before ``end`` ends without its spaces."""
    while end and text[end - 1].isspace():
        end -= 1
    return end


def _local_part_spans(text: str, end: int, max_words: int) -> list[Span]:
    """Return the spans of the local part, read backwards from the at sign at ``end``."""
    first = max(0, end - _MAX_LOCAL_CHARS)
    announced = [found.end() for found in _ANNOUNCEMENT.finditer(text, first, end)]
    floor, end_of_local = announced[-1] if announced else end, end
    taken: list[re.Match[str]] = []
    crossed = False
    for token in reversed(list(_LOCAL_TOKEN.finditer(text, first, end))):
        announces = token.start() < floor < end_of_local
        if announces or not _BETWEEN_TOKENS.fullmatch(text, token.end(), end):
            break
        crossed = crossed or (bool(taken) and "\n" in text[token.end() : end])
        end = token.start()
        if _is_filler(token[0], taken):
            continue
        if not _is_local_token(token[0]):
            words = sum(not _is_local_token(other[0]) for other in taken)
            most = _MAX_ANNOUNCED_WORDS if token.start() >= floor else max_words
            if crossed or words >= most or not _extends_local_part(token, taken, floor):
                break
        taken.append(token)
    return [(token.start(), token.start() + len(_stem(text, token))) for token in taken]


def _extends_local_part(token: re.Match[str], taken: list[re.Match[str]], floor: int) -> bool:
    """Return whether a word before the tokens already ``taken`` belongs to the local part."""
    word = token[0]
    if not taken:
        return not _CONTEXT.match(word)
    if word.isascii():
        return word not in _ENGLISH_CONTEXT
    if token.start() >= floor:
        return not _ENDS_ANNOUNCEMENT.search(word)
    if _NO_LOCAL_PART.search(word) and not _NAME_IN_EUN.fullmatch(word):
        return False
    stem = word.removesuffix("는")
    if stem != word and (taken[-1][0].isascii() or _is_local_token(taken[-1][0])):
        return False  # 명세서는 sujin77; but 꿈꾸는 고래 is all of it
    return not _NEVER_LOCAL & {word, stem}


def _is_local_token(word: str) -> bool:
    """Return whether ``word`` is a letter, digits, or the name of a symbol in an address."""
    return word in _SYMBOL_WORDS or _is_spelled(word) or (len(word) == 1 and word.isascii())


def _is_filler(word: str, taken: list[re.Match[str]]) -> bool:
    """Return whether ``word`` can be skipped: 네, or an ending after Latin letters."""
    if _is_spelled(word):
        return False
    return word in FILLERS | _SPELLING_WORDS or (not taken and bool(ENDING.fullmatch(word)))


def _is_spelled(word: str) -> bool:
    return bool(_SPELLED.fullmatch(word))


def _stem(text: str, token: re.Match[str]) -> str:
    """Return a Korean word without its particle: 홍길동 for 홍길동이고 골뱅이."""
    word = token[0]
    stem = (_END_OF_TURN if text.startswith("\n", token.end()) else _PARTICLE).sub("", word)
    return stem if len(stem) > 1 else word
