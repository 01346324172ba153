"""What a row of digits is, by its form and by the words around it.

Check digits are not looked at: recognisers garble digits, and a number that is one digit off is
still to be masked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from api_server.services.number_words import FILLER, KEYWORD
from api_server.services.spoken_digits import Gap, Group, Reading

STRICT, FORMED, LIKELY, BARE = 3.0, 2.0, 1.0, 0.0
"""How sure a form is; added to the number of digits that it explains."""

BIRTH = re.compile(r"\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
"""A date of birth as a resident number begins with it."""

NOT_OURS = frozenset({"company", "other"})
"""Topics of numbers that are no person's."""

_CONTEXT_CHARS = 60
_NEAR_CHARS = 16
_ASKED_CHARS = 40  # 뒷자리 일곱 자리도 말씀해 주시겠어요?
_MAX_ACCOUNT = 16

_MOBILE = re.compile(r"010\d{8}|01[16789]\d{7,8}")
_CUT_MOBILE = re.compile(r"010\d{6,9}")
_ABROAD = re.compile(r"(?:00)?820?1[016789]\d{7,8}")
_ABROAD_ANY = re.compile(r"(?:00)?820?(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|70|50\d)\d{7,8}")
_LANDLINE = re.compile(r"(02|03[1-3]|04[1-4]|05[1-5]|06[1-4]|070|050\d?)\d{7,8}")
_PUBLIC = re.compile(r"080\d{6,8}|1[5-8]\d{6}")
_LICENCE = re.compile(r"(?:1[1-9]|2[0-8])\d{10}")
_AMEX = re.compile(r"3[47]\d{13}")
_YEARS = re.compile(r"(?:(?:19|20)\d\d)+")
_DAYS = re.compile(
    r"(?:(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))+(?:[01]\d|2[0-4])?(?:[0-5]\d)*"
)
# Digits between the pauses, as these numbers are written on cards and in bank books.
_MOBILE_SHAPES = {(3, 4, 4), (3, 3, 4), (2, 2, 4, 4), (4, 4, 4), (2, 3, 4, 4)}
_RESIDENT_SHAPES = {(6, 7), (2, 2, 2, 7), (6, 1, 6)}
_LICENCE_SHAPES = {(2, 2, 6, 2)}
_LICENCE_DIGITS = 12
_INTERNET_DIGITS = 11
_CARD_SHAPES = {(4, 4, 4, 4)}
_RARE_SHAPES = {(3, 3, 6), (6, 2, 6), (4, 3, 6), (3, 6, 5), (3, 4, 4, 2), (4, 2, 7), (3, 2, 6)}
_RARE_SHAPES |= {(3, 6, 2, 3)}
_BANK_SHAPES = _RARE_SHAPES | {(4, 4, 4), (4, 4, 4, 1)}
_FREQUENT = 1.5  # many accounts begin with 1002: 일공공이고 is rather that than 100
_PLUS = re.compile(r"(?:\+|플러스|국가\s?번호)\s?\Z")
_BACK_PART = re.compile(r"뒤|뒷")
_REGION = re.compile(
    r"(?<![가-힣])(?:서울|부산|대구|인천|광주|대전|울산|경기(?:남부|북부)?|강원|충북|충남|전북|전남"
    r"|경북|경남|제주)(?=\s?-?\Z)"
)
_LETTERS = re.compile(
    r"(?<![a-z가-힣])(?:[a-z]{1,2}|엠|앰|에스|알|지|디|피|티)"
    rf"(?=자?(?:[\s,-]*(?:{FILLER})){{0,3}}[\s,-]*\Z)"
)
_BANK = r"(?:국민|신한|우리|하나|기업|제일|씨티|토스|카카오|케이)"
_BANK_BEFORE = re.compile(rf"(?<![가-힣]){_BANK}\s{{0,2}}\Z")
_BANK_AFTER = re.compile(
    rf"(?:번?(?:으?로|이?고요?|이?요|예요|이에요|입니다)?[\s.,]{{0,2}})?"
    rf"(?:[가-힣]{{0,4}}(?:은행|뱅크|카뱅|농협|수협|신협|금고|우체국|증권|계좌)|{_BANK}|입금|이체|송금)"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A label, how sure it is, and spans before the digits that belong to the number too.

    An empty label is a number that is nobody's (080): known, and left alone.
    """

    label: str
    weight: float
    more: tuple[tuple[int, int], ...] = ()


class Surroundings:
    """The words around a candidate."""

    def __init__(self, text: str, run_start: int, start: int, end: int) -> None:
        self._text = text
        self._run_start = run_start
        self._start = start
        self._end = end

    @cached_property
    def topic(self) -> str:
        """The label that the nearest word before the run speaks of, empty where there is none."""
        topic = ""
        first = max(0, self._run_start - _CONTEXT_CHARS)
        for word in KEYWORD.finditer(self._text, first, self._run_start):
            label = word.lastgroup or ""
            if label not in NOT_OURS or self._run_start - word.end() <= _NEAR_CHARS:
                topic = label
        return topic or ("account" if self._bank_near() else "")

    def _bank_near(self) -> bool:
        return bool(_BANK_BEFORE.search(self.near()) or _BANK_AFTER.match(self._text, self._end))

    def near(self, chars: int = _NEAR_CHARS) -> str:
        """Give the last characters before the candidate."""
        return self._text[max(0, self._start - chars) : self._start]

    def span_before(self, pattern: re.Pattern[str]) -> tuple[tuple[int, int], ...]:
        """Give the span of ``pattern`` right before the candidate, as a tuple of none or one."""
        found = pattern.search(self._text, max(0, self._start - _NEAR_CHARS), self._start)
        return ((found.start(), found.end()),) if found else ()


class Candidate:
    """Neighbouring groups in one reading."""

    def __init__(
        self,
        groups: Sequence[Group],
        gaps: Sequence[Gap],
        readings: Sequence[Reading],
        around: Surroundings,
    ) -> None:
        self.around = around
        self.digits = "".join([reading.digits for reading in readings])
        self.sizes = [len(reading.digits) for reading in readings if reading.digits]
        self.cuts = frozenset(accumulate(self.sizes[:-1]))
        self.gaps = frozenset(gaps)
        self.numerals = sum([len(group.digits) for group in groups if group.numeral])
        self._groups = groups

    @property
    def spoken(self) -> int:
        """How many groups are in words."""
        return sum(group.spoken for group in self._groups)

    @property
    def mostly_spoken(self) -> bool:
        """True where most groups are in words."""
        return self.spoken > len(self._groups) / 2

    @property
    def in_fours(self) -> bool:
        """True where the digits stand in fours, or in no order at all."""
        return all(cut % 4 == 0 for cut in self.cuts) or self.one_by_one

    @property
    def one_by_one(self) -> bool:
        """True where most digits stand alone: the pauses then mean nothing."""
        return len(self.sizes) > len(self.digits) / 2

    def paused(self, shapes: AbstractSet[tuple[int, ...]]) -> bool:
        """Tell whether the pauses are where they belong in such a number."""
        return tuple(self.sizes) in shapes

    def cut_at(self, *places: int) -> bool:
        """Tell whether there is a pause after each of these digits, or none anywhere."""
        return self.cuts.issuperset(places)


def classify(number: Candidate) -> Kind | None:
    """Tell what ``number`` is; ``None`` where nothing speaks for a person's number."""
    best: Kind | None = None
    for form in _FORMS_OF_NUMERALS if number.numerals else _FORMS[min(len(number.digits), _LONG)]:
        kind = form(number)
        if kind and (best is None or kind.weight > best.weight):
            best = kind
    return None if best and Gap.LOOSE in number.gaps and best.weight < FORMED else best


def _public(number: Candidate) -> Kind | None:
    return Kind("", STRICT) if _PUBLIC.fullmatch(number.digits) else None


def _resident(number: Candidate) -> Kind | None:
    digits, topic = number.digits, number.around.topic
    known = topic in {"resident_number", "foreigner_number"}
    label = "resident_number"
    if topic == "foreigner_number" or (not known and digits[6] in "5678"):
        label = "foreigner_number"
    if len(digits) == 13 and (known or _looks_resident(number)):
        parted = 6 in number.cuts and bool(BIRTH.match(digits))
        return Kind(label, STRICT + (parted or number.paused(_RESIDENT_SHAPES)))
    if known and len(digits) in {12, 14}:
        return Kind(label, LIKELY)
    if known and len(digits) == 7 and _BACK_PART.search(number.around.near(_ASKED_CHARS)):
        return Kind(label, FORMED)
    return None


def _looks_resident(number: Candidate) -> bool:
    if number.around.topic in {"account", "card", "company"}:
        return False
    dated = bool(BIRTH.match(number.digits))
    return (6 in number.cuts or not number.cuts) and (dated or len(number.cuts) == 1)


def _licence(number: Candidate) -> Kind | None:
    known = number.around.topic == "driver_licence"
    size = len(number.digits)
    region = number.around.span_before(_REGION)
    if region and size == 10 and (known or number.cut_at(2, 8)):
        return Kind("driver_licence", STRICT, region)
    if known and 10 <= size <= 13:
        weight = STRICT + number.paused(_LICENCE_SHAPES) if size == _LICENCE_DIGITS else LIKELY
        return Kind("driver_licence", weight, region)
    if _LICENCE.fullmatch(number.digits) and number.paused(_LICENCE_SHAPES):
        return Kind("driver_licence", STRICT)
    return None


def _passport(number: Candidate) -> Kind | None:
    if number.around.topic == "passport" and len(number.digits) in {7, 8, 9}:
        return Kind("passport", FORMED, number.around.span_before(_LETTERS))
    return None


def _mobile(number: Candidate) -> Kind | None:
    digits = number.digits
    if _MOBILE.fullmatch(digits) or _ABROAD.fullmatch(digits):
        return Kind("phone", STRICT + number.paused(_MOBILE_SHAPES))
    if 3 in number.cuts and _CUT_MOBILE.fullmatch(digits):
        return Kind("phone", LIKELY)
    return None


def _landline(number: Candidate) -> Kind | None:
    found = _LANDLINE.fullmatch(number.digits)
    if found and (not number.cuts or number.one_by_one or found.end(1) in number.cuts):
        return Kind("phone", _weight_of_pauses(number, found.end(1)))
    if found and number.around.topic == "phone":
        return Kind("phone", LIKELY)
    if _ABROAD_ANY.fullmatch(number.digits) and _PLUS.search(number.around.near()):
        return Kind("phone", STRICT)
    return None


def _weight_of_pauses(number: Candidate, area: int) -> float:
    """Weigh where the pauses are: a telephone number ends with four digits."""
    if number.digits.startswith("070"):
        return STRICT if len(number.digits) == _INTERNET_DIGITS else LIKELY
    inner = number.cuts - {area}
    if not inner or number.one_by_one:
        return FORMED
    return STRICT + 1 if inner == {len(number.digits) - 4} else BARE


def _local_phone(number: Candidate) -> Kind | None:
    """Tell a number without its area code, where the talk is of telephones."""
    local = number.cut_at(len(number.digits) - 4) and len(number.digits) in {7, 8}
    if local and number.around.topic == "phone" and not _YEARS.fullmatch(number.digits):
        return Kind("phone", LIKELY)
    return None


def _card(number: Candidate) -> Kind | None:
    size, known = len(number.digits), number.around.topic == "card"
    if size == 16 and (known or (number.in_fours and not _YEARS.fullmatch(number.digits))):
        if Gap.LOOSE in number.gaps and not known:
            return Kind("card", LIKELY)
        return Kind("card", STRICT + number.paused(_CARD_SHAPES))
    if _AMEX.fullmatch(number.digits) and (known or number.cut_at(4, 10)):
        return Kind("card", STRICT)
    return Kind("card", LIKELY) if known and 13 <= size <= 17 else None


def _account(number: Candidate) -> Kind | None:
    size, topic = len(number.digits), number.around.topic
    if topic == "account" and 10 <= size <= _MAX_ACCOUNT and not _DAYS.fullmatch(number.digits):
        frequent = _FREQUENT if number.digits.startswith("1002") else 0.0
        return Kind("account", FORMED + (number.paused(_BANK_SHAPES) and 1.0 + frequent))
    if topic == "account" and size in {8, 9} and "계좌" in number.around.near() and number.cuts:
        return Kind("account", LIKELY)
    if topic not in NOT_OURS and size >= 10 and _is_dictated(number):
        return Kind("account", BARE + number.paused(_BANK_SHAPES))
    return None


def _account_of_numerals(number: Candidate) -> Kind | None:
    known = number.around.topic == "account" and number.numerals <= len(number.digits) / 2
    return _account(number) if known else None


def _phone_of_numerals(number: Candidate) -> Kind | None:
    kind = _mobile(number) or _landline(number)
    return kind if kind and kind.weight > STRICT else None


def _is_dictated(number: Candidate) -> bool:
    """Tell whether the digits are one number by themselves: in one piece, hyphened, or spoken."""
    if _DAYS.fullmatch(number.digits) or _YEARS.fullmatch(number.digits):
        return False
    if number.gaps <= {Gap.TIGHT, Gap.HYPHEN}:
        return True
    if len(number.digits) > _MAX_ACCOUNT:
        return False
    if number.spoken and (Gap.WORDS in number.gaps or number.paused(_BANK_SHAPES)):
        return True
    return number.mostly_spoken or number.paused(_RARE_SHAPES)


_LONG = 18
_Form = Callable[[Candidate], Kind | None]
_SIZES: tuple[tuple[_Form, range], ...] = (
    (_public, range(8, 12)),
    (_resident, range(7, 15)),
    (_licence, range(10, 14)),
    (_passport, range(7, 10)),
    (_mobile, range(9, 16)),
    (_landline, range(9, 16)),
    (_local_phone, range(7, 9)),
    (_card, range(13, 18)),
    (_account, range(8, _LONG + 1)),
)
_FORMS = [[form for form, sizes in _SIZES if size in sizes] for size in range(_LONG + 1)]
"""The forms that a number of so many digits can have."""
_FORMS_OF_NUMERALS: tuple[_Form, ...] = (_phone_of_numerals, _account_of_numerals)
