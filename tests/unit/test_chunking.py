import json
import re
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from api_server.clients.agent.errors import AgentTimeout
from api_server.clients.agent.types import AgentRequest
from api_server.compliance.chunking import OVERLAP_CHARS, slice_segments, split_into_chunks
from api_server.compliance.llm_review import ReviewLimits
from api_server.compliance.validator import get_incomplete_elements_validator
from stt_engine.speech import Segment
from tests.unit.validation_fakes import ASKED, CONFIG, NO_RULES, FakeAgent, claim, marks_of, of

texts = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=900), max_size=30)


@given(texts, st.integers(500, 3000))
def test_chunks_hold_every_letter_in_order(call: list[str], limit: int) -> None:
    chunks = split_into_chunks(call, limit)
    slices = [one for chunk in chunks for one in chunk]
    seen = {(one.position, at) for one in slices for at in range(one.start, one.end)}
    assert seen == {(n, at) for n, text in enumerate(call) for at in range(len(text))}
    for chunk in chunks:
        assert sum(one.chars for one in chunk) <= limit
        assert list(chunk) == sorted(chunk, key=lambda one: (one.position, one.start))


@given(texts, st.integers(500, 3000))
def test_neighbours_overlap_by_whole_pieces(call: list[str], limit: int) -> None:
    chunks = split_into_chunks(call, limit)
    for before, after in pairwise(chunks):
        shared = [one for one in after if one in before]
        assert shared == list(after[: len(shared)])
        assert sum(one.chars for one in shared) <= OVERLAP_CHARS
        assert len(shared) < len(after)


def test_a_short_call_is_one_chunk() -> None:
    assert len(split_into_chunks(["네"] * 100, 6000)) == 1
    assert split_into_chunks([], 6000) == []


def test_a_part_of_a_long_utterance_keeps_its_place() -> None:
    long = Segment(7, 1.0, 9.0, "가나다 " * 400, 1, "customer")
    parts = [
        one
        for chunk in split_into_chunks([long.text], 600)
        for one in slice_segments([long], chunk)
    ]
    assert len(parts) > 4
    assert {(one.id, one.start, one.end, one.channel) for one in parts} == {(7, 1.0, 9.0, 1)}
    assert all(one.text.endswith(" ") for one in parts)


# --- a long call with an agent ------------------------------------------------------------

LINES = [f"{number:03}번째 안내를 드리는 말씀입니다 잘 들어 주십시오" for number in range(60)]
PROMISE = "원금은 틀림없이 보장된다고 보시면 됩니다"
LIMITS = ReviewLimits(chunk_chars=600, chunks_at_once=2)


def shown(request: AgentRequest) -> list[str]:
    call = request.text.split("<통화>\n")[1].split("\n</통화>")[0]
    return re.sub(r"\[\d{4}\] ", "", call).splitlines()


def reading(request: AgentRequest, **claims: dict[str, str]) -> str:
    """Answer as an agent that read its chunk; ``claims`` only where their words are in it."""
    lines = shown(request)
    here = {n.replace("__", "."): c for n, c in claims.items() if c["quote"] in "\n".join(lines)}
    body: dict[str, Any] = {"read": marks_of(request.text)}
    return json.dumps(body | {name: here.get(name, claim()) for name in ASKED})


async def validated(agent: FakeAgent, lines: list[str], **options: Any) -> Any:
    validator = get_incomplete_elements_validator(agent, rules=NO_RULES, limits=LIMITS)
    segments = [Segment(n, n * 4.0, n * 4.0 + 3, line, 0, "agent") for n, line in enumerate(lines)]
    return await validator.validate(segments, {**CONFIG, **options}, 5)


async def test_one_chunk_proves_presence_and_all_prove_absence() -> None:
    lines = [*LINES[:40], PROMISE, *LINES[40:]]
    agent = FakeAgent(
        lambda request: reading(request, solicitation__certainty=claim("violated", PROMISE, "단정"))
    )
    result = await validated(agent, lines)
    assert result["chunks"] == len(agent.requests) > 3
    assert (result["chunks_failed"], result["success"], result["reading"]) == (0, True, "proved")
    found = of(result, "solicitation.certainty")
    assert (found["status"], found["explanation"]) == ("violated", "단정")
    assert [(part["segment_id"], part["quote"]) for part in found["evidence"]] == [(40, PROMISE)]
    assert of(result, "explanation.fees")["status"] == "not_found"
    assert of(result, "unfair.tying")["status"] == "not_found"


async def test_a_statement_in_the_overlap_is_one_piece_of_evidence() -> None:
    first = split_into_chunks(LINES, LIMITS.chunk_chars)[0]
    at = first[-2].position
    lines = [*LINES[:at], PROMISE, *LINES[at + 1 :]]
    agent = FakeAgent(
        lambda request: reading(request, solicitation__certainty=claim("violated", PROMISE))
    )
    result = await validated(agent, lines)
    assert sum(PROMISE in request.text for request in agent.requests) == 2
    assert len(of(result, "solicitation.certainty")["evidence"]) == 1


async def test_a_chunk_that_fails_leaves_absence_open_and_keeps_what_is_proved() -> None:
    def answers(request: AgentRequest) -> str:
        if LINES[0] in request.text:
            raise AgentTimeout(5)
        return reading(request, solicitation__certainty=claim("violated", PROMISE))

    result = await validated(FakeAgent(answers), [*LINES, PROMISE])
    assert result["chunks_failed"] == 1
    assert (result["success"], result["is_agent_dummy"], result["established"]) == (
        False,
        True,
        True,
    )
    assert "구간 중 1구간 분석 실패" in result["agent_dummy_reason"]
    assert result["agent_analysis"] is None
    assert of(result, "solicitation.certainty")["status"] == "violated"
    fees = of(result, "explanation.fees")
    assert (fees["status"], fees["reason"]) == ("undetermined", "agent_failed")


async def test_a_chunk_that_was_not_read_leaves_absence_open() -> None:
    def answers(request: AgentRequest) -> str:
        told = json.loads(reading(request))
        if LINES[0] not in request.text:
            told["read"] = told["read"].partition(" [")[0]
        return json.dumps(told)

    result = await validated(FakeAgent(answers), LINES)
    assert result["reading"] == "not_proved"
    assert of(result, "explanation.fees")["reason"] == "reading_not_proved"


async def test_a_condition_that_never_came_up_is_waived_by_every_chunk() -> None:
    def waives(request: AgentRequest) -> str:
        told = json.loads(reading(request))
        if LINES[0] in request.text:
            told["unfair.tying"] = claim("not_applicable")
        told["appropriateness.check"] = claim("not_applicable")
        return json.dumps(told)

    agent = FakeAgent(waives)
    result = await validated(agent, LINES)
    assert of(result, "appropriateness.check")["status"] == "not_applicable"
    assert of(result, "unfair.tying")["status"] == "not_found"  # one chunk had its condition


async def test_questions_in_one_thread_come_one_by_one() -> None:
    running: list[int] = []

    def answers(request: AgentRequest) -> str:
        running.append(len(running))
        return reading(request)

    result = await validated(FakeAgent(answers), LINES, chat_thread_id="t1")
    assert result["chunks"] == len(running)
    assert result["success"]
