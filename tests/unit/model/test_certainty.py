"""How a score and a rule's hit come to a confidence, and what a precision takes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from api_server.compliance.model_card import MORE_LIKELY_THAN_NOT, Calibration, Point

KNOWN = Calibration(
    constant=-1.0,
    score=2.0,
    part=0.5,
    rule=1.0,
    length=-0.5,
    points=(
        Point(confidence=0.2, precision=0.5, recall=0.9),
        Point(confidence=0.6, precision=0.9, recall=0.6),
        Point(confidence=0.8, precision=0.95, recall=0.4),
    ),
)
scores = st.floats(-50, 50)
windows = st.integers(1, 10_000)


@given(scores, windows, st.booleans())
def test_a_confidence_is_a_share(score: float, many: int, rule: bool) -> None:
    assert 0 <= KNOWN.confidence(score, 0.0, many, rule=rule) <= 1


@given(scores, st.floats(0, 10), windows)
def test_what_sounds_more_like_it_is_no_less_sure(score: float, more: float, many: int) -> None:
    less = KNOWN.confidence(score, 0.0, many, rule=False)
    assert KNOWN.confidence(score + more, 0.0, many, rule=False) >= less
    assert KNOWN.confidence(score, 0.0, many, rule=True) >= less


@given(scores, windows, st.integers(0, 100))
def test_a_longer_call_makes_nothing_surer(score: float, many: int, more: int) -> None:
    longer = KNOWN.confidence(score, 0.0, many + more, rule=False)
    assert longer <= KNOWN.confidence(score, 0.0, many, rule=False)


def test_the_lowest_point_with_the_precision_is_taken() -> None:
    assert KNOWN.needed(0.9) == 0.6
    assert KNOWN.needed(0.95) == 0.8
    assert KNOWN.needed(0.99) is None


def test_what_is_less_likely_than_not_is_never_enough() -> None:
    assert KNOWN.needed(0.5) == MORE_LIKELY_THAN_NOT
