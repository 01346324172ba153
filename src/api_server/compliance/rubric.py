"""The rubric: what a call is checked for, as data that users can edit.

A rubric is a TOML file. Two come with the package; any other is given by its path. Its rules stand
in the same file, or in a rules file of their own that the rubric names.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from api_server.compliance.model_card import ModelRef, RubricModelInvalid, find_model
from api_server.compliance.patterns.pattern_language import PatternInvalid, compile_pattern
from stt_engine.errors import EngineError

DEFAULT_RUBRIC = "financial_consumer_protection"
BUILT_IN = (DEFAULT_RUBRIC, "sales_process")
"""Names that :func:`load_rubric` knows without a path."""

_Model = TypeVar("_Model", bound=BaseModel)

ElementKind = Literal["required", "prohibited"]
Language = Literal["ko", "en"]

# A rubric is part of every prompt: short fields keep it inside a small model's context.
_SHORT = 120
_LONG = 2000


class RubricInvalid(EngineError):
    """The rubric file cannot be used; the message names the position and what to do."""


class Rule(BaseModel):
    """One way to say an element, for the rule tier; :mod:`.patterns.pattern_language` reads it."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    says: tuple[str, ...] = Field(min_length=1)
    """Parts of the statement, in this order in one sentence."""
    unless: tuple[str, ...] = ()
    """Any of these in the same sentence: not the statement."""
    unless_near: tuple[str, ...] = ()
    """Any of these, by the same speaker, up to two sentences before or behind: likewise."""
    after: tuple[str, ...] = ()
    """Required: the other speaker said one of these shortly before (a refusal, a question)."""
    answers: bool = False
    """Makes any question of the other speaker enough for ``after``."""
    near: tuple[str, ...] = ()
    """Required: anyone said one of these in this sentence, the five before or the one behind."""
    by: Literal["agent", "customer", "any"] | None = None
    """Whose words count, where speakers are known. Default: the element's ``said_by``."""
    question: Literal["never", "any", "only"] = "never"
    """Whether a question counts."""
    deniable: bool = True
    """A denial, a report of others' words and a correction cancel it."""

    @property
    def patterns(self) -> tuple[str, ...]:
        """All patterns of the rule."""
        return (*self.says, *self.unless, *self.unless_near, *self.after, *self.near)


class Fact(BaseModel):
    """What the law says of a kind of product, and the claim that is untrue because of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    truth: str = Field(min_length=1)
    """What is so."""
    source: str = Field(min_length=1)
    """The law, with its article."""
    product: tuple[str, ...] = ()
    """Patterns of what it is so of: one of them near the claim. Empty: of everything."""
    claim: tuple[str, ...] = Field(min_length=1)
    """Parts of a claim that contradicts it, in this order in one sentence."""
    unless: tuple[str, ...] = ()
    """Any of these in the same sentence: the claim may be true."""
    denies: bool = False
    """The claim is a denial itself, and so no denial cancels it."""

    @property
    def rule(self) -> Rule:
        """The rule that finds the claim."""
        return Rule(
            says=self.claim, near=self.product, unless=self.unless, deniable=not self.denies
        )


class RulesFile(BaseModel):
    """A rules file: how the elements of one rubric are said."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    words: Mapping[str, tuple[str, ...]] = {}
    """Named lists of patterns, as :attr:`Rubric.words`."""
    rules: Mapping[str, tuple[Rule, ...]] = {}
    """The rules of each element, by the element's id."""
    about: Mapping[str, tuple[str, ...]] = {}
    """The words of each element's field, as :attr:`Element.about`."""
    facts: Mapping[str, tuple[Fact, ...]] = {}
    """The facts that claims of each element contradict, by the element's id."""

    def rules_of(self, element: str) -> tuple[Rule, ...]:
        """Return the rules of an element, those of its facts behind them."""
        facts = self.facts.get(element, ())
        return (*self.rules.get(element, ()), *(one.rule for one in facts))


@dataclass(frozen=True, slots=True)
class ElementRef:
    """Which element a finding is about, without how it is looked for."""

    id: str
    article: str
    title: str
    kind: ElementKind


class Element(BaseModel):
    """One thing to look for in a call."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$", max_length=60)
    """Stable name, ``group.element`` in lower case."""
    article: str = Field(min_length=1, max_length=_SHORT)
    """Where the element comes from (an article of the law, a step of a process)."""
    title: str = Field(min_length=1, max_length=_SHORT)
    """Short name for people."""
    kind: ElementKind
    """``required``: has to be said; ``prohibited``: must not be said."""
    applies_if: str = Field(default="", max_length=_SHORT)
    """Condition of the element. Empty: it applies to every call, and nobody may waive it."""
    counts: str = Field(min_length=1, max_length=_SHORT)
    """What counts."""
    not_counts: str = Field(default="", max_length=_SHORT)
    """What looks alike and does not count."""
    said_by: Literal["agent", "any"] = "agent"
    """Whose words can prove it. ``agent``: words known to be the customer's prove nothing."""
    cancelled_by: tuple[str, ...] = ()
    """Patterns of an answer that undoes it: another speaker's, up to two sentences behind."""
    not_with: tuple[str, ...] = ()
    """Ids of elements: words that are certain to be one of them are not this one."""
    only_paid: bool = False
    """Words whose percentages are all paid to the customer are none: it is about what he pays."""
    denials: tuple[str, ...] = ()
    """Words that, in the sentence of a quote, turn it into a denial of the statement."""
    about: tuple[str, ...] = ()
    """Patterns of the words of its field: a quote of an LLM has to have one of them. Without any,
    the words of title, ``counts`` and examples are."""
    examples: tuple[str, ...] = ()
    """Sentences that count, for people and tests; not part of the prompt."""
    not_examples: tuple[str, ...] = ()
    """Sentences of the agent that look alike and do not count; not part of the prompt."""
    rules: tuple[Rule, ...] = ()
    """What the rule tier takes for the statement. Empty: only an LLM can find the element."""
    applicable: bool = True
    """False: listed for completeness, never examined (advertising in a one-to-one call)."""

    @property
    def ref(self) -> ElementRef:
        """What a finding says of the element."""
        return ElementRef(self.id, self.article, self.title, self.kind)

    @field_validator("denials")
    @classmethod
    def _no_empty_denial(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not denial for denial in value):
            raise ValueError("빈 표현은 모든 문장에 들어 있으므로 쓸 수 없습니다")
        return value


class Rubric(BaseModel):
    """A version of the list of elements."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    version: str = Field(min_length=1, max_length=_SHORT)
    """Named in every result; change it with any change of the file."""
    language: Language = "ko"
    """Language of the file, and of the instructions that an LLM is given with it."""
    effective_from: date
    """First day of use."""
    title: str = Field(min_length=1, max_length=_SHORT)
    """Name of the rubric."""
    disclaimer: str = Field(min_length=1, max_length=_LONG)
    """Shown with every result."""
    words: Mapping[str, tuple[str, ...]] = {}
    """Named lists of patterns; a rule says ``<name>`` for any of a list."""
    model: ModelRef | None = None
    """The model that weighs what the rules find."""
    elements: tuple[Element, ...] = Field(min_length=1)
    """What to look for, in the order of the results."""

    @field_validator("elements")
    @classmethod
    def _checkable(cls, value: tuple[Element, ...]) -> tuple[Element, ...]:
        ids = [element.id for element in value]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        unknown = sorted({name for one in value for name in one.not_with} - set(ids))
        if unknown:
            raise ValueError(f"not_with: 없는 항목입니다: {', '.join(unknown)}. id를 확인하십시오")
        if twice:
            raise ValueError(f"id가 두 번 나옵니다: {', '.join(twice)}. 하나의 이름을 바꾸십시오")
        if not any(element.applicable for element in value):
            raise ValueError("점검할 항목이 없습니다. applicable = false가 아닌 항목을 두십시오")
        return value

    @model_validator(mode="after")
    def _patterns_compile(self) -> Rubric:
        for element in self.elements:
            ruled = [pattern for rule in element.rules for pattern in rule.patterns]
            for name, patterns in (
                ("rules", ruled),
                ("about", element.about),
                ("cancelled_by", element.cancelled_by),
            ):
                try:
                    for pattern in patterns:
                        compile_pattern(pattern, self.words)
                except PatternInvalid as exc:
                    raise ValueError(f"[{element.id}] {name}: {exc}") from None
        return self

    @cached_property
    def sha256(self) -> str:
        """The hash of all that it says, rules and the model's hash with it; not of a place."""
        model = self.model.sha256 if self.model else ""
        said = self.model_dump_json(exclude={"model"})
        return hashlib.sha256(f"{said}\n{model}".encode()).hexdigest()

    @property
    def asked(self) -> tuple[Element, ...]:
        """The elements that are examined in a call."""
        return tuple(element for element in self.elements if element.applicable)

    @property
    def ruled(self) -> tuple[str, ...]:
        """The ids of those that have rules."""
        return tuple(element.id for element in self.asked if element.rules)


def load_rubric(source: str | Path = DEFAULT_RUBRIC, *, with_model: bool = True) -> Rubric:
    """Load a rubric by built-in name or from a user's file, with the rules file that it names.

    ``with_model``: and with its model, if it names one.

    Raises:
        RubricInvalid: a file is absent, not TOML, or not a rubric or its rules.
    """
    folder, name = _locate(source)
    data = _parse(_read(folder / name, source), f"점검표 {source}")
    if model := data.pop("model", None):
        data["model"] = _find_model(model, folder, source) if with_model else None
    if "rules" in data:
        return _load_with_rules(data, folder, source)
    return _validate(Rubric, data, f"점검표 {source}")


def _find_model(name: object, folder: Traversable, source: str | Path) -> ModelRef:
    if not isinstance(name, str) or not name.strip():
        raise RubricInvalid(f"점검표 {source}: model: 모델 파일의 이름을 따옴표 안에 적으십시오")
    try:
        return find_model(Path(str(folder / name)))
    except RubricModelInvalid as exc:
        raise RubricInvalid(f"점검표 {source}의 모델: {exc}") from exc


def _load_with_rules(data: dict[str, object], folder: Traversable, source: str | Path) -> Rubric:
    name = data.pop("rules")
    if not isinstance(name, str) or not name.strip():
        raise RubricInvalid(f"점검표 {source}: rules: 규칙 파일의 이름을 따옴표 안에 적으십시오")
    where = f"점검표 {source}의 규칙 파일 {name}"
    rules = _validate(RulesFile, _parse(_read_rules(folder / name, where), where), where)
    _add_rules(data, rules, where)
    rubric = _validate(Rubric, data, f"점검표 {source}(규칙 파일 {name})")
    named = rules.rules.keys() | rules.about.keys() | rules.facts.keys()
    unknown = sorted(named - {element.id for element in rubric.elements})
    if unknown:
        raise RubricInvalid(
            f"{where}: 점검표에 없는 항목의 규칙입니다: {', '.join(unknown)}. "
            "id의 철자를 확인하거나 규칙을 지우십시오"
        )
    return rubric


def _locate(source: str | Path) -> tuple[Traversable, str]:
    """Return the folder of a rubric, in which its rules file is as well, and its file's name."""
    if source in BUILT_IN:
        return resources.files("api_server") / "rubrics", f"{source}.toml"
    return Path(source).parent, Path(source).name


def _read(file: Traversable, source: str | Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # Windows editors add a BOM
    except (OSError, ValueError) as exc:
        names = ", ".join(BUILT_IN)
        raise RubricInvalid(
            f"점검표 {source}을(를) 읽을 수 없습니다 ({exc}). UTF-8 TOML 파일의 경로나 내장 이름"
            f"({names})을 지정하십시오"
        ) from exc


def _read_rules(file: Traversable, where: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as exc:
        raise RubricInvalid(
            f"{where}을(를) 읽을 수 없습니다 ({exc}). UTF-8 TOML 파일을 점검표와 같은 폴더에 "
            "두십시오"
        ) from exc


def _parse(text: str, where: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise RubricInvalid(f"{where}: TOML 문법 오류입니다 ({exc})") from exc


def _validate(model: type[_Model], data: dict[str, object], where: str) -> _Model:
    try:
        return model.model_validate(data)
    except ValidationError as exc:
        problems = "; ".join(_explain(error, data) for error in exc.errors())
        raise RubricInvalid(f"{where}: {problems}") from exc


def _add_rules(data: dict[str, Any], rules: RulesFile, where: str) -> None:
    """Add the words and rules of a rules file to the rubric's data; malformed data stays as it is.

    Raises:
        RubricInvalid: the rubric has words or rules of the same name itself.
    """
    words, elements = data.setdefault("words", {}), data.get("elements")
    if isinstance(words, dict):
        _add_once(words, rules.words, f"{where}: words")
    for element in elements if isinstance(elements, list) else ():
        name = element.get("id") if isinstance(element, dict) else None
        if not isinstance(name, str):
            continue
        if found := rules.rules_of(name):
            _add_once(element, {"rules": found}, f"{where}: [{name}]")
        if name in rules.about:
            _add_once(element, {"about": rules.about[name]}, f"{where}: [{name}]")


def _add_once(target: dict[str, Any], added: Mapping[str, object], where: str) -> None:
    twice = sorted(target.keys() & added.keys())
    if twice:
        raise RubricInvalid(f"{where} {', '.join(twice)}: 점검표에도 있습니다. 한쪽에만 두십시오")
    target.update(added)


_ADVICE = {
    "missing": "값이 없습니다. 적어 넣으십시오",
    "extra_forbidden": "모르는 이름입니다. 철자를 확인하거나 지우십시오",
    "string_too_short": "비어 있습니다. 적어 넣으십시오",
    "string_too_long": "너무 깁니다. 줄이십시오",
    "literal_error": "허용되지 않는 값입니다",
    "string_pattern_mismatch": "id는 영문 소문자, 숫자, 밑줄을 점으로 이은 이름이어야 합니다",
    "date_from_datetime_parsing": "날짜는 YYYY-MM-DD로 적으십시오",
}


def _explain(error: Mapping[str, Any], data: dict[str, object]) -> str:
    advice = _ADVICE.get(error["type"])
    return f"{_position(error['loc'], data)}: {f'{advice} ' if advice else ''}({error['msg']})"


def _position(loc: tuple[int | str, ...], data: dict[str, object]) -> str:
    """Name the element by its id where it has one: users know names, not indices."""
    match loc:
        case ("elements", int(index), *rest):
            elements = data.get("elements")
            item = elements[index] if isinstance(elements, list) else None
            name = item.get("id", "id 없음") if isinstance(item, dict) else "id 없음"
            return f"{index + 1}번째 항목 [{name}]{_field(rest)}"
        case ("rules", str(name), int(index), *rest):
            return f"[{name}]의 {index + 1}번째 규칙{_field(rest)}"
    return ".".join(str(part) for part in loc) or "점검표"


def _field(loc: list[int | str]) -> str:
    return f" {'.'.join(str(part) for part in loc)}" if loc else ""
