"""Values as JSON, by their types."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

Value = TypeVar("Value")


class JsonAdapter(Generic[Value]):
    """A ``pydantic.TypeAdapter`` that is built when it is first used.

    Building those of the work on text takes a tenth of a second, which every start would pay.
    """

    def __init__(self, kind: Any) -> None:  # noqa: ANN401 - a type, or a union of types
        self._kind = kind

    @cached_property
    def _built(self) -> TypeAdapter[Value]:
        return TypeAdapter(self._kind)

    def dump_json(self, value: Value) -> bytes:
        """Return a value as JSON."""
        return self._built.dump_json(value)

    def validate_json(self, data: bytes | str) -> Value:
        """Return the value that JSON says.

        Raises:
            pydantic.ValidationError: it says none of this type.
        """
        return self._built.validate_json(data)
