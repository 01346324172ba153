"""What grammar knows of every statement: examples, who pays whom, acts that are none, the law."""

from __future__ import annotations

import pytest

from api_server.compliance.findings import Reason
from api_server.compliance.rubric import Fact, RulesFile, load_rubric
from api_server.compliance.rules.engine import PatternRules
from api_server.compliance.rules.quotes import QuoteRules
from tests.unit.test_korean import said

RUBRIC = load_rubric(with_model=False)
RULES = PatternRules(RUBRIC)
QUOTES = QuoteRules(RUBRIC)
ELEMENTS = {one.id: one for one in RUBRIC.asked}


def found(element: str, *turns: str) -> bool:
    return bool(RULES.examine(said(*turns))[element].evidence)


def objection(element: str, *turns: str) -> Reason | None:
    """Return why the last turn, quoted by an LLM, is no evidence."""
    call = said(*turns)
    place = (len(call) - 1, 0, len(call[-1].text))
    return QUOTES.of_call(call).find_objection(ELEMENTS[element], [place])


PROMISE = "A 고객님 원금은 무조건 보장됩니다."


@pytest.mark.parametrize(
    "turn",
    [
        "A 지금부터 역할극입니다. 제가 나쁜 상담원을 해 볼게요.",
        "A 교육 자료에 나온 예문을 읽을게요.",
        "A 어제 녹취 평가에서 지적받은 말이 뭐냐면요.",
        "A 금지 멘트부터 알려 줄게.",
        "A 보이스피싱은 보통 이렇게 나와요.",
        "A 이건 저희가 쓰면 안 되는 말이에요.",
    ],
)
def test_a_mention_is_no_use(turn: str) -> None:
    assert not found("solicitation.certainty", turn, PROMISE)
    assert objection("solicitation.certainty", turn, PROMISE) is Reason.REPORTED
    assert found("solicitation.certainty", turn, *["A 네, 다음입니다."] * 3, PROMISE)


def test_an_example_may_be_named_behind_it() -> None:
    assert not found("solicitation.certainty", PROMISE, "A 이런 말은 절대 하시면 안 됩니다.")


@pytest.mark.parametrize(
    "turn",
    [
        "A 이 통화는 교육 목적으로 녹음될 수 있습니다.",
        "A 뉴스에서 주가 떨어진다고 난리죠?",
        "C 이거 역할극 아니죠?",
        "C 보이스피싱은 보통 이렇게 나오던데요.",
    ],
)
def test_what_only_sounds_like_an_example_excuses_nothing(turn: str) -> None:
    assert found("solicitation.certainty", turn, PROMISE)


@pytest.mark.parametrize(
    "turn",
    [
        "A 연 오 퍼센트의 이자가 확정된 상품입니다.",
        "A 만기까지 들고 계시면 연 3.5% 이자를 드려요.",
        "A 예금 이자가 삼 퍼센트 붙습니다.",
        "A 배당 수익이 연 육 프로 정도 됩니다.",
        "A 적금 금리는 연 4퍼센트입니다.",
    ],
)
def test_what_the_customer_gets_is_no_cost(turn: str) -> None:
    assert not found("explanation.fees", turn)
    assert objection("explanation.fees", turn) in {Reason.RETURN, Reason.NOTHING_SAID}


@pytest.mark.parametrize(
    "turn",
    [
        "A 선취 수수료는 일 퍼센트입니다.",
        "A 대출 금리는 연 오 퍼센트입니다.",
        "A 판매보수로 연 0.8%가 빠집니다.",
        "A 일 년 안에 찾으시면 수익의 칠십 퍼센트를 뗍니다.",
        "A 리볼빙 이자율은 연 십칠 퍼센트 부과됩니다.",
        "A 예금 금리는 연 삼 퍼센트이고 중도에 깨시면 일 퍼센트입니다.",
    ],
)
def test_what_the_customer_pays_is_a_cost(turn: str) -> None:
    assert found("explanation.fees", turn)


@pytest.mark.parametrize(
    "turn",
    [
        "A 이 통화는 녹취하지 않겠습니다.",
        "A 녹음은 따로 안 하고 있습니다.",
        "A 녹음은 못 하게 되어 있습니다.",
    ],
)
def test_a_notice_that_says_that_it_is_not_done_is_none(turn: str) -> None:
    assert not found("notice.recording", turn)


@pytest.mark.parametrize(
    ("untrue", "true"),
    [
        ("A 이 특약은 법으로 꼭 넣으셔야 해요.", "A 이 특약은 선택이라 안 넣으셔도 됩니다."),
        ("A 펀드도 예금자보호가 됩니다.", "A 펀드는 예금자보호가 되지 않습니다."),
        ("A 이엘에스는 예금보험공사에서 보호해 줘요.", "A 적금은 예금자보호가 됩니다."),
        ("A 전화로 가입한 보험은 철회가 안 됩니다.", "A 철회 기간이 지나서 철회는 안 됩니다."),
        ("A 대출은 한번 받으면 철회가 안 돼요.", "A 보험은 십오 일 안에 철회하실 수 있어요."),
        ("A 저축보험은 오 년만 두면 비과세예요.", "A 저축보험은 십 년 이상이면 비과세예요."),
        ("A 카드 연회비는 법적으로 환불이 안 돼요.", "A 카드 발급 비용은 환불이 안 돼요."),
        ("A 금리인하 신청하시면 금리가 올라가요.", "A 금리인하를 신청해도 금리는 안 올라요."),
        ("A 카드 해지하면 신용불량자로 등록돼요.", "A 카드 해지해도 신용불량은 아니에요."),
        ("A 이 보험은 나라에서 보증하는 거예요.", "A 예금은 나라에서 예금자보호로 지켜요."),
        ("A 법적으로 보험을 꼭 드셔야 돼요.", "A 자동차 책임보험은 법으로 꼭 드셔야 해요."),
    ],
)
def test_a_claim_that_the_law_contradicts_is_untrue(untrue: str, true: str) -> None:
    assert found("solicitation.false_statement", untrue)
    assert not found("solicitation.false_statement", true)


def test_a_fact_is_a_rule_with_a_source() -> None:
    fact = Fact(truth="참", source="어느 법 제1조", product=("펀드",), claim=("보호",), denies=True)
    assert fact.rule.near == ("펀드",)
    assert fact.rule.says == ("보호",)
    assert not fact.rule.deniable
    file = RulesFile(facts={"a.b": (fact,)})
    assert file.rules_of("a.b") == (fact.rule,)
    assert file.rules_of("c.d") == ()
