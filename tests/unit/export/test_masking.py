"""What is beeped: the words that hold personal data; more where their times are not known."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from api_server.export.beeped import write_beeped
from api_server.export.masking import MARGIN_SEC, mask_call, merge
from stt_engine.coverage import SpeechCoverage, Unheard
from stt_engine.speech import DecodedAudio, Segment, Transcript, Word

ALL = SpeechCoverage(1.0, 1.0, "yes")
TEXT = "제 번호는 010-1234-5678 입니다"
WORDS = (
    Word(1.0, 1.2, "제", 0.9),
    Word(1.2, 1.6, " 번호는", 0.9),
    Word(2.0, 4.0, " 010-1234-5678", 0.9),
    Word(4.0, 4.5, " 입니다", 0.9),
)


def call(
    *segments: Segment, coverage: SpeechCoverage | None = ALL, outcome: str = "speech"
) -> Transcript:
    text = " ".join(one.text for one in segments)
    return Transcript(text, "ko", 60.0, outcome, segments=segments, coverage=coverage)  # type: ignore[arg-type]


def test_the_words_that_hold_a_number_are_beeped() -> None:
    found = mask_call(call(Segment(0, 1.0, 5.0, TEXT, words=WORDS)))
    assert found.stretches == ((2.0 - MARGIN_SEC, 4.0 + MARGIN_SEC),)
    assert "1234" not in found.transcript.text + str(found.transcript.segments)


@pytest.mark.parametrize(
    "words",
    [
        None,
        (Word(1.0, 5.0, "딴말", 0.9),),
        (*WORDS[:2], Word(4.0, 2.0, " 010-1234-5678", 0.9), WORDS[3]),
        (*WORDS[:2], Word(2.0, 9.0, " 010-1234-5678", 0.9), WORDS[3]),
    ],
)
def test_a_segment_whose_words_cannot_be_timed_is_beeped_whole(
    words: tuple[Word, ...] | None,
) -> None:
    found = mask_call(call(Segment(0, 1.0, 5.0, TEXT, words=words)))
    assert found.stretches == ((1.0 - MARGIN_SEC, 5.0 + MARGIN_SEC),)


def test_what_was_masked_before_it_was_stored_is_beeped_too() -> None:
    stored = Segment(0, 1.0, 5.0, TEXT.replace("010-1234-5678", "***-****-****"), words=None)
    assert mask_call(call(stored)).stretches == ((1.0 - MARGIN_SEC, 5.0 + MARGIN_SEC),)


def test_what_has_no_text_is_beeped() -> None:
    coverage = SpeechCoverage(0.5, 1.0, "yes", unheard=(Unheard(10.0, 20.0, 0, "no_text"),))
    found = mask_call(call(Segment(0, 1.0, 5.0, "안녕하세요"), coverage=coverage))
    assert found.stretches == ((10.0, 20.0),)


def test_where_nobody_counted_nobody_can_say_what_to_beep() -> None:
    assert mask_call(call(Segment(0, 1.0, 5.0, "네"), coverage=None)).stretches is None
    assert mask_call(call(outcome="failed")).stretches is None


def test_stretches_that_touch_are_one() -> None:
    assert merge([(5.0, 6.0), (-0.2, 1.0), (1.0, 2.0), (1.5, 1.7)]) == [(0.0, 2.0), (5.0, 6.0)]


def test_every_channel_is_beeped_and_nothing_else_is_touched(tmp_path: Path) -> None:
    length = 2_500_000  # more than one block
    files = []
    for number, level in enumerate((100, 200)):
        file = tmp_path / f"{number}.pcm"
        np.full(length - number, level, "<i2").tofile(file)
        files.append(file)
    audio = DecodedAudio(tmp_path, length / 16_000, tuple(files))
    write_beeped(audio, [(1.0, 2.0), (65.0, 66.0), (156.0, 999.0)], tmp_path / "out.wav")
    with wave.open(str(tmp_path / "out.wav")) as out:
        assert (out.getnchannels(), out.getframerate(), out.getnframes()) == (2, 16_000, length)
        samples = np.frombuffer(out.readframes(length), "<i2").reshape(-1, 2)
    beeped = np.zeros(length, bool)
    for begin, end in ((16_000, 32_000), (1_040_000, 1_056_000), (2_496_000, length)):
        beeped[begin:end] = True
    assert (samples[~beeped][:-1] == [100, 200]).all()
    heard = samples[beeped]
    assert (heard[:, 0] == heard[:, 1]).all()
    spectrum = np.abs(np.fft.rfft(heard[:16_000, 0]))
    assert spectrum.argmax() == 1000
