"""Reads the headers of weight files, without their libraries: is the file whole, what does it fit.

Each reader returns the shapes that matter and raises :class:`ModelDamaged` where the file is
shorter than it says itself. Nothing is unpickled and no tensor is read.
"""

from __future__ import annotations

import json
import pickletools
import struct
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stt_engine.errors import ModelDamaged

MULTILINGUAL_VOCABULARY = 51_865
"""Tokens of the smallest multilingual Whisper vocabulary; English-only ones have one less."""

_MAX_JSON_HEADER = 100_000_000
CT2_VERSIONS = range(4, 7)


@dataclass(frozen=True, slots=True)
class WeightsHeader:
    """What the weights themselves say: mel bands they take and tokens they know."""

    n_mels: int | None = None
    vocabulary: int | None = None

    @property
    def multilingual(self) -> bool | None:
        """Whether the model knows more than English; ``None`` where the header does not tell."""
        return None if self.vocabulary is None else self.vocabulary >= MULTILINGUAL_VOCABULARY


def damaged(path: Path, what: str) -> ModelDamaged:
    """Return the error for a file that cannot be used, with what to do."""
    return ModelDamaged(
        f"{path} {what}; delete the file and run `stt-engine model fetch`, "
        "or copy the folder again and run `stt-engine model verify`"
    )


def read_ctranslate2(path: Path) -> WeightsHeader:
    """Walk the variables of a CTranslate2 ``model.bin`` up to its end."""
    with path.open("rb") as file:
        try:
            shapes = _ctranslate2_shapes(file, path)
        except (struct.error, UnicodeDecodeError) as exc:
            raise damaged(path, f"is cut short ({path.stat().st_size} bytes)") from exc
    return _header(
        shapes.get("encoder/conv1/weight", ()), shapes.get("decoder/embeddings/weight", ())
    )


def _ctranslate2_shapes(file: BinaryIO, path: Path) -> dict[str, tuple[int, ...]]:
    size = path.stat().st_size
    (version,) = read_numbers(file, "<I")
    if version not in CT2_VERSIONS:
        raise damaged(path, f"is no CTranslate2 model (binary version {version})")
    read_text(file)
    read_numbers(file, "<I")  # revision of the specification
    shapes = {}
    (count,) = read_numbers(file, "<I")
    for _ in range(count):
        name = read_text(file)
        (rank,) = read_numbers(file, "<B")
        shapes[name] = read_numbers(file, f"<{rank}I")
        _, length = read_numbers(file, "<BI")
        if file.seek(length, 1) > size:
            raise damaged(path, f"is cut short in {name} ({size} bytes)")
    (aliases,) = read_numbers(file, "<I")
    for _ in range(2 * aliases):
        read_text(file)
    return shapes


def read_numbers(file: BinaryIO, layout: str) -> tuple[int, ...]:
    """Read numbers in a layout of :mod:`struct`; ``struct.error`` where the file ends before."""
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def read_text(file: BinaryIO) -> str:
    """Read a text as CTranslate2 stores it: its length, and a zero at its end."""
    (length,) = read_numbers(file, "<H")
    (raw,) = struct.unpack(f"{length}s", file.read(length))
    return str(raw, "utf-8").rstrip("\0")


def read_safetensors(paths: Iterable[Path]) -> WeightsHeader:
    """Check that every safetensors file is as long as its header says, and merge their shapes."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in paths:
        shapes |= _safetensors_shapes(path)
    plain = {name.removeprefix("model."): shape for name, shape in shapes.items()}
    return _header(
        plain.get("encoder.conv1.weight", ()), plain.get("decoder.embed_tokens.weight", ())
    )


def _safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(size - 8, _MAX_JSON_HEADER):  # noqa: PLR2004 - 8 bytes
            raise damaged(path, f"is cut short ({size} bytes)")
        raw = file.read(length)
    try:
        tensors = json.loads(raw)
        tensors.pop("__metadata__", None)
        shapes = {name: tuple(facts["shape"]) for name, facts in tensors.items()}
        end = max((facts["data_offsets"][1] for facts in tensors.values()), default=0)
    except (ValueError, LookupError, TypeError, AttributeError) as exc:
        raise damaged(path, "has no readable safetensors header") from exc
    if size != 8 + length + end:
        raise damaged(path, f"is {size} bytes, its header says {8 + length + end}")
    return shapes


def read_torch_zip(path: Path) -> WeightsHeader:
    """Read the ``dims`` of an openai-whisper ``.pt`` from its pickle's opcodes, executing none."""
    try:
        with zipfile.ZipFile(path) as archive:
            pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
            program = archive.read(pickles[0])
        numbers = _numbers_after_names(program)
    except (zipfile.BadZipFile, ValueError, IndexError, EOFError) as exc:
        raise damaged(path, "is cut short, or is no PyTorch zip file") from exc
    return WeightsHeader(numbers.get("n_mels"), numbers.get("n_vocab"))


def _numbers_after_names(program: bytes) -> dict[str, int]:
    """Pair each string of a pickle with the integer pushed next (memo opcodes between)."""
    found: dict[str, int] = {}
    name = None
    for opcode, argument, _ in pickletools.genops(program):
        if opcode.name in {"BINPUT", "LONG_BINPUT", "MEMOIZE"}:
            continue
        if name is not None and isinstance(argument, int) and "INT" in opcode.name:
            found.setdefault(name, argument)
        name = argument if isinstance(argument, str) and "UNICODE" in opcode.name else None
    return found


def _header(conv1: tuple[int, ...], embeddings: tuple[int, ...]) -> WeightsHeader:
    """Take mels from ``conv1`` (out, mels, width) and the vocabulary from the embeddings."""
    return WeightsHeader(
        conv1[1] if len(conv1) > 1 else None, embeddings[0] if embeddings else None
    )
