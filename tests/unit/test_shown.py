"""Names that were meant, and strings that are cut."""

from __future__ import annotations

import pytest

from stt_engine.shown import nearest, shorten, unknown

FIELDS = ("file_path", "file", "language", "incomplete_elements_check", "strict")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("incomplete_element_check", "incomplete_elements_check"),
        ("LANGUAGE", "language"),
        ("files", "file"),
        ("file[]", "file"),
        ("file-path", "file_path"),
        ("filepath", "file_path"),
        ("lang", "language"),
        ("", None),
        ("q", None),
        ("z" * 1_000_000, None),
    ],
)
def test_nearest(name: str, meant: str | None) -> None:
    assert nearest(name, FIELDS) == meant


def test_unknown_names_what_there_is() -> None:
    assert unknown("field", "q", ["b", "a"]) == "unknown field 'q'; there is a, b"
    assert unknown("field", "q", []) == "unknown field 'q'; there is none here"


def test_shorten_tells_the_length() -> None:
    assert shorten("가" * 200) == "가" * 200
    assert shorten("가" * 201) == "가" * 200 + "… (201 characters)"
