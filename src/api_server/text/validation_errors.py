"""What is wrong with a request's fields, in words; a name that is unknown with the one meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from stt_engine.shown import shorten, unknown

_MOST_TOLD = 5
"""Errors that one answer tells; a body may hold a million."""


def describe_errors(errors: Sequence[Any], wanted: object = None) -> str:
    """Return pydantic's ``errors``; ``wanted`` is the annotation of the model that was wanted."""
    told = [_describe(one, wanted) for one in errors[:_MOST_TOLD]]
    more = len(errors) - len(told)
    return "; ".join([*told, f"and {more} more errors"] if more else told)


def _describe(error: Any, wanted: object) -> str:  # noqa: ANN401 - pydantic's mapping
    *path, last = where = error["loc"] or ("body",)
    if error["type"] == "extra_forbidden":
        place = _join(path)
        return f"{place and place + ': '}{unknown('field', str(last), _fields_at(wanted, path))}"
    return f"{_join(where)}: {error['msg']}"


def _join(path: Iterable[object]) -> str:
    return ".".join(shorten(str(part), 64) for part in path)


def _fields_at(annotation: object, path: Iterable[object]) -> set[str]:
    """Return the names that the model at ``path`` below ``annotation`` has."""
    models = list(_models_in(annotation))
    for part in path:
        if isinstance(part, str):
            fields = [one.model_fields[part] for one in models if part in one.model_fields]
            models = [found for one in fields for found in _models_in(one.annotation)]
    return {name for one in models for name in one.model_fields}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)
