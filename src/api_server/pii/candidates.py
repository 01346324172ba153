"""What recognisers judge: some consecutive groups of a run of digits, in one reading.

A run is divided in many ways, and most divisions are numbers of no kind; so whatever several of
them share is worked out once, and the rest only where a recogniser asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import accumulate, islice, pairwise, product

from api_server.pii.digit_groups import DigitGroup, NumberReading
from api_server.pii.gaps import Gap
from api_server.pii.lexicon import CONTEXT_WORD
from api_server.pii.spoken_numbers import NumberRun

IMPERSONAL_TOPICS = frozenset({"company", "other"})
"""Topics whose numbers do not belong to a person."""

MIN_DIGITS = 7
"""A number of a person has as many digits at least."""
MAX_DIGITS = 17
"""And as many at most, unless they are joined by nothing but hyphens."""

_CONTEXT_CHARS = 60
_NEAR_CHARS = 16
_MAX_LONE_DIGITS = 2
_MAX_READINGS = 81
_TOPIC_AFTER = re.compile(
    r"(?:번?(?:으?로|이고요?|이|가|이?요|예요|이에요|입니다)?[\s.,]{0,2})?(?:(?:이게|제|내|회사|집|사무실)\s)?"
    rf"(?:{CONTEXT_WORD.pattern.replace('?P<other>', '').replace('?P<company>', '')})"
    r"\s?(?:번호|증|\Z|(?=[가이예입요.,\n]))"
)
_SERIES_GAPS = 3
_SERIES_STEP = 10
_SERIES_VALUES = range(10, 121)
_BANK = r"(?:국민|신한|우리|하나|기업|제일|씨티|토스|카카오|케이)"
_BANK_BEFORE = re.compile(rf"(?<![가-힣]){_BANK}\s{{0,2}}\Z")
_BANK_AFTER = re.compile(
    rf"(?:번?(?:으?로|이?고요?|이?요|예요|이에요|입니다)?[\s.,]{{0,2}})?"
    rf"(?:[가-힣]{{0,4}}(?:은행|뱅크|카뱅|농협|수협|신협|금고|우체국|증권|계좌)|{_BANK}|입금|이체|송금)"
)


class RunInText:
    """A run and the text around it, with sums that spare each part of it a walk over its groups."""

    def __init__(self, text: str, run: NumberRun) -> None:
        self.text = text
        self.groups = groups = run.groups
        self.gaps = gaps = run.gaps
        self.digits = "".join([group.digits for group in groups])
        self.sizes = tuple([len(group.digits) for group in groups])
        self.total = _sums(self.sizes)
        self.likely = _sums([len(group.likely.digits) for group in groups])
        self.firsts = [group.readings[0] for group in groups]
        readings = [group.readings for group in groups]
        lone = [size == 1 for size in self.sizes]
        one_by_one = [all_[: 1 if one else None] for all_, one in zip(readings, lone, strict=True)]
        self.lone = _sums(lone)
        self._readings = _Readings(readings), _Readings(one_by_one)
        self.spoken = _sums([group.spoken for group in groups])
        self.numerals = _sums([len(group.digits) if group.numeral else 0 for group in groups])
        self.loose = _sums([gap is Gap.LOOSE for gap in gaps])
        self.words = _sums([gap is Gap.WORDS for gap in gaps])
        self.apart = _sums([gap > Gap.HYPHEN for gap in gaps])
        self.commas = _sums([group.numeral and not group.spoken for group in groups])
        self.series = _sums(_in_series([group.likely.digits for group in groups]))
        self._announced = _announced_topic(text, groups[0].start)
        self._after = [_topic_after(text, group) for group in groups]
        self._bank_before = [_has_bank_before(text, group.start) for group in groups]
        self._bank_after = [bool(_BANK_AFTER.match(text, group.end)) for group in groups]

    def readings(self, start: int, end: int) -> _Readings:
        """Return the readings to try; where digits are said one by one, 이 is always a 2."""
        return self._readings[self.lone[end] - self.lone[start] > _MAX_LONE_DIGITS]

    def topic(self, start: int, end: int) -> str:
        """Return the entity type that the words around some of the groups announce; else empty."""
        if self._announced:
            return self._announced
        if self._bank_before[start] or self._bank_after[end - 1]:
            return "account"
        return self._after[end - 1]


def _has_bank_before(text: str, start: int) -> bool:
    return bool(_BANK_BEFORE.search(text[max(0, start - _NEAR_CHARS) : start]))


def _topic_after(text: str, group: DigitGroup) -> str:
    """Return the entity type that the words right after ``group`` name; else empty."""
    found = _TOPIC_AFTER.match(text, group.likely.end)
    return (found and found.lastgroup) or ""


def _in_series(digits: Sequence[str]) -> list[bool]:
    """Return what is in a series: values that rise or fall by small steps, as barriers do."""
    values = [int(one) if one[:1] > "0" and len(one) < len("1000") else 0 for one in digits]
    steps = [
        right - left if left in _SERIES_VALUES and right in _SERIES_VALUES else _SERIES_STEP + 1
        for left, right in pairwise(values)
    ]
    inside = [False] * len(digits)
    for start in range(len(digits)):
        if _is_series(steps[start : start + _SERIES_GAPS]):
            inside[start : start + _SERIES_GAPS + 1] = [True] * (_SERIES_GAPS + 1)
    return inside


def _is_series(steps: Sequence[int]) -> bool:
    falls = all(-_SERIES_STEP <= step <= 0 for step in steps)
    return len(steps) == _SERIES_GAPS and (
        falls or all(0 <= step <= _SERIES_STEP for step in steps)
    )


class _Readings:
    """The readings to try of each group of a run."""

    def __init__(self, readings: list[tuple[NumberReading, ...]]) -> None:
        self._readings = readings
        self._unclear = _sums([len(each) > 1 for each in readings])

    def varied(self, start: int, end: int) -> int:
        """Return from which group on any reading but the first is tried."""
        combined = 1
        while self._unclear[start] < self._unclear[end] and combined < _MAX_READINGS:
            end -= 1
            combined *= len(self._readings[end])
        return end

    def combined(self, start: int, end: int) -> Iterator[tuple[NumberReading, ...]]:
        """Yield the first combinations of readings."""
        return islice(product(*self._readings[start:end]), _MAX_READINGS)


def _sums(counts: Sequence[int]) -> list[int]:
    return [0, *accumulate(counts)]


def _announced_topic(text: str, run_start: int) -> str:
    """Return the entity type that the last context word before a run announces; else empty."""
    topic = ""
    for word in CONTEXT_WORD.finditer(text, max(0, run_start - _CONTEXT_CHARS), run_start):
        announced = word.lastgroup or ""
        if announced not in IMPERSONAL_TOPICS or run_start - word.end() <= _NEAR_CHARS:
            topic = announced
    return topic


class Part:
    """Consecutive groups of a run: what all their readings share.

    Every reading of the groups before ``_varied`` is their first.
    """

    __slots__ = ("_cost", "_end", "_readings", "_run", "_start", "_varied", "numerals", "topic")

    def __init__(self, run: RunInText, start: int, end: int) -> None:
        self._run, self._start, self._end = run, start, end
        self.topic = run.topic(start, end)
        self.numerals = run.numerals[end] - run.numerals[start]
        self._readings = run.readings(start, end)
        self._varied = self._readings.varied(start, end)
        self._cost: float | None = None

    @property
    def text(self) -> str:
        """The text that the groups are found in."""
        return self._run.text

    @property
    def start(self) -> int:
        """Where they start in it."""
        return self._run.groups[self._start].start

    @property
    def spoken(self) -> int:
        """How many groups are spoken words."""
        return self._run.spoken[self._end] - self._run.spoken[self._start]

    @property
    def loose_gaps(self) -> int:
        """How many gaps are loose."""
        return self._gaps(self._run.loose)

    @property
    def clear_cost(self) -> float:
        """How unlikely the groups are that are read in one way only."""
        if self._cost is None:
            self._cost = sum([reading.cost for reading in self.clear_readings])
        return self._cost

    @property
    def groups(self) -> Sequence[DigitGroup]:
        """The groups."""
        return self._run.groups[self._start : self._end]

    @property
    def is_mostly_spoken(self) -> bool:
        """True where most groups are spoken words."""
        return self.spoken > (self._end - self._start) / 2

    @property
    def has_series(self) -> bool:
        """True where most groups rise or fall by small steps: 구십 팔십오 팔십."""
        inside = self._run.series[self._end] - self._run.series[self._start]
        return inside > (self._end - self._start) / 2

    @property
    def commas(self) -> int:
        """How many groups are written with thousands separators."""
        return self._run.commas[self._end] - self._run.commas[self._start]

    @property
    def has_words(self) -> bool:
        """True where separators, endings or fillers stand between the groups."""
        return self._gaps(self._run.words) > 0

    @property
    def is_joined(self) -> bool:
        """True where nothing but hyphens stands between the groups."""
        return not self._gaps(self._run.apart)

    def _gaps(self, sums: Sequence[int]) -> int:
        return sums[self._end - 1] - sums[self._start]

    def candidates(self) -> Iterator[Candidate]:
        """Yield every reading that has as many digits as a number can have."""
        run, varied = self._run, self._varied
        clear = run.digits[run.total[self._start] : run.total[varied]]
        most = len(run.digits) if self.is_joined else MAX_DIGITS
        if varied == self._end or len(clear) > most:
            if MIN_DIGITS <= len(clear) <= most:
                yield Candidate(self, (), clear)
            return
        for chosen in self._readings.combined(varied, self._end):
            digits = clear + "".join([reading.digits for reading in chosen])
            if MIN_DIGITS <= len(digits) <= most:
                yield Candidate(self, chosen, digits)

    @property
    def clear_sizes(self) -> tuple[int, ...]:
        """How many digits each of the groups has that are read in one way only."""
        return self._run.sizes[self._start : self._varied]

    @property
    def clear_readings(self) -> Sequence[NumberReading]:
        """The reading of each of these groups."""
        return self._run.firsts[self._start : self._varied]


class Candidate:
    """Consecutive digit groups in one reading: what a recogniser judges."""

    __slots__ = ("_boundaries", "_chosen", "_sizes", "digits", "part", "topic")

    def __init__(self, part: Part, chosen: Sequence[NumberReading], digits: str) -> None:
        self.part = part
        self.digits = digits
        self.topic = part.topic
        self._chosen = chosen
        self._sizes: tuple[int, ...] | None = None
        self._boundaries: frozenset[int] | None = None

    @property
    def readings(self) -> list[NumberReading]:
        """The reading of each group."""
        return [*self.part.clear_readings, *self._chosen]

    @property
    def cost(self) -> float:
        """How unlikely the reading and the gaps are."""
        return sum([one.cost for one in self._chosen], self.part.clear_cost) + self.part.loose_gaps

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many digits each group has that has any."""
        if self._sizes is None:
            chosen = [len(one.digits) for one in self._chosen if one.digits]
            self._sizes = (*self.part.clear_sizes, *chosen)
        return self._sizes

    @property
    def boundaries(self) -> frozenset[int]:
        """After how many digits a group ends, and another follows."""
        if self._boundaries is None:
            self._boundaries = frozenset(accumulate(self.sizes[:-1]))
        return self._boundaries

    @property
    def is_in_fours(self) -> bool:
        """True where the digits are grouped in fours, or not grouped at all."""
        return self.is_digit_by_digit or all(cut % 4 == 0 for cut in self.boundaries)

    @property
    def is_digit_by_digit(self) -> bool:
        """True where most digits are groups of their own: the boundaries then mean nothing."""
        return len(self.sizes) > len(self.digits) / 2

    def has_grouping(self, groupings: AbstractSet[tuple[int, ...]]) -> bool:
        """Return whether the digits are grouped in one of these ways."""
        return self.sizes in groupings

    def has_boundaries(self, *offsets: int) -> bool:
        """Return whether a group ends after each of these numbers of digits."""
        return self.boundaries.issuperset(offsets)

    def is_followed_by(self, pattern: re.Pattern[str]) -> bool:
        """Return whether ``pattern`` matches right after the candidate."""
        return bool(pattern.match(self.part.text, self.part.groups[-1].likely.end))

    def text_before(self, chars: int = _NEAR_CHARS) -> str:
        """Return the characters right before the candidate."""
        return self.part.text[max(0, self.part.start - chars) : self.part.start]

    def span_before(self, pattern: re.Pattern[str]) -> tuple[tuple[int, int], ...]:
        """Return the span of ``pattern`` shortly before the candidate, or nothing."""
        start = self.part.start
        found = pattern.search(self.part.text, max(0, start - _NEAR_CHARS), start)
        return ((found.start(), found.end()),) if found else ()
