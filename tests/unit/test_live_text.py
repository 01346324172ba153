"""What a call says so far is how its transcript begins."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from api_server.pipeline.live_text import LiveText
from stt_engine.events import RecognitionProgressed

Chunk = tuple[int, float, float, tuple[tuple[float, str], ...]]


def progress(
    channel: int,
    done_sec: float,
    *heard: tuple[float, str],
    channels: int = 1,
    backend: str = "a",
    settled_sec: float = 0.0,
) -> RecognitionProgressed:
    return RecognitionProgressed(
        backend=backend,
        channel=channel,
        done_sec=done_sec,
        settled_sec=settled_sec,
        heard=heard,
        channels=channels,
    )


def told(*events: RecognitionProgressed) -> list[str]:
    pieces: list[str] = []
    live = LiveText(pieces.append)
    for event in events:
        live(event)
    return pieces


def test_one_channel_is_told_as_it_comes() -> None:
    first, second = progress(0, 3.0, (0.5, "네."), (2.0, "예.")), progress(0, 6.0, (4.0, "좋아요."))
    assert told(first) == ["네.", " 예."]
    assert told(first, second) == ["네.", " 예.", " 좋아요."]


def test_of_two_channels_what_may_still_be_interrupted_waits() -> None:
    agent = progress(0, 9.0, (0.5, "안녕하세요."), (5.0, "네."), channels=2)
    customer = progress(1, 4.0, (2.0, "여보세요."), channels=2)
    assert told(agent) == []
    assert told(agent, customer) == ["안녕하세요.", " 여보세요."]
    assert told(agent, customer, progress(1, 9.0, channels=2)) == [
        "안녕하세요.",
        " 여보세요.",
        " 네.",
    ]


def test_of_two_channels_nothing_waits_for_one_that_is_silent() -> None:
    first = progress(0, 9.0, (0.5, "안녕하세요."), (5.0, "네."), channels=2)
    second = progress(0, 20.0, (12.0, "고객님?"), channels=2, settled_sec=11.0)
    assert told(first, second) == ["안녕하세요.", " 네."]


def test_nothing_is_told_once_another_backend_begins_anew() -> None:
    first = progress(0, 3.0, (0.5, "네."))
    assert told(first, progress(0, 9.0, (0.5, "예."), backend="b")) == ["네."]
    assert told(first, progress(0, 2.0, (0.5, "예.")), progress(0, 9.0, (8.0, "끝"))) == ["네."]


@st.composite
def calls(draw: st.DrawFn) -> tuple[int, list[Chunk]]:
    """Chunks of a call's channels in the order in which they begin."""
    channels = draw(st.integers(1, 3))
    chunks: list[Chunk] = []
    for channel in range(channels):
        end = 0.0
        for _ in range(draw(st.integers(0, 4))):
            start = end + draw(st.integers(0, 3))
            end = start + draw(st.integers(1, 5))
            at = sorted(draw(st.lists(st.floats(start, end, exclude_max=True), max_size=3)))
            said = tuple((one, f"{channel}.{one}") for one in at)
            chunks.append((channel, float(start), float(end), said))
    return channels, sorted(chunks, key=lambda one: one[1])


@given(calls())
def test_what_is_told_is_the_beginning_of_the_whole(call: tuple[int, list[Chunk]]) -> None:
    channels, chunks = call
    heard = [(start, channel, text) for channel, _, _, said in chunks for start, text in said]
    whole = " ".join(text for _, _, text in sorted(heard, key=lambda one: one[:2]))
    events = [
        progress(channel, end, *said, channels=channels, settled_sec=start)
        for channel, start, end, said in chunks
    ]
    assert whole.startswith("".join(told(*events)))
    if channels == 1:
        assert whole == "".join(told(*events))
    if chunks:
        begun = max(start for _, start, _, _ in chunks)
        last = [text for start, _, text in sorted(heard) if start < begun - 0.01]
        assert "".join(told(*events)).startswith(" ".join(last)), "only the last chunks wait"
