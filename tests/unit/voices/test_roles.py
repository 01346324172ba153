"""Roles come from what is said, never from who speaks first, and only where they are certain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stt_engine.recognition.roles import LEAST, roles_of
from stt_engine.speech import Segment

CALL = json.loads((Path(__file__).parents[3] / "audio" / "sample_call_ko.json").read_text("utf-8"))[
    "segments"
]


def call(agent: int, *, dropped: int = 0) -> list[Segment]:
    return [
        Segment(
            at,
            one["start"],
            one["end"],
            one["text"],
            voice=agent if one["speaker"] == "agent" else 1 - agent,
        )
        for at, one in enumerate(CALL[dropped:])
    ]


@pytest.mark.parametrize("agent", [0, 1])
@pytest.mark.parametrize("dropped", [0, 1, 3])
def test_the_agent_is_known_by_what_is_said(agent: int, dropped: int) -> None:
    roles = roles_of(call(agent, dropped=dropped))
    assert roles.agent == agent
    assert roles.certainty >= LEAST


def test_the_same_words_from_both_name_nobody() -> None:
    notice = "네, 이 통화는 녹음되고 있습니다."
    same = [Segment(at, at, at + 1.0, notice, voice=at % 2) for at in range(6)]
    assert roles_of(same).agent is None


@pytest.mark.parametrize("texts", [[], ["네", "네"], ["음", "그래요"]])
def test_little_said_names_nobody(texts: list[str]) -> None:
    segments = [Segment(at, at, at + 1.0, text, voice=at % 2) for at, text in enumerate(texts)]
    assert roles_of(segments).agent is None


def test_words_of_an_unknown_voice_count_for_nobody() -> None:
    unknown = [Segment(one.id, one.start, one.end, one.text) for one in call(0)]
    assert roles_of(unknown).agent is None
