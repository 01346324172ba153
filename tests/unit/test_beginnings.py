"""What a pattern can begin with never hides a place where it matches."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.services.beginnings import Pattern, beginnings

LETTERS = "가나다라"
ATOMS = st.sampled_from([*LETTERS, *"-%,9", "[가-갛]", "[0-9]", "[나다]", "."])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    group = st.lists(inner, min_size=1, max_size=3).map(lambda all_of: f"(?:{'|'.join(all_of)})")
    times = st.tuples(group | ATOMS, st.sampled_from(["?", "*", "+", "{0,2}", "{1,2}?", "*?", ""]))
    around = st.tuples(st.sampled_from(["(?!", "(?=", "(?<!", "(?<="]), ATOMS)
    return st.one_of(
        times.map("".join),
        around.map(lambda kind_and_atom: "".join(kind_and_atom) + ")"),
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join).map("(?:{})".format),
    )


PATTERNS = st.recursive(ATOMS, _grown, max_leaves=8)


@given(pattern=PATTERNS, text=st.text(LETTERS + "강-%,9", max_size=12))
def test_no_place_is_hidden(pattern: str, text: str) -> None:
    plain = re.compile(pattern)
    for part in ((0, len(text)), (2, 9)):
        there = [hit.span() for hit in plain.finditer(text, *part)]
        assert [*Pattern(pattern).spans(text, *part)] == there
    assert Pattern(pattern).begins(text, 1) == bool(plain.match(text, 1))


@pytest.mark.parametrize(
    ("pattern", "first"),
    [
        ("가나|[다-닿]라", "[가다-닿](?=[나라])"),
        ("(?:가?|나)다", "[가나다]"),
        ("(?:가?|나)다라", "[가나다](?=[다라])"),
        ("(?!가)(?<!나)다", "[다]"),
        ("가{0,2}나다", "[가나](?=[가나다])"),
        ("가.", "[가]"),
        ("가.다", "[가]"),
        ("가(?:나|$)", "[가]"),
        ("가?", None),
        ("[^가]나", None),
        (".나", None),
        ("가|", None),
        ("(?P<name>가)나", None),
    ],
)
def test_beginnings(pattern: str, first: str | None) -> None:
    assert beginnings(pattern) == first


@pytest.mark.parametrize("pattern", [r"(가)나\1", "(?P<a>가)(?P=a)", "(가)?(?(1)나|다)"])
def test_a_reference_to_a_group_is_refused(pattern: str) -> None:
    with pytest.raises(re.error, match="references to groups"):
        Pattern(pattern)
