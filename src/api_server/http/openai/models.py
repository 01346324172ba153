"""Which names a client may give as ``model``."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from api_server.http.openai.errors import ApiError
from api_server.settings import Settings
from stt_engine.model_store.places import full_name, model_name
from stt_engine.shown import unknown


def _now() -> int:
    return int(time.time())


@dataclass(frozen=True, slots=True)
class ModelNames:
    """The model that this server has, and its other names; ``since``: when it was set up."""

    own: str
    aliases: tuple[str, ...]
    since: int = field(default_factory=_now)

    @classmethod
    def of(cls, settings: Settings) -> ModelNames:
        """Return the names that the settings give."""
        own = model_name(settings.stt_model_path)
        return cls(own, tuple(one for one in settings.stt_model_aliases if one != own))

    @property
    def all(self) -> tuple[str, ...]:
        """Every name, the model's own first."""
        return (self.own, *self.aliases)

    def check(self, asked: str) -> str:
        """Return ``asked``, if it is one of the names or a short form of the model's own.

        Raises:
            ApiError: 404, with the name that was meant or all there are.
        """
        if asked in self.all or full_name(asked) == self.own:
            return asked
        words = f"The model does not exist here: {unknown('model', asked, self.all)}"
        raise ApiError(404, "model_not_found", words, {}, "model")

    def describe(self, name: str) -> dict[str, Any]:
        """Return a model as ``GET /v1/models`` lists it."""
        owner = self.own.rpartition("/")[0] or "stt-engine"
        return {"id": name, "object": "model", "created": self.since, "owned_by": owner}
