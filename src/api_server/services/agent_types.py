"""What an agent is asked and what it gave: the types, and the dict of the original request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypedDict

from stt_engine.outcome import Failure, Outcome

RequestFormat = Literal["prompt_based", "text_only"]

MAX_TOKENS = 1024
"""Length of an answer, in tokens, unless a request says otherwise."""

AgentType = Literal["vllm", "external", "dummy"]

DUMMY_TEXT = "[DUMMY 응답] 분석을 수행할 수 없습니다."


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One question to an agent.

    ``schema`` is a JSON schema that the answer has to follow (``prompt_based`` only). ``parse``
    turns the answer's text into something and raises ``InvalidAnswer`` where it cannot; a bad
    answer is then a failed attempt like any other. ``system`` is a system message; an external
    agent has no place for one, so there it stands before the text.
    ``repair`` makes the text of a second and last question out of what ``parse`` refused the first
    answer for.
    """

    text: str
    url: str
    request_format: RequestFormat = "prompt_based"
    timeout_sec: float = 30.0
    chat_thread_id: str | None = None
    system: str | None = None
    schema: Mapping[str, object] | None = None
    schema_name: str = "answer"
    max_tokens: int = MAX_TOKENS
    parse: Callable[[str], object] | None = None
    repair: Callable[[str], str] | None = None


@dataclass(frozen=True, slots=True)
class AgentAnswer:
    """What the agent said; ``parsed`` is what the request's ``parse`` made of it."""

    text: str
    agent_type: AgentType
    model: str | None = None
    chat_thread_id: str | None = None
    parsed: object | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether an agent could answer one short question just now, and if not, why."""

    elapsed_sec: float
    model: str | None = None
    failure: Failure | None = None

    @property
    def ready(self) -> bool:
        """True where it answered."""
        return self.failure is None

    @property
    def error(self) -> str | None:
        """What went wrong, in words."""
        return self.failure.message if self.failure else None

    @property
    def error_type(self) -> str | None:
        """What went wrong, by its name in the taxonomy."""
        return self.failure.error_type if self.failure else None


class AgentBackendResponse(TypedDict):
    """The dict that :meth:`AgentBackend.call` gives."""

    success: bool
    response: str
    agent_type: AgentType
    is_dummy: bool
    dummy_reason: str | None
    error: str | None
    error_type: str | None
    processing_time_sec: float
    chat_thread_id: str | None


def render(outcome: Outcome[AgentAnswer]) -> AgentBackendResponse:
    """Give an outcome the shape of the original request."""
    cause = outcome.cause if outcome.is_dummy else None
    reason = cause.message if cause else None
    return {
        "success": not outcome.is_dummy,
        "response": outcome.value.text,
        "agent_type": outcome.value.agent_type,
        "is_dummy": outcome.is_dummy,
        "dummy_reason": reason,
        "error": reason,
        "error_type": cause.error_type if cause else None,
        "processing_time_sec": outcome.elapsed_sec,
        "chat_thread_id": outcome.value.chat_thread_id,
    }
