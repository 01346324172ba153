from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.services.coverage import NOTHING, WHOLE, Coverage, coverage_of
from stt_engine.speech import Segment, Transcript


def heard(told: Any, *, channels: int = 2, rejected: Any = (), said: str = "네") -> Transcript:
    provenance = {"coverage": told, "channels": channels, "rejected_segments": list(rejected)}
    segments = (Segment(0, 0, 1, said),) if said else ()
    outcome: Any = "speech" if said else "no_speech"
    return Transcript(said, "ko", 60.0, outcome, segments=segments, provenance=provenance)


def channel(number: int, speech: float, recognised: float) -> dict[str, Any]:
    return {"channel": number, "speech_sec": speech, "recognised_sec": recognised}


def test_each_side_has_its_own_share() -> None:
    found = coverage_of(heard([channel(0, 40, 40), channel(1, 20, 10)]), agent_channel=0)
    assert found == Coverage(1.0, 0.5)
    assert found.suffices("agent")
    assert not found.suffices("any")
    swapped = coverage_of(heard([channel(0, 40, 40), channel(1, 20, 10)]), agent_channel=1)
    assert swapped == Coverage(0.5, 1.0)
    assert not swapped.suffices("agent")


def test_one_channel_is_both_sides() -> None:
    found = coverage_of(heard([channel(0, 10, 8)], channels=1), agent_channel=1)
    assert found == Coverage(0.8, 0.8)


def test_a_silent_side_is_covered() -> None:
    assert coverage_of(heard([channel(0, 10, 10), channel(1, 0, 0)]), 0) == WHOLE
    assert coverage_of(heard([channel(0, 10, 10)]), 0) == WHOLE


def test_what_was_rejected_may_have_been_the_notice() -> None:
    found = coverage_of(heard([channel(0, 100, 99)], rejected=[{"reason": "repetition_loop"}]), 0)
    assert found.agent == 0.99
    assert not found.suffices("agent")


@pytest.mark.parametrize(
    "told",
    [
        None,
        [],
        {},
        "whole",
        [1],
        [{}],
        [channel(0, -1, 0)],
        [channel(0, float("nan"), 1)],
        [channel(0, float("inf"), 1)],
        [{**channel(0, 1, 1), "channel": "x"}],
    ],
)
def test_what_tells_nothing_covers_nothing(told: Any) -> None:
    assert coverage_of(heard(told), 0) == NOTHING


def test_no_speech_covers_nothing() -> None:
    assert coverage_of(heard([channel(0, 1, 1)], said=""), 0) == NOTHING


numbers = st.floats(0, 1e6)


@given(st.lists(st.tuples(st.integers(0, 1), numbers, numbers), min_size=1, max_size=2))
def test_a_share_is_a_share(told: list[tuple[int, float, float]]) -> None:
    found = coverage_of(heard([channel(*one) for one in told]), 0)
    assert 0 <= found.agent <= 1
    assert 0 <= found.customer <= 1
    missing = any(got < 0.9 * sec for _, sec, got in told)
    assert found.suffices("any") is not missing
