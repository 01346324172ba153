"""Finds a backend's model folder and checks it before anything is loaded.

The checks are cheap (headers and small JSON files, twenty milliseconds, no torch) and say which
file is wrong and what to do, where the libraries would crash, ask the network or load nonsense. A
folder that passed is not read again until one of its files changes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from stt_engine.errors import ModelDamaged, ModelFormatAbsent, ModelNotFound
from stt_engine.model_store.headers import (
    WeightsHeader,
    damaged,
    read_ctranslate2,
    read_safetensors,
    read_torch_zip,
)
from stt_engine.model_store.places import suggestion
from stt_engine.native_errors import raise_machines_own

DEFAULT_MELS = 80
"""Mel bands that Whisper's feature extractors take where nothing says otherwise."""

Fingerprint = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder that passed the checks of one backend's format.

    ``multilingual`` and ``n_mels`` come from the weights; ``None`` where they do not tell.
    """

    path: Path
    backend: str
    weights_file: Path
    multilingual: bool | None
    n_mels: int | None

    def fingerprint(self) -> Fingerprint:
        """Return name, size and modification time (ns) of every file; empty once it is gone.

        Cheap: compare it before each call to notice that the model was removed or replaced.
        """
        return fingerprint(self.path)


def fingerprint(folder: Path) -> Fingerprint:
    """Return name, size and modification time (ns) of every file; empty for no folder."""
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in _stats(folder))


def _stats(folder: Path) -> list[tuple[str, os.stat_result]]:
    try:
        files = sorted(file for file in folder.iterdir() if file.is_file())
        return [(file.name, file.stat()) for file in files]
    except OSError as exc:
        raise_machines_own(exc, f"{folder} cannot be looked at")
        return []


def locate(model_path: Path, backend: str) -> ModelFolder:
    """Find the folder of ``backend`` at ``model_path`` or ``model_path/backend``, and check it.

    Args:
        model_path: a model folder, or one with a folder for each backend.
        backend: ``faster-whisper``, ``transformers`` or ``openai-whisper``.

    Raises:
        ModelNotFound: no folder, or no weights of any format in it.
        ModelFormatAbsent: weights, but only for other backends.
        ModelDamaged: a file is missing, half-written or contradicts another.
        EngineError: one of :data:`stt_engine.native_errors.CANNOT_TELL`.
    """
    wanted = FORMATS[backend]
    for folder in (model_path, model_path / backend):
        if wanted.present(folder):
            state = tuple((name, *_state(stat)) for name, stat in _stats(folder))
            return _checked(folder, backend, state)
    others = formats_in(model_path)
    if others:
        raise ModelFormatAbsent(f"{model_path} holds only {', '.join(others)} weights")
    raise _not_found(model_path)


def formats_in(model_path: Path) -> list[str]:
    """Name the backends whose weights are at ``model_path`` or in their folder below it."""
    return [
        name
        for name, layout in FORMATS.items()
        if layout.present(model_path) or layout.present(model_path / name)
    ]


def _not_found(model_path: Path) -> ModelNotFound:
    state = "the folder is there, but without weights" if model_path.is_dir() else "no such folder"
    return ModelNotFound(
        f"{model_path} not found — {state}{suggestion(model_path)}: "
        "run `stt-engine model fetch NAME`, or copy the folder from a machine that has it"
    )


def _state(stat: os.stat_result) -> tuple[int, ...]:
    """Return what is another number after any change: of the file, its place or its permissions."""
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


@lru_cache(maxsize=16)  # what is wrong is no result, and is looked at every time
def _checked(folder: Path, backend: str, _state_of_files: tuple[object, ...]) -> ModelFolder:
    try:
        weights, header = FORMATS[backend].check(folder)
    except OSError as exc:
        raise_machines_own(exc, f"{folder} cannot be looked at")
        raise ModelDamaged(f"{folder} cannot be read: {exc}; check its permissions") from exc
    return ModelFolder(folder, backend, weights, header.multilingual, header.n_mels)


Checked = tuple[Path, WeightsHeader]


@dataclass(frozen=True, slots=True)
class Format:
    """One backend's way to keep a model."""

    marks: tuple[str, ...]
    """Patterns of the files that say that this format is there."""
    check: Callable[[Path], Checked]

    def present(self, folder: Path) -> bool:
        """Whether a weights file of this format lies in ``folder``."""
        try:
            return any(any(folder.glob(mark)) for mark in self.marks)
        except OSError as exc:
            raise_machines_own(exc, f"{folder} cannot be looked at")
            return False


def _check_faster_whisper(folder: Path) -> Checked:
    weights = _filled(folder, "model.bin")
    config = _json(folder, "config.json")
    missing = [key for key in ("suppress_ids", "suppress_ids_begin") if key not in config]
    if missing:  # CTranslate2 reads on without them, and what it then hears changes by chance
        raise damaged(folder / "config.json", f"has no {' and no '.join(missing)}")
    # Without tokenizer.json the library asks the network for another model's.
    _json(folder, "tokenizer.json")
    _one_of(folder, "vocabulary.json", "vocabulary.txt")
    header = read_ctranslate2(weights)
    _mels_fit(folder, header, "preprocessor_config.json", required=header.n_mels != DEFAULT_MELS)
    return weights, header


def _check_transformers(folder: Path) -> Checked:
    weights = _safetensors(folder)
    config = _json(folder, "config.json")
    if config.get("model_type") != "whisper":
        raise damaged(folder / "config.json", f"says model_type={config.get('model_type')!r}")
    _json(folder, "generation_config.json")
    if not (folder / "tokenizer.json").is_file():
        _json(folder, "vocab.json")
        _filled(folder, "merges.txt")
    header = read_safetensors(weights)
    _same_mels(folder / "config.json", config.get("num_mel_bins"), header)
    name = _one_of(folder, "preprocessor_config.json", "processor_config.json").name
    _mels_fit(folder, header, name, required=True)
    return weights[0], header


def _check_openai_whisper(folder: Path) -> Checked:
    found = sorted(folder.glob("*.pt"))
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ModelDamaged(f"{folder} holds several checkpoints ({names}); keep one")
    weights = _filled(folder, found[0].name)
    return weights, read_torch_zip(weights)


def _safetensors(folder: Path) -> list[Path]:
    """List the safetensors files of ``folder``; refuse a folder with pickles only."""
    index = "model.safetensors.index.json"
    if (folder / "model.safetensors").exists():
        return [_filled(folder, "model.safetensors")]
    if not (folder / index).exists():
        raise ModelDamaged(
            f"{folder / 'pytorch_model.bin'} is a pickle, which can run code and is refused; "
            "convert the weights to model.safetensors"
        )
    parts = _json(folder, index).get("weight_map")
    if not isinstance(parts, dict) or not parts:
        raise damaged(folder / index, "names no weights")
    return [_filled(folder, str(name)) for name in sorted(set(parts.values()))]


def _mels_fit(folder: Path, header: WeightsHeader, name: str, *, required: bool) -> None:
    """Compare the feature extractor's mel count with the weights'."""
    if not (folder / name).exists():
        if required:
            raise damaged(
                folder / name, f"is missing, and the weights need it ({header.n_mels} mel bands)"
            )
        return
    settings = _json(folder, name)
    nested = settings.get("feature_extractor")
    chosen: Mapping[str, object] = nested if isinstance(nested, dict) else settings
    _same_mels(folder / name, chosen.get("feature_size", DEFAULT_MELS), header)


def _same_mels(path: Path, said: object, header: WeightsHeader) -> None:
    if header.n_mels is not None and said != header.n_mels:
        raise damaged(
            path, f"says {said} mel bands, the weights take {header.n_mels}: they are of two models"
        )


def _filled(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise damaged(path, "is missing")
    if path.stat().st_size == 0:
        raise damaged(path, "is empty (0 bytes)")
    return path


def _one_of(folder: Path, *names: str) -> Path:
    present = [name for name in names if (folder / name).is_file()]
    if not present:
        raise damaged(folder / names[0], f"is missing (or {', '.join(names[1:])})")
    return _filled(folder, present[0])


def _json(folder: Path, name: str) -> dict[str, object]:
    path = _filled(folder, name)
    try:
        content = json.loads(path.read_bytes())
    except ValueError as exc:
        raise damaged(path, f"is no whole JSON file ({exc})") from exc
    if not isinstance(content, dict):
        raise damaged(path, "is no JSON object")
    return content


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "faster-whisper": Format(("model.bin",), _check_faster_whisper),
        "transformers": Format(
            ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"),
            _check_transformers,
        ),
        "openai-whisper": Format(("*.pt",), _check_openai_whisper),
    }
)
"""Every backend that loads files, in the order of the chain."""
