"""What a job asks of each of its recordings: stored with it as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from api_server.pipeline.analysis import AgentConfig
from stt_engine.hints import NO_HINTS, Hints
from stt_engine.speech import SpeechRequest


@dataclass(frozen=True, slots=True)
class JobOptions:
    """The fields of ``POST /transcribe`` but for the recording.

    ``agent``: it is to be checked; ``model``: the name of another model than the default one.
    """

    language: str = "ko"
    word_timestamps: bool = False
    agent: AgentConfig | None = None
    translate: bool = False
    hints: Hints = NO_HINTS
    temperature: float = 0.0
    model: str | None = None

    def speech(
        self, path: Path, agent_channel: int, model_folder: Path | None = None
    ) -> SpeechRequest:
        """Return what is asked of one recording; its model is in that folder."""
        return SpeechRequest(
            path,
            self.language,
            self.translate,
            self.word_timestamps,
            agent_channel,
            self.hints,
            self.temperature,
            model_folder,
        )

    def to_json(self) -> str:
        """Return the value as JSON.

        Without another model it is as it was before there were any, and so is its hash.
        """
        return _adapter().dump_json(self, exclude=None if self.model else {"model"}).decode()

    @classmethod
    def from_json(cls, stored: str) -> JobOptions:
        """Return the value that :meth:`to_json` wrote.

        Raises:
            pydantic.ValidationError: it is not one.
        """
        return _adapter().validate_json(stored)


@cache
def _adapter() -> TypeAdapter[JobOptions]:
    return TypeAdapter(JobOptions)
