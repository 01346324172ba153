"""Lengths, token limits, silence and options of each chunk in a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_engine.backends.base import SpeechChunk
from stt_engine.backends.faster_whisper import batched
from stt_engine.backends.faster_whisper.batched import (
    BatchedPipeline,
    LowConfidence,
    token_cap,
    with_equal_silence,
)
from stt_engine.backends.faster_whisper.model import (
    MOST_TOKENS,
)
from tests.support.batched_pipeline import (
    WIDTH,
    StubDecoder,
    StubEncoder,
    Tokens,
    chunk,
    pipeline_of,
    said_of,
)


# What is asked of the weights -------------------------------------------------------------
@given(st.floats(0, 30), st.floats(0, 30))
def test_the_cap_grows_with_the_stretch_and_never_exceeds_half_of_whispers_text(
    one: float, other: float
) -> None:
    short, long = sorted((one, other))
    assert 0 < token_cap(short) <= token_cap(long) <= 224
    assert token_cap(long) >= min(224, 8 * long), "hardly anybody speaks faster"
    assert token_cap(long, MOST_TOKENS) >= min(224, 14 * long), "nobody speaks faster"


def test_the_cap_is_reached_in_the_real_decoder(
    fast: BatchedPipeline, canary: SpeechChunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It generates as many tokens as the cap says: fewer would be taken for the whole."""
    monkeypatch.setattr(batched, "token_cap", lambda *_: 7)
    assert fast.transcribe([canary]) == [LowConfidence("too_many_tokens")]


def test_each_stretch_has_its_own_language_and_task(library: Any, tokens: Tokens) -> None:
    decoder = StubDecoder(lambda _at: said_of(tokens("네")))
    chunks = [
        chunk(5.0, language, task)
        for language, task in (("ko", "transcribe"), ("en", "transcribe"), ("ja", "translate"))
    ]
    pipeline_of(library, decoder).transcribe(chunks)
    (asked,) = decoder.asked
    decoded = [
        [library.hf_tokenizer.id_to_token(token) for token in prompt] for prompt in asked["prompts"]
    ]
    assert decoded == [
        ["<|startoftranscript|>", f"<|{one.language}|>", f"<|{one.task}|>"] for one in chunks
    ]
    assert asked["max_length"] == 2 * token_cap(5.0)
    assert asked["beam_size"] == 5


def test_each_is_encoded_with_its_own_silence_and_decoded_at_one_length(
    library: Any, tokens: Tokens
) -> None:
    decoder = StubDecoder(lambda _at: said_of(tokens("네")))
    pipeline = pipeline_of(library, decoder)
    encoder = pipeline.encoder
    assert isinstance(encoder, StubEncoder)
    encoder.frames.clear()
    pipeline.transcribe([chunk(2.0), chunk(3.011)])
    assert sorted(encoder.frames) == [550, 652], "three and a half seconds more, in whole states"
    assert decoder.asked[-1]["shape"] == [2, 326, WIDTH]
    encoder.frames.clear()
    pipeline.transcribe([chunk(27.0), chunk(28.0), chunk(29.0), chunk(30.0)])
    assert encoder.frames == [3000] * 4, "no more than the window"
    shapes = [asked["shape"] for asked in decoder.asked[-2:]]
    assert shapes == [[2, 1500, WIDTH]] * 2, "all in one group would be too much"


@given(st.lists(st.integers(250, 320), min_size=1, max_size=4))
def test_silence_is_made_equal_and_what_was_encoded_stays(lengths: list[int]) -> None:
    rng = np.random.default_rng(7)
    encoded = [rng.random((1, length, 3), np.float32) for length in lengths]
    found = with_equal_silence(encoded)
    assert found.shape == (len(lengths), max(lengths), 3)
    for states, joined in zip(encoded, found, strict=True):
        own, added = joined[: states.shape[1]], joined[states.shape[1] :]
        assert np.array_equal(own, states[0])
        last_second = {row.tobytes() for row in states[0, -50:]}
        assert all(row.tobytes() in last_second for row in added)


def test_silence_is_made_equal_by_its_own_last_second() -> None:
    short = np.arange(120, dtype=np.float32).reshape(1, 60, 2)
    long = np.zeros((1, 140, 2), np.float32)
    joined = batched.with_equal_silence([short, long])
    assert joined.shape == (2, 140, 2)
    assert (joined[0, :60] == short[0]).all()
    assert (joined[0, 60:110] == short[0, 10:]).all()
    assert (joined[0, 110:] == short[0, 10:40]).all()
    assert (joined[1] == long[0]).all()
