"""Every error that can be reported, and every documented fallback, has a scenario."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stt_engine.errors import EngineError
from stt_tools.drill.registry import EXEMPT, scenarios, taxonomy
from stt_tools.drill.scenario import Scenario

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "fallback.md"
ELSEWHERE = {"QueueFull"}
"""What is reported and is no ``EngineError``: a refusal."""


def leaves() -> set[str]:
    """Return the error classes of the product that have no children: those that are raised."""
    ours = {
        name: error
        for name, error in taxonomy().items()
        if error.__module__.startswith(("stt_engine.", "api_server."))
    }
    return {name for name, error in ours.items() if not _children(error)}


def _children(error: type[EngineError]) -> list[type[EngineError]]:
    return [one for one in error.__subclasses__() if not one.__module__.startswith("tests")]


def covered() -> set[str]:
    return {name for one in scenarios() for name in one.covers}


def test_every_leaf_of_the_taxonomy_has_a_scenario() -> None:
    found = leaves()
    assert {"ModelNotFound", "CircuitOpen", "RemoteSttFailed", "CanaryFailed"} <= found
    missing = found - covered() - EXEMPT.keys()
    assert not missing, f"no scenario provokes {sorted(missing)}, and no reason is given"


def test_nothing_is_covered_that_does_not_exist() -> None:
    assert covered() <= taxonomy().keys() | ELSEWHERE


def test_an_exemption_has_a_reason_and_is_needed() -> None:
    assert EXEMPT.keys() <= leaves() - covered()
    assert all(len(reason) > 20 for reason in EXEMPT.values())


def documented() -> set[str]:
    """Return the headings under "Break it on purpose" and the rows of the table of processes."""
    text = DOCUMENT.read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    broken = text.partition("## Break it on purpose")[2].partition("\n## ")[0]
    table = text.partition("| work |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE)
    return {*re.findall(r"^### (.+)$", broken, re.MULTILINE), *rows} - {"---"}


def test_every_documented_fallback_has_a_scenario_and_no_other() -> None:
    shown = {name for one in scenarios() for name in one.shows}
    assert {"Both are gone", "decoding"} <= documented()
    assert documented() == shown


@pytest.mark.parametrize("one", scenarios(), ids=lambda one: one.name)
def test_a_scenario_is_described(one: Scenario) -> None:
    assert one.expected
    assert one.external or not one.needs_agent
    assert all(name.isupper() for name in one.profile.settings)


def test_names_are_unique() -> None:
    names = [one.name for one in scenarios()]
    assert len(names) == len(set(names))
