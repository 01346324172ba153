"""What livekit and pipecat get from a server, as JSON: run by the environment that has them."""

from __future__ import annotations

import asyncio
import json
import sys
import wave
from pathlib import Path
from typing import Any


async def livekit(base: str, clip: str, **options: Any) -> dict[str, Any]:
    """Recognise a clip as an agent of livekit does an utterance."""
    from livekit import rtc  # noqa: PLC0415 - not in the project's own environment
    from livekit.agents import APIConnectOptions, APIError  # noqa: PLC0415
    from livekit.plugins import openai  # noqa: PLC0415

    with wave.open(clip) as source:
        samples = source.getnframes()
        frame = rtc.AudioFrame(source.readframes(samples), source.getframerate(), 1, samples)
    given = {"base_url": base, "api_key": "none", "model": "whisper-1", **options}
    try:
        once = APIConnectOptions(max_retry=0, timeout=60)
        event = await openai.STT(**given).recognize(frame, conn_options=once)
    except APIError as exc:
        return {"error": type(exc).__name__, "status": getattr(exc, "status_code", None)}
    (heard,) = event.alternatives
    return {"text": heard.text, "language": str(heard.language)}


async def pipecat(base: str, recording: bytes, **settings: Any) -> dict[str, Any]:
    """Recognise a clip as a pipeline of pipecat does an utterance."""
    from pipecat.services.openai.stt import OpenAISTTService  # noqa: PLC0415

    chosen = OpenAISTTService.Settings(**{"model": "whisper-1", **settings})
    service = OpenAISTTService(base_url=base, api_key="none", settings=chosen)
    (frame,) = [one async for one in service.run_stt(recording)]
    return {"frame": type(frame).__name__, "text": getattr(frame, "text", frame.__dict__)}


async def main(base: str, clip: str) -> None:
    """Ask in the ways that both have, and write what came of each."""
    recording = await asyncio.to_thread(Path(clip).read_bytes)
    found = {
        "livekit": await livekit(base, clip),
        "livekit_detects": await livekit(base, clip, detect_language=True),
        "livekit_keywords": await livekit(base, clip, model="gpt-transcribe", keywords=["Whisper"]),
        "livekit_no_model": await livekit(base, clip, model="nova"),
        "pipecat": await pipecat(base, recording),
        "pipecat_keywords": await pipecat(
            base, recording, model="gpt-transcribe", keywords=["Whisper"]
        ),
        "pipecat_no_model": await pipecat(base, recording, model="nova"),
    }
    sys.stdout.write(json.dumps(found, default=str) + "\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
