"""Agents for the validator's tests, and the sample call."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from api_server.clients.agent.types import AgentAnswer, AgentRequest
from api_server.compliance.evidence import Evidence
from api_server.compliance.findings import RuleFinding
from api_server.compliance.rubric import load_rubric
from api_server.compliance.validator import ValidationResult, get_incomplete_elements_validator
from stt_engine.events import Event, Stage
from stt_engine.log import E
from stt_engine.outcome import DUMMY, Attempts, Outcome
from stt_engine.speech import Segment

AUDIO = Path(__file__).parents[2] / "audio"
RUBRIC = load_rubric()
CONFIG = {"url": "http://agent.test/v1/chat/completions", "format": "prompt_based"}
ASKED = [element.id for element in RUBRIC.asked]


def sample_call() -> tuple[Segment, ...]:
    data = json.loads((AUDIO / "sample_call_ko.json").read_text(encoding="utf-8"))
    return tuple(Segment(id=number, **item) for number, item in enumerate(data["segments"]))


def expected_call() -> dict[str, Any]:
    return json.loads((AUDIO / "sample_call_ko.expected.json").read_text(encoding="utf-8"))


def claim(status: str = "not_found", quote: str = "", reason: str = "") -> dict[str, str]:
    return {"quote": quote, "reason": reason, "status": status}


HAS_READ = "(the proof of the reading)"
"""In an answer of :class:`FakeAgent`: the marks of what it was asked, as an honest agent copies."""


def marks_of(prompt: str) -> str:
    """The proof that the call in ``prompt`` was read, as an honest agent gives it."""
    return " ".join(re.findall(r"\[\d{4}\][^\n\[]{0,24}", prompt.partition("</통화>")[0]))


def answer(
    ids: Sequence[str] = ASKED, read: object = HAS_READ, **claims: Mapping[str, object]
) -> str:
    """An agent's answer: everything not found, but for ``claims`` (dots written as ``__``)."""
    named = {name.replace("__", "."): value for name, value in claims.items()}
    elements = {name: named.get(name, claim()) for name in ids}
    return json.dumps({"read": read, **elements}, ensure_ascii=False)


class FakeAgent:
    """Answers with a text, or fails; walks the same road as the real backend."""

    def __init__(self, reply: str | Exception | Callable[[AgentRequest], str]) -> None:
        self.reply = reply
        self.requests: list[AgentRequest] = []

    async def ask(self, request: AgentRequest) -> Outcome[AgentAnswer]:
        self.requests.append(request)
        attempts = Attempts(Stage.AGENT, ())
        with attempts.of("vllm"):
            if isinstance(self.reply, Exception):
                raise self.reply
            text = self.reply if isinstance(self.reply, str) else self.reply(request)
            proof = json.dumps(marks_of(request.text), ensure_ascii=False)
            text = text.replace(json.dumps(HAS_READ), proof)
            parsed = request.parse(text) if request.parse else None
            return attempts.settle(AgentAnswer(text, "vllm", "tiny", None, parsed), "vllm")
        return attempts.settle(AgentAnswer("[DUMMY 응답]", "dummy"), DUMMY)


class Recorder:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


class Rules:
    """A rule tier that finds given quotes, by element (``__`` stands for the dot)."""

    def __init__(self, **found: Sequence[str]) -> None:
        self.found = {name.replace("__", "."): quotes for name, quotes in found.items()}

    @property
    def covers(self) -> Sequence[str]:
        return tuple(self.found)

    def examine(self, segments: Sequence[Segment]) -> Mapping[str, RuleFinding]:
        return {
            name: RuleFinding(tuple(_evidence(quote, segments) for quote in quotes))
            for name, quotes in self.found.items()
        }


def _evidence(quote: str, segments: Sequence[Segment]) -> Evidence:
    where = next((one for one in segments if quote in one.text), segments[0])
    return Evidence(where.id, where.start, where.end, where.channel, quote, "exact")


NO_RULES = Rules()
"""For tests of what an agent alone can establish."""

CALL = sample_call()
SAID = "\n".join(segment.text for segment in CALL)
CERTAIN = "사실상 원금은 보장된다고 보시면 됩니다"
"""What the agent of the sample call promises."""
KEYS = set(ValidationResult.__annotations__)


async def checked(reply: Any, call: Any = CALL, **options: Any) -> ValidationResult:
    rules = options.pop("rules", NO_RULES)
    validator = get_incomplete_elements_validator(FakeAgent(reply), rules=rules)
    result = await validator.validate(call, CONFIG, 5, **options)
    assert set(result) == KEYS
    json.dumps(result, allow_nan=False)
    return result


def of(result: ValidationResult, element_id: str) -> dict[str, Any]:
    (element,) = (e for e in result["elements"] if e["id"] == element_id)
    return dict(element)


def verdict(result: ValidationResult, element_id: str) -> tuple[str, str]:
    element = of(result, element_id)
    return element["status"], element["reason"]


def statuses(result: ValidationResult) -> set[str]:
    return {element["status"] for element in result["elements"]}


def expected_answer() -> str:
    elements = expected_call()["elements"]
    claims = {
        name: claim(item["status"], (item["quotes"] or [""])[0], item["note"])
        for name, item in elements.items()
    }
    return answer(**{name.replace(".", "__"): claims[name] for name in ASKED})
