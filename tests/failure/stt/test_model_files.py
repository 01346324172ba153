"""The model folder is missing, damaged or restored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stt_engine import WhisperSTT
from stt_engine.events import Stage
from tests.support.stt_failures import (
    CANARY,
    ONLY,
    Make,
    Watch,
    assert_dummy,
    assert_works,
    change,
    half,
    lines_of,
    lines_of_load,
    stt_of,
)


# 1. The model's files ---------------------------------------------------------------------
def test_no_model_folder(make: Make, tmp_path: Path, log_lines: list[str]) -> None:
    folder = tmp_path / "faster-whisper-large-v3-turbo"
    stt = make(folder)
    told = len(log_lines)
    assert stt_of(log_lines)[0].startswith(
        f"ERROR - [STT] 모델 로드 실패: FileNotFoundError: {folder} not found"
    )
    result = stt.transcribe(CANARY, "en")
    assert_dummy(result, "FileNotFoundError", f"{folder} not found", "model fetch")
    assert result["duration"] == pytest.approx(3.16, abs=0.05)
    assert stt_of(log_lines, told) == lines_of_load(result)
    assert stt.ready is False


def test_an_empty_model_folder(make: Make, tmp_path: Path) -> None:
    result = make(tmp_path).transcribe(CANARY, "en")
    assert_dummy(result, "FileNotFoundError", "without weights")


def test_a_model_that_is_removed_after_it_was_loaded_and_put_back(
    make: Make, model: Path, log_lines: list[str], watch: Watch
) -> None:
    stt = make(model)
    assert_works(stt)
    away = model.rename(model.with_name("away"))
    told = len(log_lines)
    result = stt.transcribe(CANARY, "en")
    assert_dummy(result, "FileNotFoundError", f"{model} not found")
    assert stt_of(log_lines, told) == lines_of_load(result)
    assert stt.ready is False
    away.rename(model)
    told = len(log_lines)
    assert_works(stt)
    assert stt.ready is True
    assert [line.partition(" (")[0] for line in stt_of(log_lines, told)] == [
        "INFO - [STT] 음성 변환 시작",
        "INFO - [STT] 모델 로드 시작",
        "INFO - [STT] 모델 로드 완료",
        "INFO - [STT] 음성 변환 완료",
    ]
    assert watch.settled(Stage.STT) == 3


def _flip(place: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[place] ^= 0xFF
        change(path, data)

    return damage


DAMAGES: dict[str, tuple[str, Callable[[Path], None], str, bool]] = {
    # name: file, what happens to it, error_type, whether loading was begun
    "weights cut in half": ("model.bin", half, "ModelDamaged", False),
    "weights emptied": ("model.bin", lambda p: change(p, b""), "ModelDamaged", False),
    "weights are text": ("model.bin", lambda p: change(p, b"404\n"), "ModelDamaged", False),
    "version flipped": ("model.bin", _flip(0), "ModelDamaged", False),
    "name length flipped": ("model.bin", _flip(4), "ModelDamaged", False),
    "revision flipped": ("model.bin", _flip(20), "TranscriptionFailed", True),
    "no tokenizer": ("tokenizer.json", Path.unlink, "ModelDamaged", False),
    "half a tokenizer": ("tokenizer.json", half, "ModelDamaged", False),
    "another tokenizer": (
        "tokenizer.json", lambda p: change(p, b"{}"), "TranscriptionFailed", True,
    ),
    "no vocabulary": ("vocabulary.txt", Path.unlink, "ModelDamaged", False),
    "no config": ("config.json", Path.unlink, "ModelDamaged", False),
    "config of another model": (
        "config.json", lambda p: change(p, b"{}"), "ModelDamaged", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(DAMAGES))
def test_a_damaged_model(
    make: Make, model: Path, whisper_base: Path, log_lines: list[str], name: str
) -> None:
    file, damage, error_type, started = DAMAGES[name]
    damage(model / file)
    stt = make(model)  # and does not raise
    told = len(log_lines)
    result = stt.transcribe(CANARY, "en")
    assert_dummy(result, error_type)
    if error_type == "ModelDamaged":
        assert file in (result["error"] or "")
        assert "model fetch" in (result["error"] or "")
    lines = stt_of(log_lines, told)
    if any("모델 로드 완료" in line for line in lines) or stt.ready:
        assert lines[-4:] == lines_of(result, "faster-whisper")[1:]  # broke while transcribing
    else:
        assert lines == lines_of_load(result, model, started=started)


def test_a_damaged_model_that_is_put_right_works_without_a_restart(
    make: Make, model: Path, whisper_base: Path
) -> None:
    half(model / "model.bin")
    stt = make(model)
    assert_dummy(stt.transcribe(CANARY, "en"), "ModelDamaged", "cut short")
    (model / "model.bin").unlink()
    (model / "model.bin").symlink_to((whisper_base / "model.bin").resolve())
    assert_works(stt)


def test_a_mel_count_of_another_model(make: Make, model: Path) -> None:
    (model / "preprocessor_config.json").write_text('{"feature_size": 128}')
    result = make(model).transcribe(CANARY, "en")
    assert_dummy(result, "ModelDamaged", "128 mel bands", "80")


@pytest.mark.parametrize(
    "settings",
    [{"feature_size": 80, "hop_length": 0}, {"feature_size": 80, "n_fft": "wide"}],
)
def test_the_constructor_does_not_raise_for_whatever_a_library_makes_of_a_file(
    model: Path, settings: dict[str, object]
) -> None:
    (model / "preprocessor_config.json").write_text(json.dumps(settings))
    stt = WhisperSTT(model, backends=ONLY, observers=())
    try:
        result = stt.transcribe(CANARY, "en")
        assert result["is_dummy"] is True
        assert result["error_type"] not in {None, "ChildDefect"}
    finally:
        stt.close()
