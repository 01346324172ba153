"""The network without torch: its numbers are torch's, and nothing in a checkpoint is run."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from stt_engine.backends.voices.checkpoint import read_tensors
from stt_engine.backends.voices.network import Pooling, campplus
from stt_engine.errors import ModelDamaged
from tests.support.models import campplus as weights

TORCHS = (0.16881423, 0.08476526, -0.58238494, -0.8062497, -0.9642552, 0.8310061)
"""The first numbers of what torch 2.13 makes of :func:`waves`, and the length of all."""
TORCHS_LENGTH = 12.725322


def waves() -> np.ndarray:
    steps = np.arange(300 * 80).reshape(1, 300, 80)
    return (3 * np.sin(steps * 0.37 + np.arange(80) * 0.9)).astype(np.float32)


def test_embeddings_are_torchs() -> None:
    tensors = read_tensors(weights())
    content, beside = campplus(tensors, 300)
    options = onnxruntime.SessionOptions()
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(one) for one in beside.values()]
    options.add_external_initializers(list(beside), values)
    session = onnxruntime.InferenceSession(content, options)
    frames = session.run(None, {"features": waves()})[0].reshape(-1, Pooling.CHANNELS)
    whole = (np.ones(150, bool), np.array([0]), np.array([150]))
    (found,), many = Pooling.of(tensors).embed(frames, *whole)
    assert np.abs(found[:6] - TORCHS).max() < 1e-4
    assert abs(np.linalg.norm(found) - TORCHS_LENGTH) < 1e-3
    assert many.tolist() == [150]


class _Command:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo run > ran",)


def _archive(path: Path, listing: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", listing)
    return path


def test_a_checkpoint_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hostile = _archive(tmp_path / "hostile.pt", pickle.dumps({"weight": _Command()}))
    with pytest.raises(ModelDamaged, match="is not allowed"):
        read_tensors(hostile)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("listing", [b"", b"\x80\x02", pickle.dumps(["no", "names"])])
def test_what_is_no_checkpoint_is_damaged(listing: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelDamaged):
        read_tensors(_archive(tmp_path / "file.pt", listing))


def test_half_a_checkpoint_is_damaged(tmp_path: Path) -> None:
    half = tmp_path / "half.pt"
    half.write_bytes(weights().read_bytes()[:1_000_000])
    with pytest.raises(ModelDamaged):
        read_tensors(half)


def test_a_missing_tensor_is_named() -> None:
    with pytest.raises(ModelDamaged, match=r"head\.conv1\.weight|bn1"):
        campplus({}, 300)
