"""The recordings of the drills, made on the spot: one that is well, and each way not to be."""

from __future__ import annotations

import io
import json
import os
import wave
from functools import cache
from importlib.resources import files
from pathlib import Path

import av
import numpy as np

_ASSETS = files("stt_engine") / "assets"
_BLOCK = 65_536
_RATE = 8_000


@cache
def clip() -> bytes:
    """Give the built-in clip: a few words of English."""
    return (_ASSETS / "canary.wav").read_bytes()


def language() -> str:
    """Give its language."""
    return str(json.loads((_ASSETS / "canary.json").read_text(encoding="utf-8"))["language"])


def spoken(path: Path, pause_ms: int = 0, times: int = 1) -> Path:
    """Write the clip some times over, and a pause: another one for whoever remembers them."""
    raw = io.BytesIO()
    with wave.open(io.BytesIO(clip())) as source, wave.open(raw, "wb") as out:
        out.setparams(source.getparams())
        out.writeframes(source.readframes(source.getnframes()) * times)
        out.writeframes(bytes(source.getframerate() * pause_ms // 1000 * source.getsampwidth()))
    path.write_bytes(raw.getvalue())
    return path


def silence(path: Path, seconds: float, rate: int = 8_000) -> Path:
    """Write digital silence."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(bytes(int(seconds * rate) * 2))
    return path


def bomb(path: Path, hours: float) -> Path:
    """Write hours of silence in some kilobytes of FLAC."""
    with av.open(str(path), "w", format="flac") as out:
        stream = out.add_stream("flac", rate=_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, _BLOCK), np.int16), "s16", "mono")
        frame.sample_rate = _RATE
        for number in range(int(hours * 3600 * _RATE / _BLOCK)):
            frame.pts = number * _BLOCK
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def raw(path: Path, content: bytes) -> Path:
    """Write whatever is not a recording."""
    path.write_bytes(content)
    return path


def pipe(path: Path) -> Path:
    """Make a named pipe, which nobody writes to."""
    os.mkfifo(path)
    return path


def hls(path: Path, target: str) -> Path:
    """Write a playlist that calls itself a recording, and names another file or address."""
    return raw(path, f"#EXTM3U\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n".encode())


def concat(path: Path, target: str) -> Path:
    """Write a list of parts that calls itself a recording."""
    return raw(path, f"ffconcat version 1.0\nfile '{target}'\n".encode())
