"""What stands beside a recording in a watched folder: its metadata, in JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from api_server.jobs.request import LONGEST_METADATA, read_metadata
from stt_engine.errors import InvalidRequest

ENDINGS = (".json", ".csv")
"""Names of sidecars; no file with such a name is a recording."""

LONGEST_TABLE = 16 * 1024 * 1024
"""Bytes of a table that is about a whole folder."""

NOTHING = "{}"
"""The metadata of a recording that has nothing beside it."""

_INVALID = '{"sidecar": "invalid"}'
_TABLES_KEPT = 8
_THREE_BYTES = 0x800

_Reader = Callable[[Path], str]
"""Returns the metadata in a file."""


class _Broken(Exception):
    """A sidecar that cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """Metadata as a job stores it; ``fault`` is the name of what could not be used, and why."""

    metadata: str = NOTHING
    fault: tuple[str, str] | None = None


def names_beside(path: str) -> list[str]:
    """Return the paths of what may stand beside a recording, the first that counts first.

    In the form of its own name, and in those that other systems give the same letters.
    """
    forms = dict.fromkeys([path, *(unicodedata.normalize(form, path) for form in ("NFC", "NFD"))])
    folder = os.path.dirname(path)  # noqa: PTH120 - as it is, in whatever form
    found = {
        os.path.join(folder, os.path.basename(name)): None  # noqa: PTH118, PTH119
        for ending in ENDINGS
        for name in (
            *(f"{one}{ending}" for one in forms),
            *(f"{os.path.splitext(one)[0]}{ending}" for one in forms),  # noqa: PTH122
        )
    }
    return list(found)


def read_sidecar(path: str, table: str | None = None) -> Sidecar:
    """Return what stands beside a recording.

    The first that is there counts: ``call.wav.json``, ``call.json``, ``call.wav.csv``,
    ``call.csv``, and then the row of ``call.wav`` in ``table``, a file of the same folder. One that
    cannot be used is named, and the recording is taken without it.
    """
    recording = Path(path)
    found: list[tuple[Path, _Reader]] = [
        (one, _read_json if one.suffix == ".json" else _read_one)
        for one in map(Path, names_beside(path))
        if one.name != table
    ]
    if table is not None:
        found.append((recording.with_name(table), lambda one: _read_row(one, recording.name)))
    for one, read in found:
        if one.is_file():
            try:
                return Sidecar(read(one))
            except (InvalidRequest, _Broken) as exc:
                return Sidecar(_INVALID, (str(one), str(exc)))
            except OSError as exc:
                return Sidecar(_INVALID, (str(one), exc.strerror or str(exc)))
    return Sidecar()


def _read_json(path: Path) -> str:
    try:
        return read_metadata(_content(path, LONGEST_METADATA).decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        raise _Broken("it is no UTF-8") from exc


def _read_one(path: Path) -> str:
    head, *rows = list(_rows(_content(path, LONGEST_METADATA)))
    if len(rows) != 1:
        raise _Broken(f"it has {len(rows)} rows below its head, where one is expected")
    return _metadata(head, rows[0])


def _read_row(path: Path, name: str) -> str:
    told = path.stat()
    head, rows = _table(str(path), told.st_size, told.st_mtime_ns)
    found = rows.get(_composed(name))
    if found is None:
        return NOTHING
    if len(found) > 1:
        raise _Broken(f"{name} has {len(found)} rows in it, which differ")
    return _metadata(head[1:], found[0][1:])


@lru_cache(_TABLES_KEPT)
def _table(
    path: str, _size: int, _modified_ns: int
) -> tuple[list[str], dict[str, list[list[str]]]]:
    """Return the head of a table, and its rows by what is in the first column."""
    head, *rows = list(_rows(_content(Path(path), LONGEST_TABLE)))
    found: dict[str, list[list[str]]] = {}
    for row in rows:
        known = found.setdefault(_composed(row[0].strip()), [])
        if row not in known:
            known.append(row)
    return head, found


def _composed(name: str) -> str:
    """Return a name as tables have it: a Mac writes the same letters in parts."""
    return unicodedata.normalize("NFC", name)


def _content(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(most + 1)
        if len(content) > most or os.fstat(file.fileno()).st_size > most:
            raise _Broken(f"it has more than {most} bytes")
    return content


def _rows(content: bytes) -> Iterator[list[str]]:
    """Yield the head and the rows of a CSV that have anything in them."""
    reader = csv.reader(io.StringIO(_decoded(content), newline=""), strict=True)
    empty = True
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                empty = False
                yield row
    except csv.Error as exc:
        raise _Broken(f"line {reader.line_num}: {exc}") from exc
    if empty:
        raise _Broken("it is empty")


def _decoded(content: bytes) -> str:
    """Return the text of bytes in UTF-8 or CP949.

    Raises:
        _Broken: it is neither, or both would do and mean something else.
    """
    utf8, cp949 = _text(content, "utf-8-sig"), _text(content, "cp949")
    if utf8 is None and cp949 is None:
        raise _Broken("it is neither UTF-8 nor CP949")
    # Hangul has three bytes in UTF-8; letters of two may as well be Hangul in CP949.
    if utf8 is not None and (
        cp949 in {None, utf8} or any(ord(one) >= _THREE_BYTES for one in utf8)
    ):
        return utf8
    if utf8 is None and cp949 is not None:
        return cp949
    raise _Broken("it may be UTF-8 or CP949; save it as UTF-8 with a byte order mark")


def _text(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _metadata(head: list[str], row: list[str]) -> str:
    names = [one.strip() for one in head]
    if not all(names) or len(set(names)) < len(names):
        raise _Broken("a column of its head has no name, or the name of another one")
    if len(row) != len(names):
        raise _Broken(f"a row has {len(row)} cells, and the head {len(names)}")
    return read_metadata(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False))
