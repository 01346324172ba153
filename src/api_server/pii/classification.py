"""Decide what kind of number a candidate is: which recognisers to ask, and whom to believe.

A number with groups that may be amounts (``천이백삼십사``, ``1,101,234,567``) is asked about with
more care: what it is called, or how it is divided, has to tell it from money.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from api_server.pii.candidates import IMPERSONAL_TOPICS, Candidate
from api_server.pii.lexicon import CONTEXT_WORDS
from api_server.pii.number_kinds import (
    BIRTH_DATE,
    MEDIUM,
    RESIDENTS,
    STRONG,
    NumberKind,
    recognise_account,
    recognise_card,
    recognise_landline,
    recognise_licence,
    recognise_local_phone,
    recognise_misheard_mobile,
    recognise_mobile,
    recognise_mobile_without_zero,
    recognise_passport,
    recognise_resident,
    recognise_toll_free,
)

_MAX_AMOUNT_DIGITS = 10
_LONG_AMOUNTS = {14: "account", 15: "card", 16: "card"}
_LICENCE_DIGITS, _RESIDENT_DIGITS = 12, 13
_AMOUNT_NAMED = re.compile(
    r"(?:(?:통장|계좌|은행|뱅크|카드|증권)(?:에|에서|으로)|(?:액|값|금|잔고|한도|대금)[이은는가을를]?)"
    r"\s{0,2}\Z"
)


def _recognise_amounts(number: Candidate) -> NumberKind | None:
    """Recognise numbers with groups that may be amounts: 공일공 천이백, 1,101,234,567."""
    if number.part.commas and len(number.sizes) > 1:
        resident = number.sizes == (6, 7) and BIRTH_DATE.match(number.digits)
        return recognise_resident(number) if resident else None
    if number.part.commas:
        return _recognise_one_amount(number)
    phone = _recognise_phone_of_numerals(number) or recognise_misheard_mobile(number)
    if phone or all(_is_round(group.likely.digits) for group in number.part.groups):
        return phone
    recognise = _OF_NUMERALS.get(number.topic)
    return _recognise_resident_of_numerals(number) or (recognise or _recognise_fours)(number)


def _recognise_resident_of_numerals(number: Candidate) -> NumberKind | None:
    whole = len(number.digits) == _RESIDENT_DIGITS and 6 in number.boundaries
    return recognise_resident(number) if whole and BIRTH_DATE.match(number.digits) else None


def _recognise_fours(number: Candidate) -> NumberKind | None:
    fours = len(number.digits) == 16 and number.has_boundaries(4, 8, 12)
    return NumberKind("card", STRONG) if fours else None


def _recognise_account_of_amounts(number: Candidate) -> NumberKind | None:
    return None if _are_amounts(number, most=1) else recognise_account(number)


def _recognise_card_of_amounts(number: Candidate) -> NumberKind | None:
    return None if _are_amounts(number, most=0) else recognise_card(number)


def _are_amounts(number: Candidate, most: int) -> bool:
    """Return whether numerals are amounts: named so, or more than ``most`` above 9999."""
    large = sum(group.numeral and len(group.digits) > 4 for group in number.part.groups)
    return large > most or bool(_AMOUNT_NAMED.search(number.text_before()))


def _recognise_one_amount(number: Candidate) -> NumberKind | None:
    recognise = _OF_NUMERALS.get(number.topic)
    if number.topic == "account":
        return _recognise_account_with_commas(number)
    if len(number.digits) == _MAX_AMOUNT_DIGITS:
        return recognise_mobile_without_zero(number)
    if number.topic == "card":
        return recognise_card(number)
    if recognise:
        return recognise(number)
    return None if _is_round(number.digits) else _recognise_long_amount(number)


def _recognise_account_with_commas(number: Candidate) -> NumberKind | None:
    before, size = number.text_before(), len(number.digits)
    named = size > _MAX_AMOUNT_DIGITS or (size == _MAX_AMOUNT_DIGITS and "번호" in before)
    return NumberKind("account", MEDIUM) if named and not _AMOUNT_NAMED.search(before) else None


def _recognise_long_amount(number: Candidate) -> NumberKind | None:
    """Recognise what is too long for an amount that anybody speaks of."""
    if len(number.digits) == _RESIDENT_DIGITS and BIRTH_DATE.match(number.digits):
        return NumberKind("resident_number", MEDIUM)
    known = _LONG_AMOUNTS.get(len(number.digits))
    return NumberKind(known, MEDIUM) if known else None


def _is_round(digits: str) -> bool:
    return digits.endswith("00")


def _recognise_phone_of_numerals(number: Candidate) -> NumberKind | None:
    mobile = recognise_mobile(number)
    if mobile and 3 in number.boundaries:
        return mobile
    landline = recognise_landline(number)
    known = landline and (landline.score > STRONG or number.topic == "phone")
    return landline if known else None


_LONGEST = 18
_Recogniser = Callable[[Candidate], NumberKind | None]
_TOPICS = frozenset({"", *CONTEXT_WORDS})
_SCOPES: tuple[tuple[_Recogniser, range, AbstractSet[str]], ...] = (
    (recognise_toll_free, range(8, 12), _TOPICS),
    (recognise_resident, range(13, 14), _TOPICS),
    (recognise_resident, range(7, 15), RESIDENTS),
    (recognise_licence, range(10, 14), _TOPICS),
    (recognise_passport, range(7, 10), {"passport"}),
    (recognise_mobile, range(9, 16), _TOPICS),
    (recognise_misheard_mobile, range(7, 10), _TOPICS),
    (recognise_mobile_without_zero, range(10, 11), _TOPICS),
    (recognise_landline, range(9, 16), _TOPICS),
    (recognise_local_phone, range(7, 9), {"phone"}),
    (recognise_card, range(15, 17), _TOPICS),
    (recognise_card, range(13, 18), {"card"}),
    (recognise_account, range(10, _LONGEST + 1), _TOPICS - IMPERSONAL_TOPICS),
    (recognise_account, range(8, 10), {"account"}),
)
"""What each recogniser can match: how many digits, announced as what."""
_RECOGNISERS = {
    topic: [
        tuple(dict.fromkeys(one for one, sizes, of in _SCOPES if size in sizes and topic in of))
        for size in range(_LONGEST + 1)
    ]
    for topic in _TOPICS
}
"""The recognisers to try, by topic and number of digits: most candidates have few, or none."""
_OF_NUMERALS: Mapping[str, _Recogniser] = {
    "resident_number": recognise_resident,
    "foreigner_number": recognise_resident,
    "driver_licence": recognise_licence,
    "passport": recognise_passport,
    "card": _recognise_card_of_amounts,
    "account": _recognise_account_of_amounts,
}
"""What recognises a number with numerals in it, which only its topic tells from amounts."""


def classify(number: Candidate) -> NumberKind | None:
    """Return the best-scoring kind of ``number``; ``None`` where no recogniser matches."""
    best: NumberKind | None = None
    for recognise in _recognisers_of(number):
        kind = recognise(number)
        if kind and (best is None or kind.score > best.score):
            best = kind
    return None if best and number.part.loose_gaps and best.score < MEDIUM else best


def _recognisers_of(number: Candidate) -> Sequence[_Recogniser]:
    if number.part.has_series and not _is_named(number):
        return (recognise_mobile,)
    if number.part.numerals:
        return (_recognise_amounts,)
    return _RECOGNISERS[number.topic][min(len(number.digits), _LONGEST)]


def _is_named(number: Candidate) -> bool:
    """Return whether a number is announced as one, so that it may look like barriers."""
    licence = number.topic == "driver_licence" and len(number.digits) == _LICENCE_DIGITS
    named = bool(number.topic) and "번호" in number.text_before()
    return number.topic in RESIDENTS or licence or named
