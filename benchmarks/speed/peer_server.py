"""A minimal server around a peer library: what people run who want nothing more.

``python -m benchmarks.speed.peer_server PORT SETTINGS``, by the peer's own Python. One model; each
request is one call of the library in a thread, as FastAPI runs a plain function.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import threading
from typing import Annotated

import uvicorn
from fastapi import FastAPI, File, Form, UploadFile

from benchmarks.speed.jobs import Load, Transcribe

app = FastAPI()


class Library:
    """The loaded library; ``one_at_a_time`` for one that must not be called from two threads."""

    transcribe: Transcribe
    lock = threading.Lock()
    one_at_a_time = False


@app.get("/health")
def health() -> dict[str, str]:
    """Answer while the process can."""
    return {"status": "ok"}


@app.post("/v1/audio/transcriptions")
def transcriptions(
    file: Annotated[UploadFile, File()], language: Annotated[str, Form()]
) -> dict[str, str]:
    """Recognise an upload."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as copy:
        copy.write(file.file.read())
        copy.flush()
        if Library.one_at_a_time:
            with Library.lock:
                found = Library.transcribe(copy.name, {"language": language})
        else:
            found = Library.transcribe(copy.name, {"language": language})
    return {"text": " ".join(one.text for one in found)}


def main() -> None:
    """Load, then serve."""
    settings = json.loads(sys.argv[2])
    load: Load = importlib.import_module(settings["module"]).load
    transcribe, _ = load(settings)
    Library.transcribe = lambda path, job: transcribe(path, settings | job)
    Library.one_at_a_time = settings["one_at_a_time"]
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")


if __name__ == "__main__":
    main()
