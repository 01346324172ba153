"""What two rubrics, or their judgements, differ in, as the page shows it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from api_server.compliance.rubric import Element, Rubric
from api_server.web.words import Pair

_FIELDS: Mapping[str, Pair] = {
    "article": ("조항", "article"),
    "title": ("이름", "title"),
    "kind": ("종류", "kind"),
    "applies_if": ("적용 조건", "applies if"),
    "counts": ("해당하는 말", "what counts"),
    "not_counts": ("해당하지 않는 말", "what does not"),
    "said_by": ("누구의 말", "whose words"),
    "applicable": ("점검함", "examined"),
    "examples": ("예", "examples"),
    "not_examples": ("아닌 예", "counter-examples"),
    "rules": ("규칙", "rules"),
    "denials": ("부정하는 말", "denials"),
    "about": ("분야의 말", "words of its field"),
    "cancelled_by": ("없던 것이 되는 답", "cancelled by"),
    "not_with": ("함께 세지 않음", "not with"),
    "only_paid": ("내는 돈만", "only what is paid"),
}


@dataclass(frozen=True, slots=True)
class ChangedElement:
    """An element that two rubrics do not say alike; ``None``: one of them does not have it."""

    id: str
    title: str
    before: Element | None
    after: Element | None
    fields: tuple[Pair, ...]
    shown: tuple[tuple[Pair, str, str], ...]
    """Fields whose words can be set beside each other: name, before, after."""


@dataclass(frozen=True, slots=True)
class Tallied:
    """On how many calls a status of an element became another one."""

    element: str
    before: str | None
    after: str | None
    number: int


def changed_elements(before: Rubric, after: Rubric) -> list[ChangedElement]:
    """Return the elements that differ."""
    old = {one.id: one for one in before.elements}
    new = {one.id: one for one in after.elements}
    found = []
    for name, either in {**old, **new}.items():
        before_it, after_it = old.get(name), new.get(name)
        if before_it is None or after_it is None:
            found.append(ChangedElement(name, either.title, before_it, after_it, (), ()))
        elif before_it != after_it:
            found.append(_compare(name, before_it, after_it))
    return found


def _compare(name: str, old: Element, new: Element) -> ChangedElement:
    differing = [one for one in Element.model_fields if getattr(old, one) != getattr(new, one)]
    named = tuple(_FIELDS.get(one, (one, one)) for one in differing)
    shown = tuple(
        (_FIELDS[one], str(getattr(old, one)), str(getattr(new, one)))
        for one in differing
        if isinstance(getattr(old, one), str)
    )
    return ChangedElement(name, new.title, old, new, named, shown)


def tallied(counts: Mapping[tuple[str, str | None, str | None], int]) -> list[Tallied]:
    """Return the counts of a trial, the most frequent change first."""
    found = [Tallied(*alike, number) for alike, number in counts.items()]
    return sorted(found, key=lambda one: (-one.number, one.element))
