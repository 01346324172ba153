"""Write whisper.cpp's model file from openai-whisper's checkpoint: f16, the same weights.

``python -m benchmarks.speed.ggml CHECKPOINT TARGET``, by the openai-whisper environment's Python.
The layout: eleven sizes, the mel filters, the tokens' bytes by rank, then each tensor with its
shape (fastest dimension first) and name.
"""

from __future__ import annotations

import base64
import struct
import sys
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import whisper

MAGIC = 0x67676D6C
F32, F16 = 0, 1
SIZES = (
    "n_vocab n_audio_ctx n_audio_state n_audio_head n_audio_layer "
    "n_text_ctx n_text_state n_text_head n_text_layer n_mels"
).split()
CONVOLUTION_BIASES = {"encoder.conv1.bias", "encoder.conv2.bias"}
"""whisper.cpp wants them as columns."""


def convert(checkpoint: Path, target: Path) -> None:
    """Write ``target``."""
    content: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
    assets = Path(whisper.__file__).parent / "assets"
    sizes = content["dims"]
    with target.open("wb") as file:
        file.write(struct.pack("<12i", MAGIC, *(sizes[name] for name in SIZES), F16))
        filters = np.load(assets / "mel_filters.npz")[f"mel_{sizes['n_mels']}"]
        file.write(struct.pack("<2i", *filters.shape) + filters.astype("<f4").tobytes())
        _tokens(file, assets / "multilingual.tiktoken")
        for name, tensor in content["model_state_dict"].items():
            _tensor(file, name, tensor.numpy())


def _tokens(file: BinaryIO, path: Path) -> None:
    rows = [line.split() for line in path.read_bytes().splitlines() if line]
    tokens = [base64.b64decode(token) for token, _ in sorted(rows, key=lambda row: int(row[1]))]
    file.write(struct.pack("<i", len(tokens)))
    file.writelines(struct.pack("<i", len(token)) + token for token in tokens)


def _tensor(file: BinaryIO, name: str, tensor: np.ndarray[Any, Any]) -> None:
    shaped = tensor.reshape(-1, 1) if name in CONVOLUTION_BIASES else tensor
    small = tensor.ndim < 2 or name.endswith("positional_embedding")
    raw = shaped.astype("<f4" if small else "<f2").tobytes()
    label = name.encode()
    file.write(struct.pack("<3i", shaped.ndim, len(label), F32 if small else F16))
    file.write(struct.pack(f"<{shaped.ndim}i", *reversed(shaped.shape)) + label + raw)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
