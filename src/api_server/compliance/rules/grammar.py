"""The Korean grammar that all rules share, read from ``grammar.toml`` beside this file."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from api_server.compliance.patterns.linear_pattern import Pattern
from api_server.compliance.patterns.pattern_language import compile_pattern, with_final


@dataclass(frozen=True, slots=True)
class Grammar:
    """What ``grammar.toml`` says, compiled; the file explains every entry."""

    sentence_end: re.Pattern[str]
    """Ends a sentence in the text as it is written."""
    question_end: re.Pattern[str]
    """Found at the end of a question's letters."""
    short_reply_letters: int
    """A reply of at most so many letters does not end the other speaker's sentence."""
    denied: Pattern
    """Matches at the end of a statement that is denied there."""
    reported: Pattern
    """Matches at the end of a statement that is somebody else's."""
    undone: Pattern
    """Found inside words that are required where what they say is not done."""
    put_off: Pattern
    """Matches at the end of words that are put off or left out there."""
    forbidden: Pattern
    """Matches at the end of a sentence that forbids what it speaks of."""
    ends_denied: Pattern
    """Matches at the end of a sentence whose last word denies it."""
    warned: Pattern
    """Matches at the end of a sentence that warns."""
    taken_back: Pattern
    """Matches at the start of a sentence that takes the one before it back."""
    mention_opens: Pattern
    """Found in a sentence that says that an example follows, or has one."""
    mention_closes: Pattern
    """Found in a sentence that says that an example was given."""
    percentage: Pattern
    """Found where a percentage is."""
    paid: Pattern
    """Found near what the customer pays."""
    earned: Pattern
    """Found near what the customer gets."""
    rate: Pattern
    """Found near a rate: of a loan, which the customer pays, or of savings."""
    lent: Pattern
    """Found where money is lent to the customer."""
    saved: Pattern
    """Found where the customer saves."""


@cache
def load_grammar() -> Grammar:
    """Read the grammar, once a process."""
    file = resources.files("api_server") / "compliance" / "rules" / "grammar.toml"
    data = tomllib.loads(file.read_text(encoding="utf-8"))
    sentences, patterns, words = data["sentences"], data["patterns"], data["words"]
    endings = "|".join(sentences["endings"])
    return Grammar(
        sentence_end=_compile(rf"{sentences['punctuation']}|(?:{endings})(?=\s)"),
        question_end=_compile(f"(?:{'|'.join(sentences['questions'])})$"),
        short_reply_letters=sentences["short_reply_letters"],
        **{name: compile_pattern(pattern, words) for name, pattern in patterns.items()},
    )


def _compile(source: str) -> re.Pattern[str]:
    """Compile a plain regular expression in which ``{ㅂ}`` is any syllable that ends in ㅂ."""
    return re.compile(re.sub(r"\{([ㄱ-ㅎ])\}", lambda final: with_final(final[1]), source))
