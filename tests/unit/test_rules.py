"""The rule tier: what a rule takes for the statement, and what the built-in rules find."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_server.compliance.rubric import Rubric, RubricInvalid, load_rubric
from api_server.compliance.rules.engine import MAX_EVIDENCE, PatternRules
from evaluation.passages import compliant, load, noisy, phrases
from evaluation.score import alarms, by_rules, judge
from stt_engine.speech import Segment
from tests.unit.test_korean import said

DEFAULT = PatternRules(load_rubric())


def rules_of(*rules: dict[str, Any], **element: Any) -> PatternRules:
    """Return a tier with one prohibited element that has ``rules``."""
    fields = {
        "id": "test.element",
        "article": "시험",
        "title": "시험",
        "kind": "prohibited",
        "counts": "시험",
        "rules": list(rules),
        **element,
    }
    rubric = {
        "version": "test",
        "effective_from": "2026-01-01",
        "title": "시험",
        "disclaimer": "시험",
        "words": {"원금": ["원금", "본전"], "보장": ["보장(?:되|돼|하|해)"]},
        "elements": [fields],
    }
    return PatternRules(Rubric.model_validate(rubric))


def found(tier: PatternRules, *turns: str) -> list[str]:
    (finding,) = tier.examine(said(*turns)).values()
    return [part.quote for part in finding.evidence]


PROMISE = {"says": ["<원금>", "<보장>"]}


@pytest.mark.parametrize(
    "turn",
    [
        "A 원금은 보장됩니다.",
        "A 사실상 본전은 보장된다고 보시면 됩니다",
        "A 원금 보장 해 드려요",
        "A 원금은 보장되니까 걱정 안 하셔도 됩니다",
        "A 원금이 보장되고 수수료도 없습니다",
        "- 원금은 보장돼요",
    ],
)
def test_a_statement(turn: str) -> None:
    assert found(rules_of(PROMISE), turn)


@pytest.mark.parametrize(
    "turn",
    [
        "A 원금은 보장되지 않습니다",
        "A 원금은 보장이 안 되고요",
        "A 원금 보장해 드릴 수는 없습니다",
        "A 원금이 보장된다고 말씀드릴 수 없어요",
        "A 원금이 보장된다고는 저희가 말씀을 못 드립니다",
        "A 원금이 보장되는 상품은 절대 아닙니다",
        "A 원금이 보장된다는 뜻은 아니에요",
        "A 원금이 보장되는 건 아니고요",
        "A 원금이 보장된다고 오해하시면 안 됩니다",
        "A 원금이 보장된다고 하시는 분들이 있는데요",
        "A 원금이 보장된다고 광고하는 데가 있습니다",
        "A 원금이 보장된다고 하면 사기입니다",
        "A 원금은 보장되나요?",
        "C 원금은 보장됩니다",
        "A 원금은 보험과 달라서 저녁에 전화로 다시 한번 천천히 설명드리고 난 다음에 보장됩니다",
    ],
)
def test_no_statement(turn: str) -> None:
    assert found(rules_of(PROMISE), turn) == []


def test_words_that_are_taken_back_at_once() -> None:
    tier = rules_of(PROMISE)
    assert found(tier, "A 원금이 보장된다는 얘기가 있죠.", "A 그건 사실이 아닙니다.") == []
    assert found(tier, "A 원금은 보장됩니다.", "A 수수료는 없습니다.")
    assert found(tier, "A 원금은 보장됩니다.", "C 그건 사실이 아닙니다.")


def test_a_denial_can_be_what_is_looked_for() -> None:
    tier = rules_of({"says": ["손실", "없"], "deniable": False})
    assert found(tier, "A 손실은 없다고 할 수 없어요")
    assert found(rules_of({"says": ["손실", "없"]}), "A 손실은 없다고 할 수 없어요") == []
    assert found(rules_of({"says": ["손실", "없"]}), "A 손실은 없습니다")


def test_parts_in_order_and_in_one_sentence() -> None:
    tier = rules_of(PROMISE)
    assert found(tier, "A 보장되는 원금") == []
    assert found(tier, "A 원금은요.", "A 그게 보장됩니다.") == []
    assert found(tier, "A 원금은", "A 보장됩니다.") == ["원금은", "보장됩니다."]


@pytest.mark.parametrize(
    ("more", "turns", "finds"),
    [
        ({"unless": ["예금"]}, ["A 예금이라 원금이 보장됩니다"], False),
        ({"unless": ["예금"]}, ["A 예금은 다릅니다.", "A 원금이 보장됩니다"], True),
        ({"unless_near": ["예금"]}, ["A 예금은 다릅니다.", "A 원금이 보장됩니다"], False),
        ({"unless_near": ["예금"]}, ["C 예금은 달라요.", "A 원금이 보장됩니다"], True),
        ({"near": ["펀드"]}, ["A 원금이 보장됩니다"], False),
        ({"near": ["펀드"]}, ["C 이 펀드요.", "A 원금이 보장됩니다"], True),
        ({"near": ["펀드"]}, ["A 펀드라도 원금이 보장됩니다"], True),
        ({"after": ["불안"]}, ["C 불안한데요.", "A 원금이 보장됩니다"], True),
        ({"after": ["불안"]}, ["A 불안하시죠.", "A 원금이 보장됩니다"], False),
        ({"after": ["불안"]}, ["A 원금이 보장됩니다", "C 불안한데요."], False),
        ({"answers": True}, ["C 안전한가요?", "A 원금이 보장됩니다"], True),
        ({"answers": True}, ["C 안전하네요.", "A 원금이 보장됩니다"], False),
        ({"by": "customer"}, ["A 원금이 보장됩니다"], False),
        ({"by": "customer"}, ["C 원금이 보장됩니다"], True),
        ({"by": "any"}, ["C 원금이 보장됩니다"], True),
        ({"question": "any"}, ["A 원금이 보장되나요?"], True),
        ({"question": "only"}, ["A 원금이 보장되나요?"], True),
        ({"question": "only"}, ["A 원금이 보장됩니다"], False),
    ],
)
def test_conditions(more: dict[str, Any], turns: list[str], finds: bool) -> None:
    assert bool(found(rules_of({**PROMISE, **more}), *turns)) is finds


def test_evidence_is_where_it_was_said() -> None:
    segments = said("C 네?", "A 고객님, 원금은 보장됩니다! 그리고요", "A 네")
    (finding,) = rules_of(PROMISE).examine(segments).values()
    (part,) = finding.evidence
    assert (part.segment_id, part.start, part.end, part.channel) == (1, 2.0, 3.5, 0)
    assert part.quote == "고객님, 원금은 보장됩니다!"


def test_evidence_of_a_speech_without_an_end_is_a_part_of_it() -> None:
    long = "그리고 " * 60 + "원금은 보장됩니다 " + "그래서 " * 60
    (quote,) = found(rules_of(PROMISE), f"A {long}")
    assert "원금은 보장됩니다" in quote
    assert len(quote) < len(long) / 2


def test_evidence_is_bounded() -> None:
    assert len(found(rules_of(PROMISE), *["A 원금은 보장됩니다."] * 20)) == MAX_EVIDENCE


def test_elements_without_rules_are_not_covered() -> None:
    assert rules_of().covers == ()


@pytest.mark.parametrize(
    ("rule", "why"),
    [({"says": ["<없음>"]}, "없음"), ({"says": ["("]}, "정규식"), ({"says": []}, "says")],
)
def test_a_rule_that_cannot_be_read_names_its_element(
    rule: dict[str, Any], why: str, tmp_path: Any
) -> None:
    says = ", ".join(f'"{one}"' for one in rule["says"])
    file = tmp_path / "rubric.toml"
    file.write_text(
        'version = "1"\neffective_from = 2026-01-01\ntitle = "t"\ndisclaimer = "d"\n[[elements]]\n'
        'id = "a.b"\narticle = "1"\ntitle = "t"\nkind = "required"\ncounts = "c"\n'
        f"[[elements.rules]]\nsays = [{says}]\n"
    )
    with pytest.raises(RubricInvalid, match=rf"a\.b.*{why}"):
        load_rubric(file)


# --- the built-in rules -------------------------------------------------------------------

ELEMENTS = [element for element in load_rubric().asked if element.rules]
EXAMPLES = [(element.id, example) for element in ELEMENTS for example in element.examples]
NOT_EXAMPLES = [(element.id, words) for element in ELEMENTS for words in element.not_examples]


def test_every_examined_element_has_rules() -> None:
    assert [element.id for element in load_rubric().asked] == list(DEFAULT.covers)


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_examples_are_found(name: str, example: str) -> None:
    evidence = DEFAULT.examine(said(f"A {example}"))[name].evidence
    assert [part.quote for part in evidence] == [example]


@pytest.mark.parametrize(("name", "words"), NOT_EXAMPLES)
def test_what_does_not_count_is_not_found(name: str, words: str) -> None:
    assert not DEFAULT.examine(said(f"A {words}"))[name].evidence


@pytest.mark.parametrize(
    ("name", "turns"),
    [
        ("suitability.profile", ["A 본인 확인을 위해 생년월일 여쭤볼게요."]),
        ("suitability.steering", ["A 그 문항은 손실을 얼마나 견디실 수 있는지 여쭤보는 겁니다."]),
        ("suitability.mismatch", ["A 안정형이셔서 이 상품은 권해 드리지 않겠습니다."]),
        ("explanation.product_risk", ["A 이 펀드는 작년에 수익이 좋았습니다."]),
        ("explanation.fees", ["C 수수료가 있나요?", "A 서류를 보시면 됩니다."]),
        ("explanation.withdrawal", ["A 중도해지는 언제든 하실 수 있습니다."]),
        ("explanation.understanding", ["A 그럼 가입 진행해 드릴까요?", "C 네."]),
        ("explanation.evasion", ["A 방금 설명드린 내용은 설명서에도 나와 있습니다."]),
        ("unfair.tying", ["A 급여이체를 하시면 대출 금리가 0.3퍼센트 우대됩니다."]),
        ("solicitation.certainty", ["A 예금자보호로 원금과 이자가 일억 원까지 보호됩니다."]),
        ("solicitation.false_statement", ["A 제 생각에는 금리가 내려갈 것 같습니다."]),
        ("solicitation.concealment", ["A 손실이 날 수 있다는 점도 말씀드려야 합니다."]),
        ("solicitation.comparison", ["A 공시 기준으로 저희가 0.2퍼센트 낮습니다."]),
        ("solicitation.pressure", ["C 생각해 볼게요.", "A 네, 천천히 생각해 보시고 연락 주세요."]),
        ("notice.recording", ["C 제가 이 통화를 녹음하고 있어요."]),
    ],
)
def test_what_looks_alike_is_not_it(name: str, turns: list[str]) -> None:
    assert not DEFAULT.examine(said(*turns))[name].evidence


def test_the_labelled_passages() -> None:
    """The goals of the built-in rules on the passages that they were written with."""
    rubric, passages = load_rubric(), load()
    result = judge(passages, rubric, by_rules(passages, rubric))
    total = result.total(rubric, "prohibited")
    assert len(passages) >= 240
    assert (total.precision or 0) >= 0.95
    assert (total.recall or 0) >= 0.85
    assert (total.alarm_rate or 0) <= 0.03
    required = result.total(rubric, "required")
    assert (required.precision or 0) >= 0.95
    assert (required.recall or 0) >= 0.85


def test_the_many_ways_to_say_one_thing() -> None:
    rubric, many = load_rubric(), phrases()
    result = judge(many, rubric, by_rules(many, rubric))
    assert len(many) >= 600
    for name in {one.about for one in many if one.about}:
        score = result.scores[name]
        assert (score.recall or 0) >= 0.85, name
        assert (score.alarm_rate or 0) <= 0.03, name


@pytest.mark.parametrize(("rate", "precision"), [(0.05, 0.95), (0.2, 0.85)])
def test_noise_makes_few_alarms(rate: float, precision: float) -> None:
    rubric, passages = load_rubric(), noisy(load(), rate)
    total = judge(passages, rubric, by_rules(passages, rubric)).total(rubric, "prohibited")
    assert (total.precision or 0) >= precision
    assert (total.alarm_rate or 0) <= 0.05


WORDS = st.sampled_from(
    ["원금", "보장", "됩니다", "안", "네", "손실", "수수료", "3.5%", "?", ".", "지금", "ａＢ", "🙂"]
)
CALLS = st.lists(
    st.tuples(
        st.sampled_from("AC-"),
        st.lists(WORDS | st.text(max_size=8), max_size=8).map(" ".join),
    ),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(CALLS)
def test_every_quote_is_in_its_segment(call: list[tuple[str, str]]) -> None:
    segments = said(*(f"{who} {text}" for who, text in call))
    texts: dict[int, Segment] = {segment.id: segment for segment in segments}
    for finding in DEFAULT.examine(segments).values():
        for part in finding.evidence:
            segment = texts[part.segment_id]
            assert part.quote
            assert part.quote in segment.text
            assert (part.start, part.end) == (segment.start, segment.end)


@settings(deadline=None)
@given(st.sampled_from(EXAMPLES))
def test_spaces_mean_nothing(example: tuple[str, str]) -> None:
    name, text = example
    assert DEFAULT.examine(said(f"A {text.replace(' ', '')}"))[name].evidence
    assert DEFAULT.examine(said(f"A {' '.join(text)}"))[name].evidence


def test_what_agents_should_say_is_no_violation() -> None:
    should = compliant()
    assert len(should) >= 90
    assert len(alarms(should, load_rubric())) <= 0.03 * len(should)
