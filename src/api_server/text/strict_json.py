"""JSON that says everything once."""

from __future__ import annotations

import json
from collections import Counter

from stt_engine.shown import shorten

_MOST_NAMED = 5


class NotStrictJson(ValueError):
    """The text is no JSON, or says something twice; the message tells which."""


def parse_strictly(body: str | bytes) -> object:
    """Parse JSON in which no object may have a name twice.

    Raises:
        NotStrictJson: one has, or the text is no JSON.
    """
    try:
        return json.loads(body, object_pairs_hook=_once_each)
    except NotStrictJson:
        raise
    except json.JSONDecodeError as exc:
        raise NotStrictJson(f"no JSON: {exc.msg} (character {exc.pos})") from exc
    except UnicodeDecodeError as exc:
        raise NotStrictJson(f"no UTF-8 (byte {exc.start})") from exc
    except RecursionError as exc:
        raise NotStrictJson("JSON that is nested too deeply") from exc
    except ValueError as exc:
        raise NotStrictJson("no JSON: a number of more digits than are read") from exc


def sent_twice(what: str, names: list[str]) -> str:
    """Return one sentence about the ``names`` that come more than once."""
    again = [name for name, times in Counter(names).items() if times > 1]
    told = ", ".join(f"'{shorten(name, 64)}'" for name in again[:_MOST_NAMED])
    return f"{what} {told} is sent more than once; send it once"


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotStrictJson(sent_twice("name", [name for name, _ in pairs]))
    return found
