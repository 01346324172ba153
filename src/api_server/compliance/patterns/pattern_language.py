"""The language of the rules' patterns: a regular expression with three additions.

Patterns are searched in text without spaces and punctuation, because recognisers write both
inconsistently. A syllable without a final consonant matches itself with any final consonant
(``되`` is also ``된``, ``될``, ``됩``): Korean endings merge with the stem, and a pattern needs to
name only the stem.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from api_server.compliance.patterns.linear_pattern import Pattern, Subject, has_look_around

MAX_GAP = 16
"""Letters that may stand between two parts of one statement, unless the pattern says more."""

_FIRST, _LAST = 0xAC00, 0xD7A3  # Unicode, "Hangul Syllables"
_FINALS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
"""Final consonants in the order of Unicode's syllables, which begins with none."""


class PatternInvalid(ValueError):
    """A pattern cannot be read; the message says why."""


def compile_pattern(pattern: str, words: Mapping[str, Sequence[str]]) -> Pattern:
    """Compile a pattern: a regular expression over letters and digits, with three additions.

    ``<name>`` is any of the patterns of that name in ``words``; ``~`` is a gap of up to
    :data:`MAX_GAP` letters (``~5``: up to five); a syllable without a final consonant matches
    itself with any, unless ``!`` follows it. Spaces are ignored.

    Raises:
        PatternInvalid: an unknown name, a name that contains itself, or no regular expression.
    """
    return _compile(_expand(pattern, words, ()))


def compile_any(patterns: Sequence[str], words: Mapping[str, Sequence[str]]) -> tuple[Pattern, ...]:
    """Compile patterns of which any is looked for: as few searches as RE2 can make of them.

    Raises:
        PatternInvalid: as :func:`compile_pattern`.
    """
    for one in patterns:
        compile_pattern(one, words)  # an error names the pattern that has it
    return tuple(compile_pattern(one, words) for one in _joined(patterns, words))


def _joined(patterns: Sequence[str], words: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield patterns of which any is looked for: all that RE2 runs as one, and the others."""
    alone = [one for one in patterns if has_look_around(_expand(one, words, ()))]
    linear = [one for one in patterns if one not in alone]
    yield from alone
    if linear:
        yield "|".join(f"(?:{one})" for one in linear)


def with_final(final: str) -> str:
    """Return an expression for every syllable with this final consonant."""
    first = _FIRST + _FINALS.index(final)
    return f"[{''.join(map(chr, range(first, _LAST + 1, len(_FINALS))))}]"


@lru_cache(maxsize=4096)
def _compile(expanded: str) -> Pattern:
    try:
        found = Pattern("".join(_translate(expanded)))
    except re.error as exc:
        raise PatternInvalid(f"정규식 오류 ({exc}): {expanded}") from None
    if found.matches_at(Subject("")):
        raise PatternInvalid(f"아무 말에나 맞는 표현입니다: {expanded}")
    return found


def _expand(pattern: str, words: Mapping[str, Sequence[str]], inside: tuple[str, ...]) -> str:
    """Return the pattern with every ``<name>`` replaced by its list, as alternatives."""

    def alternatives(reference: re.Match[str]) -> str:
        name = reference[1]
        if name not in words:
            raise PatternInvalid(f"모르는 낱말 묶음입니다: <{name}>")
        if name in inside:
            raise PatternInvalid(f"자기 자신을 부르는 낱말 묶음입니다: <{name}>")
        parts = (_expand(part, words, (*inside, name)) for part in words[name])
        return f"(?:{'|'.join(parts)})"

    return re.sub(r"(?<!\?)<([^<>=!]+)>", alternatives, pattern)


_TOKEN = re.compile(r"\\.|\[[^\]]*\]|~(?P<gap>\d*)|(?P<syllable>[가-힣])(?P<exact>!?)|.", re.DOTALL)


def _translate(pattern: str) -> Iterator[str]:
    """Yield the parts of the regular expression that an expanded pattern stands for."""
    for token in _TOKEN.finditer(pattern):
        if token["syllable"]:
            yield token["syllable"] if token["exact"] else _with_any_final(token["syllable"])
        elif token["gap"] is not None:
            yield rf"[^\n?]{{0,{int(token['gap'] or MAX_GAP)}}}?"
        elif not token[0].isspace():
            yield token[0]


def _with_any_final(syllable: str) -> str:
    """Return a class of the syllable with any final consonant, if it has none itself."""
    code = ord(syllable)
    if (code - _FIRST) % len(_FINALS):
        return syllable
    return f"[{syllable}-{chr(code + len(_FINALS) - 1)}]"
