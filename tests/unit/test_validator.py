import json
import logging
import threading
from typing import Any

import pytest

from api_server.clients.agent.errors import AgentTimeout
from api_server.compliance import verdicts
from api_server.compliance.coverage import NO_COVERAGE
from api_server.compliance.events import CheckStarted, TiersDisagreed
from api_server.compliance.findings import REASON_TEXT, Reason
from api_server.compliance.llm_review import ReviewLimits
from api_server.compliance.reading import MarkedText
from api_server.compliance.result import build_client_view, build_validation_result
from api_server.compliance.rubric import load_rubric
from api_server.compliance.validator import get_incomplete_elements_validator
from api_server.observability.log_lines.validation import VALIDATION_LINES
from stt_engine.errors import InvalidRequest
from stt_engine.log import LogObserver
from stt_engine.outcome import AttemptFailed, StageSettled
from stt_engine.speech import Segment
from tests.unit.validation_fakes import (
    CALL,
    CERTAIN,
    CONFIG,
    NO_RULES,
    RUBRIC,
    SAID,
    FakeAgent,
    Recorder,
    Rules,
    answer,
    checked,
    claim,
    expected_answer,
    expected_call,
    of,
    statuses,
    verdict,
)

# --- beside other calls -------------------------------------------------------------------


async def test_a_chunk_is_examined_once_and_off_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a verdict costs must not grow with the elements, nor hold up a health answer."""
    threads: list[threading.Thread] = []

    class Watched(MarkedText):
        def is_proved_by(self, read: str) -> bool:
            threads.append(threading.current_thread())
            return super().is_proved_by(read)

    monkeypatch.setattr(verdicts, "MarkedText", Watched)
    agent = FakeAgent(lambda _request: expected_answer())
    validator = get_incomplete_elements_validator(agent, limits=ReviewLimits(chunk_chars=600))
    report = (await validator.check(CALL, CONFIG)).value
    assert report.chunks > 1
    assert len(threads) == report.chunks
    assert threading.main_thread() not in threads


# --- an honest agent ----------------------------------------------------------------------


async def test_an_honest_reading_of_the_sample_call() -> None:
    result = await checked(expected_answer())
    expected = expected_call()["elements"]
    assert {e["id"]: e["status"] for e in result["elements"]} == {
        name: item["status"] for name, item in expected.items()
    }
    assert result["success"]
    assert result["established"]
    assert result["reading"] == "proved"
    assert (result["agent_type"], result["model"]) == ("vllm", "tiny")
    assert json.loads(result["agent_analysis"]).keys() == json.loads(expected_answer()).keys()
    assert result["error"] is None
    assert result["rubric_version"] == RUBRIC.version
    for element in result["elements"]:
        proved = element["status"] in {"violated", "satisfied"}
        assert bool(element["evidence"]) == proved
        assert "rejected_quotes" not in element


def test_the_expected_quotes_and_traps_are_in_the_sample_call() -> None:
    expected = expected_call()
    assert expected["rubric_version"] == RUBRIC.version
    assert set(expected["elements"]) == {element.id for element in RUBRIC.elements}
    quotes = [quote for item in expected["elements"].values() for quote in item["quotes"]]
    assert all(quote in SAID for quote in [*quotes, *(t["quote"] for t in expected["traps"])])


async def test_evidence_says_where() -> None:
    result = await checked(answer(solicitation__certainty=claim("violated", CERTAIN, "단정")))
    element = of(result, "solicitation.certainty")
    segment = next(segment for segment in CALL if CERTAIN in segment.text)
    assert element["evidence"] == [
        {
            "segment_id": segment.id,
            "start": segment.start,
            "end": segment.end,
            "channel": 0,
            "quote": CERTAIN,
            "match": "exact",
        }
    ]
    assert (element["source"], element["explanation"]) == ("llm", "단정")


async def test_plain_text_is_a_transcript_without_times() -> None:
    text = "여보세요\n\n원금은 무조건 보장됩니다"
    reply = answer(solicitation__certainty=claim("violated", "무조건 보장됩니다"))
    result = await checked(reply, text)
    assert result["reading"] == "proved"
    (part,) = of(result, "solicitation.certainty")["evidence"]
    assert (part["segment_id"], part["start"], part["end"]) == (2, None, None)


async def test_the_advertising_element_is_not_asked() -> None:
    result = await checked(answer())
    assert verdict(result, "advertising.content") == ("not_applicable", "outside_call")
    assert of(result, "advertising.content")["source"] is None


async def test_the_agent_is_asked_with_schema_and_rubric() -> None:
    agent = FakeAgent(answer())
    validator = get_incomplete_elements_validator(agent, limits=ReviewLimits(max_tokens=1000))
    config = {"url": "http://x/", "format": "text_only", "chat_thread_id": "t1"}
    result = await validator.validate(CALL, config, 7)
    (request,) = agent.requests
    assert (request.url, request.request_format) == ("http://x/", "text_only")
    assert (request.timeout_sec, request.chat_thread_id, request.max_tokens) == (7, "t1", 1000)
    assert request.schema == validator.prompt.schema
    assert request.system == validator.prompt.system
    assert result["prompt_sha256"] == validator.prompt.sha256


async def test_another_rubric() -> None:
    rubric = load_rubric("sales_process")
    ids = [element.id for element in rubric.asked]
    agent = FakeAgent(answer(ids, sales__price=claim("satisfied", "가입 금액은 삼천만 원")))
    result = await get_incomplete_elements_validator(agent, rubric, rules=NO_RULES).validate(
        CALL, CONFIG, 5
    )
    assert verdict(result, "sales.price") == ("satisfied", "evidence_found")
    assert result["rubric_version"] == rubric.version


@pytest.mark.parametrize("config", [{}, {"url": ""}, {"url": "http://x", "format": "soap"}])
async def test_a_wrong_configuration_is_the_callers_mistake(config: dict[str, str]) -> None:
    validator = get_incomplete_elements_validator(FakeAgent(answer()))
    with pytest.raises(InvalidRequest, match="agent_config"):
        await validator.validate(CALL, config, 5)


# --- what is missing from the transcript --------------------------------------------------


async def test_absence_needs_the_whole_call() -> None:
    reply = answer(
        solicitation__certainty=claim("violated", CERTAIN),
        unfair__tying=claim("not_applicable"),
    )
    result = await checked(reply, coverage=NO_COVERAGE)
    degraded = ("undetermined", "transcript_degraded")
    assert verdict(result, "solicitation.certainty")[0] == "violated"
    assert verdict(result, "explanation.fees") == degraded
    assert verdict(result, "solicitation.comparison") == degraded
    assert verdict(result, "unfair.tying") == degraded
    assert not {e["status"] for e in result["elements"] if e["source"]} - {"violated"}


@pytest.mark.parametrize("call", ["", " \n ", "...\n?!", [], [Segment(0, 0, 1, " … ")]])
@pytest.mark.parametrize("healthy", [True, False])
async def test_an_empty_transcript_determines_nothing(call: Any, healthy: bool) -> None:
    agent = FakeAgent(answer() if healthy else AgentTimeout(5))
    result = await get_incomplete_elements_validator(agent).validate(call, CONFIG, 5)
    assert len(agent.requests) == 1
    assert statuses(result) == {"undetermined"}
    assert {e["reason"] for e in result["elements"]} == {"no_transcript"}
    assert not result["success"]
    assert not result["established"]
    assert result["is_agent_dummy"] is not healthy
    assert result["reading"] == "not_asked"
    assert result["error_type"] == ("NoTranscript" if healthy else "TimeoutError")
    assert (build_client_view(result) is not None) == healthy


# --- the rule tier ------------------------------------------------------------------------


async def test_rules_stand_when_the_agent_fails() -> None:
    rules = Rules(solicitation__certainty=[CERTAIN], notice__recording=[])
    result = await checked(AgentTimeout(5), rules=rules)
    assert verdict(result, "solicitation.certainty") == ("violated", "evidence_found")
    assert of(result, "solicitation.certainty")["source"] == "rules"
    assert verdict(result, "notice.recording") == ("undetermined", "agent_failed")
    assert statuses(result) == {"violated", "undetermined"}
    assert not result["success"]
    assert result["established"]
    assert build_client_view(result) is result


async def test_two_tiers_that_agree_are_both_named() -> None:
    second = "이번에도 육 개월이면 무조건 나옵니다"
    result = await checked(
        answer(solicitation__certainty=claim("violated", CERTAIN, "단정")),
        rules=Rules(solicitation__certainty=[CERTAIN, second]),
    )
    element = of(result, "solicitation.certainty")
    assert (element["status"], element["source"]) == ("violated", "both")
    assert [part["quote"] for part in element["evidence"]] == [CERTAIN, second]


async def test_a_proved_statement_stands_against_an_opinion() -> None:
    result = await checked(answer(), rules=Rules(solicitation__certainty=[CERTAIN]))
    assert verdict(result, "solicitation.certainty") == ("violated", "evidence_found")
    assert of(result, "solicitation.certainty")["source"] == "rules"


async def test_a_rule_without_proof_leaves_the_agents_finding() -> None:
    result = await checked(answer(), rules=Rules(solicitation__certainty=["없는 말입니다"]))
    assert verdict(result, "solicitation.certainty") == ("not_found", "not_said")


async def test_broken_rules_are_a_failure_and_no_more() -> None:
    class Broken:
        covers = ("solicitation.certainty",)

        def examine(self, segments: Any) -> Any:
            raise RuntimeError("규칙 오류")

    seen = Recorder()
    validator = get_incomplete_elements_validator(
        FakeAgent(answer()), observers=[seen], rules=Broken()
    )
    outcome = await validator.check(CALL, CONFIG)
    assert [failure.source for failure in outcome.failures] == ["rules"]
    assert len(seen.of(AttemptFailed)) == 1
    assert outcome.source == "llm"
    assert build_validation_result(outcome)["success"]


# --- events and log lines -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "rules", "source"),
    [
        (answer(), NO_RULES, "llm"),
        (answer(), Rules(solicitation__certainty=[CERTAIN]), "both"),
        (AgentTimeout(5), Rules(solicitation__certainty=[CERTAIN]), "rules"),
        (AgentTimeout(5), NO_RULES, "dummy"),
        ("{}", Rules(), "dummy"),
    ],
)
async def test_the_outcome_names_its_source(reply: Any, rules: Any, source: str) -> None:
    seen = Recorder()
    validator = get_incomplete_elements_validator(FakeAgent(reply), observers=[seen], rules=rules)
    outcome = await validator.check(CALL, CONFIG)
    assert outcome.source == source
    kinds = [type(event) for event in seen.events if not isinstance(event, TiersDisagreed)]
    assert kinds == [CheckStarted, StageSettled]
    assert not seen.of(AttemptFailed)  # the agent's own stage told of its failure
    if source in {"rules", "dummy"}:
        assert outcome.cause is not None
        assert outcome.cause.stage == "agent"


async def lines_of(
    reply: Any, caplog: pytest.LogCaptureFixture, call: Any = CALL, rules: Any = NO_RULES
) -> list[Any]:
    with caplog.at_level(logging.INFO):
        validator = get_incomplete_elements_validator(
            FakeAgent(reply), observers=[LogObserver(VALIDATION_LINES)], rules=rules
        )
        await validator.validate(call, CONFIG, 5)
    return [(record.name, record.levelname, record.getMessage()) for record in caplog.records]


async def test_the_lines_of_a_validation(caplog: pytest.LogCaptureFixture) -> None:
    quote = "절대 손실이 없는 상품입니다"
    reply = answer(
        solicitation__certainty=claim("violated", quote),
        notice__recording=claim("satisfied", "녹음되고 있습니다"),
    )
    started, rejected, done = await lines_of(reply, caplog)
    assert started[:2] == ("stt.Validation", "INFO")
    assert started[2] == f"검증 시작 (rubric={RUBRIC.version}, 항목 16개, 발화 27개)"
    assert rejected[:2] == ("stt.Validation", "WARNING")
    assert "solicitation.certainty" in rejected[2]
    assert quote not in rejected[2]
    assert done[:2] == ("stt.Validation", "INFO")
    assert done[2].endswith("위반 0, 충족 1, 미발견 14, 해당없음 1, 판정불가 1)")


async def test_a_reading_that_is_not_proved_is_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    _, unread, done = await lines_of(answer(read=""), caplog)
    assert unread[:2] == ("stt.Validation", "WARNING")
    assert "끝까지 읽었음이 확인되지 않음" in unread[2]
    assert done[2].endswith("위반 0, 충족 0, 미발견 0, 해당없음 1, 판정불가 16)")


async def test_nothing_established_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    _, last = await lines_of(AgentTimeout(5), caplog)
    assert last[1] == "WARNING"
    assert "위반이 없다는 뜻이 아님" in last[2]
    assert last[2].endswith("판정불가 17)")


def test_every_reason_has_words() -> None:
    assert set(REASON_TEXT) == set(Reason)
