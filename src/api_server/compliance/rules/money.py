"""Who pays whom: what a percentage is follows from the words that govern it.

A return, a fee, the rate of a loan and a tax all sound alike ("five per cent a year"). Only what a
customer pays is a cost; what he gets is none, and is told with the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from api_server.compliance.patterns.linear_pattern import Subject
from api_server.compliance.rules.call_text import CallText, Span
from api_server.compliance.rules.grammar import load_grammar

Payer = Literal["customer", "firm"]

_REACH = 24
"""Letters before and behind an amount in which what governs it stands."""
_AROUND = 3
"""Sentences before and behind in which the product is named that a bare rate belongs to."""


def only_returns(call: CallText, span: Span, number: int) -> bool:
    """Return whether a statement has percentages, and each of them is paid to the customer."""
    payers = [_payer(call, number, at) for at in _amounts(call, span, number)]
    return bool(payers) and all(one == "firm" for one in payers)


def _amounts(call: CallText, span: Span, number: int) -> Iterator[int]:
    """Yield where the percentages in or right beside a statement end, in its sentence."""
    letters, start = call.sentences[number].letters, call.starts[number]
    for first, last in load_grammar().percentage.spans(Subject(letters)):
        if first + start <= span.end + _REACH and last + start >= span.start - _REACH:
            yield last


def _payer(call: CallText, number: int, at: int) -> Payer | None:
    """Return who pays the percentage that ends at ``at`` of a sentence, ``None`` if unknown."""
    grammar, letters = load_grammar(), call.sentences[number].letters
    near = Subject(letters[max(0, at - _REACH) : at + _REACH])
    around = range(max(0, number - _AROUND), min(len(call.sentences), number + _AROUND + 1))
    if grammar.paid.is_in(near) or call.has((grammar.lent,), around):
        return "customer"
    if grammar.earned.is_in(near):
        return "firm"
    saves = grammar.rate.is_in(near) and call.has((grammar.saved,), around)
    return "firm" if saves else None
