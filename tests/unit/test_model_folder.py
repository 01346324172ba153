"""The checks of a model folder before anything is loaded."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stt_engine.errors import ModelDamaged, ModelError, ModelFormatAbsent, ModelNotFound
from stt_engine.model_store import folder as module
from stt_engine.model_store.folder import FORMATS, formats_in, locate
from tests.support import model_files as write
from tests.support.models import whisper_base

WRITERS: dict[str, Callable[[Path], Path]] = {
    "faster-whisper": write.faster_whisper_folder,
    "transformers": write.transformers_folder,
    "openai-whisper": write.openai_whisper_folder,
}
WEIGHTS = {
    "faster-whisper": "model.bin",
    "transformers": "model.safetensors",
    "openai-whisper": "base.pt",
}


@pytest.mark.parametrize("backend", FORMATS)
def test_finds_the_format_in_the_folder_itself(backend: str, tmp_path: Path) -> None:
    folder = WRITERS[backend](tmp_path / "model")
    found = locate(folder, backend)
    assert (found.path, found.backend) == (folder, backend)
    assert found.weights_file == folder / WEIGHTS[backend]
    assert (found.multilingual, found.n_mels) == (True, 80)


@pytest.mark.parametrize("backend", FORMATS)
def test_finds_the_format_in_the_backends_own_folder(backend: str, tmp_path: Path) -> None:
    for name, writer in WRITERS.items():
        writer(tmp_path / name)
    assert locate(tmp_path, backend).path == tmp_path / backend
    assert formats_in(tmp_path) == list(FORMATS)


@pytest.mark.parametrize("backend", FORMATS)
def test_no_folder_is_not_found_in_the_words_of_the_original(backend: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        locate(Path("/app/models/faster-whisper-large-v3-turbo"), backend)
    message = str(caught.value)
    assert message.startswith("/app/models/faster-whisper-large-v3-turbo not found — ")
    assert "stt-engine model fetch" in message
    assert caught.value.error_type == "FileNotFoundError"


def test_a_folder_without_weights_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelNotFound, match="without weights"):
        locate(tmp_path, "transformers")


@pytest.mark.parametrize("backend", FORMATS)
def test_only_another_format_is_absent_not_a_fault(backend: str, tmp_path: Path) -> None:
    other = next(name for name in FORMATS if name != backend)
    WRITERS[other](tmp_path)
    with pytest.raises(ModelFormatAbsent, match=f"only {other} weights"):
        locate(tmp_path, backend)


@pytest.mark.parametrize("backend", FORMATS)
@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.999])
def test_half_written_weights_are_damaged(backend: str, part: float, tmp_path: Path) -> None:
    folder = WRITERS[backend](tmp_path)
    weights = folder / WEIGHTS[backend]
    content = weights.read_bytes()
    weights.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ModelDamaged, match=WEIGHTS[backend]):
        locate(folder, backend)


@pytest.mark.parametrize("backend", FORMATS)
def test_garbage_weights_are_damaged(backend: str, tmp_path: Path) -> None:
    folder = WRITERS[backend](tmp_path)
    for garbage in (b"\0" * 5000, b"\xff" * 5000, b"{}" * 2500):
        (folder / WEIGHTS[backend]).write_bytes(garbage)
        with pytest.raises(ModelDamaged):
            locate(folder, backend)


FASTER_WHISPER_JSON = ["config.json", "tokenizer.json"]
TRANSFORMERS_JSON = ["config.json", "generation_config.json", "preprocessor_config.json"]
SETTINGS = [
    *(("faster-whisper", name) for name in FASTER_WHISPER_JSON),
    *(("transformers", name) for name in TRANSFORMERS_JSON),
]


def assert_names(folder: Path, backend: str, name: str) -> None:
    with pytest.raises(ModelDamaged, match=name.replace(".", r"\.")) as caught:
        locate(folder, backend)
    assert "stt-engine model fetch" in str(caught.value)


@pytest.mark.parametrize(("backend", "name"), SETTINGS)
@pytest.mark.parametrize("raw", [b"", b'{"a": ', b"[]", b"\xff\xfe"])
def test_settings_that_are_not_whole_are_named(
    backend: str, name: str, raw: bytes, tmp_path: Path
) -> None:
    folder = WRITERS[backend](tmp_path)
    (folder / name).write_bytes(raw)
    assert_names(folder, backend, name)


@pytest.mark.parametrize(("backend", "name"), [*SETTINGS, ("faster-whisper", "vocabulary")])
def test_files_that_are_missing_are_named(backend: str, name: str, tmp_path: Path) -> None:
    folder = WRITERS[backend](tmp_path)
    for path in folder.glob(f"{name}*"):
        path.unlink()
    assert_names(folder, backend, name)


def test_transformers_tokenizer_can_be_two_files(tmp_path: Path) -> None:
    folder = write.transformers_folder(tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelDamaged, match=r"vocab\.json is missing"):
        locate(folder, "transformers")
    (folder / "vocab.json").write_text("{}")
    (folder / "merges.txt").write_text("a b\n")
    assert locate(folder, "transformers").n_mels == 80


def test_128_mel_faster_whisper_model_needs_its_preprocessor_config(tmp_path: Path) -> None:
    folder = write.faster_whisper_folder(tmp_path, mels=128)
    assert locate(folder, "faster-whisper").n_mels == 128
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelDamaged, match=r"preprocessor_config\.json is missing.*128 mel"):
        locate(folder, "faster-whisper")


@pytest.mark.parametrize("backend", ["faster-whisper", "transformers"])
def test_mel_count_that_does_not_fit_is_damaged(backend: str, tmp_path: Path) -> None:
    folder = WRITERS[backend](tmp_path)
    (folder / "preprocessor_config.json").write_text(json.dumps({"feature_size": 128}))
    with pytest.raises(ModelDamaged, match="says 128 mel bands, the weights take 80"):
        locate(folder, backend)


def test_mel_count_of_the_config_is_compared_too(tmp_path: Path) -> None:
    folder = write.transformers_folder(tmp_path)
    (folder / "config.json").write_text('{"model_type": "whisper", "num_mel_bins": 128}')
    with pytest.raises(ModelDamaged, match=r"config\.json says 128"):
        locate(folder, "transformers")


def test_processor_config_of_transformers_5_is_read(tmp_path: Path) -> None:
    folder = write.transformers_folder(tmp_path)
    (folder / "preprocessor_config.json").unlink()
    nested = {"feature_extractor": {"feature_size": 80}}
    (folder / "processor_config.json").write_text(json.dumps(nested))
    assert locate(folder, "transformers").n_mels == 80
    nested["feature_extractor"]["feature_size"] = 128
    (folder / "processor_config.json").write_text(json.dumps(nested))
    with pytest.raises(ModelDamaged, match="says 128"):
        locate(folder, "transformers")


def test_another_architecture_is_damaged(tmp_path: Path) -> None:
    folder = write.transformers_folder(tmp_path)
    (folder / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ModelDamaged, match="model_type='llama'"):
        locate(folder, "transformers")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    folder = write.transformers_folder(tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelDamaged, match=r"pickle.*refused.*safetensors"):
        locate(folder, "transformers")
    with pytest.raises(ModelFormatAbsent):
        locate(folder, "faster-whisper")


def test_sharded_safetensors_are_checked_each(tmp_path: Path) -> None:
    folder = write.transformers_folder(tmp_path)
    (folder / "model.safetensors").unlink()
    parts = {
        "model.encoder.conv1.weight": ("a.safetensors", (2, 80, 3)),
        "model.decoder.embed_tokens.weight": ("b.safetensors", (51_864, 1)),
    }
    index = {"weight_map": {name: file for name, (file, _) in parts.items()}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for name, (file, shape) in parts.items():
        write.safetensors(folder / file, {name: shape})
    found = locate(folder, "transformers")
    assert (found.n_mels, found.multilingual) == (80, False)
    (folder / "b.safetensors").unlink()
    with pytest.raises(ModelDamaged, match=r"b\.safetensors is missing"):
        locate(folder, "transformers")


def test_several_checkpoints_are_ambiguous(tmp_path: Path) -> None:
    folder = write.openai_whisper_folder(tmp_path)
    write.torch_zip(folder / "tiny.pt")
    with pytest.raises(ModelDamaged, match=r"base\.pt, tiny\.pt"):
        locate(folder, "openai-whisper")


def test_a_folder_that_passed_is_read_again_when_a_file_changes_whatever_its_times_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write.faster_whisper_folder(tmp_path / "model")
    read: list[str] = []
    whole = module._json
    monkeypatch.setattr(
        module, "_json", lambda folder, name: read.append(name) or whole(folder, name)
    )
    found = locate(folder, "faster-whisper")
    assert read
    read.clear()
    assert locate(folder, "faster-whisper") is found
    assert read == []
    config = folder / "config.json"
    before, content = config.stat(), config.read_bytes()
    config.write_bytes(b"{" * len(content))
    os.utime(config, ns=(before.st_atime_ns, before.st_mtime_ns))
    for _ in range(2):
        with pytest.raises(ModelDamaged, match=r"config\.json"):
            locate(folder, "faster-whisper")


def test_fingerprint_tells_removal_and_replacement(tmp_path: Path) -> None:
    found = locate(write.faster_whisper_folder(tmp_path / "model"), "faster-whisper")
    before = found.fingerprint()
    assert before == found.fingerprint()
    (found.path / "config.json").write_text('{"a": 1}')
    changed = found.fingerprint()
    assert changed != before
    found.weights_file.unlink()
    assert found.fingerprint() not in {before, changed}
    found.path.rename(tmp_path / "elsewhere")
    assert found.fingerprint() == ()


@pytest.mark.parametrize("backend", FORMATS)
def test_any_single_byte_cut_is_noticed_or_harmless(backend: str, tmp_path: Path) -> None:
    """No cut may escape as anything but an error of the taxonomy."""
    folder = WRITERS[backend](tmp_path)
    weights = folder / WEIGHTS[backend]
    content = weights.read_bytes()
    for length in (*range(min(300, len(content))), len(content) - 1):
        weights.write_bytes(content[:length])
        with pytest.raises(ModelError):
            locate(folder, backend)


def test_real_weights_pass_and_are_checked_fast() -> None:
    began = time.perf_counter()
    found = locate(whisper_base(), "faster-whisper")
    assert (found.multilingual, found.n_mels) == (True, 80)
    assert time.perf_counter() - began < 2
