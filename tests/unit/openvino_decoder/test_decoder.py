"""The decoder in OpenVINO agrees with CTranslate2's on real weights."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper import WhisperModel

from stt_engine.backends.faster_whisper.batched import (
    BatchedPipeline,
    NativeEncoder,
    with_equal_silence,
)
from stt_engine.backends.faster_whisper.decoder import (
    DecodedTokens,
    NativeDecoder,
    Numbers,
    special_tokens,
    tokenizer_of,
)
from stt_engine.backends.faster_whisper.hint_tokens import hint_tokens
from stt_engine.backends.faster_whisper.openvino.decoder import OpenVinoDecoder
from stt_engine.backends.faster_whisper.openvino.encoder import known_samples
from stt_engine.backends.faster_whisper.openvino.graph import Rows
from stt_engine.backends.languages import Window
from stt_engine.hints import NO_HINTS, Hints
from stt_engine.speech import SAMPLE_RATE
from tests.support.openvino_decoding import BEAM_SIZE, WORDS
from tests.support.units import needs_library

MOST = 60


@pytest.fixture(scope="module")
def library(whisper_base: Path) -> Any:
    """In float32: CTranslate2's own int8 is further from it than what is tried here."""
    return WhisperModel(
        str(whisper_base),
        device="cpu",
        compute_type="float32",
        cpu_threads=2,
        local_files_only=True,
    )


@pytest.fixture(scope="module")
def exact(library: Any, whisper_base: Path) -> OpenVinoDecoder:
    return OpenVinoDecoder(whisper_base, special_tokens(library), beam_size=BEAM_SIZE, threads=2)


@pytest.fixture(scope="module")
def native(library: Any) -> NativeDecoder:
    return NativeDecoder(library, BEAM_SIZE)


@pytest.fixture(scope="module")
def states(library: Any, native: NativeDecoder) -> Numbers:
    """What the encoder makes of a whole clip, its halves, noise and nothing: of one length."""
    pipeline = BatchedPipeline(library, NativeEncoder(library), native, 1)
    clip = known_samples()
    noise = np.random.default_rng(7).normal(0, 0.05, SAMPLE_RATE).astype(np.float32)
    half = len(clip) // 2
    sounds = [clip, noise, clip[:half], np.zeros(SAMPLE_RATE, np.float32), clip[half:]]
    return with_equal_silence([pipeline.encoder.encode(pipeline._features(one)) for one in sounds])


@pytest.fixture(scope="module")
def prompt(library: Any) -> list[int]:
    return list(tokenizer_of(library, "en", "transcribe").sot_sequence)


def _text(library: Any, decoded: DecodedTokens) -> str:
    text = tokenizer_of(library, "en", "transcribe").decode(decoded.tokens)
    return " ".join(re.findall("[a-z]+", text.lower()))


@needs_library
@pytest.mark.parametrize("hints", [NO_HINTS, Hints("A test.", ("Kensington", "Recognition"))])
def test_speech_is_decoded_as_by_ctranslate2(
    library: Any,
    exact: OpenVinoDecoder,
    native: NativeDecoder,
    states: Numbers,
    prompt: list[int],
    hints: Hints,
) -> None:
    places = [0, 2, 4]
    prompt = [*hint_tokens(tokenizer_of(library, "en", "transcribe"), hints), *prompt]
    found = exact.decode(states[places], [prompt] * 3, MOST)
    wanted = native.decode(np.ascontiguousarray(states[places]), [prompt] * 3, MOST)
    assert _text(library, found[0]) == WORDS
    for at, (one, other) in enumerate(zip(found, wanted, strict=True)):
        if not at or not hints:  # a half of the clip becomes a loop with them, of any length
            assert one.tokens == other.tokens
            assert one.logprob == pytest.approx(other.logprob, abs=0.05)
        assert one.no_speech_prob == pytest.approx(other.no_speech_prob, abs=0.02)


@needs_library
def test_languages_are_detected_as_by_ctranslate2(
    exact: OpenVinoDecoder, native: NativeDecoder, states: Numbers
) -> None:
    length = states.shape[1]
    windows = [Window(row, first, length - 50 + first) for first in (0, 50) for row in (0, 1)]
    found, wanted = exact.languages(states, windows), native.languages(states, windows)
    assert max(found[0], key=found[0].__getitem__) == "en"
    for one, other in zip(found, wanted, strict=True):
        assert one.keys() == other.keys()
        assert sum(one.values()) == pytest.approx(1.0)
        assert all(one.get(code, 0.0) == pytest.approx(other[code], abs=0.05) for code in other)


@needs_library
def test_keys_of_the_sound_serve_languages_and_words(
    exact: OpenVinoDecoder, states: Numbers, prompt: list[int]
) -> None:
    window = [Window(0, 0, states.shape[1])]
    wanted = exact.languages(states, window), exact.decode(states, [prompt] * len(states), 40)
    silence = np.zeros_like(states)
    exact.languages(silence, window)
    found = exact.languages(states, window), exact.decode(states, [prompt] * len(states), 40)
    assert found == wanted
    assert exact.languages(silence, window) != found[0]


@needs_library
def test_decoding_tells_the_languages_that_asking_tells(
    exact: OpenVinoDecoder, states: Numbers, prompt: list[int]
) -> None:
    windows = [Window(row, 0, states.shape[1]) for row in range(len(states))]
    asked = exact.languages(states, windows)
    told = exact.decode(states, [prompt] * len(states), 3)
    for one, other in zip(told, asked, strict=True):
        assert one.languages == pytest.approx(other, abs=1e-4)
    hinted = exact.decode(states, [[50361, 2425, *prompt]] * len(states), 3)
    assert {one.languages for one in hinted} == {None}, "words stand before the question"


@needs_library
def test_each_is_decoded_as_if_it_were_alone(
    exact: OpenVinoDecoder, states: Numbers, prompt: list[int]
) -> None:
    """Some are done before others, in no order: their sound is left out meanwhile."""
    together = exact.decode(states, [prompt] * len(states), MOST)
    assert len({len(one.tokens) for one in together}) > 2
    for at, one in enumerate(together):
        (alone,) = exact.decode(states[at : at + 1], [prompt], MOST)
        assert alone.tokens == one.tokens
        assert alone.logprob == pytest.approx(one.logprob, abs=1e-3)


@needs_library
@pytest.mark.parametrize("most", [1, 2])
def test_tokens_at_once_are_as_one_by_one(
    exact: OpenVinoDecoder, states: Numbers, prompt: list[int], most: int
) -> None:
    """Each token attends to those before it and to none after it, whatever came at once."""
    rows = np.arange(1)
    exact._begin(exact._sound_of(states[:1]), np.array([prompt]))
    wanted = exact._scores(slice(len(prompt) - 1, None, len(prompt)))
    wanted = replace(wanted, text=wanted.text.copy(), times=wanted.times.copy())
    exact._step.reset_state()
    for position in range(0, len(prompt), most):
        part = prompt[position : position + most]
        exact._run(np.array([part]), rows, position)
    found = exact._scores(slice(len(part) - 1, None, len(part)))
    np.testing.assert_allclose(found.text, wanted.text, atol=0.3)
    np.testing.assert_allclose(found.times, wanted.times, atol=0.3)


@needs_library
def test_languages_and_tasks_may_differ_and_silence_is_known(
    library: Any, exact: OpenVinoDecoder, states: Numbers, prompt: list[int]
) -> None:
    german = list(tokenizer_of(library, "de", "transcribe").sot_sequence)
    found = exact.decode(states[[0, 0, 3]], [german, prompt, prompt], MOST)
    assert _text(library, found[1]) == WORDS
    assert found[0].tokens != found[1].tokens
    assert found[0].no_speech_prob == pytest.approx(found[1].no_speech_prob, abs=1e-4)
    assert found[2].no_speech_prob > found[1].no_speech_prob


@needs_library
@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_more_tokens_than_asked_for(
    exact: OpenVinoDecoder, states: Numbers, prompt: list[int], most: int
) -> None:
    (found,) = exact.decode(states[:1], [prompt], most)
    assert len(found.tokens) == most


def test_rows_are_rounded_to_the_nearest() -> None:
    rows = np.random.default_rng(3).normal(0, 0.1, (1_200, 64)).astype(np.float32)
    rows[5] = 0
    order = np.random.default_rng(4).permutation(len(rows))
    found = Rows.rounded(rows, order)
    assert np.all(found.scales > 0)
    assert np.abs(found.values * found.scales - rows[order]).max() <= found.scales.max() / 2 + 1e-6
    assert np.array_equal(found[7:9].values, found.values[7:9])
