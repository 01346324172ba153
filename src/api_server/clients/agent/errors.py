"""Errors of agents, as a tree under :class:`api_server.clients.errors.TargetError`.

::

    TargetError
    └── AgentError                    error_type (the name callers see)
        ├── AgentTimeout              TimeoutError     the deadline passed (*: a short one)
        ├── AgentConnectionError      ConnectionError  nothing was sent: refused, DNS, TLS
        ├── AgentDisconnected         reset or closed in the middle of a call
        ├── AgentUnavailable          it responded that it cannot answer
        │   ├── AgentOverloaded       429
        │   ├── AgentNotReady         503, for example while the model loads
        │   └── AgentServerError      500 and the other 5xx, for example out of memory
        ├── AgentRefused        *     400 and the other 4xx: the request is wrong
        │   ├── AgentUnauthorized *   401, 403
        │   └── AgentNotFound   *     404: no such path or model
        ├── AddressInvalid      *     the URL cannot be used
        ├── RedirectRefused     *     3xx; redirects are not followed
        ├── ModelUnknown        *     neither /v1/models nor a setting names one
        └── BadAnswer
            ├── InvalidAnswer         not JSON, or not in the agreed shape
            │   └── AnswerTooLarge
            ├── EmptyAnswer
            ├── TruncatedAnswer *     ``finish_reason`` is ``length``, or says nothing
            └── AnswerWithheld  *     a refusal, a filter, a call of a tool: no words of an answer

``*``: says nothing about the health of the target, which is alive and responds at once, so the
circuit breaker does not record it. An open circuit would hide the cause, and one caller's long
prompt, wrong path or short time-out would block the agent for everybody. For the same reason it
does not record what a model makes of one caller's words: an answer in another shape than was asked.

A message never contains a response body (it can echo the caller's transcript), an API key, or the
userinfo or query of a URL: only the status and the short tokens of an OpenAI-style error.
"""

from __future__ import annotations

from api_server.clients.errors import TargetError, format_seconds

CONNECTION_FAILED = "Agent 서버 연결 실패"


class AgentError(TargetError):
    """An agent gave no usable answer."""


class AgentTimeout(AgentError):
    """The deadline over the whole call passed."""

    error_type = "TimeoutError"

    def __init__(self, timeout_sec: float, *, patient: bool = True) -> None:
        super().__init__(f"Agent 호출 타임아웃 ({format_seconds(timeout_sec)}s)")
        self.timeout_sec = timeout_sec
        self.counts_for_circuit = patient


class AgentConnectionError(AgentError):
    """No connection, so nothing was sent. ``detail`` is the cause without the prefix."""

    error_type = "ConnectionError"

    def __init__(self, detail: str) -> None:
        super().__init__(f"{CONNECTION_FAILED}: {detail}")
        self.detail = detail


class AgentDisconnected(AgentError):
    """The connection broke after something was sent; the agent may have processed it or not."""


class AgentStatusError(AgentError):
    """The agent responded with an HTTP error status.

    ``retry_after`` is its ``Retry-After``, in seconds.
    """

    def __init__(self, message: str, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class AgentUnavailable(AgentStatusError):
    """The agent responded that it cannot answer now."""


class AgentOverloaded(AgentUnavailable):
    """429: too many requests."""


class AgentNotReady(AgentUnavailable):
    """503: the model is still loading, or the agent is not serving."""


class AgentServerError(AgentUnavailable):
    """Another 5xx: out of memory, a dead worker, a proxy without its server."""


class AgentRefused(AgentStatusError):
    """Another 4xx: the request is wrong, for example a prompt longer than the model's context."""

    counts_for_circuit = False


class AgentUnauthorized(AgentRefused):
    """401 or 403: the API key is missing or wrong."""


class AgentNotFound(AgentRefused):
    """404: the path or the model does not exist there."""


class RedirectRefused(AgentStatusError):
    """A 3xx: following it would leave the allow-list of agent hosts."""

    counts_for_circuit = False


class AddressInvalid(AgentError):
    """The agent's URL cannot be used."""

    counts_for_circuit = False


class ModelUnknown(AgentError):
    """No model name in the settings, and the server lists none."""

    counts_for_circuit = False


class BadAnswer(AgentError):
    """The agent answered, and the answer cannot be used."""


class InvalidAnswer(BadAnswer):
    """Not JSON, or not valid against the requested schema."""


class AnswerTooLarge(InvalidAnswer):
    """The answer is longer than the limit."""


class EmptyAnswer(BadAnswer):
    """The answer contains no text."""


class TruncatedAnswer(BadAnswer):
    """The answer is cut off: at its longest, or where no end is told."""

    counts_for_circuit = False


class AnswerWithheld(BadAnswer):
    """The model or its server gives no words: it refuses, filters, or wants to call a tool."""

    counts_for_circuit = False
