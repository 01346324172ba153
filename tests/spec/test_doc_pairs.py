"""Both languages of a document have the same shape, and every link leads somewhere."""

from __future__ import annotations

import re

import pytest

from tests.support.documents import FENCE, HEADING, LINK, ROOT, documents, prose, text, without_code

KOREAN = ".ko.md"
PAIRS = [name.removesuffix(KOREAN) for name in documents() if name.endswith(KOREAN)]
"""Documents that are there in English (``.md``) and in Korean (``.ko.md``)."""


def test_every_korean_document_has_an_english_one() -> None:
    assert {"README", "docs/tuning", "docs/benchmarks"} <= set(PAIRS)
    assert {f"{stem}.md" for stem in PAIRS} <= set(documents())


@pytest.mark.parametrize("stem", PAIRS)
def test_both_languages_link_to_each_other(stem: str) -> None:
    name = stem.rpartition("/")[2]
    assert f"({name}{KOREAN})" in text(f"{stem}.md")
    assert f"({name}.md)" in text(f"{stem}{KOREAN}")


@pytest.mark.parametrize("stem", PAIRS)
def test_both_languages_have_the_same_shape(stem: str) -> None:
    english, korean = text(f"{stem}.md"), text(f"{stem}.ko.md")
    assert _blocks(english) == _blocks(korean)
    for shape in (_levels, _targets, _table_rows):
        assert shape(english) == shape(korean), shape.__name__


def _blocks(document: str) -> list[tuple[str, str]]:
    return [(found["info"], found["body"]) for found in FENCE.finditer(document)]


def _levels(document: str) -> list[int]:
    return [len(found[1]) for found in HEADING.finditer(without_code(document))]


def _targets(document: str) -> list[str]:
    """Return every link's file, in whatever order and language."""
    found = LINK.findall(without_code(document))
    return sorted(re.sub(r"#.*|\.ko(?=\.)", "", target) for target in found)


def _table_rows(document: str) -> list[int]:
    rows = re.findall(r"^\|.*\|$", without_code(document), re.MULTILINE)
    return [len(re.findall(r"(?<!\\)\|", row)) for row in rows]


@pytest.mark.parametrize("name", documents())
def test_links_lead_somewhere(name: str) -> None:
    for target in LINK.findall(prose(name)):
        if target.startswith(("https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert file.exists(), f"{name}: {target}"
        if anchor:
            headings = HEADING.findall(prose(str(file.relative_to(ROOT))))
            assert anchor in {_slug(title) for _, title in headings}, f"{name}: {target}"


def _slug(title: str) -> str:
    """Return a heading's anchor as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
