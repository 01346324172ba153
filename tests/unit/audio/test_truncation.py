"""A recording that is shorter than it declares is refused; a complete one is not."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from stt_engine.errors import (
    AudioRejected,
    AudioTruncated,
)
from stt_engine.speech import SAMPLE_RATE
from tests.support import sounds
from tests.support.decoding import decode
from tests.support.encoded_audio import LIMITS, SECONDS, encoded_of


# Files that are cut -----------------------------------------------------------------------
def test_a_wav_that_is_shorter_than_it_says(tmp_path: Path, out: Path) -> None:
    path = sounds.truncated_wav(tmp_path / "a.wav", declared=10.0, present=2.0)
    with pytest.raises(AudioTruncated, match=r"only 2\.0 s of about 10\.0 s"):
        decode(path, out, LIMITS)


@pytest.mark.parametrize(
    "name", ["wav-s16", "wav-mulaw", "wav-alaw", "wav-f32", "mp3", "flac", "webm"]
)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.75])
def test_a_copy_that_stopped_half_way(
    encoded: dict[str, Path], tmp_path: Path, out: Path, name: str, share: float
) -> None:
    whole = encoded[name].read_bytes()
    path = tmp_path / encoded[name].name
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(AudioTruncated, match="send the whole recording"):
        decode(path, out, LIMITS)


@pytest.mark.parametrize("name", ["m4a", "mp4"])
def test_an_mp4_without_its_index_is_refused(
    encoded: dict[str, Path], tmp_path: Path, out: Path, name: str
) -> None:
    whole = encoded[name].read_bytes()
    path = tmp_path / encoded[name].name
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioRejected):
        decode(path, out, LIMITS)


def test_an_mp4_with_its_index_first_that_is_cut(tmp_path: Path, out: Path) -> None:
    """As phones and web players write it: it opens and plays, and half of the call is missing."""
    path = encoded_of(tmp_path / "a.m4a", "ipod", "aac", 10.0, movflags="faststart")
    assert decode(path, out, LIMITS).duration == pytest.approx(10.0, abs=0.1)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioTruncated):
        decode(path, out, LIMITS)


@pytest.mark.parametrize("flags", ["frag_keyframe+empty_moov", "faststart", ""])
def test_a_whole_mp4_of_any_layout_is_not_called_cut(tmp_path: Path, out: Path, flags: str) -> None:
    options = {"movflags": flags} if flags else {}
    path = encoded_of(tmp_path / "a.mp4", "mp4", "aac", 10.0, **options)
    assert decode(path, out, LIMITS).duration == pytest.approx(10.0, abs=0.2)


@pytest.mark.parametrize(
    ("container", "codec"), [("matroska", "libopus"), ("mp4", "aac"), ("matroska", "flac")]
)
def test_a_picture_longer_than_the_sound_does_not_make_the_call_cut(
    tmp_path: Path, out: Path, container: str, codec: str
) -> None:
    """A screen recording that went on after the call was over."""
    source = sounds.sine(tmp_path / "source.wav", SECONDS)
    path = tmp_path / "a.video"
    with (
        av.open(str(source)) as reader,
        av.open(str(path), "w", format=container) as writer,
    ):
        picture = writer.add_stream("mpeg4", rate=1)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuv420p"
        rate = 48_000 if codec == "libopus" else SAMPLE_RATE
        sound = writer.add_stream(codec, rate=rate, layout="mono")
        for frame in reader.decode(audio=0):
            writer.mux(sound.encode(frame))
        writer.mux(sound.encode(None))
        for second in range(10):
            black = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            black.pts = second
            writer.mux(picture.encode(black))
        writer.mux(picture.encode(None))
    assert decode(path, out, LIMITS).duration == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF, 0x80000000])
def test_a_streamed_wav_whose_length_was_not_known_is_whole(
    tmp_path: Path, out: Path, length: int
) -> None:
    """FFmpeg writes 0xFFFFFFFF to a pipe, sox 0x7FFFF000, others 0 or the largest number."""
    path = sounds.sine(tmp_path / "a.wav", 2.0)
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    data[place : place + 4] = struct.pack("<I", length)
    path.write_bytes(data)
    assert decode(path, out, LIMITS).duration == 2.0


@pytest.mark.parametrize("factor", [0.5, 2])
def test_a_recorder_that_writes_a_wrong_byte_rate_does_not_cut_the_call(
    tmp_path: Path, out: Path, factor: float
) -> None:
    path = sounds.sine(tmp_path / "a.wav", 4.0)
    data = bytearray(path.read_bytes())
    data[28:32] = struct.pack("<I", int(SAMPLE_RATE * 2 * factor))
    path.write_bytes(data)
    assert decode(path, out, LIMITS).duration == 4.0


def test_a_damaged_packet_in_the_middle_is_passed_over(
    encoded: dict[str, Path], tmp_path: Path, out: Path
) -> None:
    data = bytearray(encoded["mp3"].read_bytes())
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    path = tmp_path / "a.mp3"
    path.write_bytes(data)
    assert decode(path, out, LIMITS).duration == pytest.approx(SECONDS, abs=0.3)
