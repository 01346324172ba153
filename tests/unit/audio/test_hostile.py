"""Malicious files: playlists, damaged bytes, strange names."""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path

import av
import pytest

from stt_engine.errors import (
    AudioNotFound,
    AudioRejected,
    NotAudio,
)
from stt_engine.workers.worker import Worker
from tests.support import sounds
from tests.support.decoding import decode
from tests.support.encoded_audio import LIMITS, in_child


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
                in_child(child, path, out)
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
            in_child(child, path, out)
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
    in_child(child, path, out)
    monkeypatch.chdir(tmp_path)
    assert decode(Path(path.name), out, LIMITS).duration == 1.0
    path.unlink()
    with pytest.raises(AudioNotFound):
        in_child(child, path, out)
