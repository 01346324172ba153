"""The utterances that the machine puts together mean side by side what each means alone.

The judge takes that for granted (``RULES_FIND``). The machine draws few of the combinations; here
are all pairs.
"""

from __future__ import annotations

from itertools import permutations

import pytest

from api_server.services.rubric import load_rubric
from api_server.services.rules import PatternRules
from stt_engine.speech import Segment
from tests.honesty.calls import RULES_FIND, UTTERANCES


def _segments(names: tuple[str, ...], *, stereo: bool) -> list[Segment]:
    segments = []
    for place, (speaker, text) in enumerate(UTTERANCES[name] for name in names):
        segments.append(
            Segment(
                id=place,
                start=place * 4.0,
                end=place * 4.0 + 3.0,
                text=text,
                channel=int(stereo and speaker == "customer"),
                speaker=speaker if stereo else None,
            )
        )
    return segments


@pytest.mark.parametrize("stereo", [False, True])
def test_two_utterances_mean_what_each_means(stereo: bool) -> None:
    rules = PatternRules(load_rubric())
    for names in permutations(UTTERANCES, 2):
        agents = [name for name in names if not stereo or UTTERANCES[name][0] == "agent"]
        meant = {element for name in agents for element in RULES_FIND.get(name, ())}
        found = rules.examine(_segments(names, stereo=stereo))
        assert {name for name, one in found.items() if one.evidence} == meant, names
