"""Generated recordings: a valid one, and one for each kind of invalid input."""

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
_REST_MS = 2_200
_TOGETHER = 4


@cache
def clip() -> bytes:
    """Return the built-in clip: a few words of English."""
    return (_ASSETS / "canary.wav").read_bytes()


def language() -> str:
    """Return its language."""
    return str(json.loads((_ASSETS / "canary.json").read_text(encoding="utf-8"))["language"])


def spoken(path: Path, pause_ms: int = 0, times: int = 1) -> Path:
    """Write the clip ``times`` times and a pause, which makes its hash unique for quarantine."""
    raw = io.BytesIO()
    with wave.open(io.BytesIO(clip())) as source, wave.open(raw, "wb") as out:
        out.setparams(source.getparams())
        sentence = source.readframes(source.getnframes())
        rest = bytes(source.getframerate() * _REST_MS // 1000 * source.getsampwidth())
        for number in range(1, times + 1):  # said five times on end it is taken for a loop
            out.writeframes(sentence + (b"" if number % _TOGETHER else rest))
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
    """Write hours of silence as a few kilobytes of FLAC."""
    with av.open(str(path), "w", format="flac") as out:
        stream = out.add_stream("flac", rate=_RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, _BLOCK), np.int16), "s16", "mono")
        frame.sample_rate = _RATE
        for number in range(int(hours * 3600 * _RATE / _BLOCK)):
            frame.pts = number * _BLOCK
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def many_channels(path: Path, channels: int) -> Path:
    """Write a second of silence on so many channels."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(_RATE)
        out.writeframes(bytes(2 * channels * _RATE))
    return path


def damaged(path: Path) -> Path:
    """Write the clip as FLAC, and destroy four fifths of it in the middle."""
    with av.open(io.BytesIO(clip()), "r") as source, av.open(str(path), "w", format="flac") as out:
        stream = out.add_stream("flac", rate=16_000, layout="mono")
        resampler = av.AudioResampler("s16", "mono", 16_000)
        for decoded in source.decode(audio=0):
            for frame in resampler.resample(decoded):
                out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    content = bytearray(path.read_bytes())
    begin, end = len(content) // 10, len(content) * 9 // 10
    content[begin:end] = bytes(end - begin)
    return raw(path, bytes(content))


def raw(path: Path, content: bytes) -> Path:
    """Write arbitrary bytes."""
    path.write_bytes(content)
    return path


def pipe(path: Path) -> Path:
    """Make a named pipe without a writer."""
    os.mkfifo(path)
    return path


def hls(path: Path, target: str) -> Path:
    """Write an HLS playlist, disguised as a recording, that names another file or address."""
    return raw(path, f"#EXTM3U\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n".encode())


def concat(path: Path, target: str) -> Path:
    """Write an ffconcat list, disguised as a recording."""
    return raw(path, f"ffconcat version 1.0\nfile '{target}'\n".encode())
