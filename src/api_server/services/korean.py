"""Spoken Korean for patterns: sentences of a call, endings, denials, questions, what others said.

Patterns are looked for in text without spaces and punctuation, because recognisers write both as
they like. A syllable without a final consonant stands for itself with any (``되`` is also ``된``,
``될``, ``됩``): Korean endings melt into the stem, and a stem is all that a pattern needs to name.
A one-hour call takes half the time and a hundredth of the memory that a morphological
analyser needs (kiwipiepy 0.24: 0.57 s and 540 MB; ``benchmarks/rules.py``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat

from api_server.services.beginnings import Pattern
from api_server.services.folding import fold
from stt_engine.speech import Segment

_FIRST, _LAST, _FINALS = 0xAC00, 0xD7A3, 28  # Unicode, "Hangul Syllables"

MAX_GAP = 16
"""Letters that may stand between two parts of one statement, unless the pattern says more."""

QUESTION = "?"
END = "\n"

_WITH_B = "".join(chr(first + 17) for first in range(_FIRST, _LAST, _FINALS))  # 습, 입, 합, ...
_WITH_N = "".join(chr(first + 4) for first in range(_FIRST, _LAST, _FINALS))  # 한, 신, 건, ...
_NOUNS = "필중수주개소동"  # 필요, 중요, 수요...: their 요 ends no sentence; nor does 은요, "as for"
_PUNCTUATED = r"[.?!。…]+(?=\s|$)"
_FORMAL = rf"[{_WITH_B}](?:니[다까]|시[오다])"
_SPOKEN = rf"(?:(?<=\w)(?<![{_NOUNS}은는])요|{_FORMAL}|(?<=\w)(?<!니)까|죠)(?=\s)"
_BOUNDARY = re.compile(rf"{_PUNCTUATED}|{_SPOKEN}")
_ASKS = re.compile(
    rf"(?:[{_WITH_B}]니까|(?<!니)까요?|(?<![이가도])나요|[{_WITH_N}]가요?|는지요|을지요|냐고요|냐구요|느냐)$"
)


class PatternInvalid(ValueError):
    """A pattern cannot be read; the message says why."""


def compile_pattern(pattern: str, words: Mapping[str, Sequence[str]]) -> Pattern:
    """Compile a pattern: a regular expression over letters and digits, with three additions.

    ``<name>`` is any of the patterns of that name in ``words``; ``~`` is a gap of up to
    :data:`MAX_GAP` letters (``~5``: up to five); a syllable without a final consonant stands for
    every one that begins so, unless ``!`` follows it. Spaces mean nothing.

    Raises:
        PatternInvalid: an unknown name, a name that contains itself, or no regular expression.
    """
    return _compiled(_expanded(pattern, words, ()))


@lru_cache(maxsize=4096)
def _compiled(expanded: str) -> Pattern:
    try:
        found = Pattern("".join(_translated(expanded)))
    except re.error as exc:
        raise PatternInvalid(f"정규식 오류 ({exc}): {expanded}") from None
    if found.begins(""):
        raise PatternInvalid(f"아무 말에나 맞는 표현입니다: {expanded}")
    return found


def _expanded(pattern: str, words: Mapping[str, Sequence[str]], inside: tuple[str, ...]) -> str:
    def one(reference: re.Match[str]) -> str:
        name = reference[1]
        if name not in words:
            raise PatternInvalid(f"모르는 낱말 묶음입니다: <{name}>")
        if name in inside:
            raise PatternInvalid(f"자기 자신을 부르는 낱말 묶음입니다: <{name}>")
        parts = (_expanded(part, words, (*inside, name)) for part in words[name])
        return f"(?:{'|'.join(parts)})"

    return re.sub(r"(?<!\?)<([^<>=!]+)>", one, pattern)


_TOKEN = re.compile(r"\\.|\[[^\]]*\]|~(?P<far>\d*)|(?P<syllable>[가-힣])(?P<exact>!?)|.", re.DOTALL)


def _translated(pattern: str) -> Iterator[str]:
    for token in _TOKEN.finditer(pattern):
        if token["syllable"]:
            yield token["syllable"] if token["exact"] else _open(token["syllable"])
        elif token["far"] is not None:
            yield rf"[^\n?]{{0,{int(token['far'] or MAX_GAP)}}}?"
        elif not token[0].isspace():
            yield token[0]


def _open(syllable: str) -> str:
    """Give a syllable with any final consonant, where it has none itself."""
    code = ord(syllable)
    if (code - _FIRST) % _FINALS:
        return syllable
    return f"[{syllable}-{chr(code + _FINALS - 1)}]"


Place = tuple[int, int]
"""Where a letter of a sentence comes from: the segment's position, the letter in its text."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """What one voice said up to a full stop or a closing ending.

    ``letters`` has neither spaces nor punctuation (but ``%``); ``places[i]`` tells where
    ``letters[i]`` is.
    """

    letters: str
    places: Sequence[Place]
    speaker: str | None
    channel: int
    question: bool


def sentences(segments: Sequence[Segment]) -> list[Sentence]:
    """Cut a call into sentences, in the order in which they begin.

    A sentence may go on in the next segment of the same voice; another voice's words between
    them end it, unless they are no more than a "네".
    """
    return [one for turn in _turns(segments) for one in _cut(turn, segments)]


def _turns(segments: Sequence[Segment]) -> Iterator[list[int]]:
    """Give runs of one voice as positions; a short word of the other voice ends none."""
    open_turns: dict[tuple[int, str | None], list[int]] = {}
    done: list[list[int]] = []
    for position, segment in enumerate(segments):
        voice = (segment.channel, segment.speaker)
        if sum(map(str.isalnum, segment.text)) > 2:  # noqa: PLR2004 - "네", "네네"
            open_turns = {key: turn for key, turn in open_turns.items() if key == voice}
        turn = open_turns.get(voice)
        if turn is None:
            turn = open_turns[voice] = []
            done.append(turn)
        turn.append(position)
    yield from done


def _cut(turn: Sequence[int], segments: Sequence[Segment]) -> Iterator[Sentence]:
    text, places = _joined(turn, segments)
    voice = segments[turn[0]]
    start = 0
    for stop in (*(match.end() for match in _BOUNDARY.finditer(text)), len(text)):
        letters, where = _letters(text, places, start, stop)
        if letters:
            asked = QUESTION in text[max(start, stop - 3) : stop] or bool(_ASKS.search(letters))
            yield Sentence(letters, where, voice.speaker, voice.channel, asked)
        start = stop


def _joined(turn: Sequence[int], segments: Sequence[Segment]) -> tuple[str, list[Place]]:
    parts: list[str] = []
    places: list[Place] = []
    for position in turn:
        folded, offsets = fold(segments[position].text)
        parts.append(f"{folded}\n")
        places.extend(zip(repeat(position), offsets, strict=False))
        places.append((position, len(segments[position].text)))
    return "".join(parts), places


def _letters(text: str, places: Sequence[Place], start: int, stop: int) -> tuple[str, list[Place]]:
    kept = [i for i in range(start, stop) if text[i].isalnum() or text[i] == "%"]
    return "".join([text[i] for i in kept]), [places[i] for i in kept]
