"""Recognisers of personal numbers: by their format, their grouping and the words before them.

Check digits are not verified: speech recognisers get digits wrong, and a number that is one digit
off still has to be masked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from api_server.pii.candidates import IMPERSONAL_TOPICS, Candidate
from api_server.pii.lexicon import FILLER, SYMBOL

STRONG, MEDIUM, WEAK, VERY_WEAK = 3.0, 2.0, 1.0, 0.0
"""Scores of a recogniser; among overlapping matches they are added to the number of digits."""

HIGHEST = MEDIUM + 2.5
"""The highest score: of an account number in the grouping of the most frequent accounts."""

BIRTH_DATE = re.compile(r"\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
"""The date of birth that a resident number begins with."""

RESIDENTS = frozenset({"resident_number", "foreigner_number"})
"""Topics of numbers that begin with a date of birth."""

_QUESTION_CHARS = 40  # 뒷자리 일곱 자리도 말씀해 주시겠어요?
_MAX_ACCOUNT_DIGITS = 16

_MOBILE = re.compile(r"010\d{8}|01[16789]\d{7,8}")
_PARTIAL_MOBILE = re.compile(r"010\d{6,9}")
_INTERNATIONAL_MOBILE = re.compile(r"(?:00)?820?1[016789]\d{7,8}")
_INTERNATIONAL = re.compile(r"(?:00)?820?(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|50\d)\d{7,8}")
_LANDLINE = re.compile(r"(02|03[1-3]|04[1-4]|05[1-5]|06[1-4]|070|050\d?)\d{7,8}")
_TOLL_FREE = re.compile(r"080\d{6,8}|1[5-8]\d{6}")
_LICENCE = re.compile(r"(?:1[1-9]|2[0-8])\d{10}")
_AMEX = re.compile(r"3[47]\d{13}")
_YEARS = re.compile(r"(?:(?:19|20)\d\d)+")
_DAYS = re.compile(
    r"(?:(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))+(?:[01]\d|2[0-4])?(?:[0-5]\d)*"
)
# Digits in each group, as these numbers are printed on cards and in bank books.
_MOBILE_GROUPINGS = {(3, 4, 4), (3, 3, 4), (2, 2, 4, 4), (4, 4, 4), (2, 3, 4, 4)}
_MOBILE_GROUPINGS_WITHOUT_ZERO = {(2, 4, 4), (2, 8)}
_RESIDENT_GROUPINGS = {(6, 7), (2, 2, 2, 7), (6, 1, 6)}
_LICENCE_GROUPINGS = {(2, 2, 6, 2)}
_LICENCE_DIGITS = 12
_INTERNET_DIGITS = 11
_CARD_GROUPINGS = {(4, 4, 4, 4)}
_RARE_BANK_GROUPINGS = {(3, 3, 6), (6, 2, 6), (4, 3, 6), (3, 6, 5), (3, 4, 4, 2), (4, 2, 7)}
_RARE_BANK_GROUPINGS |= {(3, 2, 6), (3, 6, 2, 3)}
_BANK_GROUPINGS = _RARE_BANK_GROUPINGS | {(4, 4, 4), (4, 4, 4, 1)}
_FREQUENT_BONUS = 1.5  # many accounts begin with 1002: prefer it to 100 in 일공공이고
_PLUS = re.compile(r"(?:\+|플러스|국가\s?번호)\s?\Z")
_CONTACT = re.compile(r"(?:번?으?로|이고|이에요|입니다)?\s?(?:연락|전화|문자|걸어|번호)")
_BACK_PART = re.compile(r"뒤|뒷")
_REGION = re.compile(
    r"(?<![가-힣])(?:서울|부산|대구|인천|광주|대전|울산|경기(?:남부|북부)?|강원|충북|충남|전북|전남"
    r"|경북|경남|제주)(?=\s?-?\Z)"
)
_ZERO = "[공콩꽁궁꿍곤곰공고쿵]"
_ONE = "[일힐닐릴밀빌실질칠필킬틸길인이닌린]"
_MISHEARD_MOBILE = re.compile(
    rf"(?<![가-힣])(?![공영]일[공영])(?:{_ZERO}\s?{_ONE}\s?{_ZERO}|[영형연염녕]\s?{_ONE}\s?[영형연염녕]"
    r"|(?P<zero>[공영])\s?[가-힣]\s?(?P=zero)|[가-힣]일공|공일(?![에은는이가을를])[가-힣]"
    r"|(?<![a-z\d])[0o]{1,2}[1il]{1,2}[0o]{1,2})"
    rf"(?=(?:이고요?|이요|에)?(?:[^\w*]*(?:{FILLER}))?[^\w*]*\Z)"
)
_MISHEARD_HEAD = re.compile(rf"(?<![가-힣]){_ZERO}{_ONE}\Z")
_MISHEARD_ZERO = re.compile(r"(?<![가-힣])[가-힣](?=\Z)")
_PASSPORT_LETTERS = re.compile(
    r"(?<![a-z가-힣])(?:[a-z]{1,2}|엠|앰|에스|알|지|디|피|티)"
    rf"(?=자?(?:[^\w*]*(?:{FILLER})){{0,3}}(?:{SYMBOL})*\Z)"
)


@dataclass(frozen=True, slots=True)
class NumberKind:
    """An entity type with its score, and spans before the digits that belong to the entity.

    An empty ``entity_type`` is a number of no person (080): recognised, and not masked.
    """

    entity_type: str
    score: float
    prefix_spans: tuple[tuple[int, int], ...] = ()


def recognise_toll_free(number: Candidate) -> NumberKind | None:
    """Recognise a number that anybody may call: of no person."""
    return NumberKind("", STRONG) if _TOLL_FREE.fullmatch(number.digits) else None


def recognise_resident(number: Candidate) -> NumberKind | None:
    """Recognise the number of a resident or a foreigner, or its second half."""
    digits, topic = number.digits, number.topic
    known = topic in RESIDENTS
    entity_type = "resident_number"
    if topic == "foreigner_number" or (not known and digits[6] in "5678"):
        entity_type = "foreigner_number"
    if len(digits) == 13 and (known or _resembles_resident(number)):
        split = 6 in number.boundaries and bool(BIRTH_DATE.match(digits))
        return NumberKind(entity_type, STRONG + (split or number.has_grouping(_RESIDENT_GROUPINGS)))
    if known and len(digits) in {12, 14}:
        return NumberKind(entity_type, WEAK)
    before = number.text_before(_QUESTION_CHARS)
    if known and len(digits) == 7 and _BACK_PART.search(before):
        return NumberKind(entity_type, MEDIUM)
    return None


def _resembles_resident(number: Candidate) -> bool:
    if number.topic in {"account", "card", "company"}:
        return False
    groups = len(number.sizes)
    if groups != 2 and not BIRTH_DATE.match(number.digits):
        return False
    return groups == 1 or 6 in number.boundaries


def recognise_licence(number: Candidate) -> NumberKind | None:
    """Recognise a driving licence, with or without its region."""
    known = number.topic == "driver_licence"
    size = len(number.digits)
    region = number.span_before(_REGION) if known or size == 10 else ()
    if region and size == 10 and (known or number.has_boundaries(2, 8)):
        return NumberKind("driver_licence", STRONG, region)
    if known and 10 <= size <= 13:
        score = (
            STRONG + number.has_grouping(_LICENCE_GROUPINGS) if size == _LICENCE_DIGITS else WEAK
        )
        return NumberKind("driver_licence", score, region)
    if _LICENCE.fullmatch(number.digits) and number.has_grouping(_LICENCE_GROUPINGS):
        return NumberKind("driver_licence", STRONG)
    return None


def recognise_passport(number: Candidate) -> NumberKind | None:
    """Recognise a passport number where a passport is spoken of."""
    if number.topic == "passport" and len(number.digits) in {7, 8, 9}:
        score = MEDIUM if len(number.digits) == 8 else WEAK
        return NumberKind("passport", score, number.span_before(_PASSPORT_LETTERS))
    return None


def recognise_mobile(number: Candidate) -> NumberKind | None:
    """Recognise a mobile number, with or without its country, or most of one."""
    digits = number.digits
    if digits[0] not in "08":
        return None
    if _MOBILE.fullmatch(digits) or _INTERNATIONAL_MOBILE.fullmatch(digits):
        return NumberKind("phone", STRONG + number.has_grouping(_MOBILE_GROUPINGS))
    if 3 in number.boundaries and _PARTIAL_MOBILE.fullmatch(digits):
        return NumberKind("phone", WEAK)
    return None


def recognise_misheard_mobile(number: Candidate) -> NumberKind | None:
    """Recognise the rest of a number whose 010 was heard as another word: 공힐공, 콩일공."""
    attached = len(number.digits) == 9 and number.digits[0] == "0"
    whole = len(number.digits) == 8 and (number.has_boundaries(4) or number.sizes == (8,))
    if not (attached or whole or number.sizes == (3, 4)):
        return None
    prefix = number.span_before(_MISHEARD_HEAD if attached else _MISHEARD_MOBILE)
    return NumberKind("phone", HIGHEST, prefix) if prefix else None


def recognise_mobile_without_zero(number: Candidate) -> NumberKind | None:
    """Recognise a number whose first 0 was misheard, or lost with the commas of an amount."""
    if not number.digits.startswith("10"):
        return None
    named = number.topic == "phone" or (not number.topic and "번호" in number.text_before())
    whole = number.part.commas and (named or number.is_followed_by(_CONTACT))
    prefix = number.span_before(_MISHEARD_ZERO)
    one_word = bool(prefix) and len(number.sizes) == 1
    if whole or one_word or number.has_grouping(_MOBILE_GROUPINGS_WITHOUT_ZERO):
        return NumberKind("phone", STRONG, prefix)
    return None


def recognise_landline(number: Candidate) -> NumberKind | None:
    """Recognise a number with an area code."""
    if number.digits[0] not in "08":
        return None
    found = _LANDLINE.fullmatch(number.digits)
    if found and (
        not number.boundaries or number.is_digit_by_digit or found.end(1) in number.boundaries
    ):
        return NumberKind("phone", _score_boundaries(number, found.end(1)))
    if found and number.topic == "phone":
        return NumberKind("phone", WEAK)
    if _INTERNATIONAL.fullmatch(number.digits) and _PLUS.search(number.text_before()):
        return NumberKind("phone", STRONG)
    return None


def _score_boundaries(number: Candidate, area: int) -> float:
    """Score the grouping: a telephone number ends with a group of four digits."""
    if number.digits.startswith("070"):
        return STRONG if len(number.digits) == _INTERNET_DIGITS else WEAK
    inner = number.boundaries - {area}
    if not inner or number.is_digit_by_digit:
        return MEDIUM
    return STRONG + 1 if inner == {len(number.digits) - 4} else VERY_WEAK


def recognise_local_phone(number: Candidate) -> NumberKind | None:
    """Recognise a number without its area code, where a context word announces a telephone."""
    local = number.has_boundaries(len(number.digits) - 4) and len(number.digits) in {7, 8}
    if local and number.topic == "phone" and not _YEARS.fullmatch(number.digits):
        return NumberKind("phone", WEAK)
    return None


def recognise_card(number: Candidate) -> NumberKind | None:
    """Recognise a card number."""
    size, known = len(number.digits), number.topic == "card"
    if size == 16 and (known or (number.is_in_fours and not _is_dates(number.digits))):
        if number.part.loose_gaps and not known:
            return NumberKind("card", WEAK)
        return NumberKind("card", STRONG + number.has_grouping(_CARD_GROUPINGS))
    if _AMEX.fullmatch(number.digits) and (known or number.has_boundaries(4, 10)):
        return NumberKind("card", STRONG)
    return NumberKind("card", WEAK) if known and 13 <= size <= 17 else None


def _is_dates(digits: str) -> bool:
    return bool(_DAYS.fullmatch(digits) or _YEARS.fullmatch(digits))


def recognise_account(number: Candidate) -> NumberKind | None:
    """Recognise an account number: announced as one, or dictated and nothing else."""
    size, topic = len(number.digits), number.topic
    known = topic == "account"
    if known and 10 <= size <= _MAX_ACCOUNT_DIGITS and not _DAYS.fullmatch(number.digits):
        bonus = _FREQUENT_BONUS if number.digits.startswith("1002") else 0.0
        return NumberKind(
            "account", MEDIUM + (number.has_grouping(_BANK_GROUPINGS) and 1.0 + bonus)
        )
    if known and size in {8, 9} and number.boundaries and "계좌" in number.text_before():
        return NumberKind("account", WEAK)
    if topic not in IMPERSONAL_TOPICS and size >= 10 and _is_dictated(number):
        return NumberKind("account", VERY_WEAK + number.has_grouping(_BANK_GROUPINGS))
    return None


def _is_dictated(number: Candidate) -> bool:
    """Return whether the digits are one number without context: unbroken, hyphenated, spoken."""
    if not (number.part.is_joined or _is_grouped_as_dictated(number)):
        return False
    return not _is_dates(number.digits)


def _is_grouped_as_dictated(number: Candidate) -> bool:
    if len(number.digits) > _MAX_ACCOUNT_DIGITS:
        return False
    if number.part.is_mostly_spoken or number.has_grouping(_RARE_BANK_GROUPINGS):
        return True
    spoken = bool(number.part.spoken)
    return spoken and (number.part.has_words or number.has_grouping(_BANK_GROUPINGS))
