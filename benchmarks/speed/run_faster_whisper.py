"""Runner of faster-whisper: ``transcribe`` in order, or batched."""

from __future__ import annotations

from typing import Any

import faster_whisper
from faster_whisper import BatchedInferencePipeline, WhisperModel

from benchmarks.speed.jobs import Heard, Settings, Transcribe, serve


def load(settings: Settings) -> tuple[Transcribe, Any]:
    """Load the model; ``batch`` makes it the batched pipeline."""
    model = WhisperModel(
        settings["model"],
        device="cpu",
        compute_type=settings["compute_type"],
        cpu_threads=settings["threads"],
        num_workers=settings.get("workers", 1),
        local_files_only=True,
    )
    batched = BatchedInferencePipeline(model) if settings.get("batch") else None

    def transcribe(path: str, job: Settings) -> list[Heard]:
        how = {"language": job["language"], "beam_size": job["beam"]}
        if batched:
            how |= {"batch_size": job["batch"], "without_timestamps": not job["timestamps"]}
            segments, _ = batched.transcribe(path, **how)
        else:
            segments, _ = model.transcribe(path, **how)
        found = list(segments)
        return [Heard("".join(one.text for one in found), len(found))]

    def facts() -> Settings:
        return {"version": faster_whisper.__version__, "compute_type": model.model.compute_type}

    return transcribe, facts


if __name__ == "__main__":
    serve(load)
