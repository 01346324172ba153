"""Files that are empty, not audio or of no known codec are refused."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from stt_engine.errors import (
    AudioDamaged,
    AudioEmpty,
    NotAudio,
)
from stt_engine.workers.worker import Worker
from tests.support import sounds
from tests.support.decoding import decode
from tests.support.encoded_audio import LIMITS, in_child


# What is no recording ---------------------------------------------------------------------
def test_zero_bytes(tmp_path: Path, out: Path) -> None:
    with pytest.raises(AudioEmpty, match="0 bytes"):
        decode(sounds.zero_bytes(tmp_path / "a.wav"), out, LIMITS)


def test_a_header_without_samples(tmp_path: Path, out: Path) -> None:
    with pytest.raises(AudioEmpty):
        decode(sounds.header_only_wav(tmp_path / "a.wav"), out, LIMITS)


@pytest.mark.parametrize(
    "content",
    [
        b"This is not a recording.\n",
        b"RIFF",
        b"\x00" * 5_000,
        b"%PDF-1.7\n" + b"x" * 2_000,
        b"PK\x03\x04" + b"x" * 2_000,
        b"<html><body>404</body></html>",
        "안녕하세요 ".encode() * 500,
    ],
    ids=["text", "riff", "zeros", "pdf", "zip", "html", "korean"],
)
def test_what_is_not_audio(tmp_path: Path, out: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises((NotAudio, AudioEmpty)):
        decode(path, out, LIMITS)


@pytest.mark.parametrize(
    ("name", "says"), [("m4a", r"MP4 file whose index \(moov\) is missing"), ("mp4", "index")]
)
def test_an_mp4_that_was_cut_says_that_its_index_is_missing(
    encoded: dict[str, Path], tmp_path: Path, out: Path, name: str, says: str
) -> None:
    path, whole = tmp_path / "a", encoded[name].read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioDamaged, match=says):
        decode(path, out, LIMITS)


@pytest.mark.parametrize(("name", "says"), [("opus", "an Ogg file"), ("webm", "a Matroska")])
def test_a_damaged_header_does_not_hide_the_format(
    encoded: dict[str, Path], tmp_path: Path, out: Path, name: str, says: str
) -> None:
    path, data = tmp_path / "a", bytearray(encoded[name].read_bytes())
    data[20:400:7] = bytes(len(data[20:400:7]))
    path.write_bytes(data)
    with pytest.raises(AudioDamaged, match=f"looks like {says}.* damaged"):
        decode(path, out, LIMITS)


def test_a_header_that_ends_with_the_file(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"RIFF\x24\x00\x00\x00WAVEfmt ")
    with pytest.raises(AudioDamaged, match="looks like a WAV file"):
        decode(path, out, LIMITS)


def test_a_video_without_sound(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as writer:
        stream = writer.add_stream("mpeg4", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    with pytest.raises(NotAudio, match="without an audio stream"):
        decode(path, out, LIMITS)


def test_a_codec_that_nobody_knows(tmp_path: Path, out: Path) -> None:
    path = sounds.sine(tmp_path / "a.wav", 1.0)
    data = bytearray(path.read_bytes())
    data[20:22] = struct.pack("<H", 0x1234)
    path.write_bytes(data)
    with pytest.raises(NotAudio, match="codec"):
        decode(path, out, LIMITS)


@pytest.mark.parametrize("rate", [1, 100, 923_140_160, 1_895_841_408])
def test_a_sample_rate_that_no_recorder_has(
    child: Worker, tmp_path: Path, out: Path, rate: int
) -> None:
    """FFmpeg's resampler would build a filter for it until it is killed."""
    path = sounds.sine(tmp_path / "a.wav", 1.0)
    data = bytearray(path.read_bytes())
    data[24:28] = struct.pack("<I", rate)
    path.write_bytes(data)
    with pytest.raises(NotAudio, match=f"{rate}"):
        in_child(child, path, out)
