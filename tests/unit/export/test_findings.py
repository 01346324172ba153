"""What was found stays without a word of the call: after its days, and in a masked export."""

from __future__ import annotations

import json

from api_server.compliance.validator import get_incomplete_elements_validator
from api_server.export.case_archive import _without_words
from api_server.pipeline.render import answers
from api_server.pipeline.render.cases import wordless_findings
from api_server.pipeline.result import CallResult, CheckResult
from stt_engine.outcome import Outcome
from stt_engine.speech import Transcript
from tests.unit.validation_fakes import CONFIG, FakeAgent, answer, sample_call


async def checked_call() -> CallResult:
    call = sample_call()
    report = await get_incomplete_elements_validator(FakeAgent(answer())).check(call, CONFIG)
    text = " ".join(one.text for one in call)
    return CallResult(
        Outcome(Transcript(text, "ko", 60.0, "speech", segments=call), "x"), CheckResult(report)
    )


async def test_findings_stay_without_their_quotes() -> None:
    result = await checked_call()
    shown = answers.transcribe_response(result, "case-1").incomplete_elements
    assert shown is not None
    quotes = [each["quote"] for one in shown["elements"] for each in one["evidence"]]
    assert quotes
    kept = wordless_findings(result.to_json().decode())
    found = json.loads(kept)
    assert {one["id"]: one["status"] for one in found} == {
        one["id"]: one["status"] for one in shown["elements"]
    }
    masked = json.dumps([_without_words(one) for one in shown["elements"]], ensure_ascii=False)
    for quote in quotes:
        assert quote not in kept
        assert quote not in masked
    assert '"start"' in masked


def test_an_answer_without_a_check_leaves_no_findings() -> None:
    result = CallResult(Outcome(Transcript("여보세요", "ko", 1.0, "speech"), "x"))
    assert wordless_findings(result.to_json().decode()) == "[]"
