"""Holds answers to promises, and shows what came of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from api_server.drill.honesty import Truth, lies
from api_server.drill.promises import WHOLE, Answer, Promise, told

Verdict = Literal["pass", "partial", "safe", "fail", "skipped"]

KEPT, BROKEN = 0, 1
"""Exit codes: everything that ran passed; something did not."""


@dataclass(frozen=True)
class Result:
    """One fault and what came of it."""

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
    """Settings of the deployment that the drill replaced for this fault."""


def judged(
    fault: str, promise: Promise, bound_sec: float, answer: Answer, truth: Truth | None = None
) -> Result:
    """Hold one answer to one promise. Without ``truth`` its honesty is not judged."""
    late = [f"within {bound_sec:g} s"] if answer.took_sec > bound_sec else []
    untrue = [] if truth is None else lies(answer, truth)
    missing = promise.missing(answer)
    notes = [*(f"LIE: {one}" for one in untrue), *(f"NOT: {one}" for one in [*missing, *late])]
    return Result(
        fault,
        promise.words,
        " | ".join([told(answer), *notes]),
        _verdict(promise, answer, missing, false=bool(untrue or late or not answer.status)),
        bound_sec,
        round(answer.took_sec, 2),
        answer.body.get("error_type"),
    )


def _verdict(promise: Promise, answer: Answer, missing: list[str], *, false: bool) -> Verdict:
    if false:
        return "fail"
    if not missing:
        return "pass"
    if answer.worth > promise.worth or answer.worth == WHOLE:
        return "fail"  # more than the fault leaves to give, or given in the wrong way
    if answer.worth < promise.worth and answer.body.get("success"):
        return "partial"
    return "fail" if answer.body.get("success") else "safe"


def kept(fault: str, words: str, took_sec: float, bound_sec: float, found: str = "") -> Result:
    """Report a promise that is no answer's: it is kept where it came true in time."""
    verdict: Verdict = "pass" if took_sec <= bound_sec else "fail"
    return Result(fault, words, found or words, verdict, bound_sec, round(took_sec, 2))


def broken(fault: str, words: str, why: str) -> Result:
    """Report what went wrong without an answer to judge."""
    return Result(fault, words, why, "fail")


def skipped(fault: str, words: str, why: str) -> Result:
    """Report what cannot be done here; it counts as nothing."""
    return Result(fault, words, why, "skipped")


def line(one: Result) -> str:
    """Give a result in a line."""
    times = f"{one.took_sec:.1f} s of {one.bound_sec:g}" if one.bound_sec else ""
    return f"{one.verdict:7}  {one.fault:50} {times:>13}  {one.got}"


def summary(results: Sequence[Result]) -> str:
    """Give the scorecard's last line."""
    counts = Counter(one.verdict for one in results)
    order: tuple[Verdict, ...] = ("pass", "partial", "safe", "fail", "skipped")
    return ", ".join(f"{counts[name]} {name}" for name in order)


def as_json(results: Sequence[Result]) -> str:
    """Give the scorecard for programs."""
    return json.dumps({"results": [asdict(one) for one in results]}, ensure_ascii=False, indent=1)


def exit_code(results: Sequence[Result]) -> int:
    """Give 0 only where something ran and all of it passed."""
    ran = [one for one in results if one.verdict != "skipped"]
    return KEPT if ran and all(one.verdict == "pass" for one in ran) else BROKEN
