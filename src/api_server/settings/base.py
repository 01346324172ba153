"""What a section of the settings is, and the kinds of values that several have."""

from __future__ import annotations

from typing import Annotated, ClassVar, TypeVar

from pydantic import BeforeValidator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Section(BaseSettings):
    """Settings under one heading; the environment variable is the field's name in capitals."""

    model_config = SettingsConfigDict(
        env_file=".env", extra="ignore", frozen=True, allow_inf_nan=False
    )

    heading: ClassVar[str]
    """What the section is called in the documents."""


def split_commas(value: object) -> object:
    """Return the parts of comma-separated text; what is no text is returned as it is."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def empty_is_none(value: object) -> object:
    """Return None for an empty variable: the setting is unset."""
    return None if value == "" else value


T = TypeVar("T")

CommaSeparated = Annotated[list[T], NoDecode, BeforeValidator(split_commas)]
"""A comma-separated list in the environment."""

EmptyIsNone = Annotated[T | None, BeforeValidator(empty_is_none)]
"""A value that may be unset; an empty variable unsets it."""


def fields_by_section(settings_class: type[BaseSettings]) -> dict[str, dict[str, FieldInfo]]:
    """Return each heading's fields by name, in their order; a field of no section is an error."""
    found: dict[str, dict[str, FieldInfo]] = {}
    for name, field in settings_class.model_fields.items():
        found.setdefault(_heading_of(settings_class, name), {})[name] = field
    return found


def _heading_of(settings_class: type[BaseSettings], name: str) -> str:
    owner = next(
        one for one in settings_class.__mro__ if name in vars(one).get("__annotations__", {})
    )
    heading = vars(owner).get("heading")
    if not isinstance(heading, str):
        raise TypeError(f"{name.upper()} stands in {owner.__name__}, which is no section")
    return heading
