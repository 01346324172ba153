"""Whose voice it is, where somebody has named voices: by likeness, and never the nearest one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stt_engine.speech import KnownVoice, Segment

LEAST = 0.95
"""Certainty from which on a voice has a name."""

MIN_SEC, MOST_SEC = 4.0, 60.0
"""Seconds of a voice that it takes to compare it, and that are looked at."""

_SLOPE, _EVEN = 37.0, 0.7
"""What a difference of cosines of 1 is worth, as a logarithm of odds, and the cosine at which the
odds are even (see docs/speakers.md)."""

Voice = tuple[int, int | None]
"""A channel, and the voice on it; ``None`` where the channel is one speaker's."""

Spans = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Match:
    """A known voice that one of the call is, and how certain that is."""

    known: KnownVoice
    certainty: float


def voice_in(segment: Segment) -> Voice | None:
    """Return whose segment it is, where its channel or its voice shows that."""
    if segment.speaker_source == "channel":
        return segment.channel, None
    return None if segment.voice is None else (segment.channel, segment.voice)


def spans_by_voice(segments: Sequence[Segment]) -> dict[Voice, Spans]:
    """Return what is to be looked at of each voice: its longest segments, in their order."""
    found: dict[Voice, list[Segment]] = {}
    for one in segments:
        voice = voice_in(one)
        if voice is not None:
            found.setdefault(voice, []).append(one)
    spans = {voice: _longest(said) for voice, said in found.items()}
    return {voice: one for voice, one in spans.items() if _seconds(one) >= MIN_SEC}


def _longest(segments: Sequence[Segment]) -> Spans:
    kept: Spans = []
    for one in sorted(segments, key=lambda one: one.start - one.end):
        if _seconds(kept) < MOST_SEC:
            kept.append((one.start, one.end))
    return sorted(kept)


def _seconds(spans: Spans) -> float:
    return sum(end - start for start, end in spans)


def matched(
    heard: Mapping[Voice, Sequence[float]], known: Sequence[KnownVoice]
) -> dict[Voice, Match]:
    """Return the known voices among those of a call, where that is certain.

    A voice that may be two of them is none, and a name that two voices have is nobody's.
    """
    found: dict[Voice, Match] = {}
    for voice, embedding in heard.items():
        odds = [(_odds(embedding, one.embedding), at) for at, one in enumerate(known)]
        most, at = max(odds, default=(0.0, 0))
        certainty = most / (1 + sum(one for one, _ in odds))
        if certainty >= LEAST:
            found[voice] = Match(known[at], certainty)
    names = Counter(one.known.name for one in found.values())
    return {voice: one for voice, one in found.items() if names[one.known.name] == 1}


def _odds(one: Sequence[float], other: Sequence[float]) -> float:
    likeness = sum(a * b for a, b in zip(one, other, strict=True))
    return math.exp(_SLOPE * (likeness - _EVEN))


def with_names(segments: Sequence[Segment], matches: Mapping[Voice, Match]) -> tuple[Segment, ...]:
    """Return the segments with the names of their voices."""
    return tuple(
        replace(one, speaker_name=match.known.name)
        if (voice := voice_in(one)) is not None and (match := matches.get(voice)) is not None
        else one
        for one in segments
    )


def agent_among(matches: Mapping[Voice, Match]) -> tuple[int, float] | None:
    """Return the voice of a channel that is an agent's, and its certainty, where it is one."""
    found = [
        (voice, match.certainty)
        for (_, voice), match in matches.items()
        if match.known.is_agent and voice is not None
    ]
    return found[0] if len(found) == 1 else None


def as_data(matches: Mapping[Voice, Match], compared: int) -> dict[str, Any]:
    """Return what was found as what JSON knows; ``compared`` voices were looked for."""
    return {
        "compared": compared,
        "least": LEAST,
        "named": [
            {
                "name": match.known.name,
                "channel": channel,
                "voice": voice,
                "certainty": round(match.certainty, 4),
            }
            for (channel, voice), match in matches.items()
        ],
    }
