"""Tokens as parts with times, held against faster-whisper's own reading of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from faster_whisper import WhisperModel
from hypothesis import given
from hypothesis import strategies as st

from stt_engine.backends.faster_whisper.timestamps import TIME_STEP_SEC, Part, timed_parts

END, NO_TIMES, FIRST_TIME = 50, 58, 60
"""Text below END; tasks and languages between; times from FIRST_TIME on."""

LONGEST = 1_500
SECONDS = 30.0

_TEXT = st.lists(st.integers(0, END - 1), min_size=1, max_size=5)
_ANY = st.lists(st.integers(0, FIRST_TIME + LONGEST), max_size=30)


@st.composite
def _obedient(draw: st.DrawFn, *, min_parts: int = 0, finished: bool | None = None) -> list[int]:
    """A decoder that obeys: each part between two times, which never decrease; an open tail.

    The rules are those of ``ApplyTimestampRules`` in openai-whisper.
    """
    parts = draw(st.lists(_TEXT, min_size=min_parts, max_size=5))
    marks = sorted(
        draw(
            st.lists(
                st.integers(0, LONGEST), min_size=2 * len(parts) + 1, max_size=2 * len(parts) + 1
            )
        )
    )
    tokens = []
    for at, text in enumerate(parts):
        tokens += [FIRST_TIME + marks[2 * at], *text, FIRST_TIME + marks[2 * at + 1]]
    if finished is not True and (finished is False or draw(st.booleans())):
        tokens += [FIRST_TIME + marks[-1], *draw(_TEXT)]
    return tokens


def _parts(tokens: list[int], seconds: float = SECONDS) -> list[Part]:
    return timed_parts(tokens, FIRST_TIME, END, seconds)


def _theirs(tokens: list[int]) -> list[Part]:
    """Return what faster-whisper makes of them."""
    library: Any = SimpleNamespace(time_precision=TIME_STEP_SEC, input_stride=2)
    tokenizer: Any = SimpleNamespace(timestamp_begin=FIRST_TIME)
    found, _, _ = WhisperModel._split_segments_by_timestamps(
        library, tokenizer, tokens, 0.0, 3_000, SECONDS, 0
    )
    parts = [
        (one["start"], one["end"], [token for token in one["tokens"] if token < END])
        for one in found
    ]
    return [part for part in parts if part[2]]


def _text(tokens: list[int]) -> list[int]:
    return [token for token in tokens if token < END]


@given(_obedient(min_parts=2, finished=True))
def test_finished_parts_are_what_faster_whisper_reads(tokens: list[int]) -> None:
    assert _parts(tokens) == _theirs(tokens)


@given(_TEXT, st.integers(0, LONGEST), st.integers(0, LONGEST))
def test_a_single_part_has_its_own_beginning(text: list[int], one: int, other: int) -> None:
    """Faster-whisper has it begin with the window, whatever its first time says."""
    start, end = sorted((one, other))
    tokens = [FIRST_TIME + start, *text, FIRST_TIME + end]
    ((found_start, found_end, found),) = _parts(tokens)
    ((_, their_end, theirs),) = _theirs(tokens)
    assert (found_start, found) == (start * TIME_STEP_SEC, theirs)
    assert found_end == (their_end if end else 0.0)


@given(_obedient(min_parts=2, finished=False))
def test_an_unfinished_tail_is_kept_and_ends_with_the_stretch(tokens: list[int]) -> None:
    """Faster-whisper hears it again from its beginning; here the stretch ends, so nothing would."""
    *finished, (start, end, text) = _parts(tokens)
    assert finished == _theirs(tokens)
    assert text
    assert end == max(start, SECONDS)


@given(_ANY, st.floats(0.1, 30.0))
def test_no_text_is_ever_lost(tokens: list[int], seconds: float) -> None:
    parts = _parts(tokens, seconds)
    assert [token for _, _, text in parts for token in text] == _text(tokens)
    assert all(text for _, _, text in parts)


@given(_obedient(), st.floats(0.1, 30.0))
def test_times_never_decrease_where_the_decoder_obeys(tokens: list[int], seconds: float) -> None:
    times = [time for start, end, _ in _parts(tokens, seconds) for time in (start, end)]
    assert times == sorted(times)


@given(_TEXT)
def test_text_without_any_time_is_the_whole_stretch(text: list[int]) -> None:
    assert _parts(text, 7.5) == [(0.0, 7.5, text)]


@pytest.mark.parametrize(
    "tokens", [[], [FIRST_TIME], [FIRST_TIME, FIRST_TIME + 100], [END, END + 1, NO_TIMES]]
)
def test_no_text_is_no_part(tokens: list[int]) -> None:
    assert _parts(tokens) == []


def test_a_time_past_the_stretch_is_left_for_the_caller_to_judge() -> None:
    tokens = [FIRST_TIME, 1, FIRST_TIME + 100, FIRST_TIME + 500, 2, 3]
    assert _parts(tokens, 3.0) == [(0.0, 2.0, [1]), (10.0, 10.0, [2, 3])]
