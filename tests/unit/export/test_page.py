"""The page of an archive: what was found can be listened to, where there is a recording."""

from __future__ import annotations

from api_server.export.page import build_page

FOUND = {
    "title": "<항목>",
    "status": "violated",
    "evidence": [{"start": 1.5, "end": 3.25, "quote": "원금 보장"}, {"quote": "때를 모름"}],
}


def test_each_finding_has_a_player_of_its_own_part() -> None:
    page = build_page("통화", {}, None, [FOUND], "recording a.wav")
    clip = '<audio controls preload="none" src="recording%20a.wav#t=1.50,3.25"></audio>'
    assert page.count(clip) == 1
    assert page.count("<audio") == 2  # that of the whole recording
    assert "&lt;항목&gt;" in page


def test_without_a_recording_there_is_nothing_to_play() -> None:
    page = build_page("통화", {}, None, [FOUND], None)
    assert "<audio" not in page
    assert "00:00:01–00:00:03" in page
