"""How a call is cut into windows and pieces."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from api_server.compliance.model.linear import WINDOW, spans
from api_server.compliance.model.ngrams import split_into_pieces
from api_server.compliance.rules.sentences import split_sentences
from stt_engine.speech import Segment


def pieces_of(text: str, speaker: str | None = "agent") -> set[int]:
    channel = {"agent": 0, "customer": 1}.get(speaker or "", 0)
    said = split_sentences([Segment(0, 0.0, 1.0, text, channel, speaker)])
    return set(split_into_pieces(said).number.tolist())


@given(st.lists(st.integers(1, 3 * WINDOW), max_size=200))
def test_windows_hold_every_sentence_in_order(letters: list[int]) -> None:
    windows = list(spans(letters, WINDOW))
    held = {number for first, last in windows for number in range(first, last)}
    assert held == set(range(len(letters)))
    assert windows == sorted(set(windows))
    assert all(sum(letters[first:last]) <= WINDOW or last - first == 1 for first, last in windows)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=400))
def test_there_are_no_more_windows_than_the_length_asks_for(letters: list[int]) -> None:
    assert len(list(spans(letters, WINDOW))) <= 1 + sum(letters) / (WINDOW / 2 - 60)


def test_the_customers_words_are_other_pieces() -> None:
    words = "원금은 보장됩니다"
    agent, customer, nobody = (pieces_of(words, who) for who in ("agent", "customer", None))
    assert len(agent & customer) <= 1
    assert nobody == agent


def test_spaces_and_full_stops_make_none() -> None:
    assert pieces_of("원금은 보장됩니다.") == pieces_of("원금은보장됩니다")


def test_a_question_ends_in_another_piece() -> None:
    assert pieces_of("원금은 보장돼요?") != pieces_of("원금은 보장돼요.")


@given(st.text(max_size=200))
def test_any_text_has_pieces_that_have_weights(text: str) -> None:
    assert all(0 <= number < 2**32 for number in pieces_of(text))


def test_silence_has_none() -> None:
    assert split_into_pieces([]).number.size == 0
    assert list(spans([], WINDOW)) == []
