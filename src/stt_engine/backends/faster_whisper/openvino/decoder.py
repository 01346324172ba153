"""Whisper's decoder on CPUs that have units for it: OpenVINO in CTranslate2's place.

CTranslate2 packs each matrix again at every step (through oneDNN: over half of a step's time for
one chunk). Like the encoder, it has to agree with CTranslate2 about a real clip before use.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from stt_engine.backends.faster_whisper.ct2_weights import read_variables
from stt_engine.backends.faster_whisper.decoder import MAX_FIRST_TIME, DecodedTokens, SpecialTokens
from stt_engine.backends.faster_whisper.openvino.beam_search import (
    BeamSearch,
    Integers,
    Numbers,
    Scores,
    Tokens,
)
from stt_engine.backends.faster_whisper.openvino.decoder_graph import DecoderGraphs, Vocabulary
from stt_engine.backends.faster_whisper.openvino.graph import compiled, import_openvino
from stt_engine.backends.languages import Window

_EVERY = slice(None)


class OpenVinoDecoder:
    """Both graphs, compiled. Calls from several threads take turns; each uses all ``threads``."""

    def __init__(
        self,
        folder: Path,
        special: SpecialTokens,
        *,
        beam_size: int,
        threads: int,
    ) -> None:
        graphs = DecoderGraphs(read_variables(folder / "model.bin", "decoder/"))
        embeddings = graphs.plain("embeddings/weight")
        text, others = _sorted(special, len(embeddings))
        self._vocabulary = Vocabulary(embeddings, text, others)
        self._positions = graphs.plain("position_encodings/encodings")
        self._tokens = Tokens(special.end, special.first_time, len(embeddings) - special.first_time)
        self._silent = int(np.flatnonzero(others == special.no_speech)[0])
        self._begins = special.begin
        self._languages = list(special.languages)
        self._places = [int(np.flatnonzero(others == at)[0]) for at in special.languages.values()]
        self.tells_languages = bool(self._places)
        self._beam_size = beam_size
        self._library = import_openvino()
        step = graphs.step(self._vocabulary, best=beam_size + 1)
        self._sound, self._step = (
            compiled(graph, threads, "f32") for graph in (graphs.sound(), step)
        )
        self._inputs = self._step.model_inputs
        self._turn = threading.Lock()
        self._heard: Numbers | None = None
        self.facts: dict[str, Any] = {"decoder": "openvino-int8-f32"}

    def decode(
        self, states: Numbers, prompts: Sequence[list[int]], most: int
    ) -> list[DecodedTokens]:
        """Decode chunks; see :class:`stt_engine.backends.faster_whisper.decoder.TokenDecoder`.

        Raises:
            RuntimeError: OpenVINO failed (out of memory, for one).
        """
        with self._turn:
            return self._decode(states, np.array(prompts, np.int64), most)

    def languages(self, states: Numbers, windows: Sequence[Window]) -> list[dict[str, float]]:
        """Detect languages; see :class:`stt_engine.backends.faster_whisper.decoder.TokenDecoder`.

        The keys and values of the sound are kept for decoding the same states.

        Raises:
            RuntimeError: OpenVINO failed (out of memory, for one).
        """
        with self._turn:
            sound = _windows_of(self._sound_of(states), windows)
            self._begin(sound, np.full((len(windows), 1), self._begins, np.int64))
            return self._chances(_EVERY)

    def _chances(self, places: slice) -> list[dict[str, float]]:
        """Return what the token behind the beginning says of the languages, for each chunk."""
        *_, others = self._outputs(places)
        known = others[:, self._places].astype(np.float64)
        shares = np.exp(known - known.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        return [dict(zip(self._languages, row, strict=True)) for row in shares.tolist()]

    def _decode(self, states: Numbers, prompts: Integers, most: int) -> list[DecodedTokens]:
        search = BeamSearch(len(states), self._beam_size, self._tokens, MAX_FIRST_TIME)
        length = prompts.shape[1]
        self._begin(self._sound_of(states), prompts)
        self._heard = None
        begin = int(np.flatnonzero(prompts[0] == self._begins)[0])  # hints stand before it
        first = slice(begin, None, length)
        silent = self._no_speech(first)
        plain = self.tells_languages and begin == 0
        languages = self._chances(first) if plain else [None] * len(states)
        rows, tokens = search.advance(self._scores(slice(length - 1, None, length)))
        for position in range(length, length + most - 1):
            if not search.going:
                break
            self._forget(search.going)
            self._run(tokens[:, None], rows, position)
            rows, tokens = search.advance(self._scores())
        return [
            DecodedTokens(
                list(one.tokens), one.score / (len(one.tokens) + 1), float(quiet), chances
            )
            for one, quiet, chances in zip(search.best(), silent, languages, strict=True)
        ]

    def _sound_of(self, states: Numbers) -> list[Numbers]:
        """Return the keys and values of states, which are those before where they are the same."""
        if self._heard is not states:
            self._heard = None
            self._sound.infer({0: states})
            self._heard = states
        return [one.data for one in self._sound.output_tensors]

    def _begin(self, sound: list[Numbers], prompts: Integers) -> None:
        """Have the graph know the sound and the prompts."""
        self._know(list(range(len(prompts))), sound)
        self._step.reset_state()
        self._run(prompts, np.arange(len(prompts)), 0)

    def _know(self, known: list[int], sound: list[npt.NDArray[Any]]) -> None:
        """Hand the keys and values of these chunks to the graph."""
        self._known, self._kept = known, sound
        for at, values in enumerate(sound):
            self._step.set_tensor(self._inputs[3 + at], self._shared(values))

    def _forget(self, going: list[int]) -> None:
        """Leave out the sound of chunks that are done."""
        if going == self._known:
            return
        places = [self._known.index(number) for number in going]
        first = places == list(range(len(places)))
        kept = [values[: len(places)] if first else values[places] for values in self._kept]
        self._know(going, kept)

    def _shared(self, values: npt.NDArray[Any]) -> Any:
        """Return an OpenVINO tensor of the same memory."""
        return self._library.Tensor(values, list(values.shape), self._library.Type.f32)

    def _run(self, tokens: Integers, rows: Integers, position: int) -> None:
        """Have the graph go on by tokens (N, T), the first of which are at this position."""
        length = tokens.shape[1]
        places = self._positions[position : position + length]
        embedded = (self._vocabulary.embedded(tokens) + places).reshape(-1, places.shape[1])
        mask = np.zeros((1, 1, length, position + length), np.float32)
        mask[..., np.arange(position + length) > position + np.arange(length)[:, None]] = -np.inf
        for at, values in enumerate((embedded, rows.astype(np.int32), mask)):
            self._step.set_tensor(self._inputs[at], self._library.Tensor(values))
        self._step.infer()

    def _outputs(self, places: slice) -> list[npt.NDArray[Any]]:
        return [one.data[places] for one in self._step.output_tensors]

    def _scores(self, places: slice = _EVERY) -> Scores:
        text, words, text_sum, others = self._outputs(places)
        words = self._vocabulary.text[words]
        return Scores(text, words, text_sum, others[:, :1], others[:, 1 : 1 + self._tokens.times])

    def _no_speech(self, places: slice) -> Numbers:
        """Return the probability of the token that says so, among all there are."""
        _, _, text_sum, others = self._outputs(places)
        every = np.concatenate([text_sum, others], axis=1).astype(np.float64)
        highest = every.max(axis=1, keepdims=True)
        shares = np.exp(every - highest)
        found: Numbers = (shares[:, 1 + self._silent] / shares.sum(axis=1)).astype(np.float32)
        return found


def _windows_of(sound: list[Numbers], windows: Sequence[Window]) -> list[Numbers]:
    """Return keys and values of windows; keys have the states last, values before that."""
    keys = [
        np.stack([one[row, :, :, first:last] for row, first, last in windows]) for one in sound[::2]
    ]
    values = [
        np.stack([one[row, :, first:last] for row, first, last in windows]) for one in sound[1::2]
    ]
    return [one for pair in zip(keys, values, strict=True) for one in pair]


def _sorted(special: SpecialTokens, size: int) -> tuple[Integers, Integers]:
    """Return the tokens of text that may be said; and the end, the times and all the rest."""
    every = np.arange(size)
    allowed = np.ones(size, bool)
    allowed[list(special.suppressed)] = False
    text = every[allowed & (every < special.end)]
    rest = every[(every < special.first_time) & (every != special.end)]
    rest = rest[~np.isin(rest, text)]
    return text, np.concatenate([[special.end], every[special.first_time :], rest])
