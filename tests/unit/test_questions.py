"""What is asked about first where not everything can be, and that the rest is named."""

import time

from hypothesis import given
from hypothesis import strategies as st

from api_server.clients.agent.types import AgentRequest
from api_server.compliance.evidence import Evidence
from api_server.compliance.findings import Certainty, RuleFinding
from api_server.compliance.llm_review import ReviewLimits
from api_server.compliance.questions import elements_that_fit, plan_questions
from api_server.compliance.validator import get_incomplete_elements_validator
from stt_engine.events import AnswerWarned
from stt_engine.speech import Segment
from tests.unit.validation_fakes import (
    ASKED,
    CONFIG,
    RUBRIC,
    FakeAgent,
    Recorder,
    answer,
    claim,
    of,
)

LINES = [f"{number:03}번째 안내를 드리는 말씀입니다 잘 들어 주십시오" for number in range(60)]
PROMISE = "원금은 틀림없이 보장된다고 보시면 됩니다"


def found(segment: int, certainty: Certainty = "suspected") -> RuleFinding:
    quote = Evidence(segment, 0.0, 1.0, 0, "말", "exact")
    return RuleFinding((quote,), 0.5, certainty)


class Rules:
    """A rule tier with given findings."""

    def __init__(self, **findings: RuleFinding) -> None:
        self.findings = {name.replace("__", "."): one for name, one in findings.items()}
        self.covers = tuple(self.findings)

    def examine(self, _segments: object) -> dict[str, RuleFinding]:
        return self.findings


def call(lines: list[str]) -> list[Segment]:
    return [Segment(n, n * 4.0, n * 4.0 + 3, line, 0, "agent") for n, line in enumerate(lines)]


def asked_ids(request: AgentRequest) -> list[str]:
    return [name for name in request.schema["properties"] if name != "read"]  # type: ignore[index,attr-defined]


@given(
    st.dictionaries(
        st.sampled_from(ASKED),
        st.sampled_from(("certain", "suspected", "doubted", "silent")),
    ),
    st.integers(1, 20),
)
def test_what_looks_like_it_goes_before_the_unknown_and_that_before_what_is_settled(
    rules: dict[str, str], most: int
) -> None:
    place = {"suspected": 0, "doubted": 0, "silent": 1, "certain": 2}
    findings = {
        name: RuleFinding() if how == "silent" else found(1, how)  # type: ignore[arg-type]
        for name, how in rules.items()
    }
    plan = plan_questions(RUBRIC.asked, findings, (), most)
    assert sorted((*plan.asked, *plan.left_out)) == sorted(ASKED)
    assert len(plan.asked) == min(most, len(ASKED))
    assert list(plan.asked) == [name for name in ASKED if name in plan.asked]
    last = max(place[rules.get(name, "silent")] for name in plan.asked)
    assert all(place[rules.get(name, "silent")] >= last for name in plan.left_out)


def test_the_chunk_with_the_most_that_is_open_is_first() -> None:
    rules = {"a": found(12), "b": found(25), "c": found(27, "doubted"), "d": found(3, "certain")}
    assert plan_questions((), rules, ((0, 9), (10, 19), (18, 29), (30, 39)), 9).chunks == (
        2,
        1,
        0,
        3,
    )


def test_an_answer_of_the_default_length_fits_the_default_rubric() -> None:
    assert elements_that_fit(ReviewLimits().max_tokens) >= elements_that_fit(1000) == len(ASKED)
    assert elements_that_fit(64) == 1


async def test_where_the_answer_is_short_what_is_open_is_asked_and_the_rest_is_named() -> None:
    agent = FakeAgent(lambda request: answer(asked_ids(request)))
    seen = Recorder()
    rules = Rules(unfair__tying=found(1), explanation__fees=found(2, "certain"))
    limits = ReviewLimits(max_tokens=300)
    validator = get_incomplete_elements_validator(agent, None, (seen,), rules=rules, limits=limits)
    result = await validator.validate(call(["안녕하세요 고객님", "말 한마디", "다른 말"]), CONFIG)
    (request,) = agent.requests
    asked = asked_ids(request)
    assert len(asked) == 2
    assert "unfair.tying" in asked
    assert f"항목 {len(asked)}개" in request.text
    for name in ASKED:
        assert (f"{name} (" in str(request.system)) == (name in asked)
        reason = of(result, name)["tiers"]["llm_reason"]  # type: ignore[index]
        assert (reason == "not_asked") == (name not in asked)
    assert result["not_asked"] == [name for name in ASKED if name not in asked]
    assert (result["success"], result["chunks_unsent"]) == (True, 0)
    assert result["prompt_sha256"] != validator.prompt.sha256
    warned = [one.warning for one in seen.of(AnswerWarned)]
    assert [(one.code, one.detail) for one in warned] == [
        ("not_asked", f"{len(ASKED) - 2} elements, 0 of 1 parts of the call")
    ]
    settled = of(result, "explanation.fees")
    assert settled["reason"] == "not_asked" or settled["source"] == "rules"


async def test_where_time_is_short_the_suspect_part_is_asked_and_the_others_are_named() -> None:
    def slow(request: AgentRequest) -> str:
        time.sleep(request.timeout_sec)  # all of the time of the call
        said = {"solicitation__certainty": claim("violated", PROMISE, "단정")}
        return answer(**said if PROMISE in request.text else {})

    agent = FakeAgent(slow)
    limits = ReviewLimits(chunk_chars=600, chunks_at_once=1)
    rules = Rules(solicitation__certainty=found(50))
    validator = get_incomplete_elements_validator(agent, rules=rules, limits=limits)
    result = await validator.validate(call([*LINES[:50], PROMISE, *LINES[50:]]), CONFIG, 0.05)
    (request,) = agent.requests
    assert PROMISE in request.text
    assert result["chunks_unsent"] == result["chunks_failed"] == result["chunks"] - 1 > 2
    assert of(result, "solicitation.certainty")["status"] == "violated"
    fees = of(result, "explanation.fees")
    assert (fees["status"], fees["reason"]) == ("undetermined", "not_asked")
    assert (result["success"], result["error_type"]) == (False, "DeadlineExceeded")
    assert "묻지 않음" in str(result["error"])
