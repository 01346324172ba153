"""What makes words no statement, whoever brings them: a rule, or an LLM that quotes."""

from __future__ import annotations

from api_server.compliance.findings import Reason
from api_server.compliance.patterns.linear_pattern import Pattern, Subject
from api_server.compliance.rules.call_text import CallText, Span
from api_server.compliance.rules.grammar import load_grammar

FRAME = 2
"""Sentences before or behind an example in which its speaker may say that it is one."""
LONGEST = 200
"""Letters of one part of a statement: no search looks farther."""


def find_objection(call: CallText, span: Span, number: int) -> Reason | None:
    """Return why words of a sentence are not said as a statement; ``None`` where they are.

    They are denied, named as forbidden, are somebody else's or an example, or are taken back at
    once.
    """
    if is_mention(call, number):
        return Reason.REPORTED
    grammar, end = load_grammar(), _end_of(call, span, number)
    if grammar.denied.matches_at(call.text, span.end, end):
        return Reason.DENIAL
    if _ends_in(grammar.forbidden, call.sentences[number].letters):
        return Reason.DENIAL
    if grammar.reported.matches_at(call.text, span.end, end):
        return Reason.REPORTED
    following = call.continuation(number)
    if following and grammar.taken_back.matches_at(Subject(following.letters[:LONGEST])):
        return Reason.WITHDRAWN
    return None


def is_mention(call: CallText, number: int) -> bool:
    """Return whether what is said there is an example, by what its speaker says around it.

    Training, role-play, the review of a call, what must not be said, what swindlers say.
    """
    grammar = load_grammar()
    before = range(max(0, number - FRAME), number + 1)
    behind = range(number, min(len(call.sentences), number + FRAME + 1))
    return any(
        other in call.all_with(pattern) and call.same_speaker(number, other)
        for pattern, near in ((grammar.mention_opens, before), (grammar.mention_closes, behind))
        for other in near
    )


def is_put_off(call: CallText, span: Span, number: int) -> bool:
    """Return whether what has to be said is not: it is put off, or left out."""
    end = _end_of(call, span, number)
    return load_grammar().put_off.matches_at(call.text, span.start, end)


def is_undone(call: CallText, span: Span) -> bool:
    """Return whether what has to be said is said not to be done, inside the words themselves."""
    return load_grammar().undone.is_in(Subject(call.text.text[span.start : span.end]))


def is_warning(letters: str) -> bool:
    """Return whether a sentence ends in a warning: of a loss, a risk, a limit, no fit."""
    return _ends_in(load_grammar().warned, letters)


def is_negated(letters: str) -> bool:
    """Return whether a sentence ends in a denial, of whatever it says."""
    return _ends_in(load_grammar().ends_denied, letters)


def _ends_in(ending: Pattern, letters: str) -> bool:
    return ending.is_in(Subject(letters[-LONGEST:]))


def _end_of(call: CallText, span: Span, number: int) -> int:
    return min(call.end_of(number), span.end + LONGEST)
