"""Runner of whisper.cpp through pywhispercpp's wheel: its defaults, which are greedy, best of 5."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import _pywhispercpp
from pywhispercpp.model import Model

from benchmarks.speed.jobs import Heard, Settings, Transcribe, decoded, serve


def load(settings: Settings) -> tuple[Transcribe, Any]:
    """Load the ggml file."""
    model = Model(
        settings["model"],
        n_threads=settings["threads"],
        print_progress=False,
        redirect_whispercpp_logs_to=None,
    )

    def transcribe(path: str, job: Settings) -> list[Heard]:
        found = model.transcribe(decoded(path), language=job["language"])
        return [Heard(" ".join(one.text for one in found), len(found))]

    def facts() -> Settings:
        features = _pywhispercpp.whisper_print_system_info()
        return {"version": version("pywhispercpp"), "build": " ".join(features.split())}

    return transcribe, facts


if __name__ == "__main__":
    serve(load)
