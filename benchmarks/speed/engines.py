"""Who takes part: each engine with its environment, its weights and its settings."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.speed import weights
from benchmarks.speed.environments import PRODUCT
from benchmarks.speed.machine import has_bf16

Job = dict[str, Any]


@dataclass(frozen=True)
class Engine:
    """One way of recognising files.

    ``stereo``: takes a two-channel call as it is and keeps the channels apart. The others mix
    the channels; for equal work they get each channel as a file of its own, one after the other.
    ``beside``: no claim is about it; it takes part in the first rounds only, to save time.
    """

    name: str
    title: str
    environment: str
    module: str
    model: Callable[[Path], Path]
    settings: Job = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    stereo: bool = False
    beside: bool = False

    def told(self) -> str:
        """Return the settings in words."""
        settings = self.settings.get("arguments", {}) | self.settings
        hidden = {"threads", "arguments"}
        told = [f"{key} {value}" for key, value in settings.items() if key not in hidden]
        return ", ".join([*told, *environment_told(self.env)]) or "defaults"


def environment_told(env: dict[str, str]) -> list[str]:
    """Return the product's settings in words; a path says nothing to others."""
    names = {"PYTHONPATH": "another version"}
    return [names.get(key, f"{key}={value}") for key, value in env.items()]


def cores() -> int:
    """Return the processors that this process may use; every engine gets that many threads."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


TITLES = {
    "product": "product",
    "product-ct2": "product without OpenVINO",
    "product-beam1": "product, beam 1",
    "product-other": "product, the other version",
}
_VARIANTS = {
    "product": {},
    "product-ct2": {"STT_ENCODER": "ctranslate2"},
    "product-beam1": {"STT_BEAM_SIZE": "1"},
    "product-other": {},
}


def product(name: str, env: dict[str, str], arguments: Job) -> Engine:
    """Return the product as it is, without OpenVINO, or with the peers' beam."""
    return Engine(
        name,
        TITLES[name],
        PRODUCT,
        "benchmarks.speed.run_product",
        weights.ctranslate2,
        {"arguments": arguments},
        env | _VARIANTS[name],
        stereo=True,
    )


def other_version(checkout: Path, env: dict[str, str], arguments: Job) -> Engine:
    """Return the product of another checkout, with that one's own virtual environment."""
    same = product("product-other", env | {"PYTHONPATH": str(checkout / "src")}, arguments)
    return replace(same, environment=str(checkout / ".venv" / "bin" / "python"))


def peers(beam: int) -> list[Engine]:
    """Return the peers; ``beam`` is the product's, for those that are compared with equal beams."""
    threads = cores()
    fw: Job = {"compute_type": "int8", "threads": threads}
    batched = fw | {"batch": 8, "beam": 1}
    precision = "bf16" if has_bf16() else "f32"
    found = [
        ("fw-batched", "faster-whisper batched", batched | {"timestamps": True}),
        (
            "fw-batched-plain",
            "faster-whisper batched, no timestamps",
            batched | {"timestamps": False},
        ),
        ("fw-sequential", "faster-whisper sequential", fw | {"beam": 5}),
    ]
    if beam > 1:
        equal = batched | {"beam": beam, "timestamps": True}
        found.append(("fw-batched-beam", "faster-whisper batched, the product's beam", equal))
    module = "benchmarks.speed.run_{}".format
    return [
        *(
            Engine(
                name,
                title,
                "faster-whisper",
                module("faster_whisper"),
                weights.ctranslate2,
                how,
                beside=name == "fw-batched-beam",
            )
            for name, title, how in found
        ),
        Engine(
            "openvino-genai",
            "openvino-genai",
            "openvino-genai",
            module("openvino_genai"),
            weights.openvino,
            {"precision": precision, "threads": threads, "beam": 1, "timestamps": True},
        ),
        Engine(
            "openai-whisper",
            "openai-whisper",
            "openai-whisper",
            module("openai_whisper"),
            weights.checkpoint,
            {"precision": "f32", "threads": threads, "beam": 1},
            beside=True,
        ),
        Engine(
            "whisper.cpp",
            "whisper.cpp",
            "whisper-cpp",
            module("whisper_cpp"),
            weights.ggml,
            {"precision": "f16", "threads": threads, "beam": 1, "best_of": 5},
            beside=True,
        ),
    ]
