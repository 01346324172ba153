"""The validator: checks a call for elements of an incomplete sale (불완전판매요소).

An agent reads the call, the rule tier looks for fixed patterns, and
:mod:`api_server.services.judging` believes either only as far as the transcript proves it.
Nothing here decides from a failure: an agent that failed leaves its elements undetermined.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from anyio import to_thread

from api_server.services.asking import (
    Agent,
    Asked,
    AskLimits,
    ask_about,
    base_request,
    withheld,
)
from api_server.services.check_result import Findings, ValidationResult, render, shown
from api_server.services.coverage import WHOLE, Coverage
from api_server.services.findings import Finding, Reason, RuleFinding, RuleTier
from api_server.services.judging import examine, open_findings, reading
from api_server.services.prompts import Prompt
from api_server.services.redaction import Redacted
from api_server.services.rubric import Rubric, load_rubric
from api_server.services.rules import PatternRules
from api_server.services.validation_lines import DISAGREEMENT, REJECTED_QUOTE, UNPROVED_READING
from api_server.turns_text import turns_of
from stt_engine.outcome import Attempts, Observer, Outcome, Stage
from stt_engine.speech import Segment

__all__ = [
    "Findings",
    "IncompleteElementsValidator",
    "ValidationResult",
    "get_incomplete_elements_validator",
    "render",
    "shown",
]

Mask = Callable[[Sequence[Segment]], Redacted]
"""Gives the same segments, letter by letter, without personal data (``redaction.redact``)."""


def get_incomplete_elements_validator(
    agent_backend: Agent,
    rubric: Rubric | None = None,
    observers: Iterable[Observer] = (),
    *,
    rules: RuleTier | None = None,
    mask: Mask | None = None,
    mask_evidence: bool = False,
    limits: AskLimits | None = None,
) -> IncompleteElementsValidator:
    """Give a validator for ``rubric`` (default: the built-in one), asking ``agent_backend``.

    ``rules`` is by default the tier of the rubric's own patterns.
    """
    rubric = rubric or load_rubric()
    return IncompleteElementsValidator(
        agent_backend,
        rubric,
        observers,
        rules=rules or PatternRules(rubric),
        mask=mask,
        mask_evidence=mask_evidence,
        limits=limits or AskLimits(),
    )


class IncompleteElementsValidator:
    """Checks calls against one rubric.

    Args:
        agent: who reads the call.
        rubric: what to look for.
        observers: told of start, rejected quotes and the outcome (``Stage.VALIDATION``).
        rules: the rule tier.
        mask: what the agent is given instead of the call's words; where it fails, nothing.
        mask_evidence: evidence shows the masked words too.
        limits: bounds of what the agent is asked.
    """

    def __init__(
        self,
        agent: Agent,
        rubric: Rubric,
        observers: Iterable[Observer] = (),
        *,
        rules: RuleTier,
        mask: Mask | None = None,
        mask_evidence: bool = False,
        limits: AskLimits,
    ) -> None:
        self.rubric = rubric
        self.prompt = Prompt(rubric)
        self._agent = agent
        self._observers = tuple(observers)
        self._rules = rules
        self._mask = mask
        self._mask_evidence = mask_evidence
        self._limits = limits

    async def validate(
        self,
        call_transcript: str | Sequence[Segment],
        agent_config: Mapping[str, str | None],
        timeout: float = 30,  # noqa: ASYNC109 - the original's name
        *,
        coverage: Coverage = WHOLE,
    ) -> ValidationResult:
        """Check a call; never raises for a failure of the agent.

        Args:
            call_transcript: segments, or plain text with one utterance a line (``상담원:`` and
                ``고객:`` before it tell who speaks).
            agent_config: ``url``; optional ``format`` and ``chat_thread_id``.
            timeout: seconds for the agent's answers.
            coverage: how much of what was spoken the transcript holds; of what may be missing
                nothing is said to be absent.

        Raises:
            InvalidRequest: ``agent_config`` has no URL or an unknown format.
        """
        outcome = await self.check(
            call_transcript, agent_config, timeout_sec=timeout, coverage=coverage
        )
        return render(outcome)

    async def check(
        self,
        call_transcript: str | Sequence[Segment],
        agent_config: Mapping[str, str | None],
        *,
        timeout_sec: float = 30,
        coverage: Coverage = WHOLE,
    ) -> Outcome[Findings]:
        """Check a call, as :meth:`validate`; the outcome's failures name every cause."""
        segments = _segments(call_transcript)
        request = base_request(self.prompt, agent_config, timeout_sec, self._limits)
        attempts = self._begin(segments)
        masked = await self._masked(segments, attempts)
        seen = masked.segments if masked else ()
        shown = seen if self._mask_evidence else segments
        if masked is None:
            asked = withheld(attempts.failures[-1], request, segments)
        else:
            asked = await ask_about(
                self._agent, self.prompt, request, self._limits, shown, seen, coverage
            )
            attempts.failures.extend(asked.answer.failures)  # told by the agent's own stage
        reason = Reason.WITHHELD if segments else Reason.NO_TRANSCRIPT
        findings = Findings(
            await self._elements(shown, asked, attempts) or open_findings(self.rubric, reason),
            self.rubric.version,
            self.prompt.sha256,
            asked.answer,
            has_transcript=bool(shown),
            reading=reading(asked.parts),
            timed=not isinstance(call_transcript, str),
            covered=tuple(self._rules.covers),
            coverage=coverage,
            chunks=len(asked.parts),
            chunks_failed=asked.failed,
            masked=masked.counts if masked and self._mask else None,
        )
        return self._settle(attempts, findings)

    def _begin(self, segments: Sequence[Segment]) -> Attempts:
        attempts = Attempts(
            Stage.VALIDATION, self._observers, detail={"rubric_version": self.rubric.version}
        )
        size = {"elements": len(self.rubric.asked), "segments": len(segments)}
        attempts.tell("started", "llm", detail=size)
        return attempts

    async def _masked(self, segments: tuple[Segment, ...], attempts: Attempts) -> Redacted | None:
        """Give what the agent may see; ``None`` where masking failed: then it sees nothing."""
        if self._mask is None:
            return Redacted(segments, {})
        with attempts.of("redaction"):
            return await to_thread.run_sync(self._mask, segments)
        return None

    async def _elements(
        self, segments: Sequence[Segment], asked: Asked, attempts: Attempts
    ) -> tuple[Finding, ...]:
        if not segments:  # an opinion on an empty call is not a finding
            return ()
        ruled = await self._examined(segments, attempts)
        return examine(self.rubric, segments, asked.parts, ruled)

    async def _examined(
        self, segments: Sequence[Segment], attempts: Attempts
    ) -> Mapping[str, RuleFinding]:
        """Ask the rule tier; one that breaks is a recorded failure and establishes nothing."""
        with attempts.of("rules"):
            return await to_thread.run_sync(self._rules.examine, segments)
        return {}

    def _settle(self, attempts: Attempts, findings: Findings) -> Outcome[Findings]:
        if findings.success and findings.reading == "not_proved":
            attempts.tell("noted", UNPROVED_READING)
        for finding in findings.elements:
            facts = {"element": finding.element.id, "reason": str(finding.reason)}
            for quote in finding.rejected_quotes:
                attempts.tell("noted", REJECTED_QUOTE, detail={**facts, "chars": len(quote)})
            if finding.disagreement:
                told = {"rules": finding.by_rules, "llm": finding.by_llm}
                attempts.tell("noted", DISAGREEMENT, detail={**facts, **told})
        counts = Counter(finding.status for finding in findings.elements)
        return attempts.settle(findings, findings.source, {"counts": dict(counts)})


def _segments(call_transcript: str | Sequence[Segment]) -> tuple[Segment, ...]:
    """Give what was said; segments without a letter or digit say nothing."""
    if isinstance(call_transcript, str):
        call_transcript = turns_of(call_transcript)
    return tuple(s for s in call_transcript if any(char.isalnum() for char in s.text))
