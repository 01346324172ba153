"""Speech inside a chunk that the text's times leave out: transcribed once more, else reported.

A decoder may end before its chunk does, or go over a sentence in the middle. Its text alone does
not show that; the times of the text beside the voice in the chunk do. One mechanism for all
backends, since it needs only what every model returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import NamedTuple

from stt_engine.backends.base import ChunkResult, Model, RawSegment, SpeechChunk
from stt_engine.backends.repetition import is_suspect, letters_of
from stt_engine.speech import SAMPLE_RATE

GAP_SEC = 0.6
"""Voice without text for longer is a gap. The times of a text are some tenths of a second off:
where nothing was left out, at most 0.45 s of voice had no text (54 clips, 16 monologues)."""

REASON = "gap_in_text"
"""Why a part of a chunk was transcribed again (``heard_again`` in the provenance)."""

SLOWEST = (2.0, 2.0)
"""Seconds of voice that any text covers, and bytes of it for each further one. Korean and English
have 15 to 25 bytes a second (measured), a number that is dictated as digits 3 to 4."""

SPARSE = (4.0, 9.0)
"""A text for this many seconds of voice with fewer bytes a second may have left out a sentence."""

SPARSE_REASON = "sparse_text"

_MORE = 1.3
"""So many times as long a text replaces a sparse one: another wording is no more of it."""

_ROUNDS = 3
"""A part may end early too; each round has to bring text."""

_MARGIN_SEC = 0.4

_SHORTEST_REPEAT = 6
"""Letters; a shorter text ("네, 네") may well be said twice."""

_REPEATED_SHARE = 0.8
"""Of a text's letters in one run of the chunk's other text: it is that text again."""


class Gap(NamedTuple):
    """A part of a chunk, in seconds from its start, and the seconds of voice in it."""

    start: float
    end: float
    speech_sec: float


def gaps_in(chunk: SpeechChunk, segments: Iterable[RawSegment]) -> list[Gap]:
    """Return the parts of a chunk that no text covers and that hold enough voice.

    A chunk without any text is one gap, however little voice it has.
    """
    return _gaps(chunk, [_covered(chunk, one) for one in segments if one.text.strip()])


def _gaps(chunk: SpeechChunk, covered: list[tuple[float, float]]) -> list[Gap]:
    found, at = list[Gap](), 0.0
    for start, end in (*sorted(covered), (chunk.seconds, chunk.seconds)):
        voice = _overlap(chunk.voiced, at, start)
        if voice >= GAP_SEC or (voice and not covered):
            found.append(Gap(at, start, voice))
        at = max(at, end)
    return found


def _covered(chunk: SpeechChunk, segment: RawSegment) -> tuple[float, float]:
    """Return what a text covers: its times, but no more voice than it takes to say it slowly."""
    start, end = _times(chunk, segment)
    any_sec, bytes_a_sec = SLOWEST
    most = any_sec + len(segment.text.strip().encode()) / bytes_a_sec
    return start, start + most if _overlap(chunk.voiced, start, end) > most else end


def _times(chunk: SpeechChunk, segment: RawSegment) -> tuple[float, float]:
    return min(segment.start, chunk.seconds), min(segment.end, chunk.seconds)


def transcribe_whole(model: Model, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
    """Transcribe chunks, and what a first answer leaves out of them once more by itself.

    What was left out of several chunks is transcribed together. A chunk without any text is not
    asked for again: it would be the same question.
    """
    results = list(model.transcribe(chunks))
    todo = [
        part
        for at, (chunk, result) in enumerate(zip(chunks, results, strict=True))
        for part in _parts(at, chunk, result)
    ]
    for _ in range(_ROUNDS):
        if not todo:
            break
        asked = [part.chunks(chunks[part.at]) for part in todo]
        answers = iter(model.transcribe([chunk for pieces in asked for _, chunk in pieces]))
        later = list[_Part]()
        for part, pieces in zip(todo, asked, strict=True):
            told = [(offset, chunk, next(answers)) for offset, chunk in pieces]
            results[part.at], taken = part.merged(results[part.at], told)
            later += part.left(told) if taken else []
        todo = later
    return results


def _parts(at: int, chunk: SpeechChunk, result: ChunkResult) -> list[_Part]:
    """Return what to transcribe again of a chunk: gaps, and texts too short for their voice."""
    segments = [one for one in result.segments if one.text.strip()]
    if not segments:
        return []
    found = [_Part(at, gap) for gap in _gaps(chunk, [_times(chunk, one) for one in segments])]
    whole = _overlap(chunk.voiced, 0.0, chunk.seconds)
    for one in segments:
        start, end = _times(chunk, one)
        voice = _overlap(chunk.voiced, start, end)
        sparse = len(one.text.strip().encode()) < SPARSE[1] * voice
        if sparse and voice >= SPARSE[0] and whole - voice >= GAP_SEC:  # else: the same question
            found.append(_Part(at, Gap(start, end, voice), one))
    return found


_Told = tuple[float, SpeechChunk, ChunkResult]
"""Where an answer's chunk begins in the whole, that chunk, and the answer."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the chunk with this index; ``sparse`` is the text that it has so far."""

    at: int
    gap: Gap
    sparse: RawSegment | None = None

    def chunks(self, whole: SpeechChunk) -> list[tuple[float, SpeechChunk]]:
        """Return it as a chunk of its own, with where that begins in the whole.

        What brought a sparse text brings it again: that part is cut at its longest pause.
        """
        voiced = [
            (max(start, self.gap.start), min(end, self.gap.end))
            for start, end in whole.voiced
            if start < self.gap.end and end > self.gap.start
        ]
        at = max(range(1, len(voiced)), key=lambda at: voiced[at][0] - voiced[at - 1][1], default=0)
        if self.sparse is None or not at:
            return [self._chunk(whole, voiced, self.gap.start, self.gap.end)]
        cut = (voiced[at - 1][1] + voiced[at][0]) / 2
        return [
            self._chunk(whole, voiced[:at], self.gap.start, cut),
            self._chunk(whole, voiced[at:], cut, self.gap.end),
        ]

    @staticmethod
    def _chunk(
        whole: SpeechChunk, voiced: list[tuple[float, float]], start: float, end: float
    ) -> tuple[float, SpeechChunk]:
        start = max(start, voiced[0][0] - _MARGIN_SEC)
        end = min(end, voiced[-1][1] + _MARGIN_SEC)
        samples = whole.samples[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        moved = tuple((max(0.0, first - start), last - start) for first, last in voiced)
        return start, replace(whole, samples=samples, voiced=moved, language_check=False)

    def _beside(self, segments: Sequence[RawSegment]) -> list[RawSegment]:
        """Return the segment before this part and the one behind it."""
        middle = (self.gap.start + self.gap.end) / 2
        before = [one for one in segments if one.start < middle]
        return [*before[-1:], *segments[len(before) :][:1]]

    def left(self, told: list[_Told]) -> list[_Part]:
        """Return the gaps that are left in the answers for it."""
        return [
            _Part(self.at, Gap(gap.start + offset, gap.end + offset, gap.speech_sec))
            for offset, chunk, answer in told
            for gap in _gaps(chunk, [_times(chunk, one) for one in answer.segments])
            if answer.segments
        ]

    def merged(self, result: ChunkResult, told: list[_Told]) -> tuple[ChunkResult, bool]:
        """Return a result with the answers for this part in it, and whether they brought text.

        A sparse text stays where they have no more. What was doubted in an answer counts here
        alone: it must not cast a doubt on the rest of the chunk.
        """
        beside = self._beside([one for one in result.segments if one != self.sparse])
        found = [
            one.within(chunk.seconds).moved(offset)
            for offset, chunk, answer in told
            for one in answer.segments
            if not _repeats(one.text, beside)
        ]
        kept = list(result.segments)
        text = "".join(one.text for one in found)
        if any(answer.low_confidence for *_, answer in told) and is_suspect(text):
            found = []
        elif self.sparse is not None:
            if is_suspect(text) or len(text.encode()) < _MORE * len(self.sparse.text.encode()):
                found = []
            else:
                kept = [one for one in kept if one != self.sparse]
        segments = tuple(sorted((*kept, *found), key=lambda one: one.start))
        reason = REASON if self.sparse is None else SPARSE_REASON
        low_confidence = tuple(dict.fromkeys((*result.low_confidence, reason)))
        return replace(result, segments=segments, low_confidence=low_confidence), bool(found)


def _repeats(text: str, segments: Iterable[RawSegment]) -> bool:
    """Return whether a text is (nearly) one that stands beside it already.

    Where the times of a text are wrong, its own words seem to be missing, and come a second time.
    Further away the same words may well be said again.
    """
    letters = letters_of(text)
    if len(letters) < _SHORTEST_REPEAT:
        return False
    known = letters_of("".join(one.text for one in segments))
    blocks = SequenceMatcher(None, known, letters, autojunk=False).get_matching_blocks()
    return max(block.size for block in blocks) >= _REPEATED_SHARE * len(letters)


def _overlap(runs: Iterable[tuple[float, float]], start: float, end: float) -> float:
    return sum(max(0.0, min(end, last) - max(start, first)) for first, last in runs)
