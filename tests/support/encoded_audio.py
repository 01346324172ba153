"""Encoded recordings, and decoding them in a child process."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import av

from stt_engine.speech import SAMPLE_RATE, AudioLimits
from stt_engine.workers.worker import Worker
from tests.support import sounds

SECONDS = 3.0


LIMITS = AudioLimits()


def in_child(child: Worker, path: Path | str, out: Path, limits: AudioLimits = LIMITS) -> None:
    job = {
        "operation": "decode",
        "path": str(path),
        "folder": str(out),
        "limits": asdict(limits),
    }
    child.call(job, timeout=30)


def encoded_of(
    target: Path, container: str, codec: str, seconds: float = SECONDS, **options: str
) -> Path:
    source = sounds.sine(target.with_name("plain-source.wav"), seconds)
    with (
        av.open(str(source)) as reader,
        av.open(str(target), "w", format=container, options=options) as writer,
    ):
        stream = writer.add_stream(codec, rate=SAMPLE_RATE, layout="mono")
        for frame in reader.decode(audio=0):
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    return target
