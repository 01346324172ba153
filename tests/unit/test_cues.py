"""Transcripts as cues: lines that fit, times that do not overlap, and every word of the call."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.pipeline.render.cues import LINE_CELLS, LINES, SHORTEST_SEC, cells, cues
from stt_engine.speech import Segment, Transcript, Word

TEXT = st.text(
    st.one_of(st.sampled_from("가각낭원 a.B ,?-><{\\"), st.characters(exclude_categories=["Cs"])),
    max_size=200,
)
SECONDS = st.floats(0, 20_000, allow_nan=False)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    start = draw(SECONDS)
    return Segment(
        draw(st.integers(0, 9)),
        start,
        start + draw(st.floats(0, 30)),
        draw(TEXT),
        draw(st.integers(0, 1)),
        draw(st.sampled_from(["agent", "customer", None])),
    )


def transcript_of(*segments: Segment, language: str = "ko") -> Transcript:
    text = " ".join(one.text for one in segments)
    outcome = "speech" if text.strip() else "no_speech"
    return Transcript(text, language, 60.0, outcome, segments=segments)  # type: ignore[arg-type]


TRANSCRIPTS = st.lists(segments(), max_size=6).map(lambda found: transcript_of(*found))


def letters(text: str) -> str:
    return "".join(c for c in text if not c.isspace() and unicodedata.category(c) != "Cc")


@given(TRANSCRIPTS, st.booleans())
def test_lines_fit_and_times_do_not_overlap(transcript: Transcript, labelled: bool) -> None:
    found = cues(transcript, labelled=labelled)
    for cue in found:
        assert 1 <= len(cue.lines) <= LINES
        assert all(line and cells(line) <= LINE_CELLS for line in cue.lines)
        assert cue.end - cue.start >= SHORTEST_SEC - 1e-6
    assert all(one.end <= other.start for one, other in pairwise(found))


@given(TRANSCRIPTS)
def test_no_letter_is_lost(transcript: Transcript) -> None:
    in_order = sorted(transcript.segments, key=lambda one: (one.start, one.channel, one.id))
    shown = "".join(line for cue in cues(transcript) for line in cue.lines)
    assert letters(shown) == "".join(letters(one.text) for one in in_order)


def test_a_cue_never_comes_before_its_words() -> None:
    found = cues(
        transcript_of(Segment(0, 5.0, 6.0, "네"), Segment(1, 5.1, 7.0, "안녕하세요", channel=1))
    )
    assert [(one.start, one.end) for one in found] == [(5.0, 5.7), (5.7, 7.0)]


def test_korean_counts_double_and_a_decomposed_syllable_as_one() -> None:
    assert cells("가나 ab") == 7
    assert cells(unicodedata.normalize("NFD", "각")) == 2
    (cue,) = cues(transcript_of(Segment(0, 0.0, 9.0, "가나다라마 " * 5)))
    assert cue.lines == (" ".join(["가나다라마"] * 2), " ".join(["가나다라마"] * 3))


def test_what_is_short_stays_long_enough_to_be_read() -> None:
    sentence = "이 상품은 원금이 보장되지 않을 수 있습니다."
    alone, _ = cues(transcript_of(Segment(0, 1.0, 1.5, sentence), Segment(1, 9.0, 10.0, "네")))
    assert alone.end - alone.start == pytest.approx(cells(sentence) / 20)
    hurried, _ = cues(transcript_of(Segment(0, 1.0, 1.5, sentence), Segment(1, 2.0, 3.0, "네")))
    assert hurried.end == 2.0


def test_long_speech_is_cut_at_the_end_of_a_sentence() -> None:
    first = "안녕하세요 고객님 저는 상담원 김하나입니다."
    second = "가입하신 상품의 수수료와 위험에 대하여 지금부터 설명드리겠습니다."
    found = cues(transcript_of(Segment(0, 0.0, 12.0, f"{first} {second}")))
    assert [one.text for one in found] == [first, second]


def test_times_of_words_are_those_of_their_cues() -> None:
    spoken = [f"낱말{n:02}" for n in range(30)]
    words = tuple(Word(n * 2.0, n * 2.0 + 1.0, f" {one}", 0.9) for n, one in enumerate(spoken))
    found = cues(transcript_of(Segment(0, 0.0, 59.0, " ".join(spoken), words=words)))
    assert len(found) > 2
    for cue in found:
        first, last = (spoken.index(one) for one in (cue.text.split()[0], cue.text.split()[-1]))
        assert (cue.start, cue.end) == (first * 2.0, last * 2.0 + 1.0)


def test_without_words_the_time_is_shared_by_length() -> None:
    found = cues(transcript_of(Segment(0, 100.0, 140.0, "가나다라마바사 " * 20)))
    assert found[0].start == 100.0
    assert found[-1].end == pytest.approx(140.0)
    shares = [(one.end - one.start) / cells(re.sub(r"\s", "", one.text)) for one in found]
    assert max(shares) == pytest.approx(min(shares))


def test_the_label_is_part_of_the_line_and_stands_once() -> None:
    transcript = transcript_of(Segment(0, 0.0, 20.0, "가나다라 " * 20, speaker="agent"))
    labelled = cues(transcript, labelled=True)
    assert labelled[0].lines[0].startswith("상담원: 가나다라")
    assert not any("상담원" in one.text for one in labelled[1:])
    assert [one.opens for one in labelled] == [True, *[False] * (len(labelled) - 1)]
    (english,) = cues(transcript_of(Segment(0, 0, 1, "Yes", speaker="customer"), language="en"))
    assert english.speaker == "Customer"


def test_voices_without_roles_are_numbered_where_there_are_two() -> None:
    first = Segment(0, 0.0, 1.0, "여보세요", voice=0)
    second = Segment(1, 2.0, 3.0, "네", voice=1)
    unknown = Segment(2, 4.0, 5.0, "음")
    found = cues(transcript_of(first, second, unknown))
    assert [one.speaker for one in found] == ["화자 1", "화자 2", None]
    assert [one.speaker for one in cues(transcript_of(first, unknown))] == [None, None]
    both = cues(transcript_of(first, Segment(1, 2.0, 3.0, "네", voice=1, speaker="agent")))
    assert [one.speaker for one in both] == ["화자 1", "상담원"]
