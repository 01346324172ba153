"""Reads the tensors of a torch checkpoint without torch, and without running anything in it.

A checkpoint is a zip file: a pickle that says how tensors lie in it, and a file for each storage.
Of the pickle's calls only those that place a tensor are known; any other one is refused.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_engine.errors import ModelDamaged

Tensors = dict[str, NDArray[np.float32]]
"""Tensors by name."""

_TYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


def read_tensors(path: Path) -> Tensors:
    """Return the float tensors of a checkpoint.

    Raises:
        ModelDamaged: it is no checkpoint, cut short, or holds anything beside plain tensors.
        OSError: it cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (listing,) = (one for one in archive.namelist() if one.endswith("/data.pkl"))
            folder = listing.removesuffix("data.pkl") + "data/"
            found = _Placing(archive, folder, archive.read(listing)).load()
    except (zipfile.BadZipFile, pickle.UnpicklingError, ValueError, LookupError, EOFError) as exc:
        raise ModelDamaged(f"{path} is no readable checkpoint: {exc}") from exc
    except (TypeError, AttributeError) as exc:
        raise ModelDamaged(f"{path} holds something that is no tensor: {exc}") from exc
    if not isinstance(found, dict):
        raise ModelDamaged(f"{path} holds no tensors by name")
    return {name: one for name, one in found.items() if getattr(one, "dtype", None) == np.float32}


class _Placing(pickle.Unpickler):
    """Knows three names: an ordered dictionary, a storage's type, and how a tensor lies in one."""

    def __init__(self, archive: zipfile.ZipFile, folder: str, listing: bytes) -> None:
        super().__init__(io.BytesIO(listing))
        self._archive = archive
        self._folder = folder

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _placed
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed")

    def persistent_load(self, pid: Any) -> NDArray[np.generic]:
        _, kind, key, _, _ = pid
        if "/" in key or not isinstance(kind, np.dtype):
            raise pickle.UnpicklingError(f"a storage is called {key!r}")
        return np.frombuffer(self._archive.read(self._folder + key), kind)


def _placed(
    storage: NDArray[np.generic],
    start: int,
    shape: Sequence[int],
    strides: Sequence[int],
    *_rest: object,
) -> NDArray[np.generic]:
    """Return a tensor that lies row by row, as all of this model's do."""
    length = prod(shape)
    if tuple(strides) != tuple(prod(shape[at + 1 :]) for at in range(len(shape))):
        raise ValueError("a tensor does not lie row by row")
    if start < 0 or start + length > len(storage):
        raise ValueError("a tensor reaches beyond its storage")
    return storage[start : start + length].reshape(tuple(shape))
