"""The drill's judge: what is kept passes, and a dishonest answer of every kind fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from api_server.drill import promises, run, scorecard
from api_server.drill.bench import PLAIN, Drill
from api_server.drill.honesty import Truth, lies
from api_server.drill.promises import (
    BOTH,
    BUSY,
    COMPLETE,
    DUMMY,
    HONEST,
    PARTIAL,
    RECOGNISED,
    REPLACED,
    Answer,
    Promise,
    refused,
)
from api_server.drill.scorecard import Result, judged

WORDS = frozenset("test speech recognition service".split())
TEXT = "This is a test of the speech recognition service."
HEARD, CHECKED = Truth(WORDS), Truth(WORDS, checked=True)
SILENT = Truth(WORDS, heard=False)
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
    """Give a well answer without a check, but for what is changed."""
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
    (RECOGNISED, answer(), HEARD),
    (COMPLETE, checked(), CHECKED),
    (PARTIAL, partial(), CHECKED),
    (DUMMY, dummy(), HEARD),
    (BOTH, both(), CHECKED),
    (HONEST, answer(), HEARD),
    (HONEST, dummy(), HEARD),
    (REPLACED, answer({"attempts": [{"backend": "remote", "error_type": "X"}]}), HEARD),
    (refused(415, "not-audio"), problem(), SILENT),
    (BUSY, problem(429, "queue-full"), SILENT),
    (promises.NO_ROOM, problem(503, "no-room"), SILENT),
    (RECOGNISED, answer({"text": "", "segments": [], "outcome": "no_speech"}), SILENT),
]


@pytest.mark.parametrize(("promise", "found", "truth"), WELL)
def test_what_is_promised_passes(promise: Promise, found: Answer, truth: Truth) -> None:
    assert lies(found, truth) == []
    assert judged("x", promise, 5, found, truth).verdict == "pass"


LIES: dict[str, tuple[Answer, Truth]] = {
    "no answer": (Answer(0, {"error": "reset"}, 1.0), HEARD),
    "text that nobody said": (answer({"text": "Hello.", "segments": [{"text": "Hello."}]}), HEARD),
    "text of silence": (answer(), SILENT),
    "text that is not the segments'": (answer({"segments": []}), HEARD),
    "text of a failed recognition": (dummy(text=TEXT, segments=[{"text": TEXT}]), HEARD),
    "segments of a failed recognition": (dummy(segments=[{"text": ""}]), HEARD),
    "an empty success": (answer({"text": "", "segments": []}), HEARD),
    "silence for words": (answer({"text": "", "segments": [], "outcome": "no_speech"}), HEARD),
    "success of a dummy": (dummy(success=True), HEARD),
    "a dummy that is none": (dummy(is_dummy=False), HEARD),
    "a dummy by a real backend": (dummy(backend="faster-whisper"), HEARD),
    "a dummy with an outcome": (dummy(outcome="no_speech"), HEARD),
    "a dummy without a cause": (dummy(error=None), HEARD),
    "a dummy without a type": (dummy(error_type=None), HEARD),
    "a dummy without a reason": (dummy(dummy_reason=None), HEARD),
    "a dummy without an attempt": (dummy(attempts=[]), HEARD),
    "a success with a cause": (answer({"error": "x", "error_type": "X"}), HEARD),
    "a dummy that is not degraded": (replace(dummy(), headers={}), HEARD),
    "a success that is degraded": (answer(degraded="stt"), HEARD),
    "the other leg degraded": (replace(partial(), headers={"x-stt-degraded": "stt"}), CHECKED),
    "nothing to repair": (dummy(repair=None), HEARD),
    "a failed check without its reason": (partial(agent_dummy_reason=None), CHECKED),
    "a failed check by a real agent": (partial(agent_type="vllm"), CHECKED),
    "a failed check that is no failure": (partial(is_partial_failure=False), CHECKED),
    "a partial failure without a reason": (partial(partial_failure_reason=None), CHECKED),
    "a partial failure of nothing": (checked(is_partial_failure=True), CHECKED),
    "an analysis of a failed agent": (partial(agent_analysis="fine"), CHECKED),
    "a check that nobody asked for": (checked(), HEARD),
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
    "a 500 with a transcript": (answer(status=500), HEARD),
    "a 503 that is whole": (answer(status=503), HEARD),
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
LIES["a problem document of another status"][0].body["status"] = 400


@pytest.mark.parametrize("kind", LIES)
def test_a_lie_fails_whatever_was_promised(kind: str) -> None:
    found, truth = LIES[kind]
    assert lies(found, truth), kind
    for promise in (RECOGNISED, COMPLETE, PARTIAL, DUMMY, HONEST, refused(415, "not-audio")):
        result = judged("x", promise, 5, found, truth)
        assert result.verdict == "fail"
        assert "LIE: " in result.got


def test_a_rule_needs_no_agent() -> None:
    by_rule = {"elements": [element(source="rules")]}
    assert lies(partial(incomplete_elements=by_rule), CHECKED) == []


VERDICTS = [
    (COMPLETE, checked(), CHECKED, "pass"),
    (COMPLETE, partial(), CHECKED, "partial"),
    (COMPLETE, both(), CHECKED, "safe"),
    (COMPLETE, problem(), CHECKED, "safe"),
    (PARTIAL, both(), CHECKED, "safe"),
    (RECOGNISED, dummy(), HEARD, "safe"),
    (REPLACED, dummy(), HEARD, "safe"),
    (DUMMY, problem(), HEARD, "safe"),
    (refused(415, "not-audio"), problem(400, "bad-field"), SILENT, "safe"),
    (PARTIAL, checked(), CHECKED, "fail"),  # the fault left no trace
    (DUMMY, answer(), HEARD, "fail"),
    (REPLACED, answer(), HEARD, "fail"),
]


@pytest.mark.parametrize(("promise", "found", "truth", "verdict"), VERDICTS)
def test_less_than_promised_is_named(
    promise: Promise, found: Answer, truth: Truth, verdict: str
) -> None:
    assert judged("x", promise, 5, found, truth).verdict == verdict


def test_late_is_broken() -> None:
    late = replace(answer(), took_sec=5.1)
    result = judged("x", RECOGNISED, 5, late, HEARD)
    assert result.verdict == "fail"
    assert "within 5 s" in result.got


def test_an_error_that_never_showed_fails_its_drill() -> None:
    results = [judged("x", DUMMY, 5, dummy(), HEARD), judged("y", RECOGNISED, 5, answer(), HEARD)]
    seen = {"WorkerDied", "audio-not-found", "FileNotFoundError"}
    assert run.unseen(["WorkerDied", "ModelNotFound", "AudioNotFound"], seen) == []
    missing = run.unseen(["AudioNotFound", "AgentTimeout"], {"FileNotFoundError", "AgentTimeout"})
    assert missing == ["AudioNotFound", "AgentTimeout"], "each shows by its own name"
    told = run.with_evidence(results, missing)
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
    found = json.loads(scorecard.as_json([judged("x", DUMMY, 5, dummy(), HEARD)]))["results"][0]
    assert (found["fault"], found["verdict"], found["error_type"]) == ("x", "pass", "WorkerDied")
    assert {"promised", "got", "bound_sec", "took_sec", "log_lines", "metrics"} <= set(found)
    line = scorecard.line(judged("x", DUMMY, 5, dummy(), HEARD))
    assert line.startswith("pass ")
    assert scorecard.summary([result("safe"), result("skipped")]) == (
        "0 pass, 0 partial, 1 safe, 0 fail, 1 skipped"
    )


def test_a_drill_needs_no_more_than_its_name_and_its_promise() -> None:
    one = Drill("x", "y", lambda _scene: None, PLAIN)
    assert (one.covers, one.shows, one.outside, one.needs()) == ((), (), False, None)
