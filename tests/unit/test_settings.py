"""The sections of the settings, and the documents that are made from them."""

from __future__ import annotations

import re
from typing import ClassVar

import pytest

from api_server.settings import Settings
from api_server.settings.base import Section, fields_by_section
from stt_tools.reference import DOCUMENTS, configuration_markdown, descriptions

SECTIONS = fields_by_section(Settings)


def test_every_setting_has_one_section() -> None:
    names = [name for fields in SECTIONS.values() for name in fields]
    assert names == list(Settings.model_fields)


def test_sections_have_different_headings_that_say_something() -> None:
    headings = [one.heading for one in Settings.__mro__ if "heading" in vars(one)]  # type: ignore[attr-defined]
    assert sorted(headings) == sorted(SECTIONS)
    assert "Other" not in headings


def test_each_section_is_one_piece() -> None:
    """Fields of one section follow each other, so that a document may print them as they come."""
    assert len(SECTIONS) == len(_runs())


def _runs() -> list[str]:
    heading_of = {name: heading for heading, fields in SECTIONS.items() for name in fields}
    runs: list[str] = []
    for name in Settings.model_fields:
        if not runs or runs[-1] != heading_of[name]:
            runs.append(heading_of[name])
    return runs


@pytest.mark.parametrize("name", DOCUMENTS)
def test_each_heading_is_printed_once(name: str) -> None:
    printed = re.findall(r"^(?:## |# --- )(.+?)(?: ---)?$", DOCUMENTS[name](Settings), re.MULTILINE)
    assert [one for one in printed if one in SECTIONS] == list(SECTIONS)
    assert len(printed) == len(set(printed))


def test_the_privacy_switch_stands_under_personal_data() -> None:
    assert "redaction" in SECTIONS["Personal data"]


def test_every_setting_has_a_docstring() -> None:
    meanings = descriptions(Settings)
    assert all(meanings[name] for name in Settings.model_fields)


def test_a_setting_outside_of_the_sections_is_an_error() -> None:
    class WithStray(Settings):
        stray: int = 1

    with pytest.raises(TypeError, match="STRAY"):
        fields_by_section(WithStray)


def test_a_new_section_is_printed_with_its_heading() -> None:
    assert "## Of this test" in configuration_markdown(OfThisTest)


class OfThisTest(Section):
    heading: ClassVar[str] = "Of this test"

    another: int = 1
    """A setting."""
