"""Whether an LLM's quote can carry its verdict: judged by the same code as what a rule finds.

A quote is believed where a rule finds the statement in it. Where no rule knows its words, it needs
words of the element's field (``about``), said as a statement. Where a rule knows its words and does
not take them for the statement, both tiers look at one sentence and differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from api_server.compliance.findings import Reason
from api_server.compliance.patterns.linear_pattern import Pattern
from api_server.compliance.patterns.pattern_language import compile_pattern
from api_server.compliance.rubric import Element, Rubric
from api_server.compliance.rules.call_text import CallText, Span
from api_server.compliance.rules.engine import CompiledRule, compile_rules
from api_server.compliance.rules.money import only_returns
from api_server.compliance.rules.sentences import letters_of
from api_server.compliance.rules.statements import (
    find_objection,
    is_negated,
    is_put_off,
    is_warning,
)
from stt_engine.speech import Segment

MIN_SHARED = 4
"""Letters of a rule's statement that a quote has to have, or all that it has."""

Place = tuple[int, int, int]
"""A part of a quote: the index of its segment, where it starts and where it ends there."""

_WORD = re.compile(r"[가-힣]{2,}|[a-z]{4,}")
_ENDINGS = ("입", "합", "됩", "습")  # of 입니다, 합니다, 됩니다, 습니다
_STEM = 2  # syllables of a Korean word without its endings, at least
_EMPTY = frozenset(
    "있는 없는 하는 되는 않는 해당 내용 사실 고객 상담 통화 말함 물어 확인 알림 설명 등을 그런 "
    "이런 어떤 무엇 합니 입니 됩니 습니 있습 없습 드리 드릴 주시 이번 그럼 지금 정도 대략 어떻 "
    "아니 경우 this that with from have been they what call says tells agent customer".split()
)
"""First syllables of words that say nothing of any field."""


@dataclass(frozen=True, slots=True)
class _Field:
    """What is known of one element."""

    about: tuple[Pattern, ...]
    rules: tuple[CompiledRule, ...]
    asks: bool
    """A question may be evidence, even where no rule takes it."""
    required: bool
    deniable: bool
    """It has to be told, and a sentence that ends in a denial does not tell it."""
    only_paid: bool
    """It is about what the customer pays."""
    not_examples: tuple[str, ...]


class QuoteRules:
    """What a quote has to say for each element of one rubric.

    Raises:
        PatternInvalid: a pattern cannot be read.
    """

    def __init__(self, rubric: Rubric) -> None:
        self._fields = {one.id: _field(one, rubric) for one in rubric.asked}

    def of_call(self, segments: Sequence[Segment]) -> QuoteJudge:
        """Return a judge of the quotes from a call."""
        return QuoteJudge(self._fields, segments)

    def find_objection(
        self, element: Element, call: CallText, parts: Sequence[tuple[int, Span]]
    ) -> Reason | None:
        """Return why parts of sentences are no evidence of ``element``, or ``None``."""
        return _judge(self._fields[element.id], call, parts)


class QuoteJudge:
    """Judges quotes from one call, which is cut into sentences where there is one."""

    def __init__(self, fields: Mapping[str, _Field], segments: Sequence[Segment]) -> None:
        self._fields = fields
        self._segments = segments

    @cached_property
    def _call(self) -> CallText:
        return CallText(self._segments)

    def find_objection(self, element: Element, places: Sequence[Place]) -> Reason | None:
        """Return why the words at ``places`` are no evidence of ``element``, or ``None``."""
        return _judge(self._fields[element.id], self._call, self._call.spans_at(places))


def _judge(field: _Field, call: CallText, parts: Sequence[tuple[int, Span]]) -> Reason | None:
    known = list(_statements(field, call, parts))
    if any(one is None for one in known):
        return None
    told = list(_tells(field, call, parts))
    if not told:
        return Reason.NOTHING_SAID
    objections = (_objection(field, call, number, span) for number, span in told)
    objection = next(filter(None, (*objections, *known)), None)
    return objection or _warns(field, call, told) or _looks_alike(field, call, parts)


def _statements(
    field: _Field, call: CallText, parts: Sequence[tuple[int, Span]]
) -> Iterator[Reason | None]:
    """Yield of every statement of a rule in the quote why it does not count, or ``None``."""
    quoted = dict(parts)
    for rule in field.rules:
        for number, span in rule.candidates(call):
            if number in quoted and _shares(quoted[number], span):
                objection = rule.find_objection(call, span, number)
                if objection is not Reason.NO_RULE_MATCHED:  # it lacks what it requires around
                    yield objection


def _shares(quoted: Span, span: Span) -> bool:
    shared = min(quoted.end, span.end) - max(quoted.start, span.start)
    return shared >= min(MIN_SHARED, span.end - span.start)


def _tells(
    field: _Field, call: CallText, parts: Sequence[tuple[int, Span]]
) -> Iterator[tuple[int, Span]]:
    """Yield the words of the field in a quote, and then the end of what is quoted there."""
    for number, part in parts:
        found = [
            Span(*span)
            for pattern in field.about
            for span in pattern.spans(call.text, part.start, part.end)
        ]
        yield from ((number, span) for span in found)
        if found:
            yield number, part


def _objection(field: _Field, call: CallText, number: int, span: Span) -> Reason | None:
    if call.sentences[number].question and not field.asks:
        return Reason.QUESTION
    if field.required and is_put_off(call, span, number):
        return Reason.DENIAL
    if field.only_paid and only_returns(call, span, number):
        return Reason.RETURN
    if field.deniable and is_negated(call.sentences[number].letters):
        return Reason.DENIAL
    return find_objection(call, span, number)


def _warns(field: _Field, call: CallText, told: Sequence[tuple[int, Span]]) -> Reason | None:
    """Return a reason where what would accuse the agent only warns the customer."""
    if field.required or not any(is_warning(call.sentences[number].letters) for number, _ in told):
        return None
    return Reason.WARNING


def _looks_alike(field: _Field, call: CallText, parts: Sequence[tuple[int, Span]]) -> Reason | None:
    """Return a reason where the sentences say what the rubric names as no example."""
    said = "".join(call.sentences[number].letters for number, _ in parts)
    alike = any(example in said for example in field.not_examples)
    return Reason.TIERS_DIFFER if alike else None


def _field(element: Element, rubric: Rubric) -> _Field:
    about = element.about or tuple(_words_of(element))
    rules = compile_rules(element, rubric)
    return _Field(
        tuple(compile_pattern(one, rubric.words) for one in about),
        rules,
        element.kind == "required" and (element.said_by == "any" or not rules),
        element.kind == "required",
        _is_deniable(element),
        element.only_paid,
        tuple(map(letters_of, element.not_examples)),
    )


def _is_deniable(element: Element) -> bool:
    """Return whether a denial does not tell the element: none of its examples is one.

    What anyone may say is an answer too ("없어요").
    """
    told = element.kind == "required" and element.said_by != "any"
    return told and not any(is_negated(letters_of(one)) for one in element.examples)


def _words_of(element: Element) -> Iterator[str]:
    """Yield the stems of the words that an element without ``about`` is described by."""
    text = " ".join((element.title, element.counts, *element.examples)).lower()
    for word in _WORD.findall(text):
        stem = word if word.isascii() else word[:_STEM]
        if stem not in _EMPTY and not stem.endswith(_ENDINGS):
            yield f"{stem}!" if not stem.isascii() else stem
