"""Makes the three backends' folders out of one: faster-whisper's, transformers', openai-whisper's.

The package index has real multilingual Whisper weights in CTranslate2's format only. This reads
them (numpy), gives the tensors their other names, and writes the other two formats, so that all
three real backends run on the same real weights with no hub. Run it as a program::

    python -m tests.support.convert_weights SOURCE_FOLDER TARGET_FOLDER
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from stt_engine.backends.faster_whisper.ct2_weights import read_variables
from tests.support.models import MODELS, whisper_base

Tensor = NDArray[np.generic]
Tensors = dict[str, Tensor]


@cache
def whisper_base_all() -> Path:
    """Return a folder with Whisper base for each of the three backends; converts it once."""
    target = MODELS / "whisper-base-all"
    lock = MODELS / ".locks" / f"{target.name}.lock"
    lock.parent.mkdir(exist_ok=True)
    with FileLock(lock):
        if not target.exists():
            unfinished = target.with_name(f".{target.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            convert(whisper_base(), unfinished)
            unfinished.rename(target)
    return target


def convert(source: Path, target: Path) -> None:
    """Write ``target/{faster-whisper,transformers,openai-whisper}`` from CTranslate2's folder."""
    shutil.copytree(source, target / "faster-whisper")
    tensors = read_variables(source / "model.bin")
    settings = json.loads((source / "config.json").read_bytes())
    write_transformers(target / "transformers", tensors, settings, source / "tokenizer.json")
    write_openai_whisper(target / "openai-whisper", tensors)


# CTranslate2's layer -> transformers' and openai's; the linear layers of an attention are fused.
_NORMS_AND_MLP = {
    "self_attention/layer_norm": ("self_attn_layer_norm", "attn_ln"),
    "attention/layer_norm": ("encoder_attn_layer_norm", "cross_attn_ln"),
    "ffn/layer_norm": ("final_layer_norm", "mlp_ln"),
    "ffn/linear_0": ("fc1", "mlp.0"),
    "ffn/linear_1": ("fc2", "mlp.2"),
    "self_attention/linear_1": ("self_attn.out_proj", "attn.out"),
    "attention/linear_0": ("encoder_attn.q_proj", "cross_attn.query"),
    "attention/linear_2": ("encoder_attn.out_proj", "cross_attn.out"),
}
_FUSED = {
    "self_attention/linear_0": ("self_attn", "attn", "qkv"),
    "attention/linear_1": ("encoder_attn", "cross_attn", "kv"),
}
_LETTERS = {"q": ("q_proj", "query"), "k": ("k_proj", "key"), "v": ("v_proj", "value")}
_OUTSIDE = {
    "encoder/conv1": ("encoder.conv1", "encoder.conv1"),
    "encoder/conv2": ("encoder.conv2", "encoder.conv2"),
    "encoder/layer_norm": ("encoder.layer_norm", "encoder.ln_post"),
    "decoder/layer_norm": ("decoder.layer_norm", "decoder.ln"),
    "decoder/embeddings": ("decoder.embed_tokens", "decoder.token_embedding"),
}
_POSITIONS = {
    "encoder/position_encodings/encodings": (
        "encoder.embed_positions.weight",
        "encoder.positional_embedding",
    ),
    "decoder/position_encodings/encodings": (
        "decoder.embed_positions.weight",
        "decoder.positional_embedding",
    ),
}
_ENDS = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}


def renamed(tensors: Tensors, flavour: int) -> Tensors:
    """Return the tensors with transformers' names (``flavour`` 0) or openai-whisper's (1)."""
    named: Tensors = {}
    for name, tensor in tensors.items():
        layer, _, end = name.rpartition("/")
        if name in _POSITIONS:
            named[_POSITIONS[name][flavour]] = tensor
        elif layer in _OUTSIDE:
            named[f"{_OUTSIDE[layer][flavour]}.{_ENDS[end]}"] = tensor
        elif "/layer_" in name and end in _ENDS:
            named.update(_of_layer(layer, _ENDS[end], tensor, flavour))
    return named


def _of_layer(layer: str, end: str, tensor: Tensor, flavour: int) -> Iterator[tuple[str, Tensor]]:
    side, number, inner = layer.split("/", 2)
    stack = f"{side}.{('layers', 'blocks')[flavour]}.{number.removeprefix('layer_')}"
    if inner in _NORMS_AND_MLP:
        yield f"{stack}.{_NORMS_AND_MLP[inner][flavour]}.{end}", tensor
    if inner in _FUSED:
        *attention, letters = _FUSED[inner]
        for letter, piece in zip(letters, np.split(tensor, len(letters)), strict=True):
            if (letter, end) != ("k", "bias"):  # Whisper's keys have none; the fused one is zero
                yield f"{stack}.{attention[flavour]}.{_LETTERS[letter][flavour]}.{end}", piece


def write_transformers(
    folder: Path, tensors: Tensors, settings: dict[str, object], tokenizer: Path
) -> None:
    """Write what ``WhisperForConditionalGeneration.from_pretrained`` and the processor read."""
    from safetensors.numpy import save_file  # noqa: PLC0415 - only some environments have it

    folder.mkdir(parents=True)
    shutil.copy2(tokenizer, folder)
    added = json.loads(tokenizer.read_bytes())["added_tokens"]
    ids = {token["content"]: token["id"] for token in added}
    named = {
        f"model.{name}": np.ascontiguousarray(tensor, dtype=np.float32)
        for name, tensor in renamed(tensors, 0).items()
    }
    save_file(named, folder / "model.safetensors", {"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    for name, content in {
        "config": _config(tensors, ids),
        "generation_config": _generation_config(settings, ids),
        "preprocessor_config": _preprocessor_config(tensors),
        "tokenizer_config": _tokenizer_config(),
    }.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2), encoding="utf-8")


def _layers(tensors: Tensors, side: str) -> int:
    return len(
        {name.split("/")[1] for name in tensors if name.startswith(f"{side}/layer_")}
        - {"layer_norm"}
    )


def _common(ids: dict[str, int]) -> dict[str, object]:
    end = ids["<|endoftext|>"]
    start = ids["<|startoftranscript|>"]
    return {
        "bos_token_id": end,
        "eos_token_id": end,
        "pad_token_id": end,
        "decoder_start_token_id": start,
    }


def _config(tensors: Tensors, ids: dict[str, int]) -> dict[str, object]:
    vocabulary, width = tensors["decoder/embeddings/weight"].shape
    return {
        **_common(ids),
        "architectures": ["WhisperForConditionalGeneration"],
        "model_type": "whisper",
        "dtype": "float32",
        "d_model": width,
        "vocab_size": vocabulary,
        "num_mel_bins": tensors["encoder/conv1/weight"].shape[1],
        "max_source_positions": len(tensors["encoder/position_encodings/encodings"]),
        "max_target_positions": len(tensors["decoder/position_encodings/encodings"]),
        **{f"{side}_layers": _layers(tensors, side) for side in ("encoder", "decoder")},
        **{
            f"{side}_attention_heads": int(tensors[f"{side}/num_heads"].item())
            for side in ("encoder", "decoder")
        },
        **{
            f"{side}_ffn_dim": len(tensors[f"{side}/layer_0/ffn/linear_0/bias"])
            for side in ("encoder", "decoder")
        },
        "activation_function": "gelu",
        "is_encoder_decoder": True,
        "scale_embedding": False,
        "tie_word_embeddings": True,
        "use_cache": True,
    }


def _generation_config(settings: dict[str, object], ids: dict[str, int]) -> dict[str, object]:
    languages = settings["lang_ids"]
    assert isinstance(languages, list)
    return {
        **_common(ids),
        "alignment_heads": settings["alignment_heads"],
        "suppress_tokens": settings["suppress_ids"],
        "begin_suppress_tokens": settings["suppress_ids_begin"],
        "lang_to_id": {name: id_ for name, id_ in ids.items() if id_ in languages},
        "task_to_id": {task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")},
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "prev_sot_token_id": ids["<|startofprev|>"],
        "is_multilingual": True,
        "max_initial_timestamp_index": 50,
        "max_length": 448,
        "return_timestamps": False,
    }


def _preprocessor_config(tensors: Tensors) -> dict[str, object]:
    return {
        "feature_extractor_type": "WhisperFeatureExtractor",
        "processor_class": "WhisperProcessor",
        "feature_size": tensors["encoder/conv1/weight"].shape[1],
        "sampling_rate": 16_000,
        "hop_length": 160,
        "n_fft": 400,
        "chunk_length": 30,
        "n_samples": 480_000,
        "nb_max_frames": 3_000,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
    }


def _tokenizer_config() -> dict[str, object]:
    end = "<|endoftext|>"
    names = ("bos_token", "eos_token", "pad_token", "unk_token")
    return {
        "tokenizer_class": "WhisperTokenizer",
        "processor_class": "WhisperProcessor",
        **dict.fromkeys(names, end),
        "errors": "replace",
        "model_max_length": 1024,
    }


def write_openai_whisper(folder: Path, tensors: Tensors) -> None:
    """Write the checkpoint that ``whisper.load_model`` reads."""
    import torch  # noqa: PLC0415 - only some environments have it

    config = _config(tensors, dict.fromkeys(("<|endoftext|>", "<|startoftranscript|>"), 0))
    dims = {
        "n_mels": config["num_mel_bins"],
        "n_vocab": config["vocab_size"],
        "n_audio_ctx": config["max_source_positions"],
        "n_audio_state": config["d_model"],
        "n_audio_head": config["encoder_attention_heads"],
        "n_audio_layer": config["encoder_layers"],
        "n_text_ctx": config["max_target_positions"],
        "n_text_state": config["d_model"],
        "n_text_head": config["decoder_attention_heads"],
        "n_text_layer": config["decoder_layers"],
    }
    folder.mkdir(parents=True)
    state = {
        name: torch.from_numpy(np.array(tensor)) for name, tensor in renamed(tensors, 1).items()
    }
    torch.save({"dims": dims, "model_state_dict": state}, folder / "base.pt")


if __name__ == "__main__":
    convert(*map(Path, sys.argv[1:3]))
