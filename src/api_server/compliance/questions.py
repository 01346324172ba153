"""What an LLM is asked about one call, and which part of it first. Pure.

Where its answer is too short for every element, or the time for every chunk of a long call, what
the rules leave open goes first. What is not asked is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api_server.compliance.findings import RuleFinding
from api_server.compliance.rubric import Element

READING_TOKENS = 200
"""Of an answer, for the words that prove the reading."""
ELEMENT_TOKENS = 50
"""Of an answer, for an element: 70 with a quote and a reason, 25 without. With this the default
rubric's 16 take 1,000 tokens, which is what its longest answers took."""


@dataclass(frozen=True, slots=True)
class Questions:
    """The ids of the elements to ask about and of those that are left out, and chunks in turn."""

    asked: tuple[str, ...]
    left_out: tuple[str, ...]
    chunks: tuple[int, ...]


def elements_that_fit(max_tokens: int) -> int:
    """Return about how many elements an answer of at most ``max_tokens`` tokens can be about."""
    return max(1, (max_tokens - READING_TOKENS) // ELEMENT_TOKENS)


def plan_questions(
    elements: Sequence[Element],
    rules: Mapping[str, RuleFinding],
    chunks: Sequence[tuple[int, int]],
    most: int,
) -> Questions:
    """Return what to ask about a call.

    Args:
        elements: those of the rubric that are examined in a call.
        rules: what the rules found.
        chunks: the first and the last segment id of each chunk.
        most: the number of elements that fit an answer.
    """
    in_turn = sorted(elements, key=lambda one: _turn(one, rules.get(one.id)))
    chosen = {one.id for one in in_turn[:most]}
    return Questions(
        tuple(one.id for one in elements if one.id in chosen),
        tuple(one.id for one in elements if one.id not in chosen),
        tuple(sorted(range(len(chunks)), key=lambda number: -_open_in(chunks[number], rules))),
    )


def _turn(element: Element, found: RuleFinding | None) -> tuple[int, bool]:
    """Return the place of an element: looks like it, nothing known, settled; prohibited first."""
    silent = found is None or not found.evidence
    settled = found is not None and found.certainty == "certain"
    return 1 if silent else 2 if settled else 0, element.kind != "prohibited"


def _open_in(chunk: tuple[int, int], rules: Mapping[str, RuleFinding]) -> int:
    """Return how many quotes in a chunk the rules are not certain of."""
    first, last = chunk
    return sum(
        first <= quote.segment_id <= last
        for found in rules.values()
        if found.certainty != "certain"
        for quote in found.evidence
    )
