"""A transcript without personal data, and the stretches of the recording that have some."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from api_server.pii.redaction import MASK, redact
from stt_engine.speech import Segment, Transcript

Stretch = tuple[float, float]
"""From when to when, in seconds of the recording."""

MARGIN_SEC = 0.25
"""Beeped on either side of a word: its times are a model's."""


@dataclass(frozen=True, slots=True)
class MaskedCall:
    """A masked transcript and what to beep; ``stretches`` is ``None``: nobody can say what."""

    transcript: Transcript
    stretches: tuple[Stretch, ...] | None


def mask_call(transcript: Transcript) -> MaskedCall:
    """Mask a transcript, and find out when personal data is said.

    A segment is beeped whole where its words have no times; and what has no text is beeped too,
    because nobody knows what is said there.

    Raises:
        RedactionFailed: it cannot be masked.
    """
    masked = redact(transcript.segments).segments
    shown = replace(
        transcript,
        text=(" ".join(one.text.strip() for one in masked) or MASK) if transcript.text else "",
        text_en="",
        segments=masked,
        warnings=(),
    )
    if transcript.coverage is None or transcript.outcome == "failed":
        return MaskedCall(shown, None)
    unheard = [(one.start, one.end) for one in transcript.coverage.unheard]
    spoken = [stretch for one in masked for stretch in _stretches(one)]
    return MaskedCall(shown, tuple(merge([*unheard, *spoken])))


def _stretches(segment: Segment) -> Iterator[Stretch]:
    hidden = segment.text.count(MASK)
    if not hidden:
        return
    words = [one for one in segment.words or () if MASK in one.word]
    timed = all(segment.start <= one.start < one.end <= segment.end for one in words)
    if not timed or sum(one.word.count(MASK) for one in words) != hidden:
        yield segment.start - MARGIN_SEC, segment.end + MARGIN_SEC
        return
    for one in words:
        yield one.start - MARGIN_SEC, one.end + MARGIN_SEC


def merge(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Return the same time as stretches in order that do not touch."""
    found: list[Stretch] = []
    for start, end in sorted(stretches):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((max(0.0, start), end))
    return found
