"""Channels are merged by time and named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_engine.backends.base import RawSegment
from tests.support.recognition_runs import run
from tests.support.stub_model import FakeModel, channel_at, job_of


# Channels ---------------------------------------------------------------------------------
def test_two_channels_are_merged_by_time_and_named(tmp_path: Path) -> None:
    left = channel_at(tmp_path / "l", (0, 2), (8, 10))
    right = channel_at(tmp_path / "r", (3, 5), (12, 14))
    says = [
        [RawSegment(0, 2, text)] for text in ("여보세요", "안녕하세요", "네 고객님", "감사합니다")
    ]
    found = run(FakeModel(says), job_of(left, right))
    assert [
        (one["id"], one["start"], one["channel"], one["speaker"], one["text"])
        for one in found["segments"]
    ] == [
        (0, 0.0, 0, "agent", "여보세요"),
        (1, 3.0, 1, "customer", "안녕하세요"),
        (2, 8.0, 0, "agent", "네 고객님"),
        (3, 12.0, 1, "customer", "감사합니다"),
    ]
    assert found["text"] == "여보세요 안녕하세요 네 고객님 감사합니다"
    assert found["speech_sec"] == pytest.approx(8.0)


def test_the_agent_may_be_on_the_otherchannel(tmp_path: Path) -> None:
    files = [channel_at(tmp_path / name, (1, 2)) for name in "lr"]
    says = [[RawSegment(0, 1, "왼쪽")], [RawSegment(0, 1, "오른쪽")]]
    found = run(FakeModel(says), job_of(*files), agent_channel=1)
    assert [(one["channel"], one["speaker"]) for one in found["segments"]] == [
        (0, "customer"),
        (1, "agent"),
    ]


def test_one_channel_does_not_tell_who_speaks(tmp_path: Path) -> None:
    found = run(FakeModel([[RawSegment(0, 1, "네")]]), job_of(channel_at(tmp_path / "a", (1, 2))))
    assert found["segments"][0]["speaker"] is None


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_two_channels_lose_nothing_and_are_in_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("merge")
    said: list[tuple[int, str]] = []
    files = []
    for channel in "lr":
        starts = data.draw(st.sets(st.integers(0, 9), max_size=6))
        files.append(channel_at(folder / channel, *((2 * s, 2 * s + 1) for s in sorted(starts))))
        said += [(2 * s, f"{channel}{s}") for s in starts]
    says = [[RawSegment(0, 1, text)] for _, text in sorted(said)]
    found = run(FakeModel(says), job_of(*files))["segments"]
    assert [(one["start"], one["text"]) for one in found] == sorted(said)
    assert [one["id"] for one in found] == list(range(len(found)))


def test_word_times_move_with_their_segment(tmp_path: Path) -> None:
    heard = RawSegment(0, 2, "네 네", 0.9, ((0.0, 0.5, "네", 0.8), (1.0, 1.5, " 네", 0.7)))
    found = run(FakeModel([[heard]]), job_of(channel_at(tmp_path / "a", (10, 12)), words=True))
    (segment,) = found["segments"]
    assert [tuple(word.values()) for word in segment["words"]] == [
        (10.0, 10.5, "네", 0.8),
        (11.0, 11.5, " 네", 0.7),
    ]
    assert segment["confidence"] == 0.9
