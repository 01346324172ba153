"""Segments by voice: cut where it changes, without one where it is not clear."""

from __future__ import annotations

from stt_engine.recognition.voices import by_voice, spans_of
from stt_engine.speech import Segment, Word
from stt_engine.voice_messages import DiariseResult


def course(*runs: tuple[float, float, int, float]) -> DiariseResult:
    """Return runs of (start, end, voice, certainty) as steps of a quarter of a second."""
    steps = [
        (start + 0.25 * at, voice, sure)
        for start, end, voice, sure in runs
        for at in range(round((end - start) / 0.25))
    ]
    return {
        "kind": "voices",
        "voices": 2,
        "likeness": 0.5,
        "step_sec": 0.25,
        "starts": [one[0] for one in steps],
        "voice": [one[1] for one in steps],
        "probability": [one[2] for one in steps],
        "announced_until": None,
        "embedding": [],
    }


CALL = course((0.0, 2.0, 0, 0.99), (2.0, 4.0, 1, 0.98), (4.0, 5.0, 1, 0.6))


def words(*texts: str) -> tuple[Word, ...]:
    return tuple(Word(at + 0.1, at + 0.9, f" {text}", 0.9) for at, text in enumerate(texts))


def test_a_segment_with_words_is_cut_where_the_voice_changes() -> None:
    segment = Segment(0, 0.0, 4.0, "a b c d", words=words("a", "b", "c", "d"))
    ((first, second),) = by_voice([segment], CALL)
    assert (first.text, first.voice, first.start, first.end) == ("a b", 0, 0.0, 1.9)
    assert (second.text, second.voice, second.start, second.end) == ("c d", 1, 2.1, 4.0)
    assert first.words
    assert second.words
    assert len(first.words) + len(second.words) == 4


def test_a_segment_without_words_stays_whole_and_says_that_nobody_knows() -> None:
    ((found,),) = by_voice([Segment(0, 0.0, 4.0, "a b c d")], CALL)
    assert (found.voice, found.text) == (None, "a b c d")
    assert found.speaker_confidence is not None
    assert found.speaker_confidence < 0.8


def test_an_unclear_voice_is_none() -> None:
    ((found,),) = by_voice([Segment(0, 4.0, 5.0, "e")], CALL)
    assert (found.voice, found.speaker_confidence) == (None, 0.6)


def test_where_nobody_was_heard_there_is_no_voice() -> None:
    ((found,),) = by_voice([Segment(0, 9.0, 9.5, "f")], CALL)
    assert (found.voice, found.speaker_confidence) == (None, None)


def test_spans_that_touch_stay_apart_and_those_that_overlap_do_not() -> None:
    segments = [Segment(0, 0.0, 1.0, "a"), Segment(1, 1.0, 2.0, "b"), Segment(2, 1.5, 3.0, "c")]
    assert spans_of(segments) == [(0.0, 1.0), (1.0, 3.0)]
