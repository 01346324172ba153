"""Runner of openvino-genai's WhisperPipeline on the processor."""

from __future__ import annotations

from typing import Any

import openvino_genai

from benchmarks.speed.jobs import Heard, Settings, Transcribe, decoded, serve


def load(settings: Settings) -> tuple[Transcribe, Any]:
    """Compile the exported folder."""
    pipeline = openvino_genai.WhisperPipeline(
        settings["model"],
        "CPU",
        INFERENCE_PRECISION_HINT=settings["precision"],
        INFERENCE_NUM_THREADS=settings["threads"],
    )

    def transcribe(path: str, job: Settings) -> list[Heard]:
        beams = {"num_beams": job["beam"]} if job["beam"] > 1 else {}
        found = pipeline.generate(
            decoded(path),
            language=f"<|{job['language']}|>",
            task="transcribe",
            return_timestamps=job["timestamps"],
            **beams,
        )
        return [Heard(found.texts[0], len(found.chunks or []))]

    return transcribe, lambda: {"version": openvino_genai.__version__}


if __name__ == "__main__":
    serve(load)
