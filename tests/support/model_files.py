"""Writes tiny but well-formed model folders of the three formats (the numbers are zeros)."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from pathlib import Path

MULTILINGUAL = 51_865


def ctranslate2(path: Path, mels: int = 80, vocabulary: int = MULTILINGUAL) -> Path:
    """Write a CTranslate2 ``model.bin`` of binary version 6."""
    variables = {"decoder/embeddings/weight": (vocabulary, 1), "encoder/conv1/weight": (2, mels, 3)}
    parts = [struct.pack("<I", 6), _text("WhisperSpec"), struct.pack("<II", 3, len(variables))]
    for name, shape in variables.items():
        size = struct.calcsize("<b")
        for dimension in shape:
            size *= dimension
        parts += [_text(name), struct.pack(f"<B{len(shape)}I", len(shape), *shape)]
        parts += [struct.pack("<BI", 1, size), bytes(size)]
    parts += [
        struct.pack("<I", 1),
        _text("decoder/projection/weight"),
        _text(next(iter(variables))),
    ]
    path.write_bytes(b"".join(parts))
    return path


def _text(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def safetensors(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    """Write a safetensors file of 8-bit zeros."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start = end
        size = 1
        for dimension in shape:
            size *= dimension
        end += size
        header[name] = {"dtype": "I8", "shape": list(shape), "data_offsets": [start, end]}
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(end))
    return path


def torch_zip(path: Path, mels: int = 80, vocabulary: int = MULTILINGUAL) -> Path:
    """Write what ``torch.save`` would of an openai-whisper checkpoint, without its tensors."""
    content = {"dims": {"n_mels": mels, "n_vocab": vocabulary}, "model_state_dict": {}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr("archive/data/0", bytes(4096))
    return path


def faster_whisper_folder(folder: Path, mels: int = 80) -> Path:
    """Write a folder that faster-whisper would take."""
    folder.mkdir(parents=True, exist_ok=True)
    ctranslate2(folder / "model.bin", mels)
    (folder / "config.json").write_text('{"suppress_ids": [], "suppress_ids_begin": []}')
    (folder / "tokenizer.json").write_text("{}")
    (folder / "vocabulary.txt").write_text("a\n")
    if mels != 80:
        (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": mels}))
    return folder


def transformers_folder(folder: Path, mels: int = 80) -> Path:
    """Write a folder that transformers would take."""
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {
        "model.encoder.conv1.weight": (2, mels, 3),
        "model.decoder.embed_tokens.weight": (MULTILINGUAL, 1),
    }
    safetensors(folder / "model.safetensors", shapes)
    config = {"model_type": "whisper", "num_mel_bins": mels}
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("generation_config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": mels}))
    return folder


def openai_whisper_folder(folder: Path) -> Path:
    """Write a folder that openai-whisper would take."""
    folder.mkdir(parents=True, exist_ok=True)
    torch_zip(folder / "base.pt")
    return folder
