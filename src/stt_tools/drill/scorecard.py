"""Evaluates answers against expectations, and renders the results."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from stt_tools.drill.expectations import WHOLE, Answer, Expectation, describe
from stt_tools.drill.invariants import GroundTruth, violations

Verdict = Literal["pass", "partial", "safe", "fail", "skipped"]

ALL_PASSED, NOT_PASSED = 0, 1
"""Exit codes: everything that ran passed; something did not."""


@dataclass(frozen=True)
class Result:
    """One injected fault, what was expected and what was observed."""

    fault: str
    promised: str
    got: str
    verdict: Verdict
    bound_sec: float = 0.0
    took_sec: float = 0.0
    error_type: str | None = None
    log_lines: Sequence[str] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    """Settings of the deployment that were replaced for this fault."""


def evaluate(
    fault: str,
    expectation: Expectation,
    bound_sec: float,
    answer: Answer,
    truth: GroundTruth | None = None,
) -> Result:
    """Evaluate one answer against one expectation; without ``truth`` no invariant is checked."""
    late = [f"within {bound_sec:g} s"] if answer.took_sec > bound_sec else []
    untrue = [] if truth is None else violations(answer, truth)
    missing = expectation.missing(answer)
    notes = [*(f"LIE: {one}" for one in untrue), *(f"NOT: {one}" for one in [*missing, *late])]
    return Result(
        fault,
        expectation.description,
        " | ".join([describe(answer), *notes]),
        _verdict(expectation, answer, missing, false=bool(untrue or late or not answer.status)),
        bound_sec,
        round(answer.took_sec, 2),
        answer.body.get("error_type"),
    )


def _verdict(
    expectation: Expectation, answer: Answer, missing: list[str], *, false: bool
) -> Verdict:
    if false:
        return "fail"
    if not missing:
        return "pass"
    if answer.completeness > expectation.completeness or answer.completeness == WHOLE:
        return "fail"  # more complete than the fault allows, or malformed
    if answer.completeness < expectation.completeness and answer.body.get("success"):
        return "partial"
    return "fail" if answer.body.get("success") else "safe"


def within_bound(
    fault: str, expected: str, took_sec: float, bound_sec: float, found: str = ""
) -> Result:
    """Return the result of an expectation without an answer: it passes within its bound."""
    verdict: Verdict = "pass" if took_sec <= bound_sec else "fail"
    return Result(fault, expected, found or expected, verdict, bound_sec, round(took_sec, 2))


def failed(fault: str, expected: str, why: str) -> Result:
    """Return a failure that has no answer to evaluate."""
    return Result(fault, expected, why, "fail")


def skipped(fault: str, expected: str, why: str) -> Result:
    """Return a result for what cannot run here; it is not counted."""
    return Result(fault, expected, why, "skipped")


def line(one: Result) -> str:
    """Return a one-line description of a result."""
    times = f"{one.took_sec:.1f} s of {one.bound_sec:g}" if one.bound_sec else ""
    return f"{one.verdict:7}  {one.fault:50} {times:>13}  {one.got}"


def summary(results: Sequence[Result]) -> str:
    """Return the scorecard's last line."""
    counts = Counter(one.verdict for one in results)
    order: tuple[Verdict, ...] = ("pass", "partial", "safe", "fail", "skipped")
    return ", ".join(f"{counts[name]} {name}" for name in order)


def as_json(results: Sequence[Result]) -> str:
    """Return the scorecard as JSON."""
    return json.dumps({"results": [asdict(one) for one in results]}, ensure_ascii=False, indent=1)


def exit_code(results: Sequence[Result]) -> int:
    """Return 0 only where something ran and all of it passed."""
    ran = [one for one in results if one.verdict != "skipped"]
    return ALL_PASSED if ran and all(one.verdict == "pass" for one in ran) else NOT_PASSED
