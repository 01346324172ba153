"""Requests to an agent and its answers, and the response dict of ``AgentBackend.call``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypedDict

from stt_engine.outcome import AttemptFailed, Failure, Outcome

RequestFormat = Literal["prompt_based", "text_only"]

MAX_TOKENS = 1024
"""Default length limit of an answer, in tokens."""

AgentType = Literal["vllm", "external", "dummy"]

DUMMY_TEXT = "[DUMMY 응답] 분석을 수행할 수 없습니다."


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One request to an agent.

    ``system`` is the system message; an external agent takes none, so there it precedes the text.
    ``schema`` is a JSON schema that the answer has to match (``prompt_based`` only). ``parse``
    converts the answer's text, or raises ``InvalidAnswer``, which is a failed attempt like any
    other. ``repair`` returns the text of one more request, from the message of that error.
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


PROBE = AgentRequest(
    'Answer with the JSON object {"status": "ok"}.',
    "",
    system="You answer in JSON.",
    schema={
        "type": "object",
        "properties": {"status": {"type": "string", "enum": ["ok"]}},
        "required": ["status"],
        "additionalProperties": False,
    },
    schema_name="probe",
    max_tokens=1,
)
"""The question of a probe; it has every part that a check has."""


@dataclass(frozen=True, slots=True)
class AgentAnswer:
    """An agent's answer; ``parsed`` is the result of the request's ``parse``."""

    text: str
    agent_type: AgentType
    model: str | None = None
    chat_thread_id: str | None = None
    parsed: object | None = None


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """Whether an agent could answer one short question just now, and if not, why.

    ``failed`` is an event that nobody has been given yet: whoever probes decides about that.
    """

    elapsed_sec: float
    model: str | None = None
    failed: AttemptFailed | None = None

    @property
    def failure(self) -> Failure | None:
        """What went wrong, as data."""
        return self.failed.failure if self.failed else None

    @property
    def ready(self) -> bool:
        """True where it answered."""
        return self.failed is None

    @property
    def error(self) -> str | None:
        """The message of the failure."""
        return self.failure.message if self.failure else None

    @property
    def error_type(self) -> str | None:
        """The failure's name in the taxonomy."""
        return self.failure.error_type if self.failure else None


class AgentBackendResponse(TypedDict):
    """The dict that :meth:`AgentBackend.call` returns."""

    success: bool
    response: str
    agent_type: AgentType
    is_dummy: bool
    dummy_reason: str | None
    error: str | None
    error_type: str | None
    processing_time_sec: float
    chat_thread_id: str | None


def build_agent_response(outcome: Outcome[AgentAnswer]) -> AgentBackendResponse:
    """Return an outcome as the response dict of :meth:`AgentBackend.call`."""
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
