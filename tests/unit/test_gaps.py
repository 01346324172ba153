"""Speech inside a chunk that a model's text leaves out, with models of a few lines."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_engine.backends import vad
from stt_engine.backends.base import ChunkResult, RawSegment, SpeechChunk
from stt_engine.backends.gaps import GAP_SEC, REASON, SPARSE_REASON, Gap, gaps_in, transcribe_whole
from stt_engine.backends.vad import MAX_SPAN_SEC, Samples, SpeechSpan, speech_spans
from stt_engine.speech import SAMPLE_RATE

Times = Sequence[tuple[float, float]]
LONG = "이 상품은 원금이 보장되지 않으며 손실이 날 수 있습니다. " * 8
"""What takes half a minute to say."""


def chunk_of(seconds: float, *voiced: tuple[float, float]) -> SpeechChunk:
    """Return a chunk whose samples tell their own times."""
    samples = np.arange(round(seconds * SAMPLE_RATE), dtype=np.float32)
    return SpeechChunk(samples, "ko", "transcribe", voiced=voiced or ((0.0, seconds),))


def texts_at(*times: tuple[float, float], text: str = LONG) -> list[RawSegment]:
    return [RawSegment(start, end, text) for start, end in times]


def speech_at(second: float) -> str:
    """Return what is said there: as long as LONG, and nothing of it twice."""
    syllables = random.Random(second)
    return "".join(chr(syllables.randrange(0xAC00, 0xD7A4)) for _ in LONG)


# What is a gap ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("voiced", "text", "expected"),
    [
        ([(0.4, 29.6)], [(0.4, 17.0)], [Gap(17.0, 30.0, 12.6)]),
        ([(0.4, 29.6)], [(0.4, 9.0), (15.0, 29.6)], [Gap(9.0, 15.0, 6.0)]),
        ([(0.4, 29.6)], [(8.0, 29.6)], [Gap(0.0, 8.0, 7.6)]),
        ([(0.4, 29.6)], [(0.4, 29.6)], []),
        ([(0.4, 29.6)], [(0.9, 14.0), (14.5, 29.1)], []),
        ([(0.4, 10.0), (11.9, 29.6)], [(0.4, 10.0), (11.9, 29.6)], []),
        ([(0.4, 10.0), (11.9, 12.3), (14.0, 29.6)], [(0.4, 10.0), (14.0, 29.6)], []),
        ([(0.4, 10.0)], [(5.0, 10.0), (0.4, 5.0)], []),
        ([(0.4, 10.0)], [(0.4, 40.0)], []),
    ],
    ids=[
        "its end",
        "in the middle",
        "its beginning",
        "none",
        "times a little off",
        "a pause",
        "a breath between pauses",
        "in no order",
        "a time beyond the end",
    ],
)
def test_a_gap_is_voice_without_text_and_no_pause(
    voiced: list[tuple[float, float]], text: Times, expected: list[Gap]
) -> None:
    found = gaps_in(chunk_of(30.0, *voiced), texts_at(*text))
    assert [tuple(one) for one in found] == [pytest.approx(tuple(one)) for one in expected]


def test_a_chunk_without_text_is_a_gap_however_short() -> None:
    assert gaps_in(chunk_of(1.2, (0.4, 0.8)), []) == [Gap(0.0, 1.2, pytest.approx(0.4))]
    assert gaps_in(chunk_of(1.2, (0.4, 0.8)), texts_at((0.4, 0.8), text=" ")) != []
    assert gaps_in(chunk_of(1.2, (0.4, 0.8)), texts_at((0.4, 0.8), text="네")) == []


def test_a_text_covers_no_more_voice_than_it_takes_to_say_it_slowly() -> None:
    """A decoder that goes over the rest of a chunk may set the end of its text there."""
    chunk = chunk_of(20.0, (0.0, 20.0))
    (gap,) = gaps_in(chunk, texts_at((0.0, 20.0), text="네, 고객님."))
    assert gap.end == 20.0
    assert gap.start < 12.0
    assert gaps_in(chunk_of(20.0, (0.0, 5.0)), texts_at((0.0, 20.0), text="네, 고객님.")) == []
    account = "110-123-456789"
    assert gaps_in(chunk_of(9.0, (0.0, 9.0)), texts_at((0.0, 9.0), text=account)) == []


# What is done about it --------------------------------------------------------------------


@dataclass
class Deaf:
    """Recognises what is said but for parts of it; ``hears`` are times in the whole."""

    hears: list[list[tuple[float, float]]]
    asked: list[list[tuple[float, float]]] = field(default_factory=list)
    low_confidence: tuple[str, ...] = ()
    multilingual: bool = True
    facts: dict[str, Any] = field(default_factory=dict)
    together: int = 4

    def detect(self, _samples: Samples) -> dict[str, float]:
        return {"ko": 1.0}

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
        times = [
            (float(one.samples[0]) / SAMPLE_RATE, float(one.samples[-1]) / SAMPLE_RATE)
            for one in chunks
        ]
        self.asked.append([(round(a, 1), round(b, 1)) for a, b in times])
        hears = self.hears[min(len(self.asked), len(self.hears)) - 1]
        again = self.low_confidence if len(self.asked) > 1 else ()
        return [
            ChunkResult(
                tuple(
                    RawSegment(
                        max(a, start) - start,
                        min(b, end) - start,
                        LONG if self.low_confidence else speech_at(max(a, start)),
                    )
                    for a, b in hears
                    if a < end and b > start
                ),
                again,
            )
            for start, end in times
        ]


def test_what_is_left_out_is_transcribed_once_more_by_itself() -> None:
    model = Deaf([[(0.4, 9.0), (15.0, 20.0)], [(0.0, 30.0)]])
    (found,) = transcribe_whole(model, [chunk_of(30.0, (0.4, 29.6))])
    assert model.asked == [[(0.0, 30.0)], [(9.0, 15.0), (20.0, 30.0)]]
    assert [(round(one.start, 1), round(one.end, 1)) for one in found.segments] == [
        (0.4, 9.0),
        (9.0, 15.0),
        (15.0, 20.0),
        (20.0, 30.0),
    ]
    assert found.low_confidence == (REASON,)


def test_silence_around_the_voice_in_a_gap_is_not_asked_for() -> None:
    model = Deaf([[(0.4, 9.0)], [(0.0, 30.0)]])
    transcribe_whole(model, [chunk_of(30.0, (0.4, 9.0), (12.0, 15.0), (16.0, 18.0))])
    assert model.asked[1:] == [[(11.6, 18.4)]]


def test_gaps_of_several_chunks_are_asked_for_together_and_whole_ones_cost_nothing() -> None:
    model = Deaf([[(0.0, 5.0)], [(0.0, 30.0)]])
    chunks = [chunk_of(10.0), chunk_of(5.0), chunk_of(12.0)]
    found = transcribe_whole(model, chunks)
    assert model.asked[1:] == [[(5.0, 10.0), (5.0, 12.0)]]
    assert [one.low_confidence for one in found] == [(REASON,), (), (REASON,)]
    whole = Deaf([[(0.0, 30.0)]])
    transcribe_whole(whole, chunks)
    assert len(whole.asked) == 1


def test_an_answer_that_ends_early_again_is_followed_as_long_as_it_brings_text() -> None:
    model = Deaf([[(0, 5)], [(0, 8)], [(0, 14)], [(0, 30)]])
    (found,) = transcribe_whole(model, [chunk_of(20.0)])
    assert model.asked == [[(0.0, 20.0)], [(5.0, 20.0)], [(8.0, 20.0)], [(14.0, 20.0)]]
    assert gaps_in(chunk_of(20.0), found.segments) == []
    stubborn = Deaf([[(0, 5)]])
    (found,) = transcribe_whole(stubborn, [chunk_of(20.0)])
    assert stubborn.asked == [[(0.0, 20.0)], [(5.0, 20.0)]]
    assert gaps_in(chunk_of(20.0), found.segments) == [Gap(5.0, 20.0, 15.0)]


@dataclass
class Sparse:
    """Tells the whole of a part only where it is asked for that part alone."""

    alone: str
    asked: list[float] = field(default_factory=list)
    multilingual: bool = True
    facts: dict[str, Any] = field(default_factory=dict)
    together: int = 4

    def detect(self, _samples: Samples) -> dict[str, float]:
        return {"ko": 1.0}

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
        self.asked += [round(one.seconds, 1) for one in chunks]
        sparse = RawSegment(0.0, 11.0, "그는 길 옆으로 걸어갔다.")
        if len(self.asked) == 1:
            return [ChunkResult((sparse, RawSegment(11.0, 20.0, LONG)))]
        return [ChunkResult((RawSegment(0.0, one.seconds, self.alone),)) for one in chunks]


@pytest.mark.parametrize(
    ("alone", "taken"),
    [
        ("그는 길 옆으로 걸어갔다. 다른 지역에서는 그곳이 아무리 넓다 하더라도 어렵다.", True),
        ("그는 길 옆으로 걸어갔다.", False),
        ("그는 걸어갔다.", False),
        ("그는 길 옆으로 " * 9, False),
    ],
    ids=["more", "the same", "less", "a loop"],
)
def test_a_text_too_short_for_its_voice_is_replaced_where_more_is_found(
    alone: str, taken: bool
) -> None:
    model = Sparse(alone)
    (found,) = transcribe_whole(model, [chunk_of(20.0)])
    assert model.asked[:2] == [20.0, 11.0]
    first = alone if taken else "그는 길 옆으로 걸어갔다."
    assert [one.text for one in found.segments] == [first, LONG]
    assert found.low_confidence == (SPARSE_REASON,)


def test_the_part_of_a_sparse_text_is_cut_at_its_longest_pause() -> None:
    model = Sparse("그는 길 옆으로 걸어갔다.")
    voiced = (0.0, 4.0), (4.2, 5.0), (6.0, 11.0), (11.1, 20.0)
    (found,) = transcribe_whole(model, [chunk_of(20.0, *voiced)])
    assert model.asked == [20.0, 5.4, 5.4]
    first, second, rest = found.segments
    assert (round(first.end, 1), round(second.start, 1), rest.text) == (5.4, 5.6, LONG)


def test_a_chunk_without_any_text_is_not_asked_for_again() -> None:
    model = Deaf([[]])
    assert transcribe_whole(model, [chunk_of(20.0)]) == [ChunkResult()]
    assert len(model.asked) == 1


def test_a_doubt_about_a_gap_is_none_about_its_chunk() -> None:
    """LONG repeats itself: a person may, a decoder that was in doubt does not bring it."""
    model = Deaf([[(0.0, 5.0)], [(0.0, 30.0)]], low_confidence=("low_probability",))
    (found,) = transcribe_whole(model, [chunk_of(10.0)])
    assert found.low_confidence == (REASON,)
    assert [(one.start, one.end) for one in found.segments] == [(0.0, 5.0)]


@dataclass
class Told:
    """Tells these texts of the whole, and ``alone`` of any part of it."""

    texts: tuple[RawSegment, ...]
    alone: str
    multilingual: bool = True
    facts: dict[str, Any] = field(default_factory=dict)
    together: int = 4

    def detect(self, _samples: Samples) -> dict[str, float]:
        return {"ko": 1.0}

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
        whole = chunks[0].seconds == 20
        return [
            ChunkResult(self.texts if whole else (RawSegment(0, 1, self.alone),)) for _ in chunks
        ]


@pytest.mark.parametrize(("at", "taken"), [(0, True), (1, False), (2, False)])
def test_words_are_a_repetition_only_of_what_stands_beside_them(at: int, taken: bool) -> None:
    """A sentence that was said before may be said again; its times in a text may be wrong."""
    said = "원금은 보장되지 않습니다"
    words = [*"가나다"]
    words[at] = said
    times = ((0.0, 6.0), (6.0, 12.0), (14.0, 20.0))
    texts = tuple(RawSegment(*span, one) for span, one in zip(times, words, strict=True))
    (found,) = transcribe_whole(Told(texts, said), [chunk_of(20.0)])
    assert (len(found.segments) == len(texts) + 1) is taken


@given(
    st.lists(st.tuples(st.floats(0, 25), st.floats(0.1, 9)), max_size=6),
    st.lists(st.tuples(st.floats(0, 25), st.floats(0.1, 9)), max_size=6),
)
def test_voice_is_covered_or_a_gap_or_less_than_a_gap(voice: Times, text: Times) -> None:
    """No second of it vanishes: between two texts less than a gap may be without any."""
    voiced = [(a, min(a + b, 26.0)) for a, b in voice]
    chunk = chunk_of(26.0, *_union(voiced)) if voiced else chunk_of(26.0, (1.0, 2.0))
    segments = texts_at(*((a, min(a + b, 26.0)) for a, b in text))
    found = gaps_in(chunk, segments)
    for at in np.arange(0.0, 26.0 - GAP_SEC, 0.5):
        window = (at, at + GAP_SEC)
        spoken = any(a <= window[0] and b >= window[1] for a, b in chunk.voiced)
        covered = any(one.start < window[1] and one.end > window[0] for one in segments)
        missed = any(one.start <= window[0] and one.end >= window[1] for one in found)
        assert not spoken or covered or missed


def _union(runs: Times) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for start, end in sorted(runs):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


# Where speech is --------------------------------------------------------------------------


def spans_of(monkeypatch: pytest.MonkeyPatch, *voiced: tuple[float, float]) -> list[SpeechSpan]:
    """Return the chunks where the network finds voice at these times."""
    windows = round(max(end for _, end in voiced) / 0.032) + 100
    found = np.zeros(windows, np.float32)
    for start, end in voiced:
        found[round(start / 0.032) : round(end / 0.032)] = 0.9
    monkeypatch.setattr(vad, "_probabilities", lambda _samples: found)
    return speech_spans(np.zeros(windows * 512, np.float32))


def _seconds(spans: Sequence[SpeechSpan]) -> list[tuple[float, float]]:
    return [(round(one.start / SAMPLE_RATE, 1), round(one.end / SAMPLE_RATE, 1)) for one in spans]


def test_a_chunk_holds_short_pauses_and_knows_where_its_voice_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spans = spans_of(monkeypatch, (1.0, 3.0), (4.5, 6.0), (8.5, 9.0))
    assert _seconds(spans) == [(0.6, 6.4), (8.1, 9.4)]
    assert [len(one.voiced) for one in spans] == [2, 1]


def test_a_long_run_is_cut_at_its_longest_late_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = spans_of(monkeypatch, (1.0, 8.0), (9.5, 20.2), (21.0, 24.0), (24.2, 40.0))
    assert _seconds(spans) == [(0.6, 20.6), (20.6, 40.4)]


def test_a_run_without_a_pause_is_cut_and_nothing_of_it_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spans = spans_of(monkeypatch, (1.0, 90.0))
    assert all(one.end - one.start <= MAX_SPAN_SEC * SAMPLE_RATE for one in spans)
    assert [one.start for one in spans[1:]] == [one.end for one in spans[:-1]]
    assert len(spans) == 4


def test_no_sound_is_no_speech() -> None:
    assert speech_spans(np.zeros(0, np.float32)) == []


def test_a_text_that_the_chunk_has_already_is_not_taken_twice() -> None:
    """A model whose times are wrong says in the gap what it has said of the whole chunk."""
    words = "이 상품은 원금이 보장되지 않습니다."

    class Late(Deaf):
        def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
            super().transcribe(chunks)
            return [ChunkResult((RawSegment(2.0, 3.0, words),)) for _ in chunks]

    model = Late([[(0.0, 3.0)]])
    (found,) = transcribe_whole(model, [chunk_of(3.0)])
    assert [one.text for one in found.segments] == [words]
    assert len(model.asked) == 2
    assert gaps_in(chunk_of(3.0), found.segments) == [Gap(0.0, 2.0, 2.0)]
