"""The same weights in every peer's format, made out of the product's own model folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.speed.environments import python_of
from benchmarks.speed.places import ROOT, WEIGHTS, progress, run

_CONVERT = (
    "import sys; from pathlib import Path; from tests.support.convert_weights import convert; "
    "convert(Path(sys.argv[1]), Path(sys.argv[2]))"
)


def ctranslate2(model: Path) -> Path:
    """Return the product's own folder: faster-whisper reads it too."""
    return model


def _both(model: Path) -> Path:
    """Return a folder with ``transformers/`` and ``openai-whisper/``."""

    def make(target: Path) -> None:
        paths = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        run(python_of("openai-whisper"), "-c", _CONVERT, model.resolve(), target, env=paths)

    return _made("base", make)


def checkpoint(model: Path) -> Path:
    """Return openai-whisper's ``.pt``: float32."""
    return _both(model) / "openai-whisper" / "base.pt"


def ggml(model: Path) -> Path:
    """Return whisper.cpp's file: float16."""
    source = checkpoint(model)
    return _made(
        "ggml-base.bin",
        lambda target: run(
            python_of("openai-whisper"), "-m", "benchmarks.speed.ggml", source, target
        ),
    )


def openvino(model: Path) -> Path:
    """Return openvino-genai's folder: float16 on disk, as ``optimum-cli`` exports it."""
    source = _both(model) / "transformers"

    def make(target: Path) -> None:
        command = Path(python_of("openvino-export")).with_name("optimum-cli")
        task = "automatic-speech-recognition-with-past"
        offline = os.environ | {"HF_HUB_OFFLINE": "1"}
        run(
            command, "export", "openvino", "--model", source,
            "--task", task, "--weight-format", "fp16", target,
            env=offline,
        )  # fmt: skip

    return _made("openvino", make)


def _made(name: str, make: Callable[[Path], None]) -> Path:
    target = WEIGHTS / name
    if not target.exists():
        progress(f"converting the weights: {name} (once)")
        WEIGHTS.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f"unfinished-{name}")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.unlink(missing_ok=True)
        make(unfinished)
        unfinished.rename(target)
    return target
