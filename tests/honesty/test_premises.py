"""What the machine and its mutants take for granted, told in seconds where it is no longer so.

The utterances mean side by side what each means alone (``RULES_FIND``): the machine draws few of
the combinations; here are all pairs. Every kept defect can still be put into the sources.
"""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from api_server.compliance.rubric import load_rubric
from api_server.compliance.rules.engine import PatternRules
from stt_engine.speech import Segment
from tests.honesty.calls import RULES_FIND, UTTERANCES
from tests.honesty.mutants import MUTANTS, Mutant

SOURCES = Path(__file__).resolve().parents[2] / "src"


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


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.breaks)
def test_a_kept_defect_can_be_made(mutant: Mutant) -> None:
    assert (SOURCES / mutant.file).read_text(encoding="utf-8").count(mutant.old) == 1
