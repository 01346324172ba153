"""The batched pipeline on real weights: words, order, languages, word times."""

from __future__ import annotations

from dataclasses import replace
from difflib import SequenceMatcher

import numpy as np

from stt_engine.backends.base import LATE_SEC, ChunkResult, SpeechChunk
from stt_engine.backends.faster_whisper.batched import (
    BatchedPipeline,
)
from stt_engine.backends.faster_whisper.model import (
    FasterWhisper,
)
from tests.support.batched_pipeline import WORDS, text_of, words_of


# The same words, whoever is heard beside them ---------------------------------------------
def test_the_clip_is_heard(model: FasterWhisper, canary: SpeechChunk) -> None:
    (said,) = model.transcribe([canary])
    assert words_of(said) == WORDS
    assert said.low_confidence == ()
    assert all(one.words is None for one in said.segments)
    assert all(0.5 < (one.confidence or 0) <= 1 for one in said.segments)
    assert said.segments[0].start == 0
    assert 2 < said.segments[-1].end <= canary.seconds + LATE_SEC


def test_the_clip_is_heard_the_same_among_others_of_other_lengths_and_languages(
    fast: BatchedPipeline, canary: SpeechChunk, call: list[SpeechChunk]
) -> None:
    kinds = [("en", "transcribe"), ("de", "transcribe"), ("ko", "translate")]
    others = [
        replace(one, language=kinds[at % 3][0], task=kinds[at % 3][1])
        for at, one in enumerate(call[:15])
    ]
    others[4] = replace(others[4], samples=np.concatenate([one.samples for one in call[:5]]))
    for place in (0, 9):
        found = fast.transcribe([*others[:place], canary, *others[place:]])
        assert len(found) == 16
        assert words_of(found[place]) == WORDS


def test_each_gets_its_own_words_in_the_order_it_was_asked(
    model: FasterWhisper, call: list[SpeechChunk]
) -> None:
    """Not to the letter: how much silence follows a stretch depends on the longest beside it."""
    together = model.transcribe(call)
    alone = [model.transcribe([one])[0] for one in call]
    for one, other in zip(together, alone, strict=True):
        likeness = SequenceMatcher(None, words_of(one).split(), words_of(other).split()).ratio()
        assert likeness > 0.8, (text_of(one), text_of(other))


def test_the_same_stretches_give_the_same_answers(
    fast: BatchedPipeline, call: list[SpeechChunk]
) -> None:
    """Whichever of the threads hears them."""
    found = [fast.transcribe(call[10:18]) for _ in range(2)]
    assert found[0] == found[1]


def test_nothing_to_hear_is_no_answers(model: FasterWhisper) -> None:
    assert model.transcribe([]) == []


def test_the_language_is_found(model: FasterWhisper, canary: SpeechChunk) -> None:
    chances = model.detect(canary.samples)
    assert max(chances, key=chances.__getitem__) == "en"
    assert 0.99 < sum(chances.values()) < 1.01


def test_words_on_request_have_their_times(
    fast: BatchedPipeline, canary: SpeechChunk, call: list[SpeechChunk]
) -> None:
    asked = [replace(one, words=at != 2) for at, one in enumerate([canary, *call[:6]])]
    found = fast.transcribe(asked)
    for chunk, answer in zip(asked, found, strict=True):
        assert isinstance(answer, ChunkResult)
        assert answer.segments
        for segment in answer.segments:
            if not chunk.words:
                assert segment.words is None
                continue
            assert segment.words
            assert "".join(word for _, _, word, _ in segment.words) == segment.text
            assert all(0 <= probability <= 1 for *_, probability in segment.words)
            assert segment.start <= segment.words[0][0]
        times = [
            time
            for one in answer.segments
            for word in one.words or ((one.start, one.end, "", 1.0),)
            for time in word[:2]
        ]
        assert times == sorted(times)
        assert times[0] >= 0
        assert times[-1] <= chunk.seconds
