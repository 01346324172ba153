"""Text in the database, encrypted as recordings are: see :mod:`api_server.store.sealed`.

A column of this type holds what its database's keys sealed, or what was written before there were
keys; both are read. What is empty stays empty: so a text that was removed can be told from others.
"""

from __future__ import annotations

import base64
import binascii
import io
from typing import cast
from weakref import WeakKeyDictionary

from sqlalchemy import Column, Engine, Table, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from api_server.store.errors import StoreUnavailable
from api_server.store.sealed import SealedReader, SealedWriter, SealingKeys, key_of

_MARK = "\x1e"
"""Begins what is not plain text. A plain one that begins so is written as ``_MARK + _PLAIN``."""
_PLAIN = "="
_BYTES = "~"
"""After ``_MARK``: base64 of a text with half characters, as the names of files may have."""

_keys: WeakKeyDictionary[Dialect, SealingKeys] = WeakKeyDictionary()


def use_keys(engine: Engine, keys: SealingKeys | None) -> None:
    """Have what goes through ``engine`` sealed with the first of ``keys``; ``None``: with none."""
    if keys is not None:
        _keys[engine.dialect] = keys


def keys_of(dialect: Dialect) -> SealingKeys | None:
    """Return the keys of the engine that ``dialect`` belongs to."""
    return _keys.get(dialect)


class SealedText(TypeDecorator[str]):
    """A column of text that is encrypted where there are keys.

    Raises, as rows are read, what :func:`open_text` does.
    """

    impl = Text
    cache_ok = True

    def __init__(self, label: str) -> None:
        """Create the type.

        Args:
            label: table and column: a value of one column does not open as that of another.
        """
        super().__init__()
        self.label = label

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return what is stored for a text."""
        return value if value is None else seal_text(value, keys_of(dialect), self.label)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the text of what is stored."""
        return value if value is None else open_text(value, keys_of(dialect), self.label)


class FileName(TypeDecorator[str]):
    """A column of file names, which may be no text: as in :class:`SealedText` without keys."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        """Return what is stored for a name."""
        return value if value is None else seal_text(value, None, "")

    def process_result_value(self, value: str | None, _dialect: Dialect) -> str | None:
        """Return the name of what is stored."""
        return value if value is None else open_text(value, None, "")


def sealed_columns(table: Table) -> list[Column[str]]:
    """Return the columns of a table that are encrypted where there are keys."""
    return [one for one in table.columns if isinstance(one.type, SealedText)]


def label_of(column: Column[str]) -> str:
    """Return the label of a sealed column."""
    return cast("SealedText", column.type).label


def seal_text(text: str, keys: SealingKeys | None, label: str) -> str:
    """Return what is stored for ``text``: encrypted with the first of ``keys``, if there are."""
    if not text:
        return text
    content = text.encode("utf-8", "surrogatepass")
    if keys is None:
        if _is_whole(text):
            return _MARK + _PLAIN + text if text.startswith(_MARK) else text
        return _MARK + _BYTES + base64.b64encode(content).decode()
    target = io.BytesIO()
    writer = SealedWriter(target, keys, label.encode())
    writer.write(content)
    writer.finish()
    return _MARK + base64.b64encode(target.getvalue()).decode()


def open_text(stored: str, keys: SealingKeys | None, label: str) -> str:
    """Return the text of what is stored.

    Raises:
        KeyMissing: it is sealed, and its key is not there.
        StoreUnavailable: it is sealed, and is not what was written.
    """
    if not stored.startswith(_MARK):
        return stored
    if stored.startswith(_MARK + _PLAIN):
        return stored[len(_MARK + _PLAIN) :]
    if stored.startswith(_MARK + _BYTES):
        return _decoded(stored, label, _MARK + _BYTES).decode("utf-8", "surrogatepass")
    source = io.BytesIO(_decoded(stored, label))
    reader = SealedReader(source, keys, label.encode(), f"what the database has in {label}")
    return b"".join(reader.chunks()).decode("utf-8", "surrogatepass")


def is_current(stored: str, keys: SealingKeys | None, label: str) -> bool:
    """Return whether a stored text is as new ones are; raises as :func:`open_text` does."""
    is_sealed = stored.startswith(_MARK) and not stored.startswith((_MARK + _PLAIN, _MARK + _BYTES))
    name = key_of(_decoded(stored, label)) if is_sealed else None
    return not stored or name == (keys.current if keys is not None else None)


def _is_whole(text: str) -> bool:
    """Return whether a database can hold ``text`` as it is."""
    return not any("\ud800" <= one <= "\udfff" for one in text)


def _decoded(stored: str, label: str, mark: str = _MARK) -> bytes:
    try:
        return base64.b64decode(stored[len(mark) :], validate=True)
    except binascii.Error as exc:
        raise StoreUnavailable(f"what the database has in {label} is no sealed text") from exc
