"""Where models are, and what they are called: short names, and folders from anywhere.

A relative path is looked for in the working folder first, then in the data folder: ``STT_HOME``,
else the user's own for data.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from platformdirs import user_data_path

from stt_engine.errors import InvalidRequest
from stt_engine.model_store.catalogue import folder_name, load_catalogue
from stt_engine.shown import unknown

HOME = "STT_HOME"
"""Variable that names the data folder."""

_MODELS = Path("models")

_SIZES = "tiny.en tiny base.en base small.en small medium.en medium large-v1 large-v2 large-v3"
_DISTILLED = "large-v2 medium.en small.en large-v3"

_REPOSITORIES: Mapping[str, str] = {
    **{size: f"Systran/faster-whisper-{size}" for size in _SIZES.split()},
    **{f"distil-{size}": f"Systran/faster-distil-whisper-{size}" for size in _DISTILLED.split()},
    "large": "Systran/faster-whisper-large-v3",
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
}
"""OpenAI's and faster-whisper's short names to the repositories of the hub (``faster_whisper``)."""


def _names() -> dict[str, str]:
    """Return every name that is known, in small letters, with the model's full name."""
    full = {*load_catalogue(), *_REPOSITORIES.values()}
    names = {form: name for name in full for form in (name, name.rpartition("/")[2])}
    return {name.casefold(): one for name, one in (names | dict(_REPOSITORIES)).items()}


def full_name(name: str) -> str:
    """Return the name on the hub or in the catalogue of ``base``; any other one as it is."""
    return _names().get(name.strip().casefold(), name)


def model_name(folder: Path) -> str:
    """Return what the model in a folder is called: ``owner/name`` where that is known."""
    names = {folder_name(name): name for name in _names().values()}
    return names.get(folder.name, folder.name)


def check_name(name: str) -> str:
    """Return the full name of a model that can be fetched.

    Raises:
        InvalidRequest: neither a known name nor ``owner/name``; it says which may have been meant.
    """
    found = full_name(name)
    if "/" not in found and found.casefold() not in _names():
        raise InvalidRequest(unknown("model", name, [*_REPOSITORIES, *load_catalogue()]))
    return found


def suggestion(path: Path) -> str:
    """Return half a sentence about the name that ``path`` may have been meant for, if any."""
    if len(path.parts) != 1:
        return ""
    said = unknown("model", path.name, _REPOSITORIES)
    _, meant, name = said.partition("; did you mean ")
    return f"; did you mean {name}" if meant else ""


def data_home(home: Path | None = None) -> Path:
    """Return ``home``, else the folder that ``STT_HOME`` names, else the user's data folder."""
    named = home or os.environ.get(HOME)
    return Path(named).expanduser() if named else user_data_path("stt-engine")


def model_roots(home: Path | None = None) -> tuple[Path, Path]:
    """Return the two folders that hold models: ``models`` here, and the data folder's."""
    return _MODELS, data_home(home) / _MODELS


def models_folder(home: Path | None = None) -> Path:
    """Return the folder that models are kept in: ``models`` here if it exists, else in the home."""
    return _MODELS if _MODELS.is_dir() else data_home(home) / _MODELS


def find_model(given: str | Path, home: Path | None = None) -> Path:
    """Return the folder of a model, by path or by name; where there is none, the one it would be.

    What exists in the working folder comes first, then what exists in the data folder.
    """
    path = Path(given).expanduser()
    if path.is_absolute():
        return path
    name = full_name(str(given))
    as_model = _MODELS / folder_name(name)
    for root in (Path(), data_home(home)):
        for one in (path, as_model):
            if (root / one).exists():
                return root / one
    if str(given).strip().casefold() in _names():
        return models_folder(home) / folder_name(name)
    in_models = path.parts[:1] == _MODELS.parts and len(path.parts) > 1
    return models_folder(home).joinpath(*path.parts[1:]) if in_models else path
