"""The rule tier: finds statements in a call by the rubric's patterns, without an LLM.

A rule proves presence only: what no rule matches may have been said in other words, so it stays
undetermined. Which words count is data of the rubric (:class:`api_server.compliance.rubric.Rule`).
What holds for every statement, a rule's or an LLM's quote, is in :mod:`.statements`: a denial, a
question, a report of others' words and what is taken back at once are not the statement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from api_server.compliance.evidence import Evidence
from api_server.compliance.findings import Reason, RuleFinding
from api_server.compliance.patterns.linear_pattern import Order, Pattern
from api_server.compliance.patterns.pattern_language import compile_any, compile_pattern
from api_server.compliance.rubric import Element, Rubric, Rule
from api_server.compliance.rules.call_text import CallText, Span
from api_server.compliance.rules.grammar import load_grammar
from api_server.compliance.rules.money import only_returns
from api_server.compliance.rules.sentences import Sentence
from api_server.compliance.rules.shown import quote_sentence
from api_server.compliance.rules.statements import (
    LONGEST,
    find_objection,
    is_mention,
    is_put_off,
    is_undone,
)
from stt_engine.speech import Segment

MAX_EVIDENCE = 5
"""Sentences reported for one element."""
CONTEXT = 6
"""Sentences before a statement in which what it answers (``after``) may stand."""
NEAR = 2
"""Sentences before and behind a statement in which ``unless_near`` is searched."""
Places = Mapping[int, Span]
"""Sentences of a call by number, and what of each is the statement."""
WITHIN = 24
"""Letters that may stand between two parts of a statement."""


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule, ready to search a call."""

    rule: Rule
    required: bool
    only_paid: bool
    by: str
    says: tuple[Pattern, ...]
    order: Order
    """All of ``says``: where nothing matches, no part is looked for by itself."""
    unless: tuple[Pattern, ...]
    unless_near: tuple[Pattern, ...]
    after: tuple[Pattern, ...]
    near: tuple[Pattern, ...]

    def find(self, call: CallText) -> Iterator[tuple[int, Span]]:
        """Yield every statement that counts: the number of its sentence, and its span."""
        for number, span in self.candidates(call):
            if self.find_objection(call, span, number) is None:
                yield number, span

    def candidates(self, call: CallText) -> Iterator[tuple[int, Span]]:
        """Yield what has the words of the statement, whether it counts or not."""
        for span in self._candidates(call):
            yield call.sentence_at(span.start), span

    def _candidates(self, call: CallText) -> Iterator[Span]:
        """Yield the spans in which all parts of the statement follow one another."""
        for first in self._firsts(call):
            span: Span | None = first
            for pattern in self.says[1:]:
                span = span and _next_part(call, span, pattern)
            if span:
                yield Span(first.start, span.end)

    def _firsts(self, call: CallText) -> Iterator[Span]:
        """Yield where the first part stands, in sentences that may have all of them."""
        for number in call.sentences_in_order(self.order, self.by):
            for span in self.says[0].spans(call.text, call.starts[number], call.end_of(number)):
                yield Span(*span)

    def find_objection(self, call: CallText, span: Span, number: int) -> Reason | None:
        """Return why words of the statement do not count; ``None`` where they do."""
        around = self._objection_of(call.sentences[number]) or self._objection_around(call, number)
        if around is not None:
            return around
        if self.required and is_put_off(call, span, number):
            return Reason.DENIAL
        if self.required and self.rule.deniable and is_undone(call, span):
            return Reason.DENIAL
        if self.only_paid and only_returns(call, span, number):
            return Reason.RETURN
        if is_mention(call, number):
            return Reason.REPORTED
        return find_objection(call, span, number) if self.rule.deniable else None

    def _objection_of(self, sentence: Sentence) -> Reason | None:
        """Return a reason where another speaker says it, or not as it is required to be said."""
        if sentence.speaker is not None and self.by not in {"any", sentence.speaker}:
            return Reason.WRONG_SPEAKER
        if self.rule.question == "only" and not sentence.question:
            return Reason.NO_RULE_MATCHED
        return Reason.QUESTION if self.rule.question == "never" and sentence.question else None

    def _objection_around(self, call: CallText, number: int) -> Reason | None:
        """Return a reason where the rule's conditions on the words around it do not hold."""
        if self._is_excluded(call, number):
            return Reason.TIERS_DIFFER
        return None if self._has_context(call, number) else Reason.NO_RULE_MATCHED

    def _is_excluded(self, call: CallText, number: int) -> bool:
        """Return whether words in or around the sentence make the statement none."""
        if call.has(self.unless, range(number, number + 1)):
            return True
        near = range(max(0, number - NEAR), min(len(call.sentences), number + NEAR + 1))
        excluding = call.sentences_with(self.unless_near, near)
        return any(call.same_speaker(number, other) for other in excluding)

    def _has_context(self, call: CallText, number: int) -> bool:
        """Return whether what the rule requires around the statement is there."""
        around = range(max(0, number - CONTEXT + 1), min(len(call.sentences), number + 2))
        if self.near and not call.has(self.near, around):
            return False
        return not (self.after or self.rule.answers) or self._is_answer(call, number)

    def _is_answer(self, call: CallText, number: int) -> bool:
        """Return whether another speaker said or asked shortly before what the rule requires."""
        before = range(max(0, number - CONTEXT), number)
        questions = (n for n in before if self.rule.answers and call.sentences[n].question)
        answered = (*call.sentences_with(self.after, before), *questions)
        speakers = (call.sentences[other].speaker for other in answered)
        own = call.sentences[number].speaker
        return any(speaker is None or speaker != own for speaker in speakers)


def _next_part(call: CallText, span: Span, pattern: Pattern) -> Span | None:
    """Return the first match of ``pattern`` behind ``span``, if near and in the same sentence."""
    end = call.end_of(call.sentence_at(span.start))
    limit = span.end + WITHIN
    low, high = span.end, min(end, limit + LONGEST)
    first, last = next(pattern.spans(call.text, low, high), (end, end))
    cut = last == high < end  # it may not end where the search does
    return Span(first, last) if first <= limit and first < end and not cut else None


class PatternRules:
    """The compiled rules of one rubric.

    Raises:
        PatternInvalid: a pattern cannot be read.
    """

    def __init__(self, rubric: Rubric) -> None:
        load_grammar()  # so that no call waits for it
        self._rules = {
            element.id: compile_rules(element, rubric) for element in rubric.asked if element.rules
        }

    @property
    def covers(self) -> tuple[str, ...]:
        """The elements that have rules."""
        return tuple(self._rules)

    def examine(self, segments: Sequence[Segment]) -> Mapping[str, RuleFinding]:
        """Return a finding for every covered element; one without evidence proves no absence."""
        return dict(self.examine_each(segments))

    def examine_each(self, segments: Sequence[Segment]) -> Iterator[tuple[str, RuleFinding]]:
        """Yield the finding for every covered element, one after the other."""
        call = CallText(segments)
        for name, places in self.find_each(call):
            yield name, RuleFinding(quote_places(call, places))

    def find_each(self, call: CallText) -> Iterator[tuple[str, Places]]:
        """Yield where every covered element is said, one after the other."""
        for name, rules in self._rules.items():
            yield name, {number: span for rule in rules for number, span in rule.find(call)}


def compile_rules(element: Element, rubric: Rubric) -> tuple[CompiledRule, ...]:
    """Compile the rules of an element.

    Raises:
        PatternInvalid: a pattern cannot be read.
    """
    return tuple(_compile(rule, element, rubric) for rule in element.rules)


def _compile(rule: Rule, element: Element, rubric: Rubric) -> CompiledRule:
    says = tuple(compile_pattern(one, rubric.words) for one in rule.says)
    return CompiledRule(
        rule,
        element.kind == "required",
        element.only_paid,
        rule.by or element.said_by,
        says,
        Order(says),
        compile_any(rule.unless, rubric.words),
        compile_any(rule.unless_near, rubric.words),
        compile_any(rule.after, rubric.words),
        compile_any(rule.near, rubric.words),
    )


def quote_places(call: CallText, places: Places) -> tuple[Evidence, ...]:
    """Return the words of the first :data:`MAX_EVIDENCE` sentences, of known speakers first."""
    known_first = sorted(
        places, key=lambda number: (call.sentences[number].speaker is None, number)
    )
    return tuple(
        part
        for number in sorted(known_first[:MAX_EVIDENCE])
        for part in quote_sentence(call, number, places[number])
    )
