"""A regular expression that takes time in proportion to the text, whatever the text is.

RE2 runs what is an ordinary expression: it never goes back in a text. It has no look-around; an
expression with one is left to ``re``, and is bounded, because no part of it repeats more often than
:data:`MAX_REPEATS` times. Repetition without a limit is read as one with that limit in both, so
that no search runs far ahead of what it finds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import re2

MAX_REPEATS = 32
"""What ``*`` and ``+`` mean at most; twice as many letters as a gap (``~``) has."""

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.never_capture = True
_OPTIONS.max_mem = 2**21  # of each of two thousand patterns, in a process with a ceiling

_SHORT = 1000  # letters: so few are counted as far as something is found

_TOKEN = re.compile(
    r"\\.|\[(?:\\.|[^\]\\])*\]|(?P<open>[*+]|\{(?P<least>\d*),\})|.",
    re.DOTALL,
)
_FIRST_BYTE = -64  # of a letter, at least, where bytes have a sign; those behind it are less
_LOOK_AROUND = re.compile(r"\(\?<?[=!]")
_GROUP = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]|\(\?<?[=!]|.", re.DOTALL)
_TOO_MUCH = re.compile(r"\\[1-9]|\(\?P=|\(\?\(|\)[*+{]")
_CLASS = re.compile(r"\\[wds]")
_CLASSES = {r"\w": r"\pL\pN_", r"\d": r"\p{Nd}", r"\s": r"\pZ\t-\r"}
"""What ``re`` means by these, for RE2, which takes them for those of ASCII."""


class Subject:
    """A text to be searched by many patterns."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def _utf8(self) -> bytes:
        return self.text.encode("utf-8", "surrogatepass")

    @cached_property
    def letters(self) -> Sequence[int]:
        """Of each byte of the text, and behind the last one, the offset of its letter."""
        if self.text.isascii():
            return range(len(self.text) + 1)
        import numpy as np  # noqa: PLC0415 - takes a tenth of a second, and commands need none

        letter = (np.frombuffer(self._utf8, np.int8) >= _FIRST_BYTE).cumsum() - 1
        return [*letter.tolist(), len(self.text)]

    def utf8(self, low: int, high: int) -> bytes:
        """Return ``text[low:high]`` as RE2 takes it."""
        if low == 0 and high >= len(self.text):
            return self._utf8
        return self.text[low:high].encode("utf-8", "surrogatepass")


class Pattern:
    """A compiled regular expression.

    Raises:
        re.error: it cannot be read, or refers back to a group.
    """

    def __init__(self, source: str) -> None:
        self.source = bounded = "".join(map(_bounded, _TOKEN.finditer(source)))
        if has_look_around(source):
            if _TOO_MUCH.search(source):
                raise re.error("no group may be repeated or referred to beside a look-around")
            self._linear, self._backtracking = None, re.compile(bounded)
        else:
            self._linear = _compile(bounded)

    def spans(
        self, subject: Subject, low: int = 0, high: int | None = None
    ) -> Iterator[tuple[int, int]]:
        """Yield every match in ``text[low:high]`` from left to right; they do not overlap."""
        high = len(subject.text) if high is None else high
        if self._linear is None:
            yield from (one.span() for one in self._backtracking.finditer(subject.text, low, high))
            return
        if low == 0 and high >= len(subject.text) > _SHORT:
            whole = subject.letters
            for found in self._linear.finditer(subject.utf8(low, high)):
                first, last = found.span()
                yield whole[first], whole[last]
            return
        data, done, letters = subject.utf8(low, high), 0, low
        for found in self._linear.finditer(data):
            first, last = found.span()
            start = letters + _letters(data[done:first])
            done, letters = last, start + _letters(data[first:last])
            yield start, letters

    def is_in(self, subject: Subject) -> bool:
        """Return whether the pattern matches anywhere in the text."""
        if self._linear is None:
            return self._backtracking.search(subject.text) is not None
        return self._linear.search(subject.utf8(0, len(subject.text))) is not None

    def matches_at(self, subject: Subject, low: int = 0, high: int | None = None) -> bool:
        """Return whether the pattern matches at offset ``low``."""
        high = len(subject.text) if high is None else high
        if self._linear is None:
            return self._backtracking.match(subject.text, low, high) is not None
        return self._linear.match(subject.utf8(low, high)) is not None


class Order:
    """Some patterns, each behind the one before it and in one line, however far apart.

    What they look around for does not matter: where nothing is found, they do not match either.
    """

    def __init__(self, parts: Sequence[Pattern]) -> None:
        sources = (f"(?:{_without_look_around(part.source)})" for part in parts)
        self._linear = re2.compile(r"[^\n]*".join(map(_for_re2, sources)), _OPTIONS)

    def starts(self, subject: Subject) -> Iterator[int]:
        """Yield where they begin, once a line at least."""
        letters = subject.letters
        for found in self._linear.finditer(subject.utf8(0, len(subject.text))):
            yield letters[found.start()]


def has_look_around(source: str) -> bool:
    """Return whether an expression looks around, which RE2 cannot."""
    return _LOOK_AROUND.search(source) is not None


def _compile(bounded: str) -> Any:  # noqa: ANN401 - re2 is not typed
    try:
        return re2.compile(_for_re2(bounded), _OPTIONS)
    except re2.error as exc:
        told = exc.args[0]
        raise re.error(told.decode() if isinstance(told, bytes) else str(told)) from None


def _for_re2(bounded: str) -> str:
    return "".join(map(_in_unicode, _TOKEN.finditer(bounded)))


def _without_look_around(source: str) -> str:
    """Return an expression without its groups that look around."""
    kept: list[str] = []
    depth = 0  # of groups inside one that looks around, that one too
    for token in _GROUP.finditer(source):
        text = token[0]
        looks = _LOOK_AROUND.fullmatch(text) is not None
        if depth or looks:
            depth += (text[0] == "(") - (text == ")")
        else:
            kept.append(text)
    return "".join(kept)


def _letters(data: bytes) -> int:
    return len(data.decode("utf-8", "surrogatepass"))


def _bounded(token: re.Match[str]) -> str:
    """Return a part of an expression with a limit to its repetition."""
    text = token[0]
    if token["open"]:
        least = int(token["least"] or text == "+")
        return f"{{{least},{max(least, MAX_REPEATS)}}}"
    return text


def _in_unicode(token: re.Match[str]) -> str:
    """Return a part of an expression as RE2 has to be told it."""
    if token[0].startswith("["):
        return _CLASS.sub(lambda found: _CLASSES[found[0]], token[0])
    return f"[{_CLASSES[token[0]]}]" if token[0] in _CLASSES else token[0]
