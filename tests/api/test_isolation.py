"""Calls side by side: each gets its own words, and no file name can forge anything."""

from __future__ import annotations

import io
import json
import re
import unicodedata
import wave
from collections import Counter
from functools import cache

import anyio
import av
import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.server import LINE, ROOT, ApiServer, awaited

CALL = ROOT / "audio/sample_call.wav"
SENTENCES = 16


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"[a-z]+", text.lower()))


def likeness(one: str, other: str) -> float:
    """Return the share of words that two texts have in common."""
    left, right = words(one), words(other)
    return (left & right).total() / max(1, left.total(), right.total())


def sentences() -> list[tuple[str, bytes]]:
    """Cut the longest sentences out of the sample call, each from its speaker's channel."""
    told = json.loads(CALL.with_suffix(".json").read_text("utf-8"))["segments"]
    longest = sorted(told, key=lambda one: one["start"] - one["end"])[:SENTENCES]
    return [(one["text"], _cut(one["channel"], one["start"], one["end"])) for one in longest]


def _cut(channel: int, start: float, end: float) -> bytes:
    samples, rate = _samples()
    first, last = max(0, round((start - 0.2) * rate)), round((end + 0.2) * rate)
    return wav(samples[channel, first:last].tobytes(), rate)


@cache
def _samples() -> tuple[NDArray[np.int16], int]:
    """Decode the call (mu-law, as telephone exchanges write it) to one row a channel."""
    with av.open(str(CALL)) as source:
        stream = source.streams.audio[0]
        resampler = av.AudioResampler("s16p", "stereo", stream.rate)
        frames = [
            part.to_ndarray()
            for frame in source.decode(stream)
            for part in resampler.resample(frame)
        ]
        return np.concatenate(frames, axis=1), stream.rate


def wav(samples: bytes, rate: int = 16_000) -> bytes:
    raw = io.BytesIO()
    with wave.open(raw, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples)
    return raw.getvalue()


@pytest.mark.slow
async def test_everyone_gets_his_own_words(server: ApiServer) -> None:
    asked = sentences()
    told: dict[int, httpx2.Response] = {}

    async def ask(number: int, client: httpx2.AsyncClient) -> None:
        told[number] = await client.post(
            "/transcribe",
            data={"language": "en"},
            files={"file": ("same-name.wav", asked[number][1])},
        )

    async with server.client() as client, anyio.create_task_group() as tasks:
        for number in range(SENTENCES):
            tasks.start_soon(ask, number, client)

    assert {one.status_code for one in told.values()} == {200}
    assert len({one.headers["x-request-id"] for one in told.values()}) == SENTENCES
    for number, response in told.items():
        body = response.json()
        assert body["request_id"] == response.headers["x-request-id"]
        likenesses = [likeness(body["text"], text) for text, _ in asked]
        assert likenesses[number] == max(likenesses) > 0.5, (body["text"], asked[number][0])
        assert sorted(likenesses)[-2] < likenesses[number]
    assert server.leftovers() == []


FORGED = "[2026-01-01 00:00:00] ERROR - [STT] forged"
NAMES = {
    "Korean": "상담 녹취 (3월).wav",
    "emoji": "📞☎️.wav",
    "quotes": "a\"b'c`d.wav",
    "newline": f"a\n{FORGED}.wav",
    "carriage return": f"a\r\n{FORGED}\r\n.wav",
    "leading dash": "-rf --help.wav",
    "255 bytes": "가" * 83 + "ab.wav",
    "right-to-left": "call\u202egpj.wav",
    "line separator": f"a\u2028{FORGED}.wav",
    "escape": "\x1b[2J\x1b]0;owned\x07.wav",
    "NUL": "a\0b.wav",
    "path": "../../../etc/cron.d/x.wav",
    "absolute": "/etc/passwd",
    "windows": "C:\\call.wav",
    "format": "%s%n{0}$(id).wav",
    "none": "",
}


def silence() -> bytes:
    return wav(bytes(16_000))


def multipart(name: str, content: bytes) -> bytes:
    """Write a form by hand: client libraries escape what this is about."""
    encoded = "".join(f"%{byte:02X}" for byte in name.encode())
    head = (
        '--x\r\nContent-Disposition: form-data; name="file"; filename="plain.wav"; '
        f"filename*=UTF-8''{encoded}\r\nContent-Type: audio/wav\r\n\r\n"
    )
    return head.encode() + content + b"\r\n--x--\r\n"


def assert_no_forgery(lines: list[str]) -> None:
    """Every line is one of ours, whole, and shows no character that could make it another's."""
    for line in lines:
        assert LINE.fullmatch(line), line
        assert not line.startswith(FORGED)
        shown = [char for char in line if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp"}]
        assert not shown, line


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("way", ["plain", "extended"])
async def test_strange_file_names(kind: str, way: str, server: ApiServer) -> None:
    name = NAMES[kind]
    before = len(server.lines)
    async with server.client() as client:
        if way == "plain":
            response = await client.post("/transcribe", files={"file": (name or "x", silence())})
        else:
            response = await client.post(
                "/transcribe",
                content=multipart(name, silence()),
                headers={"Content-Type": "multipart/form-data; boundary=x"},
            )
    assert response.status_code == 200, response.text
    body = response.json()
    assert (body["success"], body["text"], body["outcome"]) == (True, "", "no_speech")
    lines = awaited(lambda: _since(server, before), "the call's last line")
    assert_no_forgery(lines)
    if way == "plain" and kind in {"Korean", "emoji", "leading dash", "255 bytes"}:
        assert any(f"({name})" in line for line in lines), lines
    log = server.folder / "api-server.log"
    awaited(lambda: log.read_text("utf-8").splitlines()[-1] == lines[-1], "the same in the file")


def _since(server: ApiServer, before: int) -> list[str] | None:
    lines = server.lines[before:]
    return lines if any("POST /transcribe" in line for line in lines) else None


async def test_no_header_or_path_forges_a_line(server: ApiServer) -> None:
    before = len(server.lines)
    async with server.client() as client:
        await client.get("/a%0A%5B2026-01-01%2000:00:00%5D%20ERROR%20-%20%5BSTT%5D%20forged")
        await client.get("/%E2%80%AE%1b%5b2J")
        await client.post("/transcribe", data={"language": f"x\n{FORGED}"})
        await client.post("/transcribe", data={"file_path": f"{server.folder}\n{FORGED}"})
        await client.post("/transcribe", data={"file_path": "x"}, headers={"X-Request-ID": "a]b"})
    assert_no_forgery(server.lines[before:])
