"""The words of a sentence as evidence shows them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from api_server.compliance.evidence import Evidence
from api_server.compliance.rules.call_text import CallText, Span

_SHOWN_AROUND = 60  # letters of a very long sentence that are shown before and behind the statement


def quote_sentence(call: CallText, number: int, span: Span) -> Iterator[Evidence]:
    """Yield the words of a sentence, or of a very long one those around ``span``."""
    start = call.starts[number]
    first = max(0, span.start - start - _SHOWN_AROUND)
    last = span.end - start + _SHOWN_AROUND
    positions = call.sentences[number].positions[first:last]
    for index, run in groupby(positions, key=itemgetter(0)):
        offsets = [offset for _, offset in run]
        segment = call.segments[index]
        words = _whole_words(segment.text, offsets[0], offsets[-1] + 1)
        yield Evidence(segment.id, segment.start, segment.end, segment.channel, words, "exact")


def _whole_words(text: str, start: int, end: int) -> str:
    """Return ``text[start:end]`` with the rest of its first and last word and its full stop."""
    first, last = max(0, start - _SHOWN_AROUND), min(len(text), end + _SHOWN_AROUND)
    while start > first and not text[start - 1].isspace():
        start -= 1
    while end < last and not text[end].isspace():
        end += 1
    return text[start:end]
