"""What rules and model were how sure of, beside what people settled. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from api_server.store.review_records import CONFIDENCES, ConfidenceTally
from api_server.web.statistics import LEAST, Estimate, share
from api_server.web.words import Pair, Tone

_VERDICTS: dict[str, tuple[Pair, Tone]] = {
    "few": ((f"판단이 {LEAST}건보다 적음", f"fewer than {LEAST} judgements"), "quiet"),
    "right": (("구간 안: 맞음", "within the interval"), "good"),
    "over": (("지나치게 확신함", "too sure"), "bad"),
    "under": (("확신이 모자람", "not sure enough"), "warn"),
}


@dataclass(frozen=True, slots=True)
class Calibrated:
    """Confidences of one group: their mean, and the share that people say was said.

    ``low`` and ``high`` are the edges of the group.
    """

    low: float
    high: float
    number: int
    stated: float | None
    actual: Estimate | None

    @property
    def verdict(self) -> tuple[Pair, Tone]:
        """Whether the mean is within the interval of the share, in words."""
        if self.number < LEAST or self.actual is None or self.stated is None:
            return _VERDICTS["few"]
        if self.stated > self.actual.high:
            return _VERDICTS["over"]
        return _VERDICTS["under" if self.stated < self.actual.low else "right"]

    @property
    def edges(self) -> str:
        """The group as people write it."""
        return f"{self.low * 100:.0f}–{self.high * 100:.0f}%"


def calibrated(tallies: Iterable[ConfidenceTally]) -> tuple[Calibrated, list[Calibrated]]:
    """Return all of some tallies together, and each group of confidences."""
    found = list(tallies)
    groups = [
        _sum([one for one in found if one.group == number], *CONFIDENCES[number : number + 2])
        for number in range(len(CONFIDENCES) - 1)
    ]
    return _sum(found, CONFIDENCES[0], CONFIDENCES[-1]), groups


def by_element(tallies: Sequence[ConfidenceTally]) -> dict[str, Calibrated]:
    """Return all confidences of each element that has some."""
    names = dict.fromkeys(one.element for one in tallies)
    return {name: calibrated(one for one in tallies if one.element == name)[0] for name in names}


def _sum(tallies: Sequence[ConfidenceTally], low: float, high: float) -> Calibrated:
    number = sum(one.number for one in tallies)
    stated = sum(one.stated for one in tallies) / number if number else None
    return Calibrated(low, high, number, stated, share(sum(one.said for one in tallies), number))
