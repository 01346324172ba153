"""Which models of speech are on this machine, by name."""

from __future__ import annotations

from pathlib import Path

from stt_engine.errors import ModelError, NotApplicable
from stt_engine.model_store.folder import FORMATS, locate
from stt_engine.model_store.places import model_name, model_roots
from stt_engine.native_errors import raise_machines_own


def installed(home: Path | None = None) -> dict[str, Path]:
    """Return the folder of each model in ``models`` here and in the data folder, by its name.

    Only whole models of speech are, in the format of some backend; the first of a name counts.

    Raises:
        EngineError: one of :data:`stt_engine.native_errors.CANNOT_TELL`.
    """
    found: dict[str, Path] = {}
    for root in model_roots(home):
        for folder in _folders(root):
            if is_model(folder):
                found.setdefault(model_name(folder), folder)
    return found


def is_model(folder: Path) -> bool:
    """Return whether a folder holds a whole model of speech, in any format; raises likewise."""
    return any(_is_whole(folder, backend) for backend in FORMATS)


def name_at(folder: Path) -> str:
    """Return the name of a model by its folder, or by that of one of its formats in there."""
    return model_name(folder.parent if folder.name in FORMATS else folder)


def files_mb(folder: Path) -> float:
    """Return the size in MiB of the files of the model in a folder; 0 where there is none."""
    for backend in FORMATS:
        if _is_whole(folder, backend):
            return sum(size for _, size, _ in locate(folder, backend).fingerprint()) / 2**20
    return 0.0


def _folders(root: Path) -> list[Path]:
    try:
        return sorted(one for one in root.iterdir() if one.is_dir())
    except OSError as exc:
        raise_machines_own(exc, f"{root} cannot be looked at")
        return []


def _is_whole(folder: Path, backend: str) -> bool:
    """Return whether it is a model of speech: the weights of others take no bands of sound."""
    try:
        return locate(folder, backend).n_mels is not None
    except (ModelError, NotApplicable):
        return False
