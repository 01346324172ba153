"""What LiteLLM gets from a server, as JSON: run by the environment that has it (a script)."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any


def main(base: str, clip: str) -> None:
    """Ask in every way that LiteLLM has, and write what came of each."""
    import litellm  # noqa: PLC0415 - not in the project's own environment

    content = Path(clip).read_bytes()

    def asked(**more: Any) -> dict[str, Any]:
        given = {"model": "openai/whisper-1", "file": ("call.wav", content), **more}
        return {**given, "api_base": base, "api_key": "none", "max_retries": 0}

    def told(**more: Any) -> Any:
        try:
            return litellm.transcription(**asked(**more)).model_dump()
        except litellm.exceptions.APIError as exc:
            return {"error": type(exc).__name__, "status": exc.status_code, "message": str(exc)}
        except Exception as exc:  # noqa: BLE001 - what it raises is what is asked for
            status = getattr(exc, "status_code", None)
            return {"error": type(exc).__name__, "status": status, "message": str(exc)}

    timed = {"response_format": "verbose_json", "timestamp_granularities": ["word"]}
    found = {
        "plain": told(language="en"),
        "timed": told(**timed),
        "srt": told(response_format="srt"),
        "hints": told(prompt="A test.", temperature=0),
        "no_model": told(model="openai/nova"),
        "no_audio": told(file=("call.wav", b"no audio")),
        "async": asyncio.run(litellm.atranscription(**asked())).model_dump(),
    }
    sys.stdout.write(json.dumps(found, default=str) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
