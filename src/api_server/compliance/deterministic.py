"""The tier without an LLM: rules find words, a model weighs how the call sounds around them.

Each element has one certainty from both: the rules' hit and the model's score of the best window
confirm each other, or doubt each other. What is certain enough is an operator's to say, as the
precision that he asks for; what that takes was measured on words that the model had not seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from api_server.compliance.findings import (
    MIN_PRECISION,
    Certainty,
    Reason,
    RuleFinding,
    precision_asked,
)
from api_server.compliance.model.linear import Heard, LinearModel, Window
from api_server.compliance.model.ngrams import Pieces
from api_server.compliance.model_card import SUSPECTED, Calibration
from api_server.compliance.patterns.pattern_language import compile_pattern
from api_server.compliance.rubric import Element, Rubric
from api_server.compliance.rules.call_text import CallText, Span
from api_server.compliance.rules.engine import NEAR, PatternRules, Places, quote_places
from api_server.compliance.rules.quotes import QuoteRules
from stt_engine.speech import Segment

_NEVER = 2.0  # no confidence is enough
_SAYS_OTHERWISE = frozenset(
    {
        Reason.DENIAL,
        Reason.QUESTION,
        Reason.REPORTED,
        Reason.WITHDRAWN,
        Reason.WARNING,
        Reason.RETURN,
    }
)
"""What grammar knows of a sentence that the model takes for an element."""
_DENIAL = 0.95  # what a denial takes: "no loss at all" denies, and promises


class DeterministicTier:
    """The rules of a rubric and, where it names one, its model.

    Args:
        rubric: the elements.
        min_precision: what is certain: of ten such findings nine are right, by default; of
            required notices a little less.

    Raises:
        PatternInvalid: a pattern cannot be read.
    """

    def __init__(self, rubric: Rubric, min_precision: float = MIN_PRECISION) -> None:
        self._rubric = rubric
        self._min_precision = min_precision
        self._rules = PatternRules(rubric)
        self._elements = {one.id: one for one in rubric.asked}
        self._undone = {
            name: tuple(compile_pattern(one, rubric.words) for one in element.cancelled_by)
            for name, element in self._elements.items()
        }

    @cached_property
    def covers(self) -> tuple[str, ...]:
        """The elements that have rules, or that the model knows."""
        covers = {*self._rules.covers, *self._judges}
        return tuple(one.id for one in self._rubric.asked if one.id in covers)

    @cached_property
    def _model(self) -> LinearModel | None:
        """Read at its first use: where it cannot be, calls are masked and sent all the same."""
        return LinearModel(self._rubric.model) if self._rubric.model else None

    @cached_property
    def _judges(self) -> Mapping[str, _Judge]:
        known = self._model.card.elements if self._model else {}
        quotes = QuoteRules(self._rubric)
        return {
            name: _Judge(self._elements[name], column, how, self._needed(name, how), quotes)
            for column, (name, how) in enumerate(known.items())
            if name in self._elements
        }

    def _needed(self, name: str, how: Calibration) -> float | None:
        return how.needed(precision_asked(self._elements[name].kind, self._min_precision))

    def examine(self, segments: Sequence[Segment]) -> Mapping[str, RuleFinding]:
        """Return a finding for every covered element; one without evidence proves no absence.

        Raises:
            RubricModelInvalid: the model cannot be read, or is not the one of the rubric.
        """
        return dict(self.examine_each(segments))

    def examine_each(self, segments: Sequence[Segment]) -> Iterator[tuple[str, RuleFinding]]:
        """Yield the finding for every covered element, and before it that nothing is known yet.

        So a long call can be put aside between two elements; the last word on each counts. Raises
        as :meth:`examine` does.
        """
        call = CallText(segments)
        found = dict.fromkeys(self.covers, _Weighed({}))
        for name, places in self._rules.find_each(call):
            yield name, RuleFinding()
            found[name] = _Weighed(self._standing(call, name, places))
        if self._model and call.sentences:
            heard = self._model.hear(call.sentences)
            for name, judge in self._judges.items():
                weighed = judge.weigh(self._model, call, heard, found[name].places)
                places = self._standing(call, name, weighed.places)
                found[name] = weighed if places else replace(weighed, certainty="doubted")
        for name, one in found.items():
            certainty = "doubted" if self._is_another(name, found) else one.certainty
            yield name, RuleFinding(quote_places(call, one.places), one.confidence, certainty)

    def _standing(self, call: CallText, name: str, places: Places) -> Places:
        """Return the places that no answer of another speaker undoes."""
        undone = self._undone[name]
        return {
            number: span
            for number, span in places.items()
            if not any(
                not call.same_speaker(number, other)
                for other in call.sentences_with(undone, _behind(call, number))
            )
        }

    def _is_another(self, name: str, found: Mapping[str, _Weighed]) -> bool:
        """Return whether all that is said of an element is certain to be something else."""
        others = {
            number
            for other in self._elements[name].not_with
            if other in found and found[other].certainty == "certain"
            for number in found[other].places
        }
        places = found[name].places
        return bool(places) and places.keys() <= others


@dataclass(frozen=True, slots=True)
class _Weighed:
    """Where an element is said, and how sure that is."""

    places: Places
    confidence: float | None = None
    certainty: Certainty = "certain"


class _Judge:
    """Weighs one element."""

    def __init__(
        self,
        element: Element,
        column: int,
        how: Calibration,
        needed: float | None,
        quotes: QuoteRules,
    ) -> None:
        self._element = element
        self._quotes = quotes
        self._column = column
        self._how = how
        self._needed = _NEVER if needed is None else needed

    def weigh(self, model: LinearModel, call: CallText, heard: Heard, by_rules: Places) -> _Weighed:
        """Return what rules and model find of the element together."""
        best = max(heard.windows, key=lambda one: float(one.scores[self._column]))
        score, part = float(best.scores[self._column]), float(heard.parts[self._column])
        rule = bool(by_rules)
        sure = self._how.confidence(score, part, len(heard.windows), rule=rule)
        if sure < SUSPECTED:
            return _Weighed(by_rules, sure, "doubted")
        loudest = self._loudest(model, call, heard.pieces, best)
        needed = self._needed if rule else max(self._needed, self._by_grammar(call, loudest))
        return _Weighed({**loudest, **by_rules}, sure, "certain" if sure >= needed else "suspected")

    def _by_grammar(self, call: CallText, places: Places) -> float:
        """Return the confidence that a sentence takes which may be none, as an LLM's quote may."""
        objection = self._quotes.find_objection(self._element, call, list(places.items()))
        if objection is Reason.DENIAL and self._element.kind == "prohibited":
            return _DENIAL
        return _NEVER if objection in _SAYS_OTHERWISE else 0.0

    def _loudest(
        self, model: LinearModel, call: CallText, pieces: Pieces, window: Window
    ) -> Places:
        """Return the sentence that speaks most for the element, of those who can say it."""
        may_say = {
            number
            for number in range(window.first, window.last)
            if self._element.said_by == "any" or call.sentences[number].speaker != "customer"
        }
        number = model.loudest(pieces, window, self._column, may_say)
        return {} if number is None else {number: Span(call.starts[number], call.end_of(number))}


def _behind(call: CallText, number: int) -> range:
    return range(number + 1, min(len(call.sentences), number + 1 + NEAR))
