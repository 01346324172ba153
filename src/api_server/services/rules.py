"""The rule tier: fixed patterns that find in a call what was said; no agent is needed.

A rule proves presence only. What no rule matches was perhaps said in other words, so it stays
open. Which words count is data of the rubric (:class:`api_server.services.rubric.Rule`); this
module knows what holds for every rule: a denial, a customer's words, a question, what others are
said to have said, and a warning are not the statement.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, starmap
from operator import itemgetter

from api_server.services.beginnings import Pattern
from api_server.services.evidence import Evidence
from api_server.services.findings import RuleFinding
from api_server.services.korean import END, Sentence, compile_pattern, sentences
from api_server.services.rubric import Element, Rubric, Rule
from stt_engine.speech import Segment

MAX_EVIDENCE = 5
"""Places reported for one element."""
CONTEXT = 6
"""Sentences before a statement in which what it answers (``after``) may stand."""
NEAR = 2
"""Sentences before and behind a statement in which ``unless_near`` is looked for."""
WITHIN = 24
"""Letters between two parts of a statement."""

_SHOWN_AROUND = 60  # letters of a very long sentence that are shown before and behind the words

# What may stand between a statement's last word and the word that denies it: endings, particles
# and empty nouns. Anything else is a new thought: "보장되니까 걱정 마세요" denies nothing.
_FUNCTION = (
    r"(?:되|돼|하|해|드리|드려|시|주|준|는|은|던|을|를|이|가|도|란|라|고|다|단|대|지|거|것|건|게|걸|상품|구조|"
    r"뜻|의미|말|말씀|얘기|이야기|식|정도|수|보|볼|장담|약속|단정|확답|확신|확약|절대|절대로|전혀|결코|사실|"
    r"따로|전부|다!|무조건|100퍼센트|백퍼센트|완전히|까지|만|처럼|으로|로|에|의|와|과|요|어|아|여|나|니|냐|면|"
    r"저희가|제가|저는|저희는|누구도|아무도|그런|이런|그렇게|감히|함부로|쉽게|생각|기억|해당|사항|경우|부분|성격|개념|것처럼|같|있|사람|누구|곳|회사)"
)
_NO = (
    r"(?:않|못|아니[^까]|아니$|아닌|아닙|아녜|아녀|아뇨|안!되|안!돼|안!하|안!해|안!나|안!드|없|어렵|어려|힘들|불가|"
    r"곤란|금지|위반|불법|사기|거짓|오해|착각)"
)
DENIED = compile_pattern(rf"{_FUNCTION}{{0,14}}{_NO}", {})
"""Anchored at the end of a statement: it is denied, or cannot be promised, or must not be said."""

REPORTED = compile_pattern(
    r"[^\n]{0,6}(?:다|라|냐|자|까)고[들는도만]?"
    r"(?:들으|들었|들은|하시는분|하는분|하는사람|하는곳|하는데는|하는업체|하는전화|하던|하면[^서되돼됩]|하면서접근|"
    r"했다면|하셨다면|했더라도|광고|홍보|선전|속|꾀|유혹|접근|여쭤|여쭈|물어|물으|문의|질문|아시는|알고계|알고오|생각하시는분|"
    r"말하는|말하면|말씀하시는분|말씀하신|하셨|하신|그러던|그러시던|그러는|적혀있으면|오해|착각|믿으시면안|생각하시면안)",
    {},
)
"""Anchored likewise: somebody else says so."""

TAKEN_BACK = compile_pattern(
    r"(?:아니|아뇨|그건|그게|그거는|이건|이게|그런건|그런게|그렇지|그렇게|사실은|절대|전혀|하지만|그런데|다만|근데|그런)?"
    r"[^\n]{0,12}(?:사기|속지|믿지마|누르지|그렇지[는가]?않|그런[건게것][은이]?아니|사실이?아니|사실과!?다르|사실과!?다릅|틀린|잘못된|아닙니다|"
    r"아니에요|아니고|아니라)",
    {},
)
"""At the beginning of the same voice's next sentence."""


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int


class _Spoken:
    """Some sentences of a call as one text, with the way back to the whole call's."""

    def __init__(self, call: _CallText, numbers: Sequence[int]) -> None:
        self._text = END.join(call.sentences[number].letters for number in numbers)
        self._starts: list[int] = []
        self._shifts: list[int] = []
        at = 0
        for number in numbers:
            self._starts.append(at)
            self._shifts.append(call.starts[number] - at)
            at += len(call.sentences[number].letters) + len(END)

    def find(self, pattern: Pattern) -> Iterator[_Span]:
        """Give every place of a pattern, in the whole call's text; no place leaves its sentence."""
        for start, end in pattern.spans(self._text):
            shift = self._shifts[bisect_right(self._starts, start) - 1]
            yield _Span(start + shift, end + shift)


class _CallText:
    """A call's sentences as one text, each pattern looked for in it once."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self.segments = segments
        self.sentences = sentences(segments)
        self.text = END.join(one.letters for one in self.sentences)
        self._spoken: dict[str, _Spoken] = {}
        self._found: dict[tuple[Pattern, str], tuple[_Span, ...]] = {}

    @cached_property
    def starts(self) -> list[int]:
        """Where each sentence begins in the text."""
        starts, at = [], 0
        for one in self.sentences:
            starts.append(at)
            at += len(one.letters) + len(END)
        return starts

    def find(self, pattern: Pattern, by: str) -> tuple[_Span, ...]:
        """Give every place of a pattern in what ``by`` says; speakers can be unknown."""
        if by not in self._spoken:
            voices = {by, None}
            said = (
                n for n, one in enumerate(self.sentences) if by == "any" or one.speaker in voices
            )
            self._spoken[by] = _Spoken(self, [*said])
        if (pattern, by) not in self._found:
            self._found[pattern, by] = tuple(self._spoken[by].find(pattern))
        return self._found[pattern, by]

    def between(self, pattern: Pattern, low: int, high: int) -> Iterator[_Span]:
        """Give the places of a pattern in ``[low, high)``; most patterns are needed at few."""
        return starmap(_Span, pattern.spans(self.text, low, high))

    def sentence_at(self, offset: int) -> int:
        """Give the number of the sentence that holds ``offset``."""
        return bisect_right(self.starts, offset) - 1

    def end_of(self, number: int) -> int:
        """Give the offset behind a sentence."""
        return self.starts[number] + len(self.sentences[number].letters)

    def said(self, patterns: Sequence[Pattern], numbers: range) -> Iterator[int]:
        """Give the sentences among ``numbers`` that hold any of ``patterns``."""
        if not numbers:
            return
        low, high = self.starts[numbers[0]], self.end_of(numbers[-1])
        for pattern in patterns:
            for span in self.between(pattern, low, high):
                yield self.sentence_at(span.start)

    def has(self, patterns: Sequence[Pattern], numbers: range) -> bool:
        """Tell whether a sentence among ``numbers`` holds any of ``patterns``."""
        return next(self.said(patterns, numbers), None) is not None

    def next_of(self, number: int) -> Sentence | None:
        """Give the sentence of the same voice that follows at once."""
        here = self.sentences[number]
        for other in self.sentences[number + 1 : number + 2]:
            if (other.channel, other.speaker) == (here.channel, here.speaker):
                return other
        return None


@dataclass(frozen=True, slots=True)
class _Compiled:
    rule: Rule
    by: str
    says: tuple[Pattern, ...]
    unless: tuple[Pattern, ...]
    unless_near: tuple[Pattern, ...]
    after: tuple[Pattern, ...]
    near: tuple[Pattern, ...]

    def matches(self, call: _CallText) -> Iterator[tuple[int, _Span]]:
        """Give every place of the statement, with the number of its sentence."""
        for span in self._spans(call):
            number = call.sentence_at(span.start)
            if self._counts(call, span, number):
                yield number, span

    def _spans(self, call: _CallText) -> Iterator[_Span]:
        for first in call.find(self.says[0], self.by):
            span: _Span | None = first
            for pattern in self.says[1:]:
                span = span and _following(call, span, pattern)
            if span:
                yield _Span(first.start, span.end)

    def _counts(self, call: _CallText, span: _Span, number: int) -> bool:
        return (
            self._fits(call.sentences[number])
            and self._stands(call, number)
            and not (self.rule.deniable and _denied(call, span, number))
        )

    def _fits(self, sentence: Sentence) -> bool:
        """Tell whether the right voice says it in the right mood."""
        if sentence.speaker is not None and self.by not in {"any", sentence.speaker}:
            return False
        return self.rule.question == "any" or sentence.question == (self.rule.question == "only")

    def _stands(self, call: _CallText, number: int) -> bool:
        """Tell whether what is said around it lets it be the statement."""
        count = len(call.sentences)
        if call.has(self.unless, range(number, number + 1)):
            return False
        near = range(max(0, number - NEAR), min(count, number + NEAR + 1))
        if self.unless_near and self._own(call, call.said(self.unless_near, near), number):
            return False
        around = range(max(0, number - CONTEXT + 1), min(count, number + 2))
        if self.near and not call.has(self.near, around):
            return False
        return not (self.after or self.rule.answers) or self._answered(call, number)

    @staticmethod
    def _own(call: _CallText, numbers: Iterator[int], number: int) -> bool:
        here = call.sentences[number]
        voice = (here.channel, here.speaker)
        said = (call.sentences[number] for number in numbers)
        return any((one.channel, one.speaker) == voice for one in said)

    def _answered(self, call: _CallText, number: int) -> bool:
        before = range(max(0, number - CONTEXT), number)
        asked = (n for n in before if self.rule.answers and call.sentences[n].question)
        numbers = (*call.said(self.after, before), *asked)
        voices = (call.sentences[other].speaker for other in numbers)
        own = call.sentences[number].speaker
        return any(voice is None or voice != own for voice in voices)


def _following(call: _CallText, span: _Span, pattern: Pattern) -> _Span | None:
    """Give the first place of ``pattern`` behind ``span``, in its sentence and not far away."""
    end = call.end_of(call.sentence_at(span.start))
    limit = span.end + WITHIN
    found = next(call.between(pattern, span.end, end), None)
    return found if found and found.start <= limit else None


def _denied(call: _CallText, span: _Span, number: int) -> bool:
    end = call.end_of(number)
    if DENIED.begins(call.text, span.end, end) or REPORTED.begins(call.text, span.end, end):
        return True
    following = call.next_of(number)
    return following is not None and TAKEN_BACK.begins(following.letters)


class PatternRules:
    """The rules of one rubric, ready to be looked for.

    Raises:
        PatternInvalid: a pattern cannot be read.
    """

    def __init__(self, rubric: Rubric) -> None:
        self._rules = {
            element.id: tuple(_compile(rule, element, rubric) for rule in element.rules)
            for element in rubric.elements
            if element.rules and element.applicable
        }

    @property
    def covers(self) -> tuple[str, ...]:
        """The elements that have rules."""
        return tuple(self._rules)

    def examine(self, segments: Sequence[Segment]) -> Mapping[str, RuleFinding]:
        """Give a finding for every covered element; without evidence it says nothing of it."""
        call = _CallText(segments)
        return {name: RuleFinding(_evidence(call, rules)) for name, rules in self._rules.items()}


def _compile(rule: Rule, element: Element, rubric: Rubric) -> _Compiled:
    def ready(patterns: Sequence[str]) -> tuple[Pattern, ...]:
        return tuple(compile_pattern(pattern, rubric.words) for pattern in patterns)

    return _Compiled(
        rule,
        rule.by or element.said_by,
        ready(rule.says),
        ready(rule.unless),
        ready(rule.unless_near),
        ready(rule.after),
        ready(rule.near),
    )


def _evidence(call: _CallText, rules: Sequence[_Compiled]) -> tuple[Evidence, ...]:
    places = {number: span for rule in rules for number, span in rule.matches(call)}
    chosen = sorted(places.items())[:MAX_EVIDENCE]
    return tuple(part for number, span in chosen for part in _parts(call, number, span))


def _parts(call: _CallText, number: int, span: _Span) -> Iterator[Evidence]:
    """Give the words of a sentence, or of a very long one those around the statement."""
    start = call.starts[number]
    first = max(0, span.start - start - _SHOWN_AROUND)
    last = span.end - start + _SHOWN_AROUND
    places = call.sentences[number].places[first:last]
    for position, run in groupby(places, key=itemgetter(0)):
        offsets = [offset for _, offset in run]
        segment = call.segments[position]
        words = whole_words(segment.text, offsets[0], offsets[-1] + 1)
        yield Evidence(segment.id, segment.start, segment.end, segment.channel, words, "exact")


def whole_words(text: str, start: int, end: int) -> str:
    """Give ``text[start:end]`` with the rest of its first and last word and its full stop."""
    while start > 0 and not text[start - 1].isspace():
        start -= 1
    while end < len(text) and not text[end].isspace():
        end += 1
    return text[start:end]
