"""Subtitle files, read by the programs that people read them with."""

from __future__ import annotations

import io
from datetime import timedelta
from html import unescape
from itertools import pairwise

import av
import pytest
import srt
import webvtt
from hypothesis import given

from api_server.pipeline.render import subtitles
from api_server.pipeline.render.cues import cells, cues
from api_server.pipeline.result import CallResult
from stt_engine.coverage import SpeechCoverage, Unheard
from stt_engine.outcome import Outcome
from stt_engine.speech import Segment, Transcript
from tests.unit.test_cues import TRANSCRIPTS, letters, transcript_of

HOSTILE = [
    "앞 --> 뒤",
    "<b>굵게</b> <i>",
    "{\\an8}위로",
    "1\n\n2\n00:00:01,000 --> 00:00:02,000\n거짓",
    "&amp; <v 고객>아니요",
    "[00:01.00]거짓",
    "12",
    "NOTE 아님",
    "--->",
    "<<b>>",
]
CALL = transcript_of(
    Segment(0, 0.5, 2.0, "여보세요.", speaker="agent"),
    Segment(1, 1.8, 4.0, "네 " * 60, channel=1, speaker="customer"),
    *(Segment(n, n * 10.0, n * 10.0 + 3, text) for n, text in enumerate(HOSTILE, 2)),
    Segment(99, 3_725.25, 3_727.5, "한 시간이 넘었습니다."),
)


def ffmpegs(text: str, suffix: str) -> list[tuple[int, int, str]]:
    """Return what FFmpeg reads: start, end (milliseconds) and text of each subtitle."""
    found = []
    with av.open(io.BytesIO(text.encode()), format=suffix) as container:
        per_tick = container.streams[0].time_base * 1000
        for packet in container.demux():
            if packet.size:
                start = round(packet.pts * per_tick)
                end = start + round((packet.duration or 0) * per_tick)
                found.append((start, end, bytes(packet).decode()))
    return found


def unjoined(text: str) -> str:
    return text.replace(subtitles.JOINER, "")


def test_srt_is_read_back() -> None:
    text = subtitles.srt(CALL)
    wanted = cues(CALL, labelled=True)
    read = list(srt.parse(text, ignore_errors=False))
    assert [unjoined(one.content) for one in read] == ["\n".join(one.lines) for one in wanted]
    assert [one.index for one in read] == [*range(1, len(wanted) + 1)]
    assert read[-1].start == timedelta(hours=1, minutes=2, seconds=5, milliseconds=250)
    assert read[0].content == "상담원: 여보세요."
    assert text.count("-->") == len(wanted)
    assert all(one.end <= other.start for one, other in pairwise(read))
    assert all(cells(line) <= 42 for one in read for line in one.content.split("\n"))
    packets = ffmpegs(text, "srt")
    assert [unjoined(one) for _, _, one in packets] == ["\n".join(one.lines) for one in wanted]
    assert packets[-1][:2] == (3_725_250, 3_727_500)


def test_no_player_takes_words_for_markup() -> None:
    """FFmpeg's decoder makes ASS of SubRip: what it takes for markup is gone or in braces."""
    text = subtitles.srt(CALL)
    with av.open(io.BytesIO(text.encode()), format="srt") as container:
        shown = [
            one.ass.decode().split(",", 8)[-1]
            for packet in container.demux()
            for one in (packet.decode() if packet.size else [])
        ]
    words = "".join(unjoined(one).replace("\\N", "").replace("\\{", "{") for one in shown)
    for hostile in HOSTILE[:3]:
        assert letters(hostile) in letters(words)


def test_vtt_is_read_back() -> None:
    text = subtitles.vtt(CALL)
    wanted = cues(CALL)
    read = list(webvtt.from_string(text))
    shown = [unescape(one.text) for one in read]
    assert [letters(one) for one in shown] == [letters(one.text) for one in wanted]
    assert [one.voice for one in read] == [one.speaker for one in wanted]
    assert read[-1].start == "01:02:05.250"
    packets = ffmpegs(text, "webvtt")
    assert len(packets) == len(wanted)
    assert packets[-1][:2] == (3_725_250, 3_727_500)


def test_vtt_says_what_has_no_text() -> None:
    coverage = SpeechCoverage(0.5, 0.5, "no", unheard=(Unheard(1.0, 3.5, 1, "damaged"),))
    transcript = Transcript(
        "네", "ko", 5.0, "speech", segments=(Segment(0, 0, 1, "네"),), coverage=coverage
    )
    text = subtitles.vtt(transcript)
    assert "NOTE without text: 00:00:01.000 to 00:00:03.500, channel 1 (damaged)\n" in text
    assert [one.text for one in webvtt.from_string(text)] == ["네"]


def test_tsv_is_every_segment_as_it_was_spoken() -> None:
    header, *rows = subtitles.tsv(CALL).splitlines()
    assert header == "start\tend\ttext"
    assert rows[0] == "500\t2000\t상담원: 여보세요."
    assert rows[-1] == "3725250\t3727500\t한 시간이 넘었습니다."
    assert len(rows) == len(CALL.segments)
    assert all(row.count("\t") == 2 for row in rows)


def test_lrc_goes_on_beyond_an_hour() -> None:
    lines = subtitles.lrc(CALL).splitlines()
    assert lines[0] == "[00:00.50]상담원: 여보세요."
    assert lines[-1] == "[62:05.25]한 시간이 넘었습니다."
    assert "[00:70.00]" not in "".join(lines)
    assert len(lines) == len(cues(CALL, labelled=True))
    with av.open(io.BytesIO("\n".join(lines).encode()), format="lrc") as container:
        assert sum(bool(packet.size) for packet in container.demux()) == len(lines)


@given(TRANSCRIPTS)
def test_whatever_was_said_is_read_back(transcript: Transcript) -> None:
    wanted = cues(transcript, labelled=True)
    read = list(srt.parse(subtitles.srt(transcript), ignore_errors=False))
    assert len(read) == len(wanted)
    assert letters(unjoined("".join(one.content for one in read))) == letters(
        unjoined("".join(one.text for one in wanted))
    )
    assert len(list(webvtt.from_string(subtitles.vtt(transcript)))) == len(cues(transcript))


@pytest.mark.parametrize("render", [subtitles.srt, subtitles.vtt, subtitles.tsv, subtitles.lrc])
def test_silence_is_an_empty_file(render: object) -> None:
    empty = render(Transcript("", "ko", 5.0, "no_speech"))  # type: ignore[operator]
    assert empty in {"", "WEBVTT\n", "start\tend\ttext\n"}
    assert subtitles.text(Transcript("", "ko", 5.0, "no_speech")) == ""


def test_a_stored_result_is_rendered_alike() -> None:
    stored = CallResult(Outcome(CALL, "faster-whisper")).to_json()
    read = CallResult.from_json(stored).recognition.value
    assert all(render(read) == render(CALL) for render in subtitles.SUBTITLES.values())
