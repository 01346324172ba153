"""Runner of openai-whisper on torch: float32, its defaults, which are greedy."""

from __future__ import annotations

from typing import Any

import torch
import whisper

from benchmarks.speed.jobs import Heard, Settings, Transcribe, decoded, serve


def load(settings: Settings) -> tuple[Transcribe, Any]:
    """Load the checkpoint."""
    torch.set_num_threads(settings["threads"])
    model = whisper.load_model(settings["model"], device="cpu")

    def transcribe(path: str, job: Settings) -> list[Heard]:
        beam = job["beam"] if job["beam"] > 1 else None
        found = model.transcribe(
            decoded(path), language=job["language"], fp16=False, beam_size=beam
        )
        return [Heard(found["text"], len(found["segments"]))]

    return transcribe, lambda: {"version": whisper.__version__, "torch": torch.__version__}


if __name__ == "__main__":
    serve(load)
