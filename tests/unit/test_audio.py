"""Decoding: every format a recorder leaves, every file that is none, and the limits.

Hostile content is decoded in the killable child, as in the product; what is known to be harmless
is decoded here.
"""

from __future__ import annotations

import os
import random
import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from stt_engine.errors import (
    AudioEmpty,
    AudioNotFound,
    AudioRejected,
    AudioTooLarge,
    AudioTooLong,
    AudioTruncated,
    AudioUnreadable,
    NotAudio,
    WorkspaceError,
)
from stt_engine.process import WorkerLimits
from stt_engine.speech import SAMPLE_RATE, AudioLimits
from stt_engine.worker import Worker
from tests.support import sounds
from tests.support.decoding import decode

SECONDS = 3.0
TOLERANCE = 0.05
LIMITS = AudioLimits()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "decoded"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def child() -> Iterator[Worker]:
    worker = Worker("audio", WorkerLimits(stall_timeout_sec=10.0, memory_mb=2048))
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One stereo call (two different tones) in every format that this PyAV can write."""
    folder = tmp_path_factory.mktemp("encoded")
    source = sounds.two_channels(
        folder / "source.wav",
        sounds.sine(folder / "left.wav", SECONDS, hertz=440),
        sounds.sine(folder / "right.wav", SECONDS, hertz=1_000),
    )
    return {
        name: sounds.encode(source, folder / f"{name}{how.suffix}", name)
        for name, how in sounds.ENCODINGS.items()
        if sounds.can_encode(name)
    }


def _in_child(child: Worker, path: Path | str, out: Path, limits: AudioLimits = LIMITS) -> None:
    job = {
        "path": str(path),
        "folder": str(out),
        "max_bytes": limits.max_bytes,
        "max_duration_sec": limits.max_duration_sec,
    }
    child.call("decode", job, timeout=30)


def _samples(file: str | Path) -> np.ndarray:
    return np.fromfile(file, dtype="<i2") / 32_768


def _loudest_hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax()) * SAMPLE_RATE / len(samples)


# Formats ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in sounds.ENCODINGS if sounds.can_encode(name)])
def test_every_format_keeps_length_and_channels(
    encoded: dict[str, Path], out: Path, name: str
) -> None:
    found = decode(encoded[name], out, LIMITS)
    mono = sounds.ENCODINGS[name].layout == "mono"
    assert found.duration == pytest.approx(SECONDS, abs=TOLERANCE)
    assert len(found.files) == (1 if mono else 2)
    for number, file in enumerate(found.files):
        heard = _samples(file)
        assert len(heard) / SAMPLE_RATE == pytest.approx(found.duration)
        tones = (440, 1_000) if mono else ((440, 1_000)[number],)
        assert min(abs(_loudest_hertz(heard) - tone) for tone in tones) < 5
        assert np.sqrt((heard**2).mean()) > 0.1


def test_gsm_as_recorders_write_it(out: Path, tmp_path: Path) -> None:
    found = decode(sounds.gsm_wav(tmp_path / "a.wav", 4.0), out, LIMITS)
    assert found.duration == pytest.approx(4.0, abs=TOLERANCE)
    assert len(found.files) == 1


@pytest.mark.parametrize(
    ("codec", "tolerance"),
    [("pcm_u8", 0.05), ("pcm_s24le", 0.05), ("adpcm_ms", 0.1), ("adpcm_ima_wav", 0.1),
     ("libmp3lame", 0.15)],
)  # fmt: skip
def test_other_codecs_in_a_wav(tmp_path: Path, out: Path, codec: str, tolerance: float) -> None:
    path = _encoded(tmp_path / "a.wav", "wav", codec)
    assert decode(path, out, LIMITS).duration == pytest.approx(SECONDS, abs=tolerance)


def _encoded(
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


def test_both_channels_the_same_are_one(tmp_path: Path, out: Path) -> None:
    tone = sounds.sine(tmp_path / "a.wav", 2.0)
    both = sounds.two_channels(tmp_path / "b.wav", tone, tone)
    assert len(decode(both, out, LIMITS).files) == 1


def test_both_channels_silent_are_one(tmp_path: Path, out: Path) -> None:
    nothing = sounds.silence(tmp_path / "a.wav", 2.0)
    assert len(decode(sounds.two_channels(tmp_path / "b.wav", nothing, nothing), out, LIMITS).files) == 1  # fmt: skip  # noqa: E501


def test_one_silent_channel_stays_a_channel(tmp_path: Path, out: Path) -> None:
    both = sounds.two_channels(
        tmp_path / "c.wav",
        sounds.sine(tmp_path / "a.wav", 2.0),
        sounds.silence(tmp_path / "b.wav", 2.0),
    )
    found = decode(both, out, LIMITS)
    assert len(found.files) == 2
    assert np.abs(_samples(found.files[0])).max() > 0.4
    assert np.abs(_samples(found.files[1])).max() == 0


def test_dual_mono_through_a_lossy_codec_is_one_channel(tmp_path: Path, out: Path) -> None:
    tone = sounds.sine(tmp_path / "a.wav", 2.0)
    both = sounds.two_channels(tmp_path / "b.wav", tone, tone)
    mp3 = sounds.encode(both, tmp_path / "b.mp3", "mp3")
    assert len(decode(mp3, out, LIMITS).files) == 1


def test_telephone_mulaw_at_8_khz(encoded: dict[str, Path], out: Path) -> None:
    with av.open(str(encoded["wav-mulaw"])) as file:
        assert file.streams.audio[0].codec_context.name == "pcm_mulaw"
        assert file.streams.audio[0].rate == 8_000
    found = decode(encoded["wav-mulaw"], out, LIMITS)
    assert [_loudest_hertz(_samples(file)) for file in found.files] == [
        pytest.approx(440, abs=5),
        pytest.approx(1_000, abs=5),
    ]


@pytest.mark.parametrize(("channels", "rate"), [(6, 48_000), (8, 96_000), (3, 44_100)])
def test_many_channels_become_one(tmp_path: Path, out: Path, channels: int, rate: int) -> None:
    clock = np.arange(round(2 * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * 440 * clock)
    path = sounds.write_wav(tmp_path / "a.wav", np.tile(tone[:, None], channels), rate)
    found = decode(path, out, LIMITS)
    assert len(found.files) == 1
    assert found.duration == pytest.approx(2.0, abs=TOLERANCE)
    assert _loudest_hertz(_samples(found.files[0])) == pytest.approx(440, abs=5)


def test_the_sample_call_has_two_channels(sample_call: Path, out: Path) -> None:
    found = decode(sample_call, out, LIMITS)
    assert len(found.files) == 2
    assert found.duration == pytest.approx(68.2, abs=0.1)


# Limits -----------------------------------------------------------------------------------


def test_too_many_bytes_are_refused_before_they_are_read(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "huge.wav"
    with path.open("wb") as file:
        file.truncate(LIMITS.max_bytes + 1)  # sparse: no byte of it exists
    with pytest.raises(AudioTooLarge, match=str(LIMITS.max_bytes)):
        decode(path, out, LIMITS)
    assert list(out.iterdir()) == []


def test_the_limits_themselves_are_allowed(tmp_path: Path, out: Path) -> None:
    path = sounds.sine(tmp_path / "a.wav", 2.0)
    limits = AudioLimits(path.stat().st_size, 2.0)
    assert decode(path, out, limits).duration == 2.0
    with pytest.raises(AudioTooLarge):
        decode(path, out, AudioLimits(path.stat().st_size - 1, 2.0))
    with pytest.raises(AudioTooLong):
        decode(path, out, AudioLimits(path.stat().st_size, 1.9))


@pytest.fixture(scope="module")
def four_hours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four hours and a bit of silence as flac: a decompression bomb of three megabytes."""
    path = tmp_path_factory.mktemp("bomb") / "quiet.flac"
    block = np.zeros((1, SAMPLE_RATE * 10), np.int16)
    with av.open(str(path), "w", format="flac") as writer:
        stream = writer.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        for _ in range(4 * 360 + 6):
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    assert path.stat().st_size < 4_000_000
    return path


def test_four_hours_in_a_small_file_are_refused_without_the_memory_for_them(
    four_hours: Path, out: Path
) -> None:
    worker = Worker("audio")
    try:
        limits = AudioLimits(max_duration_sec=3600.0)
        with pytest.raises(AudioTooLong, match="3600 s"):
            _in_child(worker, four_hours, out, limits)
        first = _peak_mb(worker)
        with pytest.raises(AudioTooLong, match="14400 s"):
            _in_child(worker, four_hours, out)
        # Four times the sound, the same memory: held whole it would be 460 MB more.
        assert _peak_mb(worker) - first < 40
    finally:
        worker.close()
    written = sum(path.stat().st_size for path in out.iterdir())
    assert written <= (14_400 + 60) * SAMPLE_RATE * 2


def _peak_mb(worker: Worker) -> int:
    assert worker.pid is not None
    status = Path(f"/proc/{worker.pid}/status")
    if not status.exists():  # macOS
        return int(psutil.Process(worker.pid).memory_info().rss) >> 20
    (line,) = [one for one in status.read_text().splitlines() if one.startswith("VmHWM")]
    return int(line.split()[1]) >> 10


# Files that are cut -----------------------------------------------------------------------


def test_a_wav_that_is_shorter_than_it_says(tmp_path: Path, out: Path) -> None:
    path = sounds.truncated_wav(tmp_path / "a.wav", declared=10.0, present=2.0)
    with pytest.raises(AudioTruncated, match=r"2\.0 s of the 10\.0 s"):
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
    path = _encoded(tmp_path / "a.m4a", "ipod", "aac", 10.0, movflags="faststart")
    assert decode(path, out, LIMITS).duration == pytest.approx(10.0, abs=0.1)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioTruncated):
        decode(path, out, LIMITS)


@pytest.mark.parametrize("flags", ["frag_keyframe+empty_moov", "faststart", ""])
def test_a_whole_mp4_of_any_layout_is_not_called_cut(tmp_path: Path, out: Path, flags: str) -> None:
    options = {"movflags": flags} if flags else {}
    path = _encoded(tmp_path / "a.mp4", "mp4", "aac", 10.0, **options)
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
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"\x00" * 5_000,
        b"%PDF-1.7\n" + b"x" * 2_000,
        b"PK\x03\x04" + b"x" * 2_000,
        b"<html><body>404</body></html>",
        "안녕하세요 ".encode() * 500,
    ],
    ids=["text", "riff", "half header", "zeros", "pdf", "zip", "html", "korean"],
)
def test_what_is_not_audio(tmp_path: Path, out: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises((NotAudio, AudioEmpty)):
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
        _in_child(child, path, out)


def test_a_folder(tmp_path: Path, out: Path) -> None:
    with pytest.raises(AudioUnreadable, match="a folder"):
        decode(tmp_path, out, LIMITS)


def test_a_missing_file(tmp_path: Path, out: Path) -> None:
    with pytest.raises(AudioNotFound, match="not found"):
        decode(tmp_path / "none.wav", out, LIMITS)


def test_a_dangling_link(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.wav").symlink_to(tmp_path / "none.wav")
    with pytest.raises(AudioNotFound):
        decode(tmp_path / "a.wav", out, LIMITS)


def test_a_link_to_itself(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a.wav").symlink_to(tmp_path / "a.wav")
    with pytest.raises(AudioUnreadable):
        decode(tmp_path / "a.wav", out, LIMITS)


def test_a_file_as_a_folder_of_the_path(tmp_path: Path, out: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(AudioRejected):
        decode(tmp_path / "a" / "b.wav", out, LIMITS)


def test_a_fifo_that_nobody_writes_to_does_not_hold_the_call(tmp_path: Path, out: Path) -> None:
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(AudioUnreadable, match="not a regular file"):
        decode(tmp_path / "a.wav", out, LIMITS)


def test_a_device_without_end(out: Path) -> None:
    with pytest.raises(AudioUnreadable, match="not a regular file"):
        decode(Path("/dev/zero"), out, LIMITS)


def test_a_socket(tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket has to be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("a.wav")
        with pytest.raises(AudioUnreadable):
            decode(Path("a.wav"), out, LIMITS)


@contextmanager
def _unprivileged() -> Iterator[None]:
    """Root may read everything; be nobody for a moment."""
    if os.geteuid():
        yield
        return
    os.setegid(65_534)
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_a_file_without_permission_to_read_it(tmp_path: Path, out: Path) -> None:
    path = sounds.sine(tmp_path / "a.wav", 1.0)
    path.chmod(0)
    parents = [parent for parent in path.parents if parent != Path("/")]
    reachable = [(parent, parent.stat().st_mode) for parent in parents]
    for parent, mode in reachable:
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(mode | 0o011)
    try:
        with _unprivileged(), pytest.raises(AudioUnreadable, match="Permission denied"):
            decode(path, out, LIMITS)
    finally:
        for parent, mode in reachable:
            if parent.stat().st_uid == os.geteuid():
                parent.chmod(mode)


def test_a_nul_in_the_name(tmp_path: Path, out: Path) -> None:
    with pytest.raises(AudioRejected):
        decode(Path(f"{tmp_path}/a\0.wav"), out, LIMITS)


def test_a_name_longer_than_the_system_allows(tmp_path: Path, out: Path) -> None:
    with pytest.raises(AudioUnreadable):
        decode(tmp_path / ("a" * 300), out, LIMITS)


def test_no_room_for_the_samples(tmp_path: Path, out: Path) -> None:
    """A real limit of the kernel on the size of a file, in a child of its own."""
    worker = Worker("audio")
    try:
        path = sounds.sine(tmp_path / "a.wav", 4.0)
        _in_child(worker, path, out)
        assert worker.pid is not None
        if hasattr(resource, "prlimit"):
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (10_000, 10_000))
            with pytest.raises(WorkspaceError, match="cannot write"):
                _in_child(worker, path, out)
        with pytest.raises(WorkspaceError):
            decode(path, out / "missing", LIMITS)
    finally:
        worker.close()


# Content that points elsewhere ------------------------------------------------------------


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A real recording under a name that nothing but the disguised file knows."""
    return sounds.sine(tmp_path / "canary.wav", 2.0)


@pytest.mark.parametrize("kind", ["concat", "hls", "hls-nested", "sdp", "url", "dash", "cue"])
def test_a_playlist_never_opens_another_file_or_address(
    child: Worker, canary: Path, tmp_path: Path, out: Path, kind: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/canary.wav"
        before = _access_time(canary)
        for target in (str(canary), f"file://{canary}", canary.name, address):
            path = tmp_path / "call.wav"
            path.write_text(_playlist(kind, target))
            with pytest.raises(NotAudio):
                _in_child(child, path, out)
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert _access_time(canary) == before
    assert list(out.iterdir()) == []


def _access_time(path: Path) -> int:
    """Nanoseconds; put back by a day first, so that even ``relatime`` would move it."""
    info = path.stat()
    if info.st_atime_ns >= info.st_mtime_ns:
        os.utime(path, ns=(info.st_mtime_ns - 86_400 * 10**9, info.st_mtime_ns))
    return path.stat().st_atime_ns


def _playlist(kind: str, target: str) -> str:
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n"
    return {
        "concat": f"ffconcat version 1.0\nfile '{target}'\n",
        "hls": hls,
        "hls-nested": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{target}\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        "m=audio 5004 RTP/AVP 0\na=rtpmap:0 PCMU/8000\n",
        "url": f"[InternetShortcut]\nURL={target}\n",
        "dash": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
        f"<AdaptationSet><Representation><BaseURL>{target}</BaseURL></Representation>"
        "</AdaptationSet></Period></MPD>",
        "cue": f'FILE "{target}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    }[kind]


def test_the_same_playlist_does_reach_the_canary_when_ffmpeg_is_left_alone(
    canary: Path, tmp_path: Path
) -> None:
    """The trap works: without the product's white list FFmpeg follows it."""
    path = tmp_path / "call.wav"
    path.write_text(_playlist("concat", canary.name))
    with av.open(str(path), options={"safe": "0"}) as container:
        assert container.format.name == "concat"
        assert next(container.decode(audio=0)).samples > 0


@pytest.mark.parametrize("name", [name for name in sounds.ENCODINGS if sounds.can_encode(name)])
def test_no_damage_to_a_file_is_our_defect(
    child: Worker, encoded: dict[str, Path], tmp_path: Path, out: Path, name: str
) -> None:
    """Bytes changed at random: an answer or a refusal, never a crash, a hang or a traceback."""
    chance = random.Random(name)
    whole = encoded[name].read_bytes()
    for number in range(25):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 3, 20))):
            place = chance.randrange(min(len(data), chance.choice((64, 512, len(data)))))
            data[place] = chance.randrange(256)
        path = tmp_path / f"{number}{encoded[name].suffix}"
        path.write_bytes(data)
        try:
            _in_child(child, path, out)
        except AudioRejected:
            continue


# Names ------------------------------------------------------------------------------------

NAMES = {
    "korean": "상담 녹취 (최종).wav",
    "decomposed": "\u1112\u1161\u11ab.wav",
    "emoji": "📞🇰🇷.wav",
    "quotes": "a'b\"c`d.wav",
    "newline": "a\nb\r\tc.wav",
    "leading dash": "-i.wav",
    "protocol": "http:call.wav",
    "pipe": "pipe:0",
    "percent": "%03d%s.wav",
    "glob": "*?[a].wav",
    "spaces": "  a  ",
    "255 bytes": "가" * 83 + "ab.wav",
    "undecodable": os.fsdecode(b"\xff\xfe\x80.wav"),
}


@pytest.mark.parametrize("name", list(NAMES))
def test_strange_names(
    child: Worker, tmp_path: Path, out: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / NAMES[name]
    if name == "255 bytes":
        assert len(os.fsencode(path.name)) == 255
    sounds.sine(tmp_path / "plain.wav", 1.0).rename(path)
    _in_child(child, path, out)
    monkeypatch.chdir(tmp_path)
    assert decode(Path(path.name), out, LIMITS).duration == 1.0
    path.unlink()
    with pytest.raises(AudioNotFound):
        _in_child(child, path, out)
