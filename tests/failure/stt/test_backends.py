"""The chain of backends."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support import model_files
from tests.support.stt_failures import CANARY, Make, assert_dummy, assert_works, half, stt_of


# The chain --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "order",
    [
        ("faster-whisper", "transformers", "openai-whisper"),
        ("openai-whisper", "transformers", "faster-whisper"),
        ("transformers", "faster-whisper"),
    ],
)
def test_every_backend_is_tried_in_the_order_of_the_setting(
    make: Make, tmp_path: Path, order: tuple[str, ...], log_lines: list[str]
) -> None:
    """A folder in the format of each, and no weights behind any of them."""
    model_files.faster_whisper_folder(tmp_path / "m" / "faster-whisper")
    model_files.transformers_folder(tmp_path / "m" / "transformers")
    model_files.openai_whisper_folder(tmp_path / "m" / "openai-whisper")
    stt = make(tmp_path / "m", backends=order, preload=False)
    result = stt.transcribe(CANARY, "en")
    assert [attempt["backend"] for attempt in result["attempts"]] == list(order)
    real = [one for one in result["attempts"] if one["error_type"] != "BackendUnavailable"]
    assert "faster-whisper" in {one["backend"] for one in real}
    assert_dummy(result, real[0]["error_type"], real[0]["error"])
    failed = [line for line in stt_of(log_lines) if "모델 로드 실패" in line]
    assert len(failed) == len(real)


def test_a_format_that_is_absent_is_recorded_and_never_the_cause(make: Make, model: Path) -> None:
    half(model / "model.bin")
    order = ("transformers", "openai-whisper", "faster-whisper")
    result = make(model, backends=order, preload=False).transcribe(CANARY, "en")
    assert_dummy(result, "ModelDamaged", "model.bin")
    assert [(one["backend"], one["error_type"]) for one in result["attempts"]] == [
        ("transformers", "ModelFormatAbsent"),
        ("openai-whisper", "ModelFormatAbsent"),
        ("faster-whisper", "ModelDamaged"),
    ]


def test_a_success_keeps_the_failures_on_the_way(make: Make, whisper_base: Path) -> None:
    order = ("transformers", "faster-whisper")
    result = make(whisper_base, backends=order).transcribe(CANARY, "en")
    assert result["success"] is True
    assert result["backend"] == "faster-whisper"
    assert [one["backend"] for one in result["attempts"]] == ["transformers"]
    assert (result["error"], result["error_type"]) == (None, None)


def test_the_model_is_found_in_the_backends_own_folder(make: Make, model: Path) -> None:
    shutil.move(model, model.parent / "all" / "faster-whisper")
    assert_works(make(model.parent / "all"))


def test_a_relative_model_path_is_found_from_a_child_of_another_folder(
    make: Make, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model.parent)
    assert_works(make(Path(model.name)))
