"""What each tier without an LLM makes of a passage, by the roads that calls take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from api_server.compliance.coverage import FULL_COVERAGE
from api_server.compliance.deterministic import DeterministicTier
from api_server.compliance.findings import Finding, Reason
from api_server.compliance.rubric import Rubric
from api_server.compliance.rules.engine import PatternRules
from api_server.compliance.text_tasks import GivenCall, ReadCall, ReviewedCall, TextTasks
from evaluation.passages import Passage
from stt_engine.speech import Segment

Found = Mapping[str, frozenset[str]]
"""The elements that are found, by passage id."""

_CHUNK_CHARS = 6000
_STATED = frozenset({"violated", "satisfied"})
_SUSPECTED = frozenset({Reason.SUSPECTED, Reason.SPEAKER_UNKNOWN})


def by_rules(passages: Sequence[Passage], rubric: Rubric) -> Found:
    """Return what the patterns find by themselves."""
    rules = PatternRules(rubric)
    return {
        one.id: frozenset(n for n, f in rules.examine(one.segments).items() if f.evidence)
        for one in passages
    }


@dataclass(frozen=True)
class Checked:
    """The findings on each passage, by its id, where no LLM answers."""

    findings: Mapping[str, tuple[Finding, ...]]

    @property
    def stated(self) -> Found:
        """What is called ``violated`` or ``satisfied``."""
        return self._elements(suspected=False)

    @property
    def shown(self) -> Found:
        """What is, or is suspected: a reviewer is shown the words."""
        return self._elements(suspected=True)

    def _elements(self, *, suspected: bool) -> Found:
        return {
            name: frozenset(
                one.element.id
                for one in found
                if one.status in _STATED or (suspected and one.reason in _SUSPECTED)
            )
            for name, found in self.findings.items()
        }


def check(passages: Sequence[Passage], rubric: Rubric) -> Checked:
    """Return what the whole check finds where no LLM answers."""
    tier = DeterministicTier(rubric)
    tasks = TextTasks(rubric, tier, None, mask_evidence=False, chunk_chars=_CHUNK_CHARS)
    return Checked({one.id: _findings(tasks, one.segments) for one in passages})


def _findings(tasks: TextTasks, segments: Sequence[Segment]) -> tuple[Finding, ...]:
    call = tasks.prepare(GivenCall(ReadCall.of(tuple(segments)), "evaluation"))
    reviewed = ReviewedCall(
        call.text, (None,) * len(call.texts), FULL_COVERAGE, tasks.examine(call.text)
    )
    return tasks.judge(reviewed).findings


def anonymous(passages: Sequence[Passage]) -> list[Passage]:
    """Return passages of which nobody knows who speaks."""
    return [
        replace(one, segments=tuple(replace(s, speaker=None, channel=0) for s in one.segments))
        for one in passages
    ]


def reliability(
    passages: Sequence[Passage], checked: Checked, elements: frozenset[str], bins: int = 10
) -> list[tuple[float, float, int]]:
    """Return, of each tenth of confidence that has findings: its mean, the share right, how many.

    Only what is known of an element counts, and only what a rule or the model has something for.
    """
    found: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for passage in passages:
        for one in checked.findings[passage.id]:
            sure = one.confidence
            if sure is not None and one.element.id in elements:
                right = one.element.id in passage.said
                found[min(bins - 1, int(sure * bins))].append((sure, right))
    return [
        (
            sum(sure for sure, _ in one) / len(one),
            sum(right for _, right in one) / len(one),
            len(one),
        )
        for one in found
        if one
    ]
