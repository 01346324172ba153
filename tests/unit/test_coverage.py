from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.compliance.absence import bar_to_absence
from api_server.compliance.coverage import FULL_COVERAGE, NO_COVERAGE, Coverage, measure_coverage
from api_server.compliance.findings import Reading, Reason
from api_server.compliance.rubric import load_rubric
from api_server.http.transcripts import head
from stt_engine.coverage import (
    ChannelCoverage,
    SpeechCoverage,
    Unheard,
    UnheardReason,
    nothing_recognised,
    recognised_coverage,
)
from stt_engine.speech import Segment, Transcript
from stt_engine.warnings import BARS_ABSENCE, MESSAGES, AnswerWarning, warning


def heard(
    *channels: tuple[float, float],
    unheard: Sequence[Unheard] = (),
    decoded: float | None = 1.0,
    said: str = "네",
    speaker: str | None = "agent",
    warnings: Sequence[AnswerWarning] = (),
) -> Transcript:
    told = [ChannelCoverage(number, *seconds) for number, seconds in enumerate(channels)]
    return Transcript(
        said,
        "ko",
        60.0,
        "speech" if said else "no_speech",
        segments=(Segment(0, 0, 1, said, 0, speaker),) if said else (),
        coverage=recognised_coverage(told, unheard, decoded, "unknown"),
        warnings=tuple(warnings),
    )


def test_each_side_has_its_own_share() -> None:
    found = measure_coverage(heard((40, 40), (20, 10)), agent_channel=0)
    assert found == Coverage(1.0, 0.5)
    assert found.is_sufficient("agent")
    assert not found.is_sufficient("any")
    swapped = measure_coverage(heard((40, 40), (20, 10)), agent_channel=1)
    assert swapped == Coverage(0.5, 1.0)
    assert not swapped.is_sufficient("agent")


def test_one_channel_is_both_sides() -> None:
    assert measure_coverage(heard((10, 8)), agent_channel=1) == Coverage(0.8, 0.8)


def test_where_speakers_are_not_known_either_channel_may_be_the_agents() -> None:
    assert measure_coverage(heard((40, 40), (20, 10), speaker=None), 0) == Coverage(0.5, 0.5)


def test_a_silent_side_is_covered() -> None:
    assert measure_coverage(heard((10, 10), (0, 0)), 0) == FULL_COVERAGE


def test_what_was_not_decoded_lowers_every_side() -> None:
    assert measure_coverage(heard((10, 10), (10, 5), decoded=0.8), 0) == Coverage(0.8, 0.4)
    assert heard((10, 10), (10, 5), decoded=0.8).coverage == SpeechCoverage(
        0.6, 0.8, "unknown", (ChannelCoverage(0, 10, 10), ChannelCoverage(1, 10, 5))
    )


def test_of_a_length_that_nobody_knows_no_share_is_claimed() -> None:
    """A cut file was called heard to 0.99: the little that its last page was short of."""
    told = recognised_coverage([ChannelCoverage(0, 10, 10)], [], None, "no")
    assert (told.share, told.decoded_share) == (None, None)
    transcript = replace(heard((10, 10)), coverage=told)
    assert measure_coverage(transcript, 0) == NO_COVERAGE
    assert head(transcript)["X-STT-Coverage"] == "unknown"


def test_nobodys_silence_is_known_where_they_spoke_without_text() -> None:
    """A notice is a second or two of a call of ten minutes: the share alone would not show it."""
    found = _with_gaps((0, 2.0))
    assert not found.is_sufficient("agent")
    assert not found.is_sufficient("any")
    found = _with_gaps((1, 2.0))
    assert found.is_sufficient("agent")
    assert not found.is_sufficient("any")
    assert _with_gaps((0, 0.5), (1, 0.3)).is_sufficient("any")
    mono = heard((300, 298), unheard=[Unheard(1, 5, 0, "no_text", 0.7)])
    assert not measure_coverage(mono, 1).is_sufficient("agent")


def _with_gaps(*gaps: tuple[int, float]) -> Coverage:
    unheard = [Unheard(1.0, 5.0, at, "no_text", voice) for at, voice in gaps]
    return measure_coverage(heard((300, 298), (200, 200), unheard=unheard), 0)


@pytest.mark.parametrize("seconds", [(-1, 0), (float("nan"), 1), (float("inf"), 1), (1, 2)])
def test_what_is_no_length_is_refused(seconds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="recognised_sec"):
        ChannelCoverage(0, *seconds)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_what_is_no_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        SpeechCoverage(share, 1.0, "yes")
    with pytest.raises(ValueError, match="share"):
        SpeechCoverage(1.0, share, "yes")


def test_what_nobody_counted_covers_nothing() -> None:
    told = heard((10, 10))
    for coverage in (None, nothing_recognised(60.0), replace(told.coverage, channels=())):  # type: ignore[type-var]
        assert measure_coverage(replace(told, coverage=coverage), 0) == NO_COVERAGE


def test_no_speech_covers_nothing() -> None:
    assert measure_coverage(heard((1, 1), said=""), 0) == NO_COVERAGE


numbers = st.floats(0, 1e6)


@given(st.lists(st.tuples(numbers, st.floats(0, 1)), min_size=1, max_size=2))
def test_a_share_is_a_share(told: list[tuple[float, float]]) -> None:
    channels = [(found, found * share) for found, share in told]
    coverage = measure_coverage(heard(*channels), 0)
    assert 0 <= coverage.agent <= 1
    assert 0 <= coverage.customer <= 1
    missing = any(found and got / found < 0.9 for found, got in channels)
    assert coverage.is_sufficient("any") is not missing


@pytest.mark.parametrize("reason", get_args(UnheardReason))
@pytest.mark.parametrize("seconds", [0.0, 0.5, 0.7, 3.0])
def test_what_could_not_be_decoded_forbids_claims_of_absence(
    reason: UnheardReason, seconds: float
) -> None:
    told = heard((10, 10), (10, 10), unheard=[Unheard(3.0, 3.0 + seconds, None, reason)])
    short = seconds < 0.6 and reason in {"damaged", "lost"}
    assert measure_coverage(told, 0).is_sufficient("agent") is short
    assert measure_coverage(told, 0).is_sufficient("any") is short


INPUTS: dict[str, dict[str, Any]] = {
    "share": {"channels": ((10, 8.9), (10, 10))},
    "decoded": {"decoded": 0.89},
    "nobody knows how much was decoded": {"decoded": None},
    "reading not proved": {"reading": "not_proved"},
    "reading not asked": {"reading": "not_asked"},
    **{
        f"ledger: {reason}": {"unheard": [Unheard(3.0, 5.0, None, reason)]}
        for reason in get_args(UnheardReason)
    },
    **{f"warning: {code}": {"warnings": [warning(code, "")]} for code in BARS_ABSENCE},
    "a warning that is not ours": {"warnings": [AnswerWarning("new", "새", "of a newer server")]},
}
HARMLESS = [warning(code, "") for code in set(MESSAGES) - BARS_ABSENCE]


@given(st.sampled_from(sorted(INPUTS)), st.sampled_from(load_rubric().elements))
def test_each_input_alone_takes_the_right_to_say_that_something_was_not_said(
    broken: str, element: Any
) -> None:
    def bar(
        *,
        reading: Reading = "proved",
        channels: Any = ((10, 10), (10, 10)),
        warnings: Any = (),
        **told: Any,
    ) -> Reason | None:
        transcript = heard(*channels, warnings=[*HARMLESS, *warnings], **told)
        return bar_to_absence(element, measure_coverage(transcript, 0), reading)

    assert bar() is None
    expected = "reading_not_proved" if "reading" in broken else "transcript_degraded"
    assert bar(**INPUTS[broken]) == expected
