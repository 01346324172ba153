"""Whatever the text of a call is, the work on it grows no faster than the text: the quick part."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from api_server.compliance.patterns.linear_pattern import Order, Pattern, Subject
from api_server.compliance.patterns.pattern_language import PatternInvalid, compile_pattern
from api_server.compliance.prompt import _strip_fence
from api_server.compliance.untrusted import neutralise
from api_server.pii.redaction import redact
from stt_engine.speech import Segment
from tests.support.growth import grows_faster, text


def steps(work: Callable[[], object]) -> int:
    """Return how many lines of Python a work takes."""
    count = 0

    def traced(_frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal count
        count += event == "line"
        return traced

    before = sys.gettrace()
    sys.settrace(traced)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("unit", ["1 ", "1 1 ", "이 맞 ", "일 거 ", "010-1234-5678 "])
def test_masking_takes_steps_in_proportion_to_the_text(unit: str) -> None:
    """Beyond the groups that one number may have; the ``이`` of ``이 맞`` is likely to be no 2."""

    def masked(count: int) -> int:
        return steps(lambda: redact((Segment(0, 0.0, 0.0, unit * count),)))

    assert masked(200) < 5 * masked(50)


def test_an_operators_own_pattern_is_linear() -> None:
    """Each of these takes ``re`` a time that grows with the square of the text, or worse."""
    for source in ("가*가*나", "[가-힣]+년|가", "(?:가|가가)+나", ".*나", "가+가+나(?!다)"):
        pattern = Pattern(source)
        assert not grows_faster(
            lambda one, p=pattern: sum(1 for _ in p.spans(Subject(one))),
            text("가", 600),
            text("가", 2400),
        )


def test_patterns_in_order_are_searched_in_linear_time() -> None:
    order = Order((Pattern("가"), Pattern("나|다")))
    assert not grows_faster(
        lambda one: sum(1 for _ in order.starts(Subject(one))), text("가", 600), text("가", 2400)
    )


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        (("가", "나"), {0, 2}),
        (("가(?!나)", "나"), {0, 2}),  # what it looks around for is none of its business
        (("(?<!다)나", "가"), {1}),
        (("가|다", "나", "라"), set()),
    ],
)
def test_patterns_in_order_stand_in_one_line(parts: tuple[str, ...], lines: set[int]) -> None:
    told = ["가나", "나가", "𝄞 é가　다나", "가", "라"]
    starts = [sum(len(one) + 1 for one in told[:at]) for at in range(len(told))]
    found = Order(tuple(map(Pattern, parts))).starts(Subject("\n".join(told)))
    assert {max(n for n, start in enumerate(starts) if start <= at) for at in found} == lines


@pytest.mark.parametrize("source", ["(?:가+)+나", "(?:가|가가)+(?!다)나", r"(가)\1"])
def test_what_could_not_be_linear_is_refused(source: str) -> None:
    with pytest.raises(PatternInvalid):
        compile_pattern(source, {})


def test_a_fence_is_found_in_one_pass() -> None:
    assert _strip_fence('```json \n{"a": 1}\n ```') == '{"a": 1}'
    assert _strip_fence("```\n{}\n```") == "{}"
    for no_fence in ("```python\n{}\n```", "```json\n{}", "{}", "```\n```", "``` {}\n```"):
        assert _strip_fence(no_fence) == no_fence
    assert steps(lambda: _strip_fence("```" + "\n" * 5000)) < 50
    assert not grows_faster(neutralise, text("<", 800), text("<", 3200))
