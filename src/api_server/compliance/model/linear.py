"""A model's weights, and the windows of a call that they are laid on."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from api_server.compliance.model.ngrams import Pieces, split_into_pieces
from api_server.compliance.model_card import ModelCard, ModelRef, RubricModelInvalid, load_card
from api_server.compliance.rules.sentences import Sentence

WINDOW = 240
"""Letters that are looked at together, as many as the longer dialogues have that it was fitted to;
windows overlap by half."""
PART = 60
"""Letters that are looked at by themselves, too: a plain word among greetings is one no less."""

_NAMES = ("known.npy", "weights.npy", "rarity.npy", "scales.npy", "biases.npy")

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Window:
    """Sentences ``first`` to ``last - 1`` of a call, and how much each element's they sound."""

    first: int
    last: int
    scores: Floats


@dataclass(frozen=True, slots=True)
class Heard:
    """The known pieces of a call, its windows, and each element's score of its best part."""

    pieces: Pieces
    windows: Sequence[Window]
    parts: Floats


@dataclass(frozen=True)
class Weights:
    """Weights of the pieces that are ``known``, in rising order; others count for nothing.

    ``weights`` are int8, a column for each element, to be multiplied by ``scales``. ``rarity`` is
    what a piece counts in the length of a window, in 1/16: rare ones count most.
    """

    known: npt.NDArray[np.uint32]
    weights: npt.NDArray[np.int8]
    rarity: npt.NDArray[np.uint8]
    scales: Floats
    biases: Floats

    def rows(self, pieces: Pieces) -> Pieces:
        """Return of the pieces that are known the rows of their weights."""
        at = np.searchsorted(self.known, pieces.number)
        at[at == len(self.known)] = 0
        kept = self.known[at] == pieces.number
        return Pieces(at[kept], pieces.sentence[kept])

    def score(self, rows: npt.NDArray[np.int64]) -> Floats:
        """Return each element's score for the rows of a window, however often one occurs."""
        kinds = np.unique(rows)
        rarity = self.rarity[kinds].astype(np.float32) / 16
        length = float(np.sqrt((rarity**2).sum()))
        total = self.weights[kinds].sum(axis=0, dtype=np.int32) * self.scales
        found: Floats = (total / max(length, 1e-6) + self.biases).astype(np.float32)
        return found

    def save(self) -> dict[str, bytes]:
        """Return the weights as files of a model's archive."""
        arrays: Sequence[npt.NDArray[Any]] = (
            self.known,
            self.weights,
            self.rarity,
            self.scales,
            self.biases,
        )
        saved = [_saved(array) for array in arrays]
        return dict(zip(_NAMES, saved, strict=True))


def _saved(array: npt.NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


class LinearModel:
    """A model's file, read.

    Raises:
        RubricModelInvalid: it is not the file that was referred to, or no model.
    """

    def __init__(self, ref: ModelRef) -> None:
        try:
            data = Path(ref.path).read_bytes()
        except OSError as exc:
            raise RubricModelInvalid(f"{ref.path}을(를) 읽을 수 없습니다 ({exc})") from exc
        if hashlib.sha256(data).hexdigest() != ref.sha256:
            raise RubricModelInvalid(f"{ref.path}: 읽은 뒤에 바뀌었습니다")
        self.card: ModelCard = load_card(ref)
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            self.weights = Weights(*(found[name.removesuffix(".npy")] for name in _NAMES))
        if self.weights.weights.shape != (len(self.weights.known), len(self.card.elements)):
            raise RubricModelInvalid(f"{ref.path}: 모델 파일의 크기가 맞지 않습니다")

    def hear(self, sentences: Sequence[Sentence]) -> Heard:
        """Return the known pieces of a call, which has a sentence at least, with its windows."""
        pieces = self.weights.rows(split_into_pieces(sentences))
        at = np.searchsorted(pieces.sentence, np.arange(len(sentences) + 1))
        letters = [len(one.letters) for one in sentences]
        windows, parts = (
            [
                Window(first, last, self.weights.score(pieces.number[at[first] : at[last]]))
                for first, last in spans(letters, width)
            ]
            for width in (WINDOW, PART)
        )
        return Heard(pieces, windows, np.max([one.scores for one in parts], axis=0))

    def loudest(self, pieces: Pieces, window: Window, element: int, among: set[int]) -> int | None:
        """Return which of the sentences ``among`` speaks most for an element in a window."""
        inside = (pieces.sentence >= window.first) & (pieces.sentence < window.last)
        weights = self.weights.weights[pieces.number[inside], element]
        sums = np.bincount(pieces.sentence[inside], weights, minlength=window.last)
        known = [number for number in range(window.first, window.last) if number in among]
        return max(known, key=lambda number: float(sums[number]), default=None)


def spans(letters: Sequence[int], width: int) -> Iterator[tuple[int, int]]:
    """Yield windows over sentences of so many letters: the first, and behind the last."""
    first = last = held = 0
    while last < len(letters):
        while last < len(letters) and (held + letters[last] <= width or last == first):
            held += letters[last]
            last += 1
        yield first, last
        following = letters[last] if last < len(letters) else 0
        while first < last and (held > width // 2 or held + following > width):
            held -= letters[first]
            first += 1
