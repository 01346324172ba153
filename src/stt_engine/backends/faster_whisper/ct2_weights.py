"""Reads variables out of a CTranslate2 ``model.bin``, as they are stored and as plain numbers."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from stt_engine.model_store.headers import CT2_VERSIONS, read_numbers, read_text

Variables = dict[str, NDArray[np.generic]]

_DTYPES = ("<f4", "i1", "<i2", "<i4", "<f2", "<u2")
"""CTranslate2's data types in its own order; numpy has no bfloat16, so its bits are ``<u2``."""


class WeightsUnreadable(Exception):
    """The file is cut short, of an unknown version, or holds numbers in an unknown form."""


def read_variables(path: Path, prefix: str = "") -> Variables:
    """Read every variable whose name starts with ``prefix``; the others are skipped, not read.

    Arrays have the type they are stored in, bfloat16 as its bits (``uint16``). A variable that
    CTranslate2 stores once for several names is given under each of them.

    Raises:
        WeightsUnreadable: the file is no CTranslate2 model (binary versions 4 to 6), or cut short.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            return _variables(file, prefix)
        except (struct.error, UnicodeDecodeError, ValueError, IndexError) as exc:
            raise WeightsUnreadable(f"{path} is cut short or in an unknown form: {exc}") from exc


def _variables(file: BinaryIO, prefix: str) -> Variables:
    (version,) = read_numbers(file, "<I")
    if version not in CT2_VERSIONS:
        raise ValueError(f"binary version {version}")
    read_text(file)  # the name of the specification, then its revision
    _, count = read_numbers(file, "<II")
    found: Variables = {}
    places: dict[str, int] = {}
    for _ in range(count):
        name = read_text(file)
        places[name] = file.tell()
        _one(file, name, prefix, found)
    _aliases(file, prefix, found, places)
    return found


def _one(file: BinaryIO, name: str, prefix: str, found: Variables) -> None:
    """Read the variable at the file's position into ``found``, or step over it."""
    (rank,) = read_numbers(file, "<B")
    shape = read_numbers(file, f"<{rank}I")
    kind, length = read_numbers(file, "<BI")
    if name.startswith(prefix):
        found[name] = np.frombuffer(file.read(length), _DTYPES[kind]).reshape(shape)
    else:
        file.seek(length, os.SEEK_CUR)


def _aliases(file: BinaryIO, prefix: str, found: Variables, places: dict[str, int]) -> None:
    (count,) = read_numbers(file, "<I")
    pairs = [(read_text(file), read_text(file)) for _ in range(count)]
    for alias, name in pairs:
        if alias.startswith(prefix) and name in found:
            found[alias] = found[name]
        elif alias.startswith(prefix):
            file.seek(places[name])
            _one(file, alias, prefix, found)


def plain(variables: Variables, name: str) -> NDArray[np.float32]:
    """Return a variable as float32, whether it is stored as float16, bfloat16, int8 or int16.

    Integers are divided by ``NAME_scale``: one number, or one for each row (int8).

    Raises:
        WeightsUnreadable: it is not there, or integers without a scale (or with a zero point).
    """
    stored = variables.get(name)
    if stored is None:
        raise WeightsUnreadable(f"no variable {name}")
    if stored.dtype.kind == "f":
        return stored.astype(np.float32, copy=False)
    if stored.dtype == np.uint16:  # the upper half of a float32
        return (stored.astype(np.uint32) << 16).view(np.float32)
    scale = variables.get(f"{name}_scale")
    if scale is None or f"{name}_zero" in variables or stored.dtype.itemsize > 2:  # noqa: PLR2004
        raise WeightsUnreadable(f"{name} is stored as {stored.dtype} in an unknown form")
    by_row = scale.astype(np.float32).reshape(-1, *[1] * (stored.ndim - 1))
    return stored.astype(np.float32) / by_row
