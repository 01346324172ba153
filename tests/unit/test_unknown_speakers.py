"""Words of nobody knows whom accuse nobody, whichever tier brings them; they are shown."""

from __future__ import annotations

from typing import Any

import pytest

from api_server.clients.agent.errors import AgentTimeout
from api_server.compliance.findings import REASON_TEXT, Reason
from api_server.compliance.result import build_client_view
from api_server.compliance.validator import get_incomplete_elements_validator
from stt_engine.speech import Segment
from tests.unit.validation_fakes import CONFIG, FakeAgent, answer, claim, of

WISH = "저는 원금 보장되는 상품으로 하고 싶어요"
PROMISE = "이 상품은 원금이 무조건 보장됩니다"
NOTICE = "이 통화는 녹음되고 있습니다"
ELEMENT = "solicitation.certainty"


async def checked(text: str, quote: str | None = None, element: str = ELEMENT) -> Any:
    """Check a text: rules alone, or with an LLM that claims that ``quote`` is there."""
    told = claim("satisfied" if element == "notice.recording" else "violated", quote or "")
    reply = answer(**{element.replace(".", "__"): told if quote else claim()})
    agent = FakeAgent(AgentTimeout(5) if quote == "" else reply)
    return await get_incomplete_elements_validator(agent).validate(text, CONFIG)


@pytest.mark.parametrize("quote", ["", None, PROMISE], ids=["no LLM", "not found", "claims it"])
@pytest.mark.parametrize("text", [PROMISE, f"상담원: 안녕하세요\n{PROMISE}\n고객: 네"])
async def test_nobody_is_accused(text: str, quote: str | None) -> None:
    result = await checked(text, quote)
    found = of(result, ELEMENT)
    assert (found["status"], found["reason"], found["source"]) == (
        "undetermined",
        "speaker_unknown",
        None,
    )
    assert [one["quote"] for one in found["evidence"]] == [PROMISE]
    assert found["tiers"]["rules"] == "undetermined"
    assert build_client_view(result) is not None  # the quote is shown, LLM or none


async def test_a_customers_wish_without_a_label() -> None:
    found = of(await checked(WISH, WISH), ELEMENT)
    assert (found["status"], found["reason"]) == ("undetermined", "speaker_unknown")
    found = of(await checked(WISH), ELEMENT)  # the rules' words are doubted, the LLM found nothing
    assert (found["status"], found["tiers"]["rules"]) == ("not_found", "undetermined")
    found = of(await checked(WISH, ""), ELEMENT)
    assert (found["reason"], [one["quote"] for one in found["evidence"]]) == ("doubted", [WISH])
    found = of(await checked(f"고객: {WISH}", WISH), ELEMENT)
    assert (found["status"], found["evidence"]) == ("undetermined", [])


@pytest.mark.parametrize("quote", ["", None, PROMISE])
async def test_one_known_sentence_among_many_unknown_is_enough(quote: str | None) -> None:
    text = "\n".join([f"{PROMISE}."] * 7 + [f"상담원: {PROMISE}."])
    found = of(await checked(text, quote), ELEMENT)
    assert (found["status"], found["reason"]) == ("violated", "evidence_found")
    assert {one["segment_id"] for one in found["evidence"]} == {7}


@pytest.mark.parametrize("quote", ["", NOTICE])
async def test_a_notice_accuses_nobody(quote: str) -> None:
    found = of(await checked(NOTICE, quote, "notice.recording"), "notice.recording")
    assert found["status"] == "satisfied"
    theirs = of(await checked(f"고객: {NOTICE}", quote, "notice.recording"), "notice.recording")
    assert (theirs["status"], theirs["evidence"]) == ("undetermined", [])


def test_the_reason_is_told_in_korean() -> None:
    assert REASON_TEXT[Reason.SPEAKER_UNKNOWN] == "해당하는 말이 있으나 상담원의 말인지 알 수 없음"


@pytest.mark.parametrize(("sure", "status"), [(0.79, "undetermined"), (0.8, "violated")])
async def test_a_voice_accuses_only_where_it_is_certain(sure: float, status: str) -> None:
    said = Segment(
        0, 0.0, 3.0, PROMISE, speaker="agent", speaker_source="diarisation", speaker_confidence=sure
    )
    agent = FakeAgent(AgentTimeout(5))
    result = await get_incomplete_elements_validator(agent).validate((said,), CONFIG)
    found = of(result, ELEMENT)
    assert found["status"] == status
    assert found["reason"] == ("speaker_unknown" if sure < 0.8 else "evidence_found")
