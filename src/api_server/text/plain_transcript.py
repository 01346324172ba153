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

_AGENT = (
    "(?:전문)?상담(?:사|원|역|직원)?|(?:은행|판매|담당)?직원|판매(?:원|자|인)|설계사|모집인|은행원|행원|창구|"
    "담당자|텔러|매니저|에이전트|agent|advis[eo]r|counsell?or|consultant|representative|rep|operator|"
    "teller|staff|employee|sales(?:person|man|woman|rep)|seller|banker"
)
_CUSTOMER = (
    "(?:신규|기존)?고객|손님|소비자|금융소비자|가입자|계약자|customer|client|caller|consumer|buyer"
)

# Folded text has no full-width or upper-case letters left (NFKC).
_SKIPPED = r"[\s\ufeff\u200b-\u200f\u2028-\u202e\u2060-\u2064\u00ad]*"
_MARK = r"[*_~`\"'“”‘’«»\-–—•·●○◦▪■□▶►※>#+|,:]"  # bullets, quotes, markdown, a table's border
_CLOCK = (
    r"(?:(?:\d{1,3}:)?\d{1,3}:\d{2}(?:[.,]\d{1,3})?|\d{1,5}[.,]\d{1,3}(?:\s?(?:s|sec|초))?|"
    r"\d{1,5}\s?(?:s|초))"
)
_TIMES = rf"[\[(<]?\s?{_CLOCK}(?:\s*(?:-{{1,2}}>?|[–—~→])\s*{_CLOCK})?(?:\s?[\])>])?"
_COUNT = r"\d{1,4}(?:[.)](?=\s)|\t)"
_BEFORE = rf"(?:{_SKIPPED}(?:{_TIMES}(?=[\s\[(<*]|{_MARK})|{_MARK}|{_COUNT}))*+{_SKIPPED}"
_NUMBER = r"(?:(?!\s?\d{1,3}:\d\d(?!\d))[\s_\-]?(?:#|no\.?|번)?\s?(?:\d{1,3}|[a-z])번?)?"
_NOTE = rf"(?:\s*(?:[(\[][^()\[\]\n]{{0,24}}[)\]]|{_TIMES}))?"
_CLOSED = rf"(?:{_SKIPPED}[*_~`\"'”’]){{0,4}}{_SKIPPED}"
_NAMES = {"agent": _AGENT, "customer": _CUSTOMER}
_HEAD = 100
"""Characters of a line that its label is looked for in."""


def _labels(role: str) -> re.Pattern[str]:
    """Return what a label of a role is, up to the words: the sign behind it makes it one."""
    name = rf"(?:{role}){_NUMBER}"
    polite = rf"(?:{role})\s?님?{_NUMBER}님?"
    return re.compile(
        rf"{_BEFORE}(?:"
        rf"[\[【〔<「『(]\s*(?:v\s+)?{polite}{_NOTE}\s*[\]】〕>」』)]{_CLOSED}[:>\-–—|]?"
        rf"|{polite}{_NOTE}{_CLOSED}(?:=>|->|→|[:>|\t=]){_CLOSED}"
        rf"|{name}(?:{_NOTE}{_CLOSED}\s[-–—](?=\s)|\))"
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
