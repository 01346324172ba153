"""Which models a caller may name as ``model``: the default one, and others that are installed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio.to_thread

from api_server.settings import INSTALLED, Settings
from stt_engine.errors import ModelNotFound
from stt_engine.model_store.installed import installed, is_model, name_at
from stt_engine.model_store.places import find_model, full_name
from stt_engine.shown import unknown
from stt_engine.system.file_threads import FileThreads


def _now() -> int:
    return int(time.time())


@dataclass(frozen=True, slots=True)
class Model:
    """A name that a caller may give; ``folder`` is ``None`` for the default model."""

    name: str
    owner: str
    folder: Path | None = None

    @property
    def other(self) -> str | None:
        """Its name, unless it is the default model."""
        return self.name if self.folder else None


@dataclass(frozen=True, slots=True)
class ModelNames:
    """The models of this server and their names; ``since``: when it was set up."""

    default: Path
    aliases: tuple[str, ...]
    listed: tuple[str, ...]
    home: Path | None
    since: int = field(default_factory=_now)
    _disk: FileThreads = field(default_factory=lambda: FileThreads("the models' folder"))

    @classmethod
    def of(cls, settings: Settings) -> ModelNames:
        """Return the names that the settings give."""
        default, aliases = settings.stt_model_path, settings.stt_model_aliases
        return cls(default, tuple(aliases), tuple(settings.stt_other_models), settings.stt_home)

    async def all(self) -> list[Model]:
        """Return every model that can be named now: the default one, its aliases, others.

        Raises:
            EngineError: one of :data:`stt_engine.native_errors.CANNOT_TELL`.
        """
        others = await anyio.to_thread.run_sync(self._disk.run, self._others)
        return [*self._own(), *(Model(one, _owner(one), others[one]) for one in others)]

    async def find(self, asked: str | None) -> Model:
        """Return the model that ``asked`` names, or is a short form of; the default one for none.

        Raises:
            ModelNotFound: with the name that was meant or all there are.
            EngineError: as :meth:`all`.
        """
        own = self._own()  # without a look at the disk
        if asked is None:
            return own[0]
        known = [*own, *([] if self._named(asked, own) else (await self.all())[len(own) :])]
        found = self._named(asked, known)
        if found is None:
            names = [one.name for one in known]
            words = f"The model does not exist here: {unknown('model', asked, names)}"
            raise ModelNotFound(words)
        return found

    async def folder(self, name: str | None) -> Path | None:
        """Return the folder of a model; ``None`` for the default one. Raises as :meth:`find`."""
        return (await self.find(name)).folder

    def describe(self, model: Model) -> dict[str, Any]:
        """Return a model as ``GET /v1/models`` lists it."""
        facts = {"object": "model", "created": self.since, "owned_by": model.owner}
        return {"id": model.name, **facts}

    def _own(self) -> list[Model]:
        name = name_at(self.default)
        names = [name, *(one for one in self.aliases if one != name)]
        return [Model(one, _owner(name)) for one in names]

    @staticmethod
    def _named(asked: str, known: list[Model]) -> Model | None:
        exact = next((one for one in known if one.name == asked), None)
        return exact or next((one for one in known if one.name == full_name(asked)), None)

    def _others(self) -> dict[str, Path]:
        """Return the folders of other models by name; none that has the default one's or its."""
        found = installed(self.home) if INSTALLED in self.listed else {}
        for name in self.listed:
            folder = find_model(name, self.home)
            if name != INSTALLED and is_model(folder):
                found.setdefault(name_at(folder), folder)
        taken, own = {one.name for one in self._own()}, self.default.resolve()
        return {
            name: folder
            for name, folder in found.items()
            if name not in taken and folder.resolve() != own
        }


def _owner(name: str) -> str:
    return name.rpartition("/")[0] or "stt-engine"
