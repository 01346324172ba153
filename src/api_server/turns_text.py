"""A transcript as plain text: one utterance a line, with or without the name of who speaks."""

from __future__ import annotations

import re

from stt_engine.speech import Segment

CHANNELS = {"agent": 0, "customer": 1}
"""The channel of a speaker where nothing tells it."""

_NAMES = {
    "agent": "상담원|상담사|상담직원|직원|판매원|설계사|agent|advisor",
    "customer": "고객|손님|customer|client",
}
_NAMED = {
    speaker: re.compile(rf"\s*(?:{names})\s*[:：]\s*", re.IGNORECASE)
    for speaker, names in _NAMES.items()
}


def turns_of(text: str) -> tuple[Segment, ...]:
    """Give a segment for every line; without times, which are all zero."""
    return tuple(_turn(number, line) for number, line in enumerate(text.splitlines()))


def _turn(number: int, line: str) -> Segment:
    for speaker, named in _NAMED.items():
        found = named.match(line)
        if found:
            words = line[found.end() :].strip()
            return Segment(number, 0.0, 0.0, words, CHANNELS[speaker], speaker)
    return Segment(number, 0.0, 0.0, line.strip())
