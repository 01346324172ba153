"""Beam search over Whisper's tokens, with its rules about times: no weights in here.

As openai-whisper does it (``decoding.py``: ``BeamSearchDecoder``, ``ApplyTimestampRules``): times
come in pairs and never go back, one comes first, and where all times together are more probable
than the best word, a time it is. Several chunks are followed at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

_NEVER = -np.inf


@dataclass(frozen=True, slots=True)
class Tokens:
    """Which tokens mean what; all from ``first_time`` (0.00 s) on are times."""

    end: int
    first_time: int
    times: int
    """How many of them there are."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What may come next in each of N rows, as logits; every row has ``text`` in falling order."""

    text: Numbers
    """(N, k): the best words."""
    words: Integers
    """(N, k): which tokens they are."""
    text_sum: Numbers
    """(N, 1): the log of the sum over all words."""
    end: Numbers
    """(N, 1)."""
    times: Numbers
    """(N, times)."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Tokens, the log of their probability, and which times may follow (from ``low`` on)."""

    tokens: tuple[int, ...] = ()
    score: float = 0.0
    low: int = 0

    @property
    def rank(self) -> float:
        """By which the best is chosen: a long one is not worse for its length."""
        return self.score / max(1, len(self.tokens))


@dataclass
class _Beam:
    """One chunk: what is followed, none of it once it is done, and what has ended."""

    number: int
    going: list[Hypothesis]
    ended: list[Hypothesis] = field(default_factory=list)


class BeamSearch:
    """Hypotheses of several chunks.

    Rows are the hypotheses that are followed: one of each chunk at first, then ``beam_size`` of
    each, those of one chunk together.
    """

    def __init__(self, count: int, beam_size: int, tokens: Tokens, max_first_time: int) -> None:
        self._size = beam_size
        self._tokens = tokens
        self._max_first_time = max_first_time
        self._beams = [_Beam(at, [Hypothesis()]) for at in range(count)]

    @property
    def going(self) -> list[int]:
        """Which chunks are still followed; rows are theirs, in this order."""
        return [beam.number for beam in self._beams if beam.going]

    def best(self) -> list[Hypothesis]:
        """Return the best of each chunk; what has not ended counts as it is."""
        return [max(beam.ended + beam.going, key=lambda one: one.rank) for beam in self._beams]

    def advance(self, scores: Scores) -> tuple[Integers, Integers]:
        """Go on by one token.

        Gives, for each row of the next step, the row of this one that it continues, and its
        token. A chunk that is done has no rows any more.
        """
        beams = [beam for beam in self._beams if beam.going]
        followed = [one for beam in beams for one in beam.going]
        tokens, logs = self._candidates(followed, scores)
        totals = np.array([[one.score] for one in followed]) + logs
        # A row can end once, so among twice as many there are enough that go on.
        by_beam = totals.reshape(len(beams), -1)
        best = np.argsort(-by_beam, axis=1, kind="stable")[:, : 2 * self._size]
        best += np.arange(len(beams))[:, None] * by_beam.shape[1]
        rows: list[int] = []
        chosen: list[int] = []
        for beam, places in zip(beams, best, strict=True):
            beam.going = []
            for place in places.tolist():
                row, token = place // tokens.shape[1], int(tokens.flat[place])
                longer = self._longer(followed[row], token, float(totals.flat[place]))
                if len(beam.going) == self._size or longer.score == _NEVER:
                    break
                if token == self._tokens.end:
                    beam.ended.append(longer)
                    continue
                beam.going.append(longer)
                rows.append(row)
                chosen.append(token)
            self._settle(beam, rows, chosen)
        return np.array(rows, np.int64), np.array(chosen, np.int64)

    def _settle(self, beam: _Beam, rows: list[int], chosen: list[int]) -> None:
        """Have a chunk done, or as many rows of it as of the others."""
        count = len(beam.going)
        if len(beam.ended) >= self._size or not count:
            beam.ended, beam.going = beam.ended[: self._size], []
            del rows[len(rows) - count :], chosen[len(chosen) - count :]
        while 0 < len(beam.going) < self._size:
            beam.going.append(Hypothesis(beam.going[0].tokens, _NEVER))
            rows.append(rows[-1])
            chosen.append(chosen[-1])

    def _longer(self, one: Hypothesis, token: int, score: float) -> Hypothesis:
        """Return the hypothesis with one more token; the end is none."""
        if token == self._tokens.end:
            return Hypothesis(one.tokens, score, one.low)
        low, first = one.low, self._tokens.first_time
        if token >= first:
            low = token - first
        elif one.tokens and one.tokens[-1] >= first:
            low += 1  # a segment is longer than nothing
        return Hypothesis((*one.tokens, token), score, low)

    def _candidates(
        self, followed: list[Hypothesis], scores: Scores
    ) -> tuple[Integers, npt.NDArray[np.float64]]:
        """Return the best tokens of each row, and the log of their probability, both (N, ...)."""
        words, ends, low, high = self._allowed(followed)
        times = scores.times.astype(np.float64)
        places = np.arange(self._tokens.times)
        times[(places < low) | (places > high)] = _NEVER
        text = np.where(words, scores.text, _NEVER)
        end = np.where(ends, scores.end, _NEVER)
        all_times = _log_sum(times)
        timed = all_times > np.maximum(text[:, :1], end)
        text[timed[:, 0]] = end[timed] = _NEVER
        rest = np.where(words & ~timed, scores.text_sum, _NEVER)
        everything = np.logaddexp(np.logaddexp(all_times, end), rest)
        count = min(self._size + 1, self._tokens.times)
        best = np.argpartition(-times, count - 1, axis=1)[:, :count]
        tokens = np.concatenate(
            [
                scores.words,
                np.full_like(scores.words[:, :1], self._tokens.end),
                best + self._tokens.first_time,
            ],
            axis=1,
        )
        logits = np.concatenate([text, end, np.take_along_axis(times, best, axis=1)], axis=1)
        return tokens, logits - everything

    def _allowed(self, followed: list[Hypothesis]) -> tuple[npt.NDArray[np.bool_], ...]:
        """Return, each (N, 1), whether words and the end may follow, and from and to what time."""
        first, last = self._tokens.first_time, self._tokens.times - 1
        found = []
        for one in followed:
            if not one.tokens:
                found.append((False, False, 0, self._max_first_time))
            elif one.tokens[-1] < first:  # after a word
                found.append((True, True, one.low, last))
            elif len(one.tokens) > 1 and one.tokens[-2] < first:  # after the end of a segment
                found.append((False, True, one.low, last))
            else:  # after its start
                found.append((True, True, 1, 0))
        words, ends, low, high = np.array(found).T[:, :, None]
        return words.astype(bool), ends.astype(bool), low, high


def _log_sum(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the log of the sum of exp, over the last axis, which stays as one."""
    highest = np.max(values, axis=1, keepdims=True)
    safe = np.where(np.isfinite(highest), highest, 0.0)
    with np.errstate(divide="ignore"):  # nothing is allowed: the log of 0
        found: npt.NDArray[np.float64] = np.log(np.sum(np.exp(values - safe), 1, keepdims=True))
    return safe + found
