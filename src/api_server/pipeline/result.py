"""What a call came to: one value that can be stored as JSON and read back equal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from pydantic import TypeAdapter

from api_server.compliance.result import ComplianceReport
from stt_engine.outcome import Failure, Outcome
from stt_engine.speech import Transcript


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check came to: a report, or the failure of the check itself (a defect)."""

    report: Outcome[ComplianceReport] | None = None
    failure: Failure | None = None

    @property
    def degraded(self) -> bool:
        """True where the agent gave nothing usable, or the check broke."""
        return self.report is None or self.report.value.agent.is_dummy


@dataclass(frozen=True, slots=True)
class CallResult:
    """Both stages of one call. ``check`` is ``None`` where none was asked for.

    ``revision`` counts from 1; a stage that is completed later makes the next one, and a revision
    is never changed.
    """

    recognition: Outcome[Transcript]
    check: CheckResult | None = None
    elapsed_sec: float = 0.0
    revision: int = 1

    @property
    def missing(self) -> tuple[str, ...]:
        """The stages that gave nothing usable: ``stt``, ``agent``, both or none."""
        stages = (("stt", self.recognition.is_dummy), ("agent", self.check_degraded))
        return tuple(name for name, degraded in stages if degraded)

    @property
    def check_degraded(self) -> bool:
        """True where a check was asked for and gave nothing usable of the agent's."""
        return self.check is not None and self.check.degraded

    @property
    def check_cause(self) -> Failure | None:
        """The failure to name where the check gave nothing usable, if one is known."""
        if self.check is None:
            return None
        report = self.check.report
        return self.check.failure or (report.value.agent.cause if report else None)

    def to_json(self) -> bytes:
        """Return the value as JSON."""
        return _adapter().dump_json(self)

    @classmethod
    def from_json(cls, stored: bytes | str) -> CallResult:
        """Return the value that :meth:`to_json` wrote.

        Raises:
            pydantic.ValidationError: it is not one.
        """
        return _adapter().validate_json(stored)


@cache
def _adapter() -> TypeAdapter[CallResult]:
    return TypeAdapter(CallResult)
