"""What the rules and an agent say together, and what masking keeps from either."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from api_server.clients.agent.errors import AgentTimeout
from api_server.compliance.events import TiersDisagreed
from api_server.compliance.validator import get_incomplete_elements_validator
from api_server.pii.redaction import RedactionResult
from stt_engine.speech import Segment
from tests.unit.validation_fakes import (
    CALL,
    CERTAIN,
    CONFIG,
    NO_RULES,
    FakeAgent,
    Recorder,
    Rules,
    answer,
    checked,
    claim,
    of,
)

PRESENT = Rules(solicitation__certainty=[CERTAIN])
COVERED = Rules(solicitation__certainty=[])
SAYS = answer(solicitation__certainty=claim("violated", CERTAIN))
INVENTS = answer(solicitation__certainty=claim("violated", "아무도 하지 않은 말입니다"))
UNSURE = answer(solicitation__certainty=claim("undetermined"))


@pytest.mark.parametrize(
    ("rules", "reply", "status", "tiers", "disagree"),
    [
        (PRESENT, SAYS, ("violated", "both"), ("violated", "violated"), False),
        (PRESENT, answer(), ("violated", "rules"), ("violated", "not_found"), True),
        (PRESENT, INVENTS, ("violated", "rules"), ("violated", "undetermined"), False),
        (PRESENT, UNSURE, ("violated", "rules"), ("violated", "undetermined"), False),
        (PRESENT, AgentTimeout(5), ("violated", "rules"), ("violated", None), False),
        (COVERED, SAYS, ("violated", "llm"), ("undetermined", "violated"), False),
        (COVERED, answer(), ("not_found", "llm"), ("undetermined", "not_found"), False),
        (COVERED, AgentTimeout(5), ("undetermined", None), ("undetermined", None), False),
        (NO_RULES, SAYS, ("violated", "llm"), (None, "violated"), False),
        (NO_RULES, AgentTimeout(5), ("undetermined", None), (None, None), False),
    ],
)
async def test_both_statuses_are_shown_and_neither_is_hidden(
    rules: Rules, reply: Any, status: Any, tiers: Any, disagree: bool
) -> None:
    result = await checked(reply, rules=rules)
    found = of(result, "solicitation.certainty")
    assert (found["status"], found["source"]) == status
    assert (found["tiers"]["rules"], found["tiers"]["llm"]) == tiers
    assert found["disagreement"] is disagree
    assert result["disagreement"] is disagree
    assert result["rules_cover"] == list(rules.covers)


async def test_a_disagreement_is_told_and_keeps_the_agents_reason() -> None:
    seen = Recorder()
    reply = answer(solicitation__certainty=claim("not_found", "", "그런 말 없음"))
    validator = get_incomplete_elements_validator(FakeAgent(reply), observers=[seen], rules=PRESENT)
    result = (await validator.check(CALL, CONFIG)).value
    found = next(one for one in result.elements if one.element.id == "solicitation.certainty")
    assert found.explanation == "그런 말 없음"
    (told,) = seen.of(TiersDisagreed)
    assert (told.rules, told.llm) == ("violated", "not_found")


async def test_a_rule_that_quotes_what_nobody_said_establishes_nothing() -> None:
    result = await checked(AgentTimeout(5), rules=Rules(solicitation__certainty=["없는 말입니다"]))
    assert of(result, "solicitation.certainty")["status"] == "undetermined"
    assert not result["established"]


# --- masking ------------------------------------------------------------------------------

SECRET = "제 번호는 010-1234-5678입니다"
LINES = (
    Segment(0, 0, 2, "안녕하세요 가온은행 상담원입니다", 0, "agent"),
    Segment(1, 2, 4, SECRET, 1, "customer"),
    Segment(2, 4, 6, f"010-1234-5678 확인했고요 {CERTAIN}", 0, "agent"),
)


def mask(segments: Sequence[Segment]) -> RedactionResult:
    masked = (
        replace(one, text=one.text.replace("010-1234-5678", "***-****-****")) for one in segments
    )
    return RedactionResult(tuple(masked), {"phone": 2})


def broken(_segments: Sequence[Segment]) -> RedactionResult:
    raise RuntimeError("가릴 수 없음")


def reply() -> str:
    told = json.loads(
        answer(
            solicitation__certainty=claim(
                "violated", f"***-****-**** 확인했고요 {CERTAIN}", "***-****-****"
            )
        )
    )
    return json.dumps(told, ensure_ascii=False)


async def masked(answers: Any, **options: Any) -> tuple[FakeAgent, Any]:
    agent = FakeAgent(answers)
    validator = get_incomplete_elements_validator(agent, rules=PRESENT, **options)
    return agent, await validator.validate(LINES, CONFIG, 5)


async def test_an_agent_sees_masks_and_the_reader_the_words() -> None:
    agent, result = await masked(reply(), mask=mask)
    assert "1234" not in agent.requests[0].text
    assert "***-****-****" in agent.requests[0].text
    assert (result["reading"], result["masked"]) == ("proved", {"phone": 2})
    found = of(result, "solicitation.certainty")
    assert found["source"] == "both"
    assert f"010-1234-5678 확인했고요 {CERTAIN}" in [part["quote"] for part in found["evidence"]]


async def test_masked_everywhere_nobody_sees_the_words() -> None:
    _, result = await masked(reply(), mask=mask, mask_evidence=True)
    assert "1234" not in json.dumps(result, ensure_ascii=False)
    assert of(result, "solicitation.certainty")["source"] == "both"


async def test_an_agent_is_not_asked_where_masking_fails() -> None:
    agent, result = await masked(reply(), mask=broken)
    assert agent.requests == []
    assert (result["is_agent_dummy"], result["error_type"]) == (True, "RuntimeError")
    assert of(result, "solicitation.certainty")["source"] == "rules"
    assert of(result, "explanation.fees")["status"] == "undetermined"


async def test_nothing_is_shown_where_masking_fails_everywhere() -> None:
    agent, result = await masked(reply(), mask=broken, mask_evidence=True)
    assert agent.requests == []
    assert {e["status"] for e in result["elements"]} == {"undetermined"}
    assert {e["reason"] for e in result["elements"]} == {"transcript_withheld"}
    assert (result["success"], result["established"]) == (False, False)
    assert CERTAIN not in json.dumps(result, ensure_ascii=False)
