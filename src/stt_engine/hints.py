"""What a caller expects to be said, and how it is written.

Hints never bring text of their own: see :mod:`stt_engine.backends.hinted`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from stt_engine.errors import InvalidRequest

LONGEST_PROMPT = 1_000
"""Letters of a prompt; Whisper reads the last 200 tokens or so of it."""

SHORTEST_KEYWORD, LONGEST_KEYWORD = 2, 50
MOST_KEYWORDS = 50
"""Letters of a keyword, and keywords of one call."""


@dataclass(frozen=True, slots=True)
class Hints:
    """Words to look out for. ``prompt`` is text in the style that the answer should have."""

    prompt: str = ""
    keywords: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.prompt or self.keywords)

    @classmethod
    def of(cls, prompt: str | None = None, keywords: Iterable[str] | None = None) -> Hints:
        """Return hints without blanks around them, each keyword once; empty ones say nothing."""
        words = (" ".join(one.split()) for one in keywords or ())
        return cls((prompt or "").strip(), tuple(dict.fromkeys(one for one in words if one)))

    def check(self) -> None:
        """Refuse hints that cannot be used.

        Raises:
            InvalidRequest: too many, too long, or a keyword of less than two letters.
        """
        if len(self.prompt) > LONGEST_PROMPT:
            raise InvalidRequest(f"prompt: at most {LONGEST_PROMPT} characters")
        if len(self.keywords) > MOST_KEYWORDS:
            raise InvalidRequest(f"keywords: at most {MOST_KEYWORDS}")
        for one in self.keywords:
            if not SHORTEST_KEYWORD <= sum(map(str.isalnum, one)) <= len(one) <= LONGEST_KEYWORD:
                words = f"keywords: each has from {SHORTEST_KEYWORD} letters to {LONGEST_KEYWORD}"
                raise InvalidRequest(f"{words} characters, not '{one[:LONGEST_KEYWORD]}'")


NO_HINTS = Hints()
