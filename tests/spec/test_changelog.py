"""CHANGELOG.md has the form of Keep a Changelog."""

from __future__ import annotations

import re
import tomllib
from datetime import date

from tests.support.documents import HEADING, ROOT, text

KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
RELEASE = re.compile(r"\[(?P<version>\d+\.\d+\.\d+)\] - (?P<date>\d{4}-\d{2}-\d{2})")
CHANGELOG = text("CHANGELOG.md")


def headings(level: int) -> list[str]:
    return [title for marks, title in HEADING.findall(CHANGELOG) if len(marks) == level]


def releases() -> list[re.Match[str]]:
    found = [RELEASE.fullmatch(title) for title in headings(2)[1:]]
    assert all(found), headings(2)
    return [one for one in found if one is not None]


def test_unreleased_comes_first() -> None:
    assert headings(2)[0] == "[Unreleased]"


def test_releases_go_from_the_newest_to_the_oldest() -> None:
    versions = [tuple(map(int, one["version"].split("."))) for one in releases()]
    dates = [date.fromisoformat(one["date"]) for one in releases()]
    assert versions == sorted(set(versions), reverse=True)
    assert dates == sorted(dates, reverse=True)


def test_the_version_of_the_package_is_a_release() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] in {one["version"] for one in releases()}


def test_each_version_names_each_kind_of_change_once() -> None:
    for version in re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.+)$", version, re.MULTILINE)
        assert set(kinds) <= KINDS
        assert len(kinds) == len(set(kinds))


def test_each_effect_is_one_line() -> None:
    entries = re.findall(r"^- .*$", CHANGELOG, re.MULTILINE)
    assert len(entries) > 50
    assert all(entry.endswith(".") for entry in entries)
    wrapped = re.findall(r"^ +.*$", CHANGELOG, re.MULTILINE)
    assert not wrapped
