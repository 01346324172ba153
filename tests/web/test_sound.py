"""What browsers play: the engine's own decoding, as WAV with its peaks."""

from __future__ import annotations

import io
import json
import os
import tempfile
import wave
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

import anyio
import numpy as np
import pytest

from api_server.store import audit_log
from api_server.store.store import Store
from api_server.web.sound import RATE, Sounds, SoundUnavailable, as_opened
from stt_engine.errors import AudioRejected
from stt_engine.limits import Limits
from tests.support.reviewed import sample_result, two_channel_wav
from tests.web.conftest import Page

SECONDS = 6.0


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "call.wav"
    path.write_bytes(two_channel_wav(SECONDS))
    return path


@pytest.fixture
def sounds(tmp_path: Path) -> Iterator[Sounds]:
    found = Sounds(tmp_path / "sounds", Limits(), 10**9, 0)
    yield found
    found.close()


async def test_both_channels_come_with_their_peaks(sounds: Sounds, recording: Path) -> None:
    sound = await sounds.get("a", partial(as_opened, recording))
    with wave.open(str(sound.wav)) as found:
        assert (found.getnchannels(), found.getframerate()) == (2, RATE)
        assert found.getnframes() == SECONDS * RATE
    head, _, body = sound.peaks.read_bytes().partition(b"\n")
    channels, bins, seconds = head.split()
    assert (int(channels), int(bins), float(seconds)) == (2, 120, SECONDS)
    low, high = np.frombuffer(body, np.uint8).reshape(2, 120)
    assert low[:20].min() > 100
    assert high[:58].max() == 0
    assert high[62:].min() > 100
    assert sound.wav.stat().st_mode & 0o077 == 0


async def test_many_that_ask_at_once_have_it_made_once(sounds: Sounds, recording: Path) -> None:
    opened = []

    def open_() -> object:
        opened.append(1)
        return as_opened(recording)

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(sounds.get, "a", open_)  # type: ignore[arg-type]
    assert len(opened) == 1


async def test_what_was_not_asked_for_longest_goes_first(tmp_path: Path, recording: Path) -> None:
    room = int(SECONDS * RATE * 4 * 2.5)
    sounds = Sounds(tmp_path / "few", Limits(), room, 0)
    first = await sounds.get("a", partial(as_opened, recording))
    second = await sounds.get("b", partial(as_opened, recording))
    os.utime(first.wav, (1, 1))
    os.utime(second.wav, (2, 2))
    await sounds.get("c", partial(as_opened, recording))
    assert not first.wav.exists()
    assert not first.peaks.exists()
    assert second.wav.exists()
    sounds.close()


async def test_no_room_and_no_audio_say_so(tmp_path: Path, recording: Path) -> None:
    small = Sounds(tmp_path / "small", Limits(), 1000, 0)
    with pytest.raises(SoundUnavailable, match="no room"):
        await small.get("a", partial(as_opened, recording))
    with pytest.raises(AudioRejected):
        await small.get("b", partial(as_opened, Path(__file__)))
    assert not list((tmp_path / "small").glob("*"))
    small.close()


async def test_a_range_of_it_is_sent(page: Page) -> None:
    case = await page.add("range.wav", sample_result(), two_channel_wav(SECONDS))
    who = await page.person()
    url = f"/review/cases/{case}/sound"
    part = await who.get(url, headers={"Range": "bytes=64000-127999"})
    assert part.status_code == 206
    assert part.headers["content-range"].startswith("bytes 64000-127999/")
    whole = await who.get(url)
    assert (whole.headers["accept-ranges"], whole.headers["content-type"]) == ("bytes", "audio/wav")
    assert whole.content[64000:128000] == part.content
    with wave.open(io.BytesIO(whole.content)) as found:
        assert found.getnframes() == SECONDS * RATE
    peaks = await who.get(f"/review/cases/{case}/peaks")
    assert peaks.content.startswith(b"2 120 6.000\n")


async def test_a_clip_is_the_part_that_is_asked_for_and_in_the_log(page: Page) -> None:
    case = await page.add("원금 보장.wav", sample_result(), two_channel_wav(SECONDS))
    who = await page.person()
    url = f"/review/cases/{case}/clip"
    answer = await who.get(url, params={"from": "2.5", "to": "4"})
    whole = await who.get(f"/review/cases/{case}/sound")
    with wave.open(io.BytesIO(answer.content)) as part:
        assert (part.getnframes(), part.getnchannels()) == (1.5 * RATE, 2)
    head, frame = 44, 4
    begin = head + int(2.5 * RATE) * frame
    assert answer.content[head:] == whole.content[begin : begin + int(1.5 * RATE) * frame]
    assert "attachment" in answer.headers["content-disposition"]
    assert quote("원금 보장 0-02.wav") in answer.headers["content-disposition"]
    late = await who.get(url, params={"from": "5.5", "to": "20"})
    with wave.open(io.BytesIO(late.content)) as part:
        assert part.getnframes() == 0.5 * RATE
    for wrong in ({"from": "4", "to": "2"}, {"from": "0", "to": "301"}, {"from": "nan", "to": "1"}):
        assert (await who.get(url, params=wrong)).status_code == 400

    def looks(store: Store) -> list[str]:
        with store._database.read() as connection:
            entries = [one.entry for one in audit_log.entries(connection, case)]
        return [one.facts for one in entries if one.kind == "look" and "clip" in one.facts]

    told = await page.app.service.desk.run(looks)
    assert [json.loads(one) for one in told] == [
        {"what": "clip", "from": 2.5, "to": 4.0},
        {"what": "clip", "from": 5.5, "to": 20.0},
    ]


async def test_a_jump_reads_no_case_again_and_ends_with_the_recording(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = await page.add("jumps.wav", sample_result(), two_channel_wav(1.25))
    who, other = await page.person(), await page.person("demo-reviewer-2")
    url, asked = f"/review/cases/{case}/sound", {"Range": "bytes=100-199"}
    review, reads = page.app.app.state.review, []
    record = review.record

    async def counted(identity: str) -> object:
        reads.append(identity)
        return await record(identity)

    monkeypatch.setattr(review, "record", counted)
    for _ in range(3):
        assert (await who.get(url, headers=asked)).status_code == 206
    assert len(reads) == 1
    assert (await other.get(url, headers=asked)).status_code == 206
    assert len(reads) == 2  # and the log has heard of the other person
    names = set(review.sounds.names())
    await page.app.service.desk.run(lambda store: store.erase(case, "admin"))
    await review.drop_sounds()
    assert names - set(review.sounds.names())
    assert (await who.get(url, headers={**asked, "X-Partial": "1"})).status_code == 404


async def test_who_listens_is_in_the_log_and_what_is_erased_cannot_be_played(page: Page) -> None:
    case = await page.add("erased.wav", sample_result(), two_channel_wav(1.5))
    who = await page.person()
    for _ in range(2):
        assert (await who.get(f"/review/cases/{case}/sound")).status_code == 200
    review, desk = page.app.app.state.review, page.app.service.desk

    def erase(store: Store) -> list[tuple[str, str]]:
        with store._database.read() as connection:
            entries = [one.entry for one in audit_log.entries(connection, case)]
        store.erase(case, "admin")
        return [(one.kind, one.actor) for one in entries]

    before = set(review.sounds.names())
    assert (await desk.run(erase))[-1] == ("look", "demo-reviewer-1")
    await review.drop_sounds()
    assert len(before - set(review.sounds.names())) == 1
    refused = await who.get(f"/review/cases/{case}/sound", headers={"X-Partial": "1"})
    assert refused.status_code == 404
    assert "지워졌습니다" in (await who.get(f"/review/cases/{case}")).text


async def test_where_recordings_are_encrypted_nothing_stays_in_the_clear(recording: Path) -> None:
    sounds = Sounds(None, Limits(), 10**9, 0)
    sound = await sounds.get("r-a", partial(as_opened, recording))
    assert sound.wav.is_relative_to(tempfile.gettempdir())
    sounds.close()
    assert not sound.wav.parent.exists()


async def test_nobody_listens_without_a_session(page: Page) -> None:
    case = await page.add("closed.wav", sample_result(), two_channel_wav(1))
    nobody = page.client()
    for what in ("sound", "peaks", "clip?from=0&to=1"):
        refused = await nobody.get(f"/review/cases/{case}/{what}", headers={"X-Partial": "1"})
        assert refused.status_code == 401
        assert refused.json()["log_in"] is True
