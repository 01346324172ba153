"""Whatever the text of a call is, the time of the work on it grows no faster than the text."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import api_server
from api_server.compliance.chunking import split_into_chunks
from api_server.compliance.evidence import TranscriptIndex
from api_server.compliance.patterns.linear_pattern import Pattern, Subject
from api_server.compliance.patterns.pattern_language import compile_pattern
from api_server.compliance.rubric import BUILT_IN, load_rubric
from api_server.compliance.rules.engine import PatternRules
from api_server.compliance.rules.grammar import load_grammar
from api_server.pii.redaction import redact
from api_server.text.plain_transcript import parse_transcript
from stt_engine.backends import repetition
from stt_engine.speech import Segment
from tests.support.growth import STEP, UNITS, grows_faster, seconds, suspect_size, text

pytestmark = pytest.mark.slow

RULES = PatternRules(load_rubric("sales_process"))
# A number is sought in up to 18 groups of digits, and masking a text grows until it has as many.
SMALLEST, LARGEST, LETTERS_A_TURN = 1000, 16_000, 8
MEASURABLE_SEC = 0.015


def call(unit: str, size: int) -> tuple[Segment, ...]:
    return (Segment(0, 0.0, 0.0, text(unit, size)),)


def turns(unit: str, size: int) -> tuple[Segment, ...]:
    return tuple(Segment(n, n, n + 1, unit, n % 2) for n in range(size // LETTERS_A_TURN))


Work = tuple[Callable[[Any], object], Callable[[str, int], Any]]
WORK: Mapping[str, Work] = {
    "masking a turn": (redact, call),
    "masking turns": (redact, turns),
    "rules in a turn": (RULES.examine, call),
    "rules in turns": (RULES.examine, turns),
    "chunks of turns": (lambda one: split_into_chunks(one, 600), lambda u, n: [u] * n),
    "chunks of a turn": (lambda one: split_into_chunks([one], 600), text),
    "evidence": (lambda one: TranscriptIndex(one).find("원금보장원금"), call),
    "reading lines": (parse_transcript, text),
}


def work_grows_faster(work: Callable[[Any], object], made: Callable[[str, int], Any]) -> list[str]:
    """Return the units of which more text takes far more time, once it takes any to speak of."""
    found = []
    for unit in UNITS:
        size, small = SMALLEST, seconds(work, made(unit, SMALLEST))
        while size < LARGEST:
            size *= STEP
            large = seconds(work, made(unit, size))
            if large > MEASURABLE_SEC:
                break
            small = large
        if large > 1.5 * STEP * small and grows_faster(
            work, made(unit, size // STEP), made(unit, size)
        ):
            found.append(unit)
    return found


@pytest.mark.parametrize("name", WORK)
def test_the_time_grows_with_the_text(name: str) -> None:
    assert work_grows_faster(*WORK[name]) == []


def compiled(found: object) -> Iterator[re.Pattern[str]]:
    if isinstance(found, re.Pattern):
        yield found
    elif isinstance(found, Mapping):
        for one in found.values():
            yield from compiled(one)
    elif isinstance(found, Sequence) and not isinstance(found, str):
        for one in found:
            yield from compiled(one)


# These search no more than a few letters of a text: 30, 60, and 100 of a line.
WINDOWS = {"_HYPHENED", "_HANGUL_TAIL", "_LABELS"}
# Only Alembic can run this one, in the midst of a step.
ALEMBICS = "api_server.store.migrations.env"
SEARCHING = re.compile(r"(\w+)\.(?:search|finditer|findall|subn?|split)\(")
MATCHING = re.compile(r"\b(_?[A-Z_]+)\b(?=(?:\[[^\]]*\]|[^()\n]*\))?\.(?:full)?match\()")


def all_patterns() -> dict[str, tuple[re.Pattern[str], bool]]:
    """Return every expression of the packages, and whether it is looked for at every letter."""
    packages = pkgutil.walk_packages(api_server.__path__, "api_server.")
    names = {one.name for one in packages} - {ALEMBICS}
    modules = [*map(importlib.import_module, sorted(names)), repetition]
    sources = [Path(str(one.__file__)).read_text(encoding="utf-8") for one in modules]
    searched = {name for source in sources for name in SEARCHING.findall(source)}
    anchored = {name for source in sources for name in MATCHING.findall(source)} - searched
    found: dict[str, tuple[re.Pattern[str], bool]] = {}
    for module in modules:
        for name, value in vars(module).items():
            for one in compiled(value):
                everywhere = name not in anchored | WINDOWS
                found[one.pattern] = one, everywhere or found.get(one.pattern, (one, False))[1]
    grammar = load_grammar()
    for one in (grammar.sentence_end, grammar.question_end):
        found[one.pattern] = one, True
    return found


def own_units(source: str) -> list[str]:
    """Return what a pattern itself speaks of, over and over."""
    return re.findall(r"[가-힣]+|[0-9a-z]+", source)[:6]


def grows_somewhere(pattern: re.Pattern[str], *, everywhere: bool) -> list[str]:
    def work(given: str) -> object:
        return sum(1 for _ in pattern.finditer(given)) if everywhere else pattern.match(given)

    units = (*UNITS, *own_units(pattern.pattern))
    return [unit for unit in units if suspect_size(work, unit, (500, 2000, 8000), 1.0)]


def test_every_pattern_of_the_packages_is_linear() -> None:
    patterns = all_patterns()
    assert len(patterns) > 60
    assert sum(everywhere for _, everywhere in patterns.values()) > 20
    slow = {
        source: units
        for source, (pattern, everywhere) in patterns.items()
        if (units := grows_somewhere(pattern, everywhere=everywhere))
    }
    assert slow == {}


@pytest.mark.parametrize("source", [r"\s+\Z", "[가-힣]+나", r"(?:\d+-)*\d+원", ".*나", r"a[^b]*b"])
def test_a_pattern_that_is_not_linear_is_found(source: str) -> None:
    assert grows_somewhere(re.compile(source), everywhere=True)


def rubric_patterns() -> dict[str, Pattern]:
    rubrics = [load_rubric(name) for name in BUILT_IN]
    return {
        source: compile_pattern(source, rubric.words)
        for rubric in rubrics
        for element in rubric.elements
        for rule in element.rules
        for source in rule.patterns
    }


def test_every_pattern_of_the_rubrics_is_linear() -> None:
    """RE2 is linear whatever the expression: one unit of each is enough, and ``re`` gets all."""
    patterns = rubric_patterns()
    assert len(patterns) > 2000
    slow = {source: unit for source, one in patterns.items() if (unit := slow_unit(source, one))}
    assert slow == {}


def slow_unit(source: str, pattern: Pattern) -> str | None:
    def work(given: str) -> object:
        return sum(1 for _ in pattern.spans(Subject(given)))

    backtracks = pattern._linear is None
    units = (*UNITS, *own_units(source)) if backtracks else own_units(source)[:1]
    sizes = (500, 2000, 8000) if backtracks else (1000,)
    return next((unit for unit in units if suspect_size(work, unit, sizes, 10.0)), None)


def test_many_places_are_found_in_linear_time() -> None:
    """RE2 counts bytes: letters cannot be counted from the start of the text each time."""
    pattern = Pattern("가")
    assert not suspect_size(
        lambda one: sum(1 for _ in pattern.spans(Subject(one))), "가", (32_000,), 1.0
    )
