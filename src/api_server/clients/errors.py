"""Errors of calls to other servers, and the language that error messages are written in.

What a person at a desk in Korea reads is Korean, what an engineer reads is English:

* Korean: messages of :class:`TargetError` and its subclasses. Reviewers see them as
  ``agent_dummy_reason`` and ``partial_failure_reason``, and in the log. So is the message of
  :class:`stt_engine.errors.ServerStopping` where it ends a call to an agent, and those about a
  rubric file, which compliance officers edit.
* English: messages of every other error of the taxonomy, problem documents, the command line,
  and defects.
"""

from __future__ import annotations

import errno

from stt_engine.errors import EngineError

_OURS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EAGAIN}
)
"""What the operating system says where this machine, and not the other one, has run out."""


def format_seconds(seconds: float) -> str:
    """Return ``30.0`` as ``30`` and ``0.25`` as ``0.25``."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


class TargetError(EngineError):
    """A called server gave no usable answer, or the call was not made."""

    counts_for_circuit: bool = True
    """Whether the circuit breaker records it as a failure of the target."""


class CircuitOpen(TargetError):
    """The circuit breaker rejected the call; nothing was sent.

    ``retry_after`` is in seconds; ``None`` where the circuit was forced open.
    """

    counts_for_circuit = False

    def __init__(self, target: str, retry_after: float | None) -> None:
        when = "강제 차단" if retry_after is None else f"{format_seconds(retry_after)}초 후 재시도"
        super().__init__(f"Circuit 열림: {target} 호출 차단 ({when})")
        self.target = target
        self.retry_after = retry_after


class LlmPostponed(TargetError):
    """The LLM is asked later, by a repair; until then the rules alone have judged."""

    counts_for_circuit = False


class ProviderUnavailable(EngineError):
    """Where people log in, no answer comes that can be used; it may later."""


class LoginNotProved(EngineError):
    """What a provider of logins, or who says to be it, has answered proves nothing of anybody."""


def is_own_shortage(error: BaseException) -> bool:
    """Return whether ``error``, or what it came from, says that this machine has run out."""
    seen: list[BaseException] = [error]
    for one in seen:
        if isinstance(one, MemoryError) or (isinstance(one, OSError) and one.errno in _OURS):
            return True
        inner = one.exceptions if isinstance(one, BaseExceptionGroup) else ()
        causes = (one.__cause__, one.__context__, *inner)
        seen += [cause for cause in causes if cause is not None and cause not in seen]
    return False


def is_target_failure(error: Exception) -> bool:
    """Return whether the circuit breaker has to record ``error``; an unknown error counts.

    Not so the errors of this server: it stops, or has run out of files, ports or memory.
    """
    if isinstance(error, EngineError) and not isinstance(error, TargetError):
        return False
    counts = error.counts_for_circuit if isinstance(error, TargetError) else True
    return counts and not is_own_shortage(error)
