"""A model's weights, and the windows of a call that they are laid on."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from api_server.compliance.model.ngrams import Numbers, Pieces, split_into_pieces
from api_server.compliance.model_card import ModelCard, ModelRef, RubricModelInvalid, load_card
from api_server.compliance.rules.sentences import Sentence

WINDOW = 240
"""Letters that are looked at together, as many as the longer dialogues have that it was fitted to;
windows overlap by half."""
PART = 60
"""Letters that are looked at by themselves, too: a plain word among greetings is one no less."""

_NUMBERS = 2**32
_PLACE = 32  # bits
_SHELF = 14  # bits of a piece's number that its shelf does not tell
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

    ``weights`` are in steps, a column for each element, to be multiplied by ``scales``.
    ``rarity`` is what a piece counts in the length of a window, in 1/16: rare ones count most.
    """

    known: npt.NDArray[np.uint32]
    weights: npt.NDArray[np.int8]
    rarity: npt.NDArray[np.uint8]
    scales: Floats
    biases: Floats

    @cached_property
    def _shelves(self) -> tuple[Numbers, Numbers, int]:
        """Return where the pieces that share their first bits begin, them, and most of one shelf.

        Looking at all of a few that lie together is four times as fast as halving the whole.
        """
        begins = np.searchsorted(self.known, np.arange((_NUMBERS >> _SHELF) + 1) << _SHELF)
        fullest = int(np.diff(begins).max(initial=0))
        known = np.concatenate([self.known.astype(np.int64), np.full(fullest, -1)])
        return begins, known, fullest

    def rows(self, pieces: Pieces) -> Pieces:
        """Return of the pieces that are known the rows of their weights."""
        begins, known, fullest = self._shelves
        at = begins[pieces.number >> _SHELF]
        row = np.full(len(at), -1, np.int64)
        for step in range(fullest):
            looked = at + step
            np.copyto(row, looked, where=known[looked] == pieces.number)
        kept = row >= 0
        return Pieces(row[kept], pieces.sentence[kept])

    def score(self, rows: Numbers, spans: Iterable[tuple[int, int]]) -> Iterator[Floats]:
        """Yield each element's score for ``rows[first:last]``, however often a row occurs there."""
        table = np.empty((len(rows), len(self.scales) + 1), np.float32)
        table[:, :-1] = self.weights[rows]
        table[:, -1] = self.rarity[rows].astype(np.float32) ** 2
        before = _before(rows)
        for first, last in spans:
            once = before[first:last] < first
            total = once.astype(np.float32) @ table[first:last]
            length = max(float(np.sqrt(total[-1])) / 16, 1e-6)
            yield (total[:-1] * self.scales / length + self.biases).astype(np.float32)

    def save(self) -> dict[str, bytes]:
        """Return the weights as files of a model's archive."""
        gaps = np.diff(self.known, prepend=np.uint32(0)).astype("<u4")
        arrays: Sequence[npt.NDArray[Any]] = (
            gaps.view(np.uint8).reshape(-1, 4).T,  # in what packs to two thirds
            self.weights.T,
            self.rarity,
            self.scales,
            self.biases,
        )
        saved = [_saved(array) for array in arrays]
        return dict(zip(_NAMES, saved, strict=True))


def _before(rows: Numbers) -> Numbers:
    """Return of each row where the same one stood last, -1 where it is the first."""
    ordered = np.sort((rows << _PLACE) + np.arange(len(rows)))
    row, place = ordered >> _PLACE, ordered & (2**_PLACE - 1)
    again = np.flatnonzero(row[1:] == row[:-1])
    found = np.full(len(rows), -1, np.int64)
    found[place[again + 1]] = place[again]
    return found


def _read(files: Mapping[str, npt.NDArray[Any]]) -> Weights:
    gaps, weights, *others = (files[name.removesuffix(".npy")] for name in _NAMES)
    known = np.cumsum(np.ascontiguousarray(gaps.T).view("<u4").ravel(), dtype=np.uint32)
    return Weights(known, np.ascontiguousarray(weights.T), *others)


def _saved(array: npt.NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array), allow_pickle=False)
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
            self.weights = _read(found)
        if self.weights.weights.shape != (len(self.weights.known), len(self.card.elements)):
            raise RubricModelInvalid(f"{ref.path}: 모델 파일의 크기가 맞지 않습니다")

    def hear(self, sentences: Sequence[Sentence]) -> Heard:
        """Return the known pieces of a call, which has a sentence at least, with its windows."""
        pieces = self.weights.rows(split_into_pieces(sentences))
        at = np.searchsorted(pieces.sentence, np.arange(len(sentences) + 1))
        letters = [len(one.said) for one in sentences]
        windows, parts = (tuple(spans(letters, width)) for width in (WINDOW, PART))
        inside = [(int(at[first]), int(at[last])) for first, last in (*windows, *parts)]
        scores = list(self.weights.score(pieces.number, inside))
        heard = [Window(*span, one) for span, one in zip(windows, scores, strict=False)]
        return Heard(pieces, heard, np.max(scores[len(windows) :], axis=0))

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
