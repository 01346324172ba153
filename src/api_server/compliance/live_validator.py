"""The validator of the rubric in force, which a file of the operator's own may replace."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

from api_server.clients.errors import LlmPostponed
from api_server.compliance.coverage import FULL_COVERAGE, Coverage
from api_server.compliance.events import RubricLoaded, RubricRefused
from api_server.compliance.result import ComplianceReport
from api_server.compliance.rubric import Rubric, RubricInvalid, load_rubric
from api_server.compliance.text_tasks import ReadCall
from api_server.compliance.validator import IncompleteElementsValidator
from stt_engine.events import Observer, emit
from stt_engine.outcome import Outcome
from stt_engine.speech import Segment


class LiveValidator:
    """Checks calls against the rubric in force; a call keeps the one that it began with.

    Args:
        rubric: the rubric to begin with.
        source: its file or built-in name.
        validator_of: returns a validator for a rubric.
        observers: get :class:`RubricLoaded` and :class:`RubricRefused`.
    """

    def __init__(
        self,
        rubric: Rubric,
        source: str | Path,
        validator_of: Callable[[Rubric], IncompleteElementsValidator],
        observers: Iterable[Observer] = (),
    ) -> None:
        self._source = source
        self._validator_of = validator_of
        self._observers = tuple(observers)
        self._of_settings = rubric
        self._chosen: Rubric | None = None
        self.until_known: Callable[[], Awaitable[None]] | None = None
        """Waited for, for a bounded time, before a check: what is in force may be read just now."""
        self._now = validator_of(rubric)

    @property
    def rubric(self) -> Rubric:
        """The rubric in force."""
        return self._now.rubric

    async def check(
        self,
        call_transcript: str | Sequence[Segment] | ReadCall,
        agent_config: Mapping[str, str | None],
        *,
        timeout_sec: float = 30,
        coverage: Coverage = FULL_COVERAGE,
        masked: Mapping[str, int] | None = None,
        postponed: LlmPostponed | None = None,
    ) -> Outcome[ComplianceReport]:
        """Check a call, as :meth:`IncompleteElementsValidator.check`."""
        if self.until_known is not None:
            await self.until_known()
        return await self._now.check(
            call_transcript,
            agent_config,
            timeout_sec=timeout_sec,
            coverage=coverage,
            masked=masked,
            postponed=postponed,
        )

    @property
    def of_settings(self) -> Rubric:
        """The rubric that the settings name."""
        return self._of_settings

    def refresh(self) -> None:
        """Read the rubric's files again; such as cannot be used change nothing."""
        try:
            self._of_settings = load_rubric(self._source)
        except RubricInvalid as exc:
            self.refuse(str(exc))
            return
        self.use(self._chosen)

    def use(self, chosen: Rubric | None) -> None:
        """Check calls against a rubric from now on; ``None``: against that of the settings."""
        self._chosen = chosen
        rubric = chosen or self._of_settings
        if rubric != self.rubric:
            self._now = self._validator_of(rubric)
            emit(self._observers, RubricLoaded(version=rubric.version, elements=len(rubric.asked)))

    def refuse(self, reason: str) -> None:
        """Have it known that another rubric cannot be used, and that this one stays in force."""
        emit(self._observers, RubricRefused(version=self.rubric.version, reason=reason))
