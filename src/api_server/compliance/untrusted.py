"""Callers' words inside a prompt: one line each, which can neither close nor command anything."""

from __future__ import annotations

import unicodedata
from functools import lru_cache


def neutralise(text: str) -> str:
    """Return ``text`` as one line that can neither close a delimiter nor be a control token.

    Angle and square brackets and bars (``</통화>``, ``<|im_end|>``, ``[INST]``) become look-alikes
    without meaning to a model; line breaks and invisible characters become spaces.
    """
    return " ".join("".join(map(_neutralise_char, text)).split())


_LOOK_ALIKE = {"<": "‹", ">": "›", "[": "(", "]": ")", "|": "/"}


@lru_cache(maxsize=4096)
def _neutralise_char(char: str) -> str:
    if unicodedata.category(char)[0] in "CZ":  # controls, direction marks, separators
        return " "
    # Tokenisers may normalise a full-width bracket to the plain one, so check its NFKC form.
    folded = unicodedata.normalize("NFKC", char)
    return "".join(_LOOK_ALIKE[c] for c in folded if c in _LOOK_ALIKE) or char
