"""Sentences as pieces of three to six jamo, each a number of 32 bits; who says them counts.

Jamo, because recognition errs by a sound and not by a syllable; no spaces, because it errs there
most. A piece of the customer's is another one than the same piece of anybody else's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from api_server.compliance.rules.sentences import Sentence

SIZES = (3, 4, 5, 6)
"""Jamo in a piece."""

_FIRST, _SYLLABLES, _FINALS, _VOWELS = 0xAC00, 11172, 28, 21
_INITIAL, _MEDIAL, _FINAL, _OTHER = 1, 20, 41, 80  # where the codes of each kind begin
_OTHERS = 150
_BEGIN, _END, _ASKED = "\ue000", "\ue001", "\ue002"  # no letters: they stand in no sentence
_MARKS = {_BEGIN: 79, _END: 78, _ASKED: 77}
_CUSTOMER, _ANYBODY = 2, 1
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2**64 by the golden ratio: spreads what is alike
_SHIFT = np.uint64(29)
_KEPT = np.uint64(32)

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pieces:
    """The pieces of some sentences: ``number[i]`` is a piece of sentence ``sentence[i]``."""

    number: Numbers
    sentence: Numbers


def split_into_pieces(sentences: Sequence[Sentence]) -> Pieces:
    """Return the pieces of sentences, sentence by sentence."""
    codes, sentence = _codes(sentences)
    speakers = np.array(
        [_CUSTOMER if one.speaker == "customer" else _ANYBODY for one in sentences], np.uint64
    )
    found = np.zeros((len(codes), len(SIZES)), np.uint64)
    inside = np.zeros(found.shape, bool)
    for column, size in enumerate(SIZES):
        many = max(0, len(codes) - size + 1)
        seeds = speakers[sentence[:many]] * np.uint64(104729) + np.uint64(size * 7919 + 1)
        found[:many, column] = _hashed(codes, size, seeds)
        inside[:many, column] = sentence[:many] == sentence[len(codes) - many :]
    owners = np.broadcast_to(sentence[:, np.newaxis], found.shape)
    return Pieces(found[inside].astype(np.int64), owners[inside])


def _codes(sentences: Sequence[Sentence]) -> tuple[npt.NDArray[np.uint64], Numbers]:
    """Return sentences as codes of jamo, and of which sentence each is.

    What is no Hangul has a code of its own.
    """
    texts = [f"{_BEGIN}{one.said}{_ASKED if one.question else _END}" for one in sentences]
    letters = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32).astype(np.int64)
    syllable = letters - _FIRST
    hangul = (syllable >= 0) & (syllable < _SYLLABLES)
    rest, final = np.divmod(syllable, _FINALS)
    jamo = np.zeros((len(letters), 3), np.uint64)
    jamo[:, 0] = np.where(hangul, rest // _VOWELS + _INITIAL, letters % _OTHERS + _OTHER)
    jamo[:, 1] = np.where(hangul, rest % _VOWELS + _MEDIAL, 0)
    jamo[:, 2] = np.where(hangul & (final > 0), final + _FINAL, 0)
    for mark, code in _MARKS.items():
        jamo[letters == ord(mark), 0] = code
    kept = jamo > 0
    lengths = np.array([len(text) for text in texts], np.int64)
    of_letters = np.repeat(np.arange(len(texts)), lengths)
    return jamo[kept], np.repeat(of_letters, kept.sum(axis=1))


def _hashed(
    codes: npt.NDArray[np.uint64], size: int, seeds: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    found = seeds
    for at in range(size):
        found = (found ^ codes[at : at + len(seeds)]) * _FACTOR
        found ^= found >> _SHIFT
    return found >> _KEPT
