"""An LLM's quote carries a verdict only if it says it; contrary or empty words do not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from api_server.clients.agent.errors import AgentTimeout
from api_server.compliance.coverage import FULL_COVERAGE
from api_server.compliance.deterministic import DeterministicTier
from api_server.compliance.findings import PRESENT, Review, Verdict
from api_server.compliance.rubric import Element, Rubric, load_rubric
from api_server.compliance.rules.quotes import QuoteRules
from api_server.compliance.text_tasks import (
    GivenCall,
    PreparedCall,
    ReadCall,
    ReviewedCall,
    TextTasks,
)
from api_server.compliance.validator import get_incomplete_elements_validator
from evaluation.dialogues import load_dialogues
from evaluation.passages import load, phrases
from stt_engine.speech import Segment
from tests.unit.validation_fakes import CONFIG, RUBRIC, FakeAgent, Rules, answer, claim, of

QUOTES = QuoteRules(RUBRIC)
ELEMENTS = {one.id: one for one in RUBRIC.asked}
PROHIBITED = [one for one in RUBRIC.asked if one.kind == "prohibited"]
GREETING = "안녕하세요 고객님 가온은행 상담원입니다"


def call_of(*turns: str) -> list[Segment]:
    """Return a call: ``A:`` says the agent, ``C:`` the customer."""
    said = []
    for number, turn in enumerate(turns):
        name, _, words = turn.partition(": ")
        customer = name == "C"
        who = "customer" if customer else "agent"
        said.append(Segment(number, number * 3, number * 3 + 2, words, int(customer), who))
    return said


def objection(element: Element, *turns: str, quoted: str = "") -> str | None:
    """Return why the first turn, or what is quoted of it, is no evidence of ``element``."""
    call = call_of(*turns)
    start = call[0].text.index(quoted)
    place = (0, start, start + len(quoted or call[0].text))
    found = QUOTES.of_call(call).find_objection(element, [place])
    return found and str(found)


async def told(name: str, quote: str, *turns: str, status: str = "", **options: Any) -> Any:
    """Return what is told of an element for which an LLM gives ``quote``."""
    said = status or ("satisfied" if ELEMENTS[name].kind == "required" else "violated")
    reply = answer(**{name.replace(".", "__"): claim(said, quote)})
    validator = get_incomplete_elements_validator(FakeAgent(reply), **options)
    result = await validator.validate(call_of(*turns), CONFIG, 5)
    return of(result, name)


@pytest.mark.parametrize("words", ["입니다", "상담원입니다", "합니다", "네 알겠습니다", GREETING])
@pytest.mark.parametrize("element", RUBRIC.asked, ids=lambda one: one.id)
def test_empty_words_say_nothing_of_any_element(element: Element, words: str) -> None:
    understood = element.id == "explanation.understanding" and "알겠" in words
    assert understood or objection(element, f"A: {GREETING} 네 알겠습니다 합니다", quoted=words)


CONTRARY = [
    ("notice.recording", "이 통화는 녹음되지 않습니다", "evidence_is_denial"),
    ("notice.recording", "지금 통화 녹음은 안 하고 있어요", "evidence_is_denial"),
    ("notice.recording", "녹음 고지는 생략할게요", "evidence_is_denial"),
    ("notice.recording", "다른 은행은 녹음된다고 하던데요", "evidence_is_report"),
    ("explanation.withdrawal", "청약 철회는 불가능합니다", "evidence_is_denial"),
    ("explanation.withdrawal", "청약 철회는 나중에 안내해 드릴게요", "evidence_is_denial"),
    ("explanation.fees", "수수료는 나중에 말씀드릴게요", "evidence_is_denial"),
    ("explanation.product_risk", "위험은 걱정 안 하셔도 됩니다", "evidence_is_denial"),
    ("appropriateness.check", "적정성 확인은 안 하겠습니다", "evidence_is_denial"),
    ("solicitation.certainty", "원금 보장이 되는 상품은 아닙니다", "evidence_is_denial"),
    ("solicitation.certainty", "원금 보장되는 걸로 알고 계셨어요?", "evidence_is_question"),
    ("solicitation.certainty", "원금이 보장된다고 광고하는 곳은 많습니다", "evidence_is_report"),
    ("solicitation.comparison", "저희가 제일 낫다고는 말씀 못 드려요", "evidence_is_denial"),
    ("solicitation.concealment", "손실은 숨기지 않고 다 말씀드립니다", "evidence_is_denial"),
    ("solicitation.pressure", "급하게 결정하지 마세요", "evidence_is_denial"),
    ("unfair.tying", "대출에 보험 가입은 필요 없습니다", "evidence_is_denial"),
    (
        "notice.recording",
        "여기는 녹취 회선과 달라 아무것도 남지 않아요",
        "evidence_is_denial",
    ),
    ("solicitation.certainty", "지수가 반토막 나면 원금을 잃습니다", "evidence_is_warning"),
    ("solicitation.certainty", "수익이 날지는 아무도 몰라요", "evidence_is_warning"),
    ("solicitation.false_statement", "세금은 해마다 달라질 수 있어요", "evidence_is_warning"),
    ("suitability.mismatch", "이 등급은 고객님께 안 맞으세요", "evidence_is_warning"),
    ("unfair.tying", "대출 조건으로 적금을 권하는 건 금지되어 있습니다", "evidence_is_denial"),
]


@pytest.mark.parametrize(("name", "words", "reason"), CONTRARY)
async def test_contrary_words_prove_nothing(name: str, words: str, reason: str) -> None:
    found = await told(name, words, f"A: {words}.")
    assert (found["status"], found["source"]) == ("undetermined", None)
    assert found["reason"] in {reason, "tiers_differ", "suspected", "doubted"}
    assert found["evidence"] or found["rejected_quotes"] == [words]


async def test_what_is_taken_back_at_once_is_not_said() -> None:
    words = "원금은 제가 틀림없이 지켜 드립니다"
    found = await told("solicitation.certainty", words, f"A: {words}. 아니 그건 사실이 아닙니다.")
    assert found["status"] == "undetermined"
    assert found["reason"] in {"evidence_is_withdrawn", "suspected"}


async def test_a_customers_words_are_not_the_agents() -> None:
    found = await told("solicitation.certainty", "원금 보장되죠", "C: 원금 보장되죠", "A: 네")
    assert found["reason"] == "evidence_wrong_speaker"


@pytest.mark.parametrize("element", RUBRIC.asked, ids=lambda one: one.id)
def test_what_the_rubric_says_counts_counts_and_what_not_does_not(element: Element) -> None:
    for words in element.not_examples:
        assert objection(element, f"A: {words}") or any(
            denial in words for denial in element.denials
        )
    accepted = [objection(element, f"A: {words}") is None for words in element.examples]
    assert any(accepted)


def test_true_quotes_are_believed_and_many_that_resemble_them_are_not() -> None:
    """Of labelled passages; a quote is a whole utterance."""

    def believed(name: str, call: tuple[Segment, ...]) -> bool:
        judge, agents = QUOTES.of_call(call), ELEMENTS[name].said_by == "agent"
        return any(
            judge.find_objection(ELEMENTS[name], [(at, 0, len(one.text))]) is None
            for at, one in enumerate(call)
            if not (agents and one.speaker == "customer")
        )

    passages = [*phrases()[::4], *load("dev")]
    said = [believed(name, one.segments) for one in passages for name in one.said]
    near = [believed(name, one.segments) for one in passages for name in one.near]
    assert sum(said) / len(said) > 0.97
    assert sum(near) / len(near) < 0.45


def test_of_what_resembles_little_is_believed_and_of_what_is_true_most() -> None:
    """The widest net: whichever sentence an LLM may quote from dialogues that were kept back."""
    tier = DeterministicTier(RUBRIC)
    tasks = TextTasks(RUBRIC, tier, None, mask_evidence=False, chunk_chars=6000)

    def believed(name: str, call: PreparedCall, segments: Sequence[Segment]) -> bool:
        status, rules = PRESENT[ELEMENTS[name].kind], tasks.examine(call.text)
        reviews = (
            Review("", {name: Verdict(status, one.text)})
            for one in segments
            if one.speaker == "agent"
        )
        found = (
            tasks.judge(ReviewedCall(call.text, (review,), FULL_COVERAGE, rules))
            for review in reviews
        )
        return any(
            one.by_llm == status and not one.disagreement
            for judged in found
            for one in judged.findings
            if one.element.id == name
        )

    def share(kind: str, *, said: bool) -> float:
        found = [
            believed(name, tasks.prepare(GivenCall(ReadCall.of(segments), "")), segments)
            for one in load_dialogues()
            if one.held
            for segments in [one.passage.segments]
            for name in (one.passage.said if said else one.passage.near - one.passage.said)
            if name in ELEMENTS and ELEMENTS[name].kind == kind
        ]
        assert len(found) > 100
        return sum(found) / len(found)

    assert share("prohibited", said=False) < 0.08
    assert share("prohibited", said=True) > 0.79
    assert share("required", said=False) < 0.15
    assert share("required", said=True) > 0.85


async def test_no_model_judges_what_it_cannot_read() -> None:
    words = "ELS 100% guaranteed"
    found = await told("solicitation.certainty", words, f"A: {words}.")
    assert found["reason"] == "evidence_found"


# --- an element without words of its own ---------------------------------------------------


def test_without_words_of_its_own_a_field_is_what_describes_it() -> None:
    rubric = load_rubric("sales_process")
    price = next(one for one in rubric.asked if one.id == "sales.price")
    judge = QuoteRules(rubric)

    def why(words: str) -> object:
        call = call_of(f"A: {words}")
        return judge.of_call(call).find_objection(price, [(0, 0, len(words))])

    assert why("가입 금액은 삼천만 원입니다") is None
    assert why("월 보험료는 오만 원이고요") is None
    assert str(why(GREETING)) == "evidence_says_nothing"
    assert str(why("보험료는 아직 정해지지 않았습니다")) in {"evidence_is_denial", "None"}


def test_an_english_rubric_has_english_fields() -> None:
    element = Element(
        id="a.refund",
        article="1",
        title="Refund",
        kind="required",
        counts="says how a refund works",
    )
    rubric = RUBRIC.model_copy(update={"elements": (element,), "language": "en"})
    judge = QuoteRules(Rubric.model_validate(rubric.model_dump()))
    for words, reason in (("You get a full Refund within 7 days.", None), ("Hello there.", "x")):
        call = call_of(f"A: {words}")
        found = judge.of_call(call).find_objection(element, [(0, 0, len(words))])
        assert bool(found) == bool(reason)


# --- both tiers look at one sentence --------------------------------------------------------

PROMISE = "이 상품은 원금이 무조건 보장됩니다"
EXCLUDED = "확정 금리 예금이라 원금은 예금자보호법에 따라 오천만 원까지 보장됩니다"


async def test_a_rule_that_knows_the_words_and_does_not_take_them_for_it() -> None:
    found = await told("solicitation.certainty", EXCLUDED, f"A: {EXCLUDED}.")
    assert (found["status"], found["reason"]) == ("undetermined", "tiers_differ")
    assert (found["tiers"]["llm"], found["tiers"]["rules"]) == ("violated", "undetermined")
    assert found["disagreement"]
    assert [one["quote"] for one in found["evidence"]] == [EXCLUDED]


@pytest.mark.parametrize("status", ["not_found", "satisfied"])
async def test_an_llm_that_takes_a_rules_sentence_for_something_else(status: str) -> None:
    found = await told("solicitation.certainty", PROMISE, f"A: {PROMISE}.", status=status)
    assert (found["status"], found["reason"]) == ("undetermined", "tiers_differ")
    assert found["tiers"]["rules"] == "violated"
    assert found["disagreement"]
    assert PROMISE in found["evidence"][0]["quote"]


@pytest.mark.parametrize(
    ("quote", "status"),
    [("", "not_found"), ("네 그렇군요", "not_found"), (PROMISE, "undetermined")],
)
async def test_what_a_rule_proved_stands_against_anything_else(quote: str, status: str) -> None:
    """An opinion on the call, words of another sentence, and a shrug: no look at the sentence."""
    turns = (f"A: {PROMISE}.", "C: 네 그렇군요")
    found = await told("solicitation.certainty", quote, *turns, status=status)
    assert (found["status"], found["source"]) == ("violated", "rules")


async def test_a_failed_llm_contests_nothing() -> None:
    rules = Rules(solicitation__certainty=[PROMISE])
    validator = get_incomplete_elements_validator(FakeAgent(AgentTimeout(5)), rules=rules)
    result = await validator.validate(call_of(f"A: {PROMISE}."), CONFIG, 5)
    assert of(result, "solicitation.certainty")["status"] == "violated"
