import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from api_server.text.normalise import fold, fold_visible, is_combining

TEXT = st.text(st.characters() | st.sampled_from("가힣ᆨㆍｱﾞＡ①ßİ…́\u200b공0a "), max_size=40)


def cluster_by_cluster(text: str) -> tuple[str, list[int]]:
    """What folding means, without any short cut."""
    chars, offsets, start = "", [], 0
    for index in range(1, len(text) + 1):
        if index == len(text) or not is_combining(text[index]):
            once = unicodedata.normalize("NFKC", text[start:index]).casefold()
            new = unicodedata.normalize("NFKC", once)
            chars, offsets, start = chars + new, offsets + [start] * len(new), index
    return chars, offsets


@given(TEXT)
def test_usual_letters_are_folded_like_all_others(text: str) -> None:
    folded, offsets = fold(text)
    expected = cluster_by_cluster(text)
    assert (folded, list(offsets)) == expected


@given(TEXT)
def test_every_visible_letter_keeps_its_place(text: str) -> None:
    folded, offsets = fold_visible(text)
    assert len(folded) == len(offsets)
    assert list(offsets) == sorted(offsets)
    assert set(offsets) <= set(range(len(text)))


def test_a_mark_that_stays_is_its_letters_too() -> None:
    assert [list(fold(text)[1]) for text in ("0\u08e3", "가\u08e31")] == [[0, 0], [0, 0, 2]]


def test_what_is_not_seen_is_left_out() -> None:
    assert fold_visible("0\u03011\u200b0\u2060٣")[0] == "0103"
    assert list(fold_visible("0\u03011\u200b0\u2060٣")[1]) == [0, 2, 4, 6]
