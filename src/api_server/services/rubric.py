"""The rubric: what a call is checked for, as data that users can edit.

A rubric is a TOML file. Two come with the package; any other is given by its path.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from api_server.services.korean import PatternInvalid, compile_pattern
from stt_engine.errors import EngineError

DEFAULT_RUBRIC = "financial_consumer_protection"
BUILT_IN = (DEFAULT_RUBRIC, "sales_process")
"""Names that :func:`load_rubric` knows without a path."""

Kind = Literal["required", "prohibited"]
Language = Literal["ko", "en"]

# A rubric is part of every prompt: short fields keep it inside a small model's context.
_SHORT = 120
_LONG = 2000


class RubricInvalid(EngineError):
    """The rubric file cannot be used; the message names the place and what to do."""


class Rule(BaseModel):
    """One way to say an element, for the rule tier; patterns as in :mod:`.korean`."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    says: tuple[str, ...] = Field(min_length=1)
    """Parts of the statement, in this order in one sentence."""
    unless: tuple[str, ...] = ()
    """Any of these in the same sentence: it is not the statement."""
    unless_near: tuple[str, ...] = ()
    """Any of these, by the same voice, in the two sentences before or behind: likewise."""
    after: tuple[str, ...] = ()
    """Something of this was said shortly before by the other side (a refusal, a question)."""
    answers: bool = False
    """Or the other side asked a question there."""
    near: tuple[str, ...] = ()
    """Something of this was said by anyone in this sentence or the five before or one behind."""
    by: Literal["agent", "customer", "any"] | None = None
    """Whose words count, where speakers are known. Default: the element's ``said_by``."""
    question: Literal["never", "any", "only"] = "never"
    """Whether a question counts."""
    deniable: bool = True
    """A denial, a report of others' words and a correction cancel it."""


class Element(BaseModel):
    """One thing to look for in a call."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$", max_length=60)
    """Stable name, ``group.element`` in lower case."""
    article: str = Field(min_length=1, max_length=_SHORT)
    """Where the element comes from (an article of the law, a step of a process)."""
    title: str = Field(min_length=1, max_length=_SHORT)
    """Short name for people."""
    kind: Kind
    """``required``: has to be said; ``prohibited``: must not be said."""
    applies_if: str = Field(default="", max_length=_SHORT)
    """Condition of the element. Empty: it applies to every call, and nobody may waive it."""
    counts: str = Field(min_length=1, max_length=_SHORT)
    """What counts."""
    not_counts: str = Field(default="", max_length=_SHORT)
    """What looks alike and does not count."""
    said_by: Literal["agent", "any"] = "agent"
    """Whose words can prove it. ``agent``: words known to be the customer's prove nothing."""
    denials: tuple[str, ...] = ()
    """Words that, in the sentence of a quote, turn it into a denial of the statement."""
    examples: tuple[str, ...] = ()
    """Example sentences for people and tests; not part of the prompt."""
    rules: tuple[Rule, ...] = ()
    """What the rule tier takes for the statement. Empty: only an agent can find the element."""
    applicable: bool = True
    """False: listed for completeness, never examined (advertising in a one-to-one call)."""

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
    """Language of the file, and of the instructions that an agent is given with it."""
    effective_from: date
    """First day of use."""
    title: str = Field(min_length=1, max_length=_SHORT)
    """Name of the rubric."""
    disclaimer: str = Field(min_length=1, max_length=_LONG)
    """Shown with every result."""
    words: Mapping[str, tuple[str, ...]] = {}
    """Named lists of patterns; a rule says ``<name>`` for any of a list."""
    elements: tuple[Element, ...] = Field(min_length=1)
    """What to look for, in the order of the results."""

    @field_validator("elements")
    @classmethod
    def _checkable(cls, value: tuple[Element, ...]) -> tuple[Element, ...]:
        ids = [element.id for element in value]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"id가 두 번 나옵니다: {', '.join(twice)}. 하나의 이름을 바꾸십시오")
        if not any(element.applicable for element in value):
            raise ValueError("점검할 항목이 없습니다. applicable = false가 아닌 항목을 두십시오")
        return value

    @model_validator(mode="after")
    def _readable(self) -> Rubric:
        for element in self.elements:
            for rule in element.rules:
                for pattern in (
                    *rule.says,
                    *rule.unless,
                    *rule.unless_near,
                    *rule.after,
                    *rule.near,
                ):
                    try:
                        compile_pattern(pattern, self.words)
                    except PatternInvalid as exc:
                        raise ValueError(f"[{element.id}] rules: {exc}") from None
        return self

    @property
    def asked(self) -> tuple[Element, ...]:
        """The elements that are examined in a call."""
        return tuple(element for element in self.elements if element.applicable)


def load_rubric(source: str | Path = DEFAULT_RUBRIC) -> Rubric:
    """Load a rubric by built-in name or from a user's file.

    Raises:
        RubricInvalid: the file is absent, not TOML, or not a rubric.
    """
    data = _parse(_read(source), str(source))
    try:
        return Rubric.model_validate(data)
    except ValidationError as exc:
        problems = "; ".join(_explain(error, data) for error in exc.errors())
        raise RubricInvalid(f"점검표 {source}: {problems}") from exc


def _read(source: str | Path) -> str:
    if source in BUILT_IN:
        file = resources.files("api_server") / "rubrics" / f"{source}.toml"
        return file.read_text(encoding="utf-8")
    try:
        return Path(source).read_text(encoding="utf-8-sig")  # Windows editors add a BOM
    except (OSError, ValueError) as exc:
        names = ", ".join(BUILT_IN)
        raise RubricInvalid(
            f"점검표 {source}을(를) 읽을 수 없습니다 ({exc}). UTF-8 TOML 파일의 경로나 내장 이름"
            f"({names})을 지정하십시오"
        ) from exc


def _parse(text: str, source: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as exc:
        raise RubricInvalid(f"점검표 {source}: TOML 문법 오류입니다 ({exc})") from exc


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
    return f"{_place(error['loc'], data)}: {f'{advice} ' if advice else ''}({error['msg']})"


def _place(loc: tuple[int | str, ...], data: dict[str, object]) -> str:
    """Name the element by its id where it has one: users count names, not positions."""
    match loc:
        case ("elements", int(index), *rest):
            elements = data.get("elements")
            item = elements[index] if isinstance(elements, list) else None
            name = item.get("id", "id 없음") if isinstance(item, dict) else "id 없음"
            field = ".".join(str(part) for part in rest)
            return f"{index + 1}번째 항목 [{name}]{f' {field}' if field else ''}"
    return ".".join(str(part) for part in loc) or "점검표"
