"""Segments by voice: each gets the voice that speaks in it, and is cut where the voice changes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from stt_engine.speech import Segment, Word
from stt_engine.voice_messages import DiariseResult

MARGIN = 0.8
"""Least certainty of a voice; below it nobody knows who speaks."""

_NEAR_STEPS = 2.0
"""How many steps a moment may be away from the next one with speech."""

_SHORTEST_SEC = 0.3
"""A change of voice that is shorter is none."""


def spans_of(segments: Sequence[Segment]) -> list[tuple[float, float]]:
    """Return where somebody speaks, in seconds; segments that overlap are one."""
    spans: list[tuple[float, float]] = []
    for start, end in sorted((one.start, one.end) for one in segments):
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((start, end))
    return spans


def seconds_by_speaker(segments: Sequence[Segment]) -> dict[str, float]:
    """Return the seconds of text of each speaker; what is nobody's is ``unknown``."""
    found = dict.fromkeys(("agent", "customer", "unknown"), 0.0)
    for one in segments:
        found[one.speaker or "unknown"] += one.end - one.start
    return {speaker: round(seconds, 3) for speaker, seconds in found.items()}


def by_voice(segments: Sequence[Segment], found: DiariseResult) -> list[list[Segment]]:
    """Return for each segment its parts, each with its voice where that is clear."""
    course = _Course(found)
    return [list(_parts(one, course)) for one in segments]


class _Course:
    """Who speaks when."""

    def __init__(self, found: DiariseResult) -> None:
        self._step = found["step_sec"]
        self._middles = [start + self._step / 2 for start in found["starts"]]
        self._first = [
            sure if voice == 0 else 1 - sure
            for voice, sure in zip(found["voice"], found["probability"], strict=True)
        ]
        """Probability that the first voice speaks."""

    def first(self, start: float, end: float) -> float | None:
        """Return the mean probability of the first voice in a time; ``None``: no voice is there."""
        low = bisect_left(self._middles, start)
        high = bisect_left(self._middles, end)
        if low < high:
            return sum(self._first[low:high]) / (high - low)
        middle = (start + end) / 2
        near = [one for one in (low - 1, low) if 0 <= one < len(self._middles)]
        nearest = min(near, key=lambda one: abs(self._middles[one] - middle), default=None)
        if nearest is None or abs(self._middles[nearest] - middle) > _NEAR_STEPS * self._step:
            return None
        return self._first[nearest]


def _parts(segment: Segment, course: _Course) -> Iterator[Segment]:
    runs = _runs(segment.words or (), course)
    if len(runs) < 2:  # noqa: PLR2004
        yield _voiced(segment, course)
        return
    for number, words in enumerate(runs):
        start = segment.start if number == 0 else words[0].start
        end = segment.end if number == len(runs) - 1 else words[-1].end
        text = "".join(one.word for one in words).strip()
        yield _voiced(replace(segment, start=start, end=end, text=text, words=words), course)


def _runs(words: Sequence[Word], course: _Course) -> list[tuple[Word, ...]]:
    """Return the words by voice, in order; one whose voice is unclear stays with those before."""
    voices: list[int] = []
    for word in words:
        first = course.first(word.start, word.end)
        unclear = first is None or max(first, 1 - first) < MARGIN
        before = voices[-1] if voices else None
        heard = int(first is not None and first < 0.5)  # noqa: PLR2004
        voices.append(before if unclear and before is not None else heard)
    runs: list[tuple[int, tuple[Word, ...]]] = []
    for voice, run in groupby(zip(voices, words, strict=True), key=lambda one: one[0]):
        part = tuple(word for _, word in run)
        short = part[-1].end - part[0].start < _SHORTEST_SEC
        if runs and (short or runs[-1][0] == voice):
            runs[-1] = (runs[-1][0], (*runs[-1][1], *part))
        else:
            runs.append((voice, part))
    return [part for _, part in runs]


def _voiced(segment: Segment, course: _Course) -> Segment:
    first = course.first(segment.start, segment.end)
    if first is None:
        return segment
    voice, sure = (0, first) if first >= 0.5 else (1, 1 - first)  # noqa: PLR2004
    clear = sure >= MARGIN
    return replace(segment, voice=voice if clear else None, speaker_confidence=round(sure, 4))
