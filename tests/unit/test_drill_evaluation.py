"""The drill's evaluation: a met expectation passes, and a dishonest answer of every kind fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from stt_tools.drill import expectations, runner, scorecard
from stt_tools.drill.expectations import (
    BOTH,
    BUSY,
    COMPLETE,
    DUMMY,
    HONEST,
    PARTIAL,
    RECOGNISED,
    REPLACED,
    Answer,
    Expectation,
    refused,
)
from stt_tools.drill.invariants import GroundTruth, violations
from stt_tools.drill.scenario import PLAIN, Scenario
from stt_tools.drill.scorecard import Result, evaluate

WORDS = frozenset("test speech recognition service".split())
TEXT = "This is a test of the speech recognition service."
SPEECH, CHECKED = GroundTruth(WORDS), GroundTruth(WORDS, checked=True)
SILENT = GroundTruth(WORDS, speech=False)
PROBLEM = {"content-type": "application/problem+json"}
FAILED_CHECK = {
    "agent_type": "dummy",
    "is_agent_dummy": True,
    "agent_dummy_reason": "HTTP 500",
    "agent_analysis": None,
    "incomplete_elements": None,
}
FAILED_STT = {
    "success": False,
    "text": "",
    "segments": [],
    "outcome": "failed",
    "backend": "dummy",
    "is_dummy": True,
    "dummy_reason": "every backend failed",
    "error": "worker died",
    "error_type": "WorkerDied",
    "attempts": [{"backend": "faster-whisper", "error_type": "WorkerDied", "error": "died"}],
}


def element(**changed: Any) -> dict[str, Any]:
    found = {
        "id": "solicitation.certainty",
        "status": "violated",
        "source": "llm",
        "evidence": [{"quote": "a test of the speech"}],
    }
    return {**found, **changed}


def answer(
    changed: Mapping[str, Any] | None = None,
    *,
    status: int = 200,
    degraded: str | None = None,
    **headers: str,
) -> Answer:
    """Return a well answer without a check, but for what is changed."""
    body = {
        "success": True,
        "text": TEXT,
        "segments": [{"text": TEXT}],
        "outcome": "speech",
        "backend": "faster-whisper",
        "is_dummy": False,
        "dummy_reason": None,
        "error": None,
        "error_type": None,
        "attempts": [],
        "incomplete_elements": None,
        "agent_analysis": None,
        "agent_type": None,
        "is_agent_dummy": False,
        "agent_dummy_reason": None,
        "is_partial_failure": False,
        "partial_failure_reason": None,
        "repair": None,
        **(changed or {}),
    }
    told = {"x-stt-degraded": degraded} if degraded else {}
    return Answer(status, body, 1.0, {**told, **headers})


def dummy(**changed: Any) -> Answer:
    repair = {"repair": {"missing": ["stt"], "revision": 1}}
    return answer({**FAILED_STT, **repair, **changed}, degraded="stt")


def checked(**changed: Any) -> Answer:
    found = {"elements": [element()]}
    well = {"agent_type": "vllm", "agent_analysis": "{...}", "incomplete_elements": found}
    return answer({**well, **changed})


def partial(**changed: Any) -> Answer:
    flags = {
        **FAILED_CHECK,
        "is_partial_failure": True,
        "partial_failure_reason": "(AgentServerError: HTTP 500)",
        "repair": {"missing": ["agent"], "revision": 1},
    }
    return answer({**flags, **changed}, degraded="agent")


def both() -> Answer:
    repair = {"missing": ["stt", "agent"], "revision": 1}
    return answer({**FAILED_STT, **FAILED_CHECK, "repair": repair}, degraded="stt,agent")


def problem(status: int = 415, slug: str = "not-audio", **changed: Any) -> Answer:
    body = {
        "type": f"urn:stt-engine:problem:{slug}",
        "title": "Not audio",
        "status": status,
        "detail": "Send a recording.",
        "request_id": "x",
    }
    again = {"retry-after": "5"} if status in {429, 503} else {}
    return Answer(status, {**body, **changed}, 1.0, {**PROBLEM, **again})


WELL = [
    (RECOGNISED, answer(), SPEECH),
    (COMPLETE, checked(), CHECKED),
    (PARTIAL, partial(), CHECKED),
    (DUMMY, dummy(), SPEECH),
    (BOTH, both(), CHECKED),
    (HONEST, answer(), SPEECH),
    (HONEST, dummy(), SPEECH),
    (REPLACED, answer({"attempts": [{"backend": "remote", "error_type": "X"}]}), SPEECH),
    (refused(415, "not-audio"), problem(), SILENT),
    (BUSY, problem(429, "queue-full"), SILENT),
    (expectations.NO_ROOM, problem(503, "no-room"), SILENT),
    (RECOGNISED, answer({"text": "", "segments": [], "outcome": "no_speech"}), SILENT),
]


@pytest.mark.parametrize(("expectation", "found", "truth"), WELL)
def test_a_met_expectation_passes(
    expectation: Expectation, found: Answer, truth: GroundTruth
) -> None:
    assert violations(found, truth) == []
    assert evaluate("x", expectation, 5, found, truth).verdict == "pass"


DISHONEST: dict[str, tuple[Answer, GroundTruth]] = {
    "no answer": (Answer(0, {"error": "reset"}, 1.0), SPEECH),
    "text that nobody said": (answer({"text": "Hello.", "segments": [{"text": "Hello."}]}), SPEECH),
    "text of silence": (answer(), SILENT),
    "text that is not the segments'": (answer({"segments": []}), SPEECH),
    "text of a failed recognition": (dummy(text=TEXT, segments=[{"text": TEXT}]), SPEECH),
    "segments of a failed recognition": (dummy(segments=[{"text": ""}]), SPEECH),
    "an empty success": (answer({"text": "", "segments": []}), SPEECH),
    "silence for words": (answer({"text": "", "segments": [], "outcome": "no_speech"}), SPEECH),
    "success of a dummy": (dummy(success=True), SPEECH),
    "a dummy that is none": (dummy(is_dummy=False), SPEECH),
    "a dummy by a real backend": (dummy(backend="faster-whisper"), SPEECH),
    "a dummy with an outcome": (dummy(outcome="no_speech"), SPEECH),
    "a dummy without a cause": (dummy(error=None), SPEECH),
    "a dummy without a type": (dummy(error_type=None), SPEECH),
    "a dummy without a reason": (dummy(dummy_reason=None), SPEECH),
    "a dummy without an attempt": (dummy(attempts=[]), SPEECH),
    "a success with a cause": (answer({"error": "x", "error_type": "X"}), SPEECH),
    "a dummy that is not degraded": (replace(dummy(), headers={}), SPEECH),
    "a success that is degraded": (answer(degraded="stt"), SPEECH),
    "the other leg degraded": (replace(partial(), headers={"x-stt-degraded": "stt"}), CHECKED),
    "nothing to repair": (dummy(repair=None), SPEECH),
    "a failed check without its reason": (partial(agent_dummy_reason=None), CHECKED),
    "a failed check by a real agent": (partial(agent_type="vllm"), CHECKED),
    "a failed check that is no failure": (partial(is_partial_failure=False), CHECKED),
    "a partial failure without a reason": (partial(partial_failure_reason=None), CHECKED),
    "a partial failure of nothing": (checked(is_partial_failure=True), CHECKED),
    "an analysis of a failed agent": (partial(agent_analysis="fine"), CHECKED),
    "a check that nobody asked for": (checked(), SPEECH),
    "no word of the check": (answer(), CHECKED),
    "a finding of a failed agent": (
        partial(incomplete_elements={"elements": [element()]}),
        CHECKED,
    ),
    "not found by a failed agent": (
        partial(incomplete_elements={"elements": [element(status="not_found", evidence=[])]}),
        CHECKED,
    ),
    "a finding without an analysis": (checked(agent_analysis=None), CHECKED),
    "a finding without a transcript": (
        answer(
            {
                **FAILED_STT,
                "repair": {"missing": ["stt"]},
                "agent_type": "vllm",
                "agent_analysis": "{...}",
                "incomplete_elements": {"elements": [element(status="not_found", evidence=[])]},
            },
            degraded="stt",
        ),
        CHECKED,
    ),
    "a finding without a proof": (
        checked(incomplete_elements={"elements": [element(evidence=[])]}),
        CHECKED,
    ),
    "a quote that nobody said": (
        checked(incomplete_elements={"elements": [element(evidence=[{"quote": "원금 보장"}])]}),
        CHECKED,
    ),
    "a 500 with a transcript": (answer(status=500), SPEECH),
    "a 503 that is whole": (answer(status=503), SPEECH),
    "a refusal that is no problem document": (Answer(415, {"detail": "no"}, 1.0), SILENT),
    "a problem document of another status": (problem(status=415, slug="x"), SILENT),
    "a refusal without a reason": (problem(detail=" "), SILENT),
    "a refusal with a secret field": (problem(trace="..."), SILENT),
    "busy, and no word until when": (replace(problem(429), headers=PROBLEM), SILENT),
    "a 500": (problem(500, "http"), SILENT),
    "a refusal that is degraded": (
        replace(problem(), headers={**PROBLEM, "x-stt-degraded": "stt"}),
        SILENT,
    ),
}
DISHONEST["a problem document of another status"][0].body["status"] = 400


@pytest.mark.parametrize("kind", DISHONEST)
def test_a_dishonest_answer_fails_whatever_was_expected(kind: str) -> None:
    found, truth = DISHONEST[kind]
    assert violations(found, truth), kind
    for expectation in (RECOGNISED, COMPLETE, PARTIAL, DUMMY, HONEST, refused(415, "not-audio")):
        result = evaluate("x", expectation, 5, found, truth)
        assert result.verdict == "fail"
        assert "LIE: " in result.got


def test_a_rule_needs_no_agent() -> None:
    by_rule = {"elements": [element(source="rules")]}
    assert violations(partial(incomplete_elements=by_rule), CHECKED) == []


VERDICTS = [
    (COMPLETE, checked(), CHECKED, "pass"),
    (COMPLETE, partial(), CHECKED, "partial"),
    (COMPLETE, both(), CHECKED, "safe"),
    (COMPLETE, problem(), CHECKED, "safe"),
    (PARTIAL, both(), CHECKED, "safe"),
    (RECOGNISED, dummy(), SPEECH, "safe"),
    (REPLACED, dummy(), SPEECH, "safe"),
    (DUMMY, problem(), SPEECH, "safe"),
    (refused(415, "not-audio"), problem(400, "bad-field"), SILENT, "safe"),
    (PARTIAL, checked(), CHECKED, "fail"),  # the fault left no trace
    (DUMMY, answer(), SPEECH, "fail"),
    (REPLACED, answer(), SPEECH, "fail"),
]


@pytest.mark.parametrize(("expectation", "found", "truth", "verdict"), VERDICTS)
def test_less_than_expected_is_named(
    expectation: Expectation, found: Answer, truth: GroundTruth, verdict: str
) -> None:
    assert evaluate("x", expectation, 5, found, truth).verdict == verdict


def test_a_late_answer_fails() -> None:
    late = replace(answer(), took_sec=5.1)
    result = evaluate("x", RECOGNISED, 5, late, SPEECH)
    assert result.verdict == "fail"
    assert "within 5 s" in result.got


def test_an_error_that_never_showed_fails_its_scenario() -> None:
    results = [
        evaluate("x", DUMMY, 5, dummy(), SPEECH),
        evaluate("y", RECOGNISED, 5, answer(), SPEECH),
    ]
    seen = {"WorkerDied", "audio-not-found", "FileNotFoundError"}
    assert runner.unseen(["WorkerDied", "ModelNotFound", "AudioNotFound"], seen) == []
    missing = runner.unseen(
        ["AudioNotFound", "AgentTimeout"], {"FileNotFoundError", "AgentTimeout"}
    )
    assert missing == ["AudioNotFound", "AgentTimeout"], "each shows by its own name"
    told = runner.with_evidence(results, missing)
    assert [one.verdict for one in told] == ["fail", "pass"]
    assert "NEVER SEEN: AudioNotFound" in told[0].got


def result(verdict: scorecard.Verdict) -> Result:
    return Result("a fault", "promised", "got", verdict)


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (["pass"], 0),
        (["pass", "skipped"], 0),
        (["skipped"], 1),
        ([], 1),
        (["pass", "partial"], 1),
        (["pass", "safe"], 1),
        (["pass", "fail"], 1),
    ],
)
def test_the_exit_code_is_0_only_where_all_that_ran_passed(
    verdicts: list[scorecard.Verdict], code: int
) -> None:
    assert scorecard.exit_code([result(one) for one in verdicts]) == code


def test_the_scorecard_for_programs_and_for_people() -> None:
    found = json.loads(scorecard.as_json([evaluate("x", DUMMY, 5, dummy(), SPEECH)]))["results"][0]
    assert (found["fault"], found["verdict"], found["error_type"]) == ("x", "pass", "WorkerDied")
    assert {"promised", "got", "bound_sec", "took_sec", "log_lines", "metrics"} <= set(found)
    line = scorecard.line(evaluate("x", DUMMY, 5, dummy(), SPEECH))
    assert line.startswith("pass ")
    assert scorecard.summary([result("safe"), result("skipped")]) == (
        "0 pass, 0 partial, 1 safe, 0 fail, 1 skipped"
    )


def test_a_scenario_needs_no_more_than_its_name_and_its_expectation() -> None:
    one = Scenario("x", "y", lambda _experiment: None, PLAIN)
    assert (one.covers, one.shows, one.external, one.precondition()) == ((), (), False, None)
