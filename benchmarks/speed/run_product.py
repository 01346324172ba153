"""Runner of the product: ``WhisperSTT`` as a user has it."""

from __future__ import annotations

import os
import time
from importlib.resources import as_file, files
from typing import Any

import stt_engine
from benchmarks.speed.jobs import Heard, Settings, Transcribe, serve
from stt_engine import WhisperSTT

OF_THE_CALL = {"model", "coverage", "rejected_segments", "source_format", "channels", "speech_sec"}
"""Provenance keys about one recording or one machine's paths, not about the engine."""


TUNED = {"decoding": "STT_DECODING", "encoder": "STT_ENCODER", "beam_size": "STT_BEAM_SIZE"}
"""Arguments of ``Tuning`` by the server's settings, so that one name does for both."""


LOOPS_ONLY = "EmptyTranscript"
"""Speech was recognised and all of it rejected: a failed call with a reason, and no text."""


def tuning() -> Settings:
    """Return the arguments that the environment sets."""
    asked = {key: os.environ[name] for key, name in TUNED.items() if name in os.environ}
    if not asked or not hasattr(stt_engine, "Tuning"):
        return {}
    numbers = {key: int(value) for key, value in asked.items() if value.isdecimal()}
    return {"tuning": stt_engine.Tuning(**(asked | numbers))}


def load(settings: Settings) -> tuple[Transcribe, Any]:
    """Start the engine and wait until its model is loaded."""
    stt = WhisperSTT(settings["model"], device="cpu", **settings["arguments"], **tuning())
    while not stt.ready:
        time.sleep(0.01)
    while _still_prepares(stt):
        pass
    known: Settings = {}

    def transcribe(path: str, job: Settings) -> list[Heard]:
        result = stt.transcribe(path, language=job["language"])
        if result["error_type"] == LOOPS_ONLY:
            return [Heard("", 0, 0)]
        if not result["success"]:
            raise SystemExit(f"{path}: {result['error_type']}: {result['error']}")
        known.update(
            {key: fact for key, fact in result["provenance"].items() if key not in OF_THE_CALL}
        )
        channels = sorted({int(one["channel"] or 0) for one in result["segments"]}) or [0]
        return [_channel(result["segments"], channel) for channel in channels]

    return transcribe, lambda: known


def _still_prepares(stt: WhisperSTT) -> bool:
    """Transcribe the built-in clip; return whether the product reports that it still builds."""
    with as_file(files("stt_engine") / "assets" / "canary.wav") as clip:
        facts = stt.transcribe(clip, language="en")["provenance"]
    return "prepared" in str(facts.get("alone_reason", ""))


def _channel(segments: list[dict[str, Any]], channel: int) -> Heard:
    own = [one["text"] for one in segments if int(one["channel"] or 0) == channel]
    return Heard(" ".join(own), len(own), channel)


if __name__ == "__main__":
    serve(load)
