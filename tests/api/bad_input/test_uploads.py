"""Uploads that are no recording."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.support import sounds
from tests.support.bad_input import WHOLE, assert_problem
from tests.support.server import ROOT, ApiServer


def uploads(folder: Path) -> dict[str, tuple[Path, int, str]]:
    speech = ROOT / "src/stt_engine/assets/canary.wav"
    mp3 = sounds.encode(speech, folder / "whole.mp3", "mp3").read_bytes()
    cut = folder / "cut.mp3"
    cut.write_bytes(mp3[: len(mp3) // 2])
    return {
        "zero bytes": (sounds.zero_bytes(folder / "zero.wav"), 415, f"0 bytes.*{WHOLE}"),
        "text": (sounds.text_as_wav(folder / "text.wav"), 415, f"no audio format.*{WHOLE}"),
        "truncated wav": (
            sounds.truncated_wav(folder / "cut.wav"),
            415,
            r"2\.0 s of about 10\.0 s.*send the whole recording",
        ),
        "truncated mp3": (cut, 415, "ends after .*send the whole recording"),
        "header only": (sounds.header_only_wav(folder / "head.wav"), 415, WHOLE),
        "playlist": (_playlist(folder), 415, f"no audio format.*{WHOLE}"),
    }


def _playlist(folder: Path) -> Path:
    path = folder / "list.wav"
    path.write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{ROOT}/src/stt_engine/assets/canary.wav\n")
    return path


@pytest.mark.parametrize(
    "kind",
    ["zero bytes", "text", "truncated wav", "truncated mp3", "header only", "playlist"],
)
async def test_upload(
    kind: str, server: ApiServer, client: httpx2.AsyncClient, tmp_path: Path
) -> None:
    path, status, words = uploads(tmp_path)[kind]
    with path.open("rb") as file:
        response = await client.post("/transcribe", files={"file": ("mine.wav", file)})
    assert_problem(response, status, words)
    for inner in (str(server.folder), str(server.temporary), str(ROOT), "stt-engine-", "/tmp"):
        assert inner not in response.text


async def test_strict_changes_nothing_about_a_mistake(client: httpx2.AsyncClient) -> None:
    response = await client.post(
        "/transcribe", data={"strict": "true"}, files={"file": ("a.wav", b"text")}
    )
    assert_problem(response, 415, WHOLE)
