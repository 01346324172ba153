"""Words of calls in the form in which they are searched, and found again in it. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from api_server.store.search_records import FoundCall
from api_server.text.normalise import fold_visible
from api_server.web.sentences import Piece, clock
from stt_engine.speech import Segment

LEAST, MOST = 2, 100
"""Letters and digits of what can be searched."""

_AROUND = 120
_MASK = "*"


@dataclass(frozen=True, slots=True)
class Hit:
    """A sentence in which something was found; ``start`` in seconds, marked in ``pieces``."""

    start: float
    speaker: str | None
    pieces: tuple[Piece, ...]

    @property
    def at(self) -> str:
        """When it begins, as people write it."""
        return clock(self.start)


def letters_of(text: str) -> tuple[str, list[int]]:
    """Return the letters and digits of a text, and where each one is in it.

    Spaces, punctuation and letter case are left out; what is masked stays and is never searched.
    """
    folded, places = fold_visible(text)
    kept = [at for at, char in enumerate(folded) if char.isalnum() or char == _MASK]
    return "".join(folded[at] for at in kept), [places[at] for at in kept]


def wanted_of(asked: str) -> str:
    """Return what is to be searched for; what is masked in texts cannot be."""
    return letters_of(asked)[0].replace(_MASK, "")


def searchable(segments: Sequence[Segment]) -> tuple[str, str]:
    """Return the ``words`` and the ``lines`` of a call's masked segments."""
    words = "\n".join(letters_of(one.text)[0] for one in segments)
    lines = [[round(one.start, 2), one.speaker, one.text] for one in segments]
    return words, json.dumps(lines, ensure_ascii=False)


def hits_of(call: FoundCall, wanted: str, most: int) -> list[Hit]:
    """Return the first sentences of a call in which it was found.

    Each is looked at again in its own text: what is not there is not shown.
    """
    lines = json.loads(call.lines)
    found = []
    for place in call.places:
        start, speaker, text = lines[place]
        pieces = _marked(text, wanted)
        if pieces:
            found.append(Hit(start, speaker, pieces))
        if len(found) == most:
            break
    return found


def _marked(text: str, wanted: str) -> tuple[Piece, ...]:
    """Return the words around where it is said first, and marked there; none where it is not."""
    letters, places = letters_of(text)
    at = letters.find(wanted)
    if at < 0:
        return ()
    begin, end = places[at], places[at + len(wanted) - 1] + 1
    first, last = max(0, begin - _AROUND), min(len(text), end + _AROUND)
    before = ("…" if first else "") + text[first:begin]
    after = text[end:last] + ("…" if last < len(text) else "")
    return Piece(before), Piece(text[begin:end], ("found",)), Piece(after)
