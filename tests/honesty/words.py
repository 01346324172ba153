"""The words of answers and prompts, as the judge compares them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from tests.honesty.calls import MARK


def strings(told: object) -> Iterator[str]:
    """Yield the texts of an answer; ids and hashes may hold any digits."""
    if isinstance(told, str) and not re.fullmatch("[0-9a-f-]{32,}", told):
        yield told
    elif isinstance(told, dict | list):
        for one in told.values() if isinstance(told, dict) else told:
            yield from strings(one)


def markers(text: str) -> set[str]:
    """Return the marks of all calls whose words stand in ``text``."""
    return set(re.findall(f"{MARK}[a-k]{{3}}", text))


def words_of(text: str) -> str:
    """Return letters and digits alone, in one spelling."""
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(char for char in plain if char.isalnum())
