"""Transcripts as plain text: a line for each utterance, the speaker's label before it.

A label is a role (``고객``, ``agent``), perhaps with a number or a name, and a sign that ends it.
Times, bullets, quotes and brackets may stand around it. A line without one is nobody's: what an
agent says *to* a customer begins with the same word ("고객님, 이 상품은").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from api_server.text.normalise import fold
from stt_engine.speech import Segment

DEFAULT_CHANNELS = {"agent": 0, "customer": 1}
"""Channel of each speaker where the input names none."""

_CENTRE = r"(?:(?:고객|콜)\s?(?:센터|상담|지원|만족|관리|담당)?|customer service)\s?"
_SEX = r"(?:[남여](?:성|자)?\s?)?"
_AGENT = (
    rf"(?:{_CENTRE}|전문|{_SEX})(?:상\s?담\s?(?:사|원)|상담(?:역|\s?직원)?|담당자|담당\s?직원|agent|rep)|"
    r"(?:은행|판매|담당|창구)?\s?직원|판매(?:원|자|인)|(?:보험)?설계사|(?:대출|보험)?모집인|은행원|행원|창구|"
    "텔러|매니저|에이전트|pb|csr|advis[eo]r|counsell?or|consultant|representative|operator|"
    "teller|staff|employee|sales(?:person|man|woman|rep)|seller|banker"
)
_CUSTOMER = (
    rf"(?:신규|기존|{_SEX})고\s?객|손님|(?:금융)?소비자|투자자|예금주|(?:피?보험|가입|계약|신청)자|신청인|"
    "민원인|cust(?:omer)?|client|caller|consumer|buyer"
)

# Folded text has no full-width or upper-case letters left (NFKC).
_SKIPPED = r"[\s\ufeff\u200b-\u200f\u2028-\u202e\u2060-\u2064\u00ad\ufe00-\ufe0f]*"
_MARK = (  # bullets, quotes, markdown, a table's border, pictures
    r"[*_~`\"'“”‘’«»‹›\-–—·•・●○◦▪■□▶►※>#+|,:\u2190-\u21ff\u2500-\u27bf\U0001f000-\U0001faff]"
)
_COLON = "[:\u02d0\u2236\ua789;]"
_DAY = (
    r"(?:\d{2,4}\s?[-./년]\s?\d{1,2}\s?[-./월]\s?\d{1,2}[.일]?"
    r"(?:\s?\([월화수목금토일]\))?[t,]?\s*)?"
)
_CLOCK = (
    rf"(?:{_DAY}(?:오전|오후|am|pm)?\s?(?:\d{{1,3}}:)?\d{{1,3}}:\d{{2}}(?:[.,]\d{{1,3}})?(?:\s?[ap]m)?|"
    rf"{_DAY}(?:오전|오후)?\s?\d{{1,2}}시(?:\s?\d{{1,2}}분)?(?:\s?\d{{1,2}}초)?|"
    r"\d{1,5}[.,]\d{1,3}(?:\s?(?:s|sec|초))?|\d{1,5}\s?(?:s|초))"
)
_TIMES = rf"[\[(<]?\s?{_CLOCK}(?:\s*(?:-{{1,2}}>?|[–—~→])\s*{_CLOCK})?(?:\s?[\])>])?"
_COUNT = r"(?:\d{1,4}(?:[.)](?=\s)|\t|\s)|\(\d{1,4}\))"
_LINE = r"\[?(?:ch|channel|채널|spk|speaker|화자)[\s_#\-]?\d{0,2}\]?(?=[\s_:(\[])"
"""A channel or a speaker by number, which says nothing of who it is."""

_BEFORE = rf"(?:{_SKIPPED}(?:{_TIMES}(?=[\s\[(<*]|{_MARK})|{_MARK}|{_COUNT}|{_LINE}))*+{_SKIPPED}"
_NUMBER = r"(?:(?!\s?\d{1,3}:\d\d(?!\d))[\s_\-]?(?:#|no\.?|번)?\s?(?:\d{1,3}|[a-z])번?)?"
_SIDE = r"(?:\s?(?:측|발화))?"
_NOTE = rf"(?:\s*(?:[(\[][^()\[\]\n]{{0,24}}[)\]]|{_TIMES}|/[^\s/:]{{1,4}}))?"
_CLOSED = rf"(?:{_SKIPPED}[*_~`\"'”’»›]){{0,4}}{_SKIPPED}"
_NO_NAME = (
    "이전|이번|지난|저번|우리|현재|해당|담당|모든|기존|신규|여러|전임|전화|어떤|유의|주의|문의|요청|이름|연결|변경|주제|"
    "성함|성명|안내|진행|상품|한도|이체|전담|고객|상담|이야기|설명|권유|조언|제안|추천|소개|지시|정보|주장|진술|표현|"
    "문자|기록|전달|유형|구분|기타|서명|서비스|선택|신청|조건|공지|금융|인사|한마디|은행|여자|여성|남자|남성"
)
_NAME = (
    "이전|이번|지난|저번|우리|현재|해당|담당|모든|기존|신규|여러|전임|전화|어떤|유의|주의|문의|요청|이름|연결|"
    "변경|주제|성함|성명|안내|진행|상품|한도|이체|전담|고객|상담"
)
_NAME = (
    rf"(?!{_NO_NAME})[김이박최정강조윤장임한오서신권황안송류유전홍고문양손배백허남심노하곽성차주우구민진지엄채원천방공현함변염여추도소석선설마길연위표명기반왕금옥육인맹제]"
    r"[가-힣○*ox]{1,3}"
)
"""A Korean name: one of the usual surnames and up to three syllables, or what masks them."""

_NAMES = {"agent": _AGENT, "customer": _CUSTOMER}
_HEAD = 100
"""Characters of a line that its label is looked for in."""


def _labels(role: str) -> re.Pattern[str]:
    """Return what a label of a role is, up to the words: the sign behind it makes it one."""
    name = rf"(?:{role}){_NUMBER}{_SIDE}"
    polite = rf"(?:{_NAME}\s?)?(?:{role})\s?님?{_NUMBER}님?{_SIDE}(?:\s{_NAME}님?)?"
    held = rf"(?:{_NAME}|ch\d?)?\s?\((?:{role})\s?님?\)"
    return re.compile(
        rf"{_BEFORE}(?:"
        rf"[\[【〔<「『(«‹]\s*(?:v\s+)?{polite}{_NOTE}\s*[\]】〕>」』)»›]{_CLOSED}(?:{_TIMES})?"
        rf"(?:{_COLON}|[>\-–—|])?"
        rf"|(?:{polite}{_NOTE}|{held}){_CLOSED}(?:=>|->|→|>+|{_COLON}|[|\t=]){_CLOSED}"
        rf"|{polite}[»›]"  # what opens it is a mark before it
        rf"|{name}(?:{_NOTE}{_CLOSED}\s?[-–—](?=\s)|\))"
        rf"){_SKIPPED}"
    )


_LABELS = {speaker: _labels(role) for speaker, role in _NAMES.items()}
_INSIDE = re.compile(rf"(?<=[\s.?!,])(?:{_AGENT}|{_CUSTOMER}){_NUMBER}\s?:(?!\d)")
_COMMAND_LINE = re.compile(r"\s*\d+\.\d[–-]\d+\.\d(?: (?P<speaker>agent|customer))? (?P<text>.*)")
"""A line of ``stt-engine transcribe`` as it was before its labels had a colon."""


def parse_transcript(text: str) -> tuple[Segment, ...]:
    """Return one segment for each utterance; a plain text has no times, so all of them are zero."""
    lines = text.splitlines()
    old = [found for line in lines if (found := _COMMAND_LINE.fullmatch(line))]
    named = bool(old) and all(found["speaker"] for found in old)  # else "agent" may be a word
    parts = (part for line in lines for part in _utterances(line, named=named))
    return tuple(
        Segment(
            number,
            0.0,
            0.0,
            words.strip(),
            DEFAULT_CHANNELS.get(speaker or "", 0),
            speaker,
            speaker_source="label" if speaker else "none",
        )
        for number, (speaker, words) in enumerate(parts)
    )


def _utterances(line: str, *, named: bool) -> Iterator[tuple[str | None, str]]:
    """Yield the speaker and the words of each utterance of a line."""
    found = _COMMAND_LINE.fullmatch(line) if named else None
    if found:
        yield found["speaker"], found["text"]
        return
    speaker, words = _first(line)
    if speaker is not None:  # the next one may begin on the same line
        folded, offsets = fold(words)
        starts = [offsets[one.start()] for one in _INSIDE.finditer(folded)]
        yield speaker, words[: starts[0]] if starts else words
        for start, end in pairwise([*starts, len(words)] if starts else ()):
            yield _first(words[start:end])
    else:
        yield None, line


def _first(line: str) -> tuple[str | None, str]:
    """Return who speaks by the label that a text begins with, and its words."""
    folded, offsets = fold(line[:_HEAD])
    for speaker, label in _LABELS.items():
        found = label.match(folded)
        if found:
            end = found.end()
            return speaker, line[offsets[end] if end < len(offsets) else _HEAD :]
    return None, line
