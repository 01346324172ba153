"""Recordings made to harm: the real server, its real decoder, and the kernel's word for it."""

from __future__ import annotations

import gzip
import socket
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import av
import httpx2
import pytest

from stt_engine.errors import AudioRejected, NotAudio
from stt_engine.speech import SAMPLE_RATE, AudioLimits
from stt_engine.workers.worker import Worker, WorkerLimits
from tests.support import bombs, sounds
from tests.support.decoding import decode
from tests.support.opened import watched
from tests.support.pointers import POINTERS
from tests.support.server import ROOT, ApiServer, api_server

CLIP = ROOT / "src/stt_engine/assets/canary.wav"
SANE_MB = 400
CEILING_MB = 2048
DECODE_SEC = 120
NAMES = ("call.wav", "call.mp3", "call.m4a", "call", "call%03d.wav")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def server(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    settings = {"audio_roots": root, "stt_model_path": root / "none", "ready_interval_sec": 3600}
    with api_server(tmp_path_factory.mktemp("server"), ready=False, **settings) as found:
        yield found
        assert found.metric("stt_engine_unexpected_failures_total") == 0


@pytest.fixture
def client(server: ApiServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.base, trust_env=False, timeout=DECODE_SEC) as found:
        yield found


# Content that points elsewhere --------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="inotify")
@pytest.mark.parametrize("kind", list(POINTERS))
def test_nothing_else_is_opened(
    kind: str, server: ApiServer, client: httpx2.Client, root: Path, tmp_path: Path
) -> None:
    """By path and by upload, as every kind of name; the targets are real recordings."""
    beside = sounds.sine(root / "secret.wav", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as listening, ExitStack() as stack:
        listening.setblocking(False)
        far = sounds.sine(tmp_path / "secret.wav", 1.0)
        watches = [stack.enter_context(watched(folder)) for folder in (root, tmp_path)]
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/secret.wav"
        targets = (
            beside.name,
            str(far),
            f"file://{far}",
            f"../{tmp_path.name}/{far.name}",
            address,
        )
        for number, target in enumerate(targets):
            content, name = POINTERS[kind](target), NAMES[number]
            upload = client.post("/transcribe", files={"file": (name, content)})
            (root / name).write_bytes(content)
            by_path = client.post("/transcribe", data={"file_path": str(root / name)})
            for answer in (upload, by_path):
                assert answer.status_code == 415, (target, answer.text)
                assert answer.headers["content-type"] == "application/problem+json"
        assert watches[0].names() == set(NAMES)  # the trap sees what is opened
        assert watches[1].names() == set()
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert server.leftovers() == []


@pytest.mark.parametrize(
    ("kind", "options"),
    [("ffconcat", {"safe": "0"}), ("hls", {}), ("mov alias", {"enable_drefs": "1"})],
)
def test_the_traps_work(kind: str, options: dict[str, str], tmp_path: Path) -> None:
    """Left alone, FFmpeg follows them: what keeps it from that is ours."""
    target = sounds.sine(tmp_path / "secret.wav", 1.0)
    path = tmp_path / "call.m3u8"
    path.write_bytes(POINTERS[kind](target.name if kind != "mov alias" else str(target)))
    with watched(tmp_path) as watch, pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        try:
            with av.open(path.name, options=options) as container:
                list(container.decode(audio=0))
        except (av.FFmpegError, IndexError):
            pass  # hls then refuses the suffix; it has looked
        assert watch.names() >= ({path.name} if kind == "hls" else {"secret.wav"})


@pytest.mark.parametrize(
    "name",
    [
        "concat:secret.wav",
        "subfile,,start,0,end,9,,:secret.wav",
        "crypto:secret.wav",
        "data:audio,x",
        "pipe:0",
        "%d.wav",
        "-",
    ],
)
def test_a_name_is_a_name(name: str, client: httpx2.Client, root: Path) -> None:
    sounds.sine(root / "secret.wav", 1.0)
    (root / "1.wav").write_bytes(CLIP.read_bytes())
    answer = client.post("/transcribe", data={"file_path": f"{root}/{name}"})
    assert answer.status_code == 404, answer.text
    answer = client.post("/transcribe", files={"file": (name, b"not a recording")})
    assert answer.status_code == 415, answer.text


# Small files that ask for much --------------------------------------------------------------


def _wav(*, data: int = 2_000_000, **said: int) -> bytes:
    return bombs.riff(bombs.wav_format(**said), bombs.chunk(b"data", bytes(data)))


def _matroska(*tracks: bytes) -> bytes:
    block = bombs.element(0xA3, b"\x81\0\0\x80" + bytes(32_000))
    cluster = bombs.element(0x1F43B675, bombs.number(0xE7, 0) + block)
    return bombs.matroska(bombs.element(0x1654AE6B, b"".join(tracks)), cluster)


def _edits() -> bytes:
    """Twenty thousand edits that each play the whole track."""
    table = struct.pack(">II", 0, 20_000) + struct.pack(">IiI", 1, 0, 0x10000) * 20_000
    edits = bombs.atom(b"elst", table)
    return bombs.mp4(bombs.track(offset=bombs.MP4_DATA, edits=edits), data=bytes(32_000))


def _tracks() -> bytes:
    tracks = [bombs.track(n + 1, offset=bombs.MP4_DATA) for n in range(20_000)]
    return bombs.mp4(*tracks, data=bytes(32_000))


def _undecodable() -> bytes:
    """A million packets of two bytes that are no AAC."""
    head = struct.pack(">HHIHHHHI", 0, 0, 0, 1, 16, 0, 0, 16_000 << 16)
    entry = bombs.atom(b"mp4a", bytes(6), b"\0\1", head)
    count = 1_000_000
    track = bombs.track(offset=bombs.MP4_DATA, samples=count, entry=entry)
    return bombs.mp4(track, data=bytes(2 * count))


def _cover(side: int, sound: bytes) -> bytes:
    frame = bombs.picture_frame(bombs.png(side))
    return bombs.id3(len(frame), frame) + sound


def _nested() -> bytes:
    inner = b""
    for _ in range(20_000):
        inner = bombs.atom(b"moov", inner)
    return bombs.FTYP + inner


def _zip(folder: Path) -> bytes:
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("call.wav", bytes(100 << 20))
    return (folder / "a.zip").read_bytes()


def _mp3(folder: Path) -> bytes:
    return sounds.encode(CLIP, folder / "sound.mp3", "mp3").read_bytes()


BOMBS: dict[str, Callable[[Path], bytes]] = {
    "flac of 24 h": lambda at: bombs.flac(at / "a", 86_400).read_bytes(),
    "fmt chunk of 4 GiB": lambda _: bombs.riff(
        bombs.chunk(b"fmt ", bombs.wav_format()[8:], 0xFFFFFFFF), bombs.chunk(b"data", bytes(64))
    ),
    "eight million chunks": lambda _: bombs.riff(
        bombs.wav_format(), bombs.chunk(b"junk", b"") * 8_000_000, bombs.chunk(b"data", bytes(64))
    ),
    "nested lists": lambda _: bombs.riff(bombs.wav_format(), b"LIST\xff\xff\xff\x7fINFO" * 100_000),
    "255 channels": lambda _: _wav(channels=255),
    "65535 channels": lambda _: _wav(channels=65_535),
    "65535 adpcm channels": lambda _: _wav(code=17, channels=65_535, bits=4),
    "4 GHz": lambda _: _wav(rate=0xFFFFFFFF),
    "block of 65535": lambda _: _wav(code=2, align=65_535, bits=4),
    "20,000 mp4 tracks": lambda _: _tracks(),
    "2^31 mp4 samples": lambda _: bombs.mp4(bombs.track(offset=bombs.MP4_DATA, samples=2**31 - 1)),
    "undecodable packets": lambda _: _undecodable(),
    "nested atoms": lambda _: _nested(),
    "20,000 matroska tracks": lambda _: _matroska(
        *(bombs.matroska_track(n + 1) for n in range(20_000))
    ),
    "2^31 matroska channels": lambda _: _matroska(
        bombs.matroska_track(channels=2**31 - 1, rate=1e9)
    ),
    "ogg streams": lambda _: b"".join(
        b"OggS\0\2" + bytes(8) + struct.pack("<III", n, 0, 0) + b"\1\x13OpusHead\1\1" + bytes(9)
        for n in range(20_000)
    ),
    "id3 of 100 MiB": lambda at: bombs.id3(100 << 20, bytes(100 << 20)) + _mp3(at),
    "id3 that lies": lambda at: bombs.id3((256 << 20) - 1) + _mp3(at),
    "cover of 768 MB": lambda at: _cover(16_000, _mp3(at)),
    "gzip": lambda _: gzip.compress(bytes(100 << 20), 9),
    "zip": _zip,
}
STILL_SOUND = {"block of 65535", "20,000 matroska tracks", "id3 of 100 MiB", "cover of 768 MB"}
"""The sound in these is as good as any."""


@pytest.mark.parametrize("name", list(BOMBS))
def test_a_bomb_is_answered_at_once(
    name: str, server: ApiServer, client: httpx2.Client, root: Path, tmp_path: Path
) -> None:
    path = root / "bomb.wav"
    path.write_bytes(BOMBS[name](tmp_path))
    answer = client.post("/transcribe", data={"file_path": str(path)})
    if name in STILL_SOUND:
        assert answer.json()["error_type"] == "FileNotFoundError"  # it got as far as the model
        assert answer.json()["duration"] > 0
    else:
        assert answer.status_code in {413, 415}, answer.text
    assert answer.elapsed.total_seconds() < 30
    assert client.get("/health").elapsed.total_seconds() < 5
    assert peak_mb(server) < SANE_MB
    assert server.leftovers() == []


def peak_mb(server: ApiServer) -> int:
    """The most that the decoder ever held, of all that it was sent so far."""
    return _peak(server.component("audio")["pid"])


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))


LONG: dict[str, Callable[[Path], Path]] = {
    "flac of 24 h without its length": lambda at: bombs.flac(at / "a.wav", 86_400, total=0),
    "flac of 8 channels at 192 kHz": lambda at: bombs.flac(at / "b.wav", 3600, 192_000, 8),
    "amr of 24 h without data": lambda at: bombs.amr(at / "c.wav", 86_400),
    "edits": lambda at: _written(at / "d.wav", _edits()),
    "packed header": lambda at: bombs.compressed_moov(at / "e.wav", 1_500),
}


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", list(LONG))
def test_hours_in_kilobytes(name: str, tmp_path: Path) -> None:
    """What has no honest header is decoded up to the limit: bounded in time, memory and disk."""
    path, out = LONG[name](tmp_path), tmp_path / "out"
    out.mkdir()
    worker = Worker("audio", WorkerLimits(memory_mb=CEILING_MB))
    limits = AudioLimits(max_duration_sec=2 * 3600.0)
    job = {
        "operation": "decode",
        "path": str(path),
        "folder": str(out),
        "limits": asdict(limits),
    }
    try:
        worker.call(job, timeout=300)
    except AudioRejected:
        assert name != "flac of 8 channels at 192 kHz"
    finally:
        # QuickTime may pack its header: FFmpeg unpacks it, and the ceiling is the bound.
        held = _peak(worker.pid or 0)
        worker.close()
    assert held < (CEILING_MB if name == "packed header" else SANE_MB)
    # Each channel has a file of its own; both settings bound what lands on the disk.
    written = [one.stat().st_size for one in out.iterdir()]
    assert max(written, default=0) <= (limits.max_duration_sec + 60) * SAMPLE_RATE * 2
    assert sum(written) <= (limits.max_channel_sec + 60) * SAMPLE_RATE * 2


def test_the_pauses_of_amr_are_kept(tmp_path: Path) -> None:
    """A recorder with DTX sends nothing in a pause; the times of what follows must not move."""
    out = tmp_path / "out"
    out.mkdir()
    found = decode(bombs.amr(tmp_path / "a.amr", 10.0), out, AudioLimits())
    assert found.duration == pytest.approx(10.0, abs=0.1)


def test_a_header_that_says_too_much_is_believed_only_beyond_doubt(tmp_path: Path) -> None:
    """Within what a cut file is forgiven, the samples decide."""
    path = bombs.flac(tmp_path / "a.flac", 65.535 * 4, rate=1_000, total=264_000)
    decode(path, tmp_path, AudioLimits(max_duration_sec=263.0))
    with pytest.raises(AudioRejected):
        decode(path, tmp_path, AudioLimits(max_duration_sec=200.0))
    with pytest.raises(NotAudio):
        decode(_written(tmp_path / "b", b"RIFF"), tmp_path, AudioLimits())
