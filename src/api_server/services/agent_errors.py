"""What can go wrong with an agent, as a tree under ``stt_engine.errors.EngineError``.

::

    EngineError
    └── AgentError                    error_type (the name callers see)
        ├── AgentTimeout              TimeoutError     the deadline passed
        ├── AgentConnectionError      ConnectionError  nothing was sent: refused, DNS, TLS
        ├── AgentDisconnected         reset or closed in the middle of an exchange
        ├── CircuitOpen               not even tried
        ├── AgentUnavailable          it answered that it cannot
        │   ├── AgentOverloaded       429
        │   ├── AgentNotReady         503, for example while the model loads
        │   └── AgentServerError      500 and the other 5xx, for example out of memory
        ├── AgentRefused        *     400 and the other 4xx: what was asked is wrong
        │   ├── AgentUnauthorized *   401, 403
        │   └── AgentNotFound   *     404: no such path or model
        ├── AddressInvalid      *     the URL cannot be used
        ├── RedirectRefused     *     3xx; redirects are not followed
        ├── ModelUnknown        *     /v1/models names none and no setting does
        └── BadAnswer
            ├── InvalidAnswer         not JSON, or not in the agreed shape
            │   └── AnswerTooLarge
            ├── EmptyAnswer
            └── TruncatedAnswer *     ``finish_reason`` other than ``stop``

``*``: says nothing about the health of the target (it is alive, and answers at once), so it counts
as nothing for the circuit. Opening it would only hide the true reason, and one caller's too long
prompt or wrong path would shut the agent off for everybody else.

A message never holds a response body (it can echo the caller's transcript), an API key or the
userinfo or query of a URL: only the status and the short tokens of an OpenAI-shaped error.
"""

from __future__ import annotations

from typing import ClassVar

from stt_engine.errors import EngineError

CONNECTION_FAILED = "Agent 서버 연결 실패"


def shown_seconds(seconds: float) -> str:
    """Give ``30.0`` as ``30`` and ``0.25`` as ``0.25``: seconds as people write them."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


class AgentError(EngineError):
    """An agent gave no usable answer."""

    counts: ClassVar[bool] = True
    """Whether the circuit breaker takes it as a failure of the target."""


class AgentTimeout(AgentError):
    """The deadline over the whole call passed."""

    error_type = "TimeoutError"

    def __init__(self, timeout_sec: float) -> None:
        super().__init__(f"Agent 호출 타임아웃 ({shown_seconds(timeout_sec)}s)")
        self.timeout_sec = timeout_sec


class AgentConnectionError(AgentError):
    """No connection: nothing was sent. ``detail`` says why, without our prefix."""

    error_type = "ConnectionError"

    def __init__(self, detail: str) -> None:
        super().__init__(f"{CONNECTION_FAILED}: {detail}")
        self.detail = detail


class AgentDisconnected(AgentError):
    """The connection broke after something had been sent; it is unknown what the agent did."""


class CircuitOpen(AgentError):
    """The circuit breaker refused the call; nothing was tried.

    ``retry_after`` is in seconds; ``None`` where the circuit was forced open.
    """

    counts = False

    def __init__(self, target: str, retry_after: float | None) -> None:
        when = "강제 차단" if retry_after is None else f"{shown_seconds(retry_after)}초 후 재시도"
        super().__init__(f"Circuit 열림: {target} 호출 차단 ({when})")
        self.target = target
        self.retry_after = retry_after


class AgentStatusError(AgentError):
    """The agent answered with an HTTP status that is not success.

    ``retry_after`` is what the agent asked for, in seconds.
    """

    def __init__(self, message: str, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class AgentUnavailable(AgentStatusError):
    """The agent is there and says that it cannot answer now."""


class AgentOverloaded(AgentUnavailable):
    """429: too many requests."""


class AgentNotReady(AgentUnavailable):
    """503: the model is still loading, or the agent is not serving."""


class AgentServerError(AgentUnavailable):
    """Another 5xx: out of memory, a dead worker, a proxy without its server."""


class AgentRefused(AgentStatusError):
    """A 4xx: what was sent is wrong, for example a prompt longer than the model's context."""

    counts = False


class AgentUnauthorized(AgentRefused):
    """401 or 403: the API key is missing or wrong."""


class AgentNotFound(AgentRefused):
    """404: the path or the model does not exist there."""


class RedirectRefused(AgentStatusError):
    """A 3xx: following it would leave the allow-list of agent hosts."""

    counts = False


class AddressInvalid(AgentError):
    """The URL is not one that an agent can be called on."""

    counts = False


class ModelUnknown(AgentError):
    """No model name in the settings, and the server lists none; none is made up."""

    counts = False


class BadAnswer(AgentError):
    """An answer came, and it cannot be used."""


class InvalidAnswer(BadAnswer):
    """Not JSON, not in the agreed shape, or against the schema that was asked for."""


class AnswerTooLarge(InvalidAnswer):
    """More bytes than are read from an agent."""


class EmptyAnswer(BadAnswer):
    """The answer holds no text."""


class TruncatedAnswer(BadAnswer):
    """The answer was cut (``finish_reason`` is not ``stop``); a part is not an answer."""

    counts = False


def counts_for_circuit(error: Exception) -> bool:
    """Tell whether ``error`` is the target's failure: an agent error says so itself."""
    return error.counts if isinstance(error, AgentError) else True
