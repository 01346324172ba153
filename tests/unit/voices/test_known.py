"""A name for a voice: where it is certain, never the nearest, and never for two voices."""

from __future__ import annotations

import math

import pytest

from stt_engine.recognition.known import (
    LEAST,
    MOST_SEC,
    Match,
    agent_among,
    as_data,
    matched,
    spans_by_voice,
    with_names,
)
from stt_engine.recognition.roles import Roles
from stt_engine.speech import KnownVoice, Segment

FIRST, SECOND = (0, 0), (0, 1)


def vector(*numbers: float) -> tuple[float, ...]:
    length = math.sqrt(sum(one * one for one in numbers))
    return tuple(one / length for one in numbers)


KIM = KnownVoice("Kim", vector(1, 0, 0), is_agent=True)
LEE = KnownVoice("Lee", vector(0, 1, 0))


def test_the_voice_that_it_is_has_the_name_and_nobody_else() -> None:
    found = matched({FIRST: vector(1, 0.1, 0), SECOND: vector(0.3, 0.3, 1)}, [KIM, LEE])
    assert {voice: one.known.name for voice, one in found.items()} == {FIRST: "Kim"}
    assert LEAST <= found[FIRST].certainty <= 1


@pytest.mark.parametrize(
    ("heard", "known"),
    [
        ({FIRST: vector(0.4, 0.1, 1)}, [KIM, LEE]),  # nearest to Kim, and not Kim
        ({FIRST: vector(1, 0, 0)}, [KIM, KnownVoice("Kim's twin", KIM.embedding)]),
        ({FIRST: vector(1, 0, 0), SECOND: vector(1, 0.01, 0)}, [KIM]),  # one person, two voices
        ({FIRST: vector(1, 0, 0)}, []),
    ],
)
def test_what_is_not_certain_has_no_name(heard: dict, known: list[KnownVoice]) -> None:
    assert matched(heard, known) == {}


def test_each_voice_is_looked_at_by_its_longest_segments() -> None:
    said = [Segment(at, 100.0 * at, 100.0 * at + 10 + at, "a", voice=at % 2) for at in range(20)]
    short = Segment(20, 9_000.0, 9_001.0, "b", channel=1, speaker_source="channel")
    nobody = Segment(21, 9_100.0, 9_200.0, "c")
    spans = spans_by_voice([*said, short, nobody])
    assert spans.keys() == {FIRST, SECOND}
    assert spans[FIRST] == sorted(spans[FIRST])
    assert spans[FIRST][-1] == (1800.0, 1828.0)
    assert all(sum(b - a for a, b in one) < MOST_SEC + 30 for one in spans.values())


def test_names_are_of_voices_and_of_channels() -> None:
    matches = {FIRST: Match(KIM, 0.99), (1, None): Match(LEE, 0.97)}
    said = [
        Segment(0, 0, 1, "a", voice=0),
        Segment(1, 1, 2, "b", voice=1),
        Segment(2, 2, 3, "c", channel=1, speaker="customer", speaker_source="channel"),
        Segment(3, 3, 4, "d"),
    ]
    assert [one.speaker_name for one in with_names(said, matches)] == ["Kim", None, "Lee", None]
    assert as_data(matches, 2)["named"][0] == {
        "name": "Kim",
        "channel": 0,
        "voice": 0,
        "certainty": 0.99,
    }


def test_the_agent_is_one_voice_or_nobody() -> None:
    other = KnownVoice("Park", LEE.embedding, is_agent=True)
    assert agent_among({FIRST: Match(KIM, 0.99), SECOND: Match(LEE, 0.99)}) == (0, 0.99)
    assert agent_among({FIRST: Match(KIM, 0.99), SECOND: Match(other, 0.99)}) is None
    assert agent_among({(0, None): Match(KIM, 0.99)}) is None


@pytest.mark.parametrize(
    ("words", "certainty", "agent", "by"),
    [
        (Roles(None, 0.7), 0.99, 1, "voice"),
        (Roles(1, 0.985), 0.99, 1, "voice"),
        (Roles(0, 0.985), 0.99, None, None),  # words and voice differ: nobody knows
        (Roles(0, 0.985), 0.96, 0, "words"),
        (Roles(None, 0.7), 0.96, None, None),
    ],
)
def test_an_enrolled_voice_is_the_agent(
    words: Roles, certainty: float, agent: int | None, by: str | None
) -> None:
    found = words.with_agent(1, certainty)
    assert (found.agent, found.as_data()["by"]) == (agent, by)
