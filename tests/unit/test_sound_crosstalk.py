"""What is on both channels of a call was said once: copies, and the other side's crosstalk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stt_engine.recognition.speakers import with_speakers
from stt_engine.speech import DecodedAudio, Segment
from tests.support import sounds
from tests.support.sounds import RATE, Samples
from tests.support.tones import codes, decoded


def talk(seconds: float, seed: int) -> Samples:
    """Return syllables of noise, a third of the time loud; no two seeds have any in common."""
    chance = np.random.default_rng(seed)
    count = round(seconds * RATE)
    loud = np.repeat(chance.random(count // 2_400 + 1) < 0.6, 2_400)[:count]
    smooth = np.convolve(loud * (0.3 + 0.7 * chance.random(count)), np.ones(400) / 400, "same")
    noise = np.convolve(chance.standard_normal(count), [0.4, 0.8, 0.4], "same")
    return 0.1 * smooth * noise


def call(*turns: tuple[float, float, int], seconds: float = 40.0) -> Samples:
    """Return two channels of turns: from, to, channel."""
    channels = np.zeros((round(seconds * RATE), 2))
    for number, (start, end, channel) in enumerate(turns):
        at = slice(round(start * RATE), round(end * RATE))
        channels[at, channel] += talk(end - start, number)[: at.stop - at.start]
    return channels


def later(samples: Samples, seconds: float) -> Samples:
    return np.roll(samples, round(seconds * RATE), axis=0)


def level_db(samples: Samples, start: float, end: float) -> float:
    part = samples[round(start * RATE) : round(end * RATE)]
    return float(10 * np.log10(np.mean(part**2) + 1e-12))


def channels_of(found: Any) -> list[Samples]:
    return [np.fromfile(path, "<i2") / 32_768 for path in found.files]


def wav(path: Path, channels: Samples) -> Path:
    hiss = 3e-5 * np.random.default_rng(9).standard_normal(channels.shape)
    return sounds.write_wav(path, channels + hiss)


TURNS = call((0.5, 9, 0), (9.5, 18, 1), (18.5, 28, 0), (28.5, 39, 1))


@pytest.mark.parametrize(
    "copy",
    [
        lambda one: 0.89 * one,
        lambda one: later(one, 0.001),
        lambda one: later(one, 0.03),
        lambda one: later(one, -0.03),
        lambda one: -one,
        lambda one: -0.8 * later(one, 0.0123),
        lambda one: 0.3 * later(one, 0.005),
        lambda one: np.convolve(one, [0.2, 0.6, 0.2], "same"),
    ],
    ids=["1 dB", "1 ms", "30 ms", "30 ms ahead", "inverted", "all", "10 dB", "muffled"],
)
def test_copies_of_one_signal_are_one_channel(tmp_path: Path, copy: Any) -> None:
    mono = TURNS.sum(1)
    found = decoded(wav(tmp_path / "a.wav", np.stack([mono, copy(mono)], 1)))
    assert len(found.files) == 1
    (channel,) = found.ledger["channels"]
    assert [channel["channel"], *(one[1] for one in channel["copies"])] in ([0, 1], [1, 0])
    assert "channel_copies" in codes(found)


def room(samples: Samples, seconds: float, wet: float) -> Samples:
    """Return the sound of a room that takes so long to fall silent."""
    chance = np.random.default_rng(3)
    count = round(seconds * RATE)
    answer = chance.standard_normal(count) * np.exp(-6.9 * np.arange(count) / count)
    answer *= wet / np.sqrt(np.sum(answer**2))
    return samples + np.convolve(samples, answer)[: len(samples)]


def levelled(samples: Samples) -> Samples:
    """Return samples whose level is held by a control of a tenth of a second."""
    power = np.convolve(samples**2, np.ones(1_600) / 1_600, "same")
    return 0.02 * samples / (0.02 + np.sqrt(power))


@pytest.mark.parametrize(
    "copy",
    [
        lambda one: 0.7 * one + 0.4 * later(one, 0.06),
        lambda one: room(one, 0.2, 0.8),
        levelled,
        lambda one: np.clip(6 * one, -0.1, 0.1),
        lambda one: one + 0.002 * np.random.default_rng(4).standard_normal(len(one)),
        lambda one: np.interp(np.arange(len(one)) * 1.0001, np.arange(len(one)), one),
        lambda one: later(one, 0.5),
        lambda one: 0.5 * np.append(one[27_200:], np.zeros(27_200)),
    ],
    ids=["echo", "room", "level control", "clipped", "noise", "drift", "late", "early"],
)
def test_a_copy_that_no_short_path_explains_shows_no_second_speaker(
    tmp_path: Path, copy: Any
) -> None:
    """What was left of it was taken for somebody's words, and the speakers had names."""
    mono = np.convolve(TURNS.sum(1), np.hanning(12) / 5, "same")  # most of a voice is below 2 kHz
    found = decoded(wav(tmp_path / "a.wav", np.stack([mono, copy(mono)], 1)))
    assert codes(found) == {"channel_copies"}
    audio = DecodedAudio(tmp_path, 40.0, (tmp_path,) * len(found.files), sound=found.ledger)
    words = heard((1, 5, 0), (10, 15, 1), (20, 25, 0))
    assert {one.speaker for one in with_speakers(words, audio, 0)} == {None}


def _speakers(tmp_path: Path, channels: Samples) -> set[str | None]:
    found = decoded(wav(tmp_path / "a.wav", channels))
    audio = DecodedAudio(tmp_path, 40.0, (tmp_path,) * len(found.files), sound=found.ledger)
    words = heard((1, 5, 0), (10, 15, 1), (20, 25, 0), (30, 31, 1))
    return {one.speaker for one in with_speakers(words, audio, 0)}


@pytest.mark.parametrize("level", [-30, -25])
@pytest.mark.parametrize("noisy", [(0, 1), (1, 1)], ids=["one", "both"])
def test_noise_on_a_copy_is_no_second_speaker(
    tmp_path: Path, noisy: tuple[int, int], level: float
) -> None:
    """The noise between the words was taken for what one channel has of its own."""
    mono = np.convolve(TURNS.sum(1), np.hanning(12), "same")
    mono *= 0.5 / np.abs(mono).max()
    noise = 10 ** (level / 20) * np.random.default_rng(4).standard_normal((len(mono), 2))
    assert _speakers(tmp_path, mono[:, None] + noise * noisy) == {None}


@pytest.mark.parametrize("level", [-40, -30])
def test_noise_takes_nobody_s_name_where_two_speak(tmp_path: Path, level: float) -> None:
    noise = 10 ** (level / 20) * np.random.default_rng(4).standard_normal(TURNS.shape)
    assert _speakers(tmp_path, TURNS / np.abs(TURNS).max() / 2 + noise) == {"agent", "customer"}


@pytest.mark.parametrize("level", [-6, -20, -40])
def test_one_short_answer_is_somebody_s(tmp_path: Path, level: float) -> None:
    said = call((0.5, 30, 0), (30.5, 31.2, 1), (32, 39, 0))
    mixed = said + 10 ** (level / 20) * later(said[:, ::-1], 0.012)
    found = decoded(wav(tmp_path / "a.wav", mixed))
    assert "channel_copies" not in codes(found)
    assert level_db(channels_of(found)[1], 30.6, 31.1) > -40


def test_the_second_half_is_mono(tmp_path: Path) -> None:
    half = np.where(np.arange(len(TURNS))[:, None] < 20 * RATE, TURNS, TURNS.sum(1)[:, None])
    found = decoded(wav(tmp_path / "a.wav", half))
    first, second = channels_of(found)
    ((start, end),) = found.ledger["copies"]
    assert start == pytest.approx(20, abs=0.5)
    assert end == pytest.approx(39, abs=0.5)
    assert "channel_copies" in codes(found)
    assert level_db(second, 21, 39) < level_db(first, 21, 39) - 30
    assert level_db(second, 10, 18) == pytest.approx(level_db(TURNS[:, 1], 10, 18), abs=0.1)


@pytest.mark.parametrize("level", [-6, -20, -32, -44])
def test_crosstalk_is_taken_out_and_what_was_said_at_once_is_not(
    tmp_path: Path, level: float
) -> None:
    said = call((0.5, 12, 0), (10, 20, 1), (20.5, 30, 0), (29, 39, 1))
    mixed = said + 10 ** (level / 20) * later(said[:, ::-1], 0.012)
    found = decoded(wav(tmp_path / "a.wav", mixed))
    both = channels_of(found)
    assert "crosstalk" in codes(found)
    assert [one["level_db"] for one in found.ledger["crosstalk"]] == pytest.approx(
        [level] * 2, abs=1
    )
    for channel, alone, spoken in ((1, (1, 9.5), (10.5, 20)), (0, (12.5, 20), (20.5, 30))):
        assert level_db(both[channel], *alone) < -80
        wrong = both[channel] - said[:, channel]
        kept = level_db(said[:, channel], *spoken) - level_db(wrong, *spoken)
        assert kept > min(25, -1 - 2 * level)  # what comes back twice is lost


def test_an_echo_after_a_fifth_of_a_second(tmp_path: Path) -> None:
    room = np.zeros(60)
    room[[0, 17, 43]] = 0.08, -0.03, 0.02
    mixed = TURNS.copy()
    mixed[:, 1] += later(np.convolve(TURNS[:, 0], room)[: len(TURNS)], 0.2)
    found = decoded(wav(tmp_path / "a.wav", mixed))
    first, second = channels_of(found)
    assert level_db(second, 1, 9) < -75
    assert level_db(first, 1, 9) == pytest.approx(level_db(TURNS[:, 0], 1, 9), abs=0.1)


def test_a_call_without_crosstalk_stays_as_it_is(tmp_path: Path) -> None:
    said = call((0.5, 12, 0), (10, 20, 1), (20.5, 30, 0), (29, 39, 1))
    path = wav(tmp_path / "a.wav", said)
    found = decoded(path)
    both, _ = sounds.read_wav(path)
    for channel, kept in enumerate(channels_of(found)):
        assert np.abs(kept - both[:, channel]).max() < 2e-4
    assert found.ledger["crosstalk"] == found.ledger["copies"] == []
    assert codes(found).isdisjoint({"crosstalk", "channel_copies"})


# Whose words they are -------------------------------------------------------------------------
def heard(*turns: tuple[float, float, int]) -> list[Segment]:
    return [Segment(n, start, end, "네", channel) for n, (start, end, channel) in enumerate(turns)]


def named(segments: list[Segment], files: int = 2, **sound: object) -> list[tuple[Any, str]]:
    audio = DecodedAudio(Path("a"), 40.0, tuple(Path(str(n)) for n in range(files)), sound=sound)
    return [(one.speaker, one.speaker_source) for one in with_speakers(segments, audio, 0)]


def test_a_channel_shows_who_speaks_where_each_has_words_of_its_own() -> None:
    both = heard((0, 5, 0), (5, 9, 1))
    assert named(both) == [("agent", "channel"), ("customer", "channel")]
    assert named(heard((0, 5, 0), (5, 9, 0))) == [(None, "none")] * 2
    assert named(heard((0, 5, 0), (5, 9, 1), (9, 10, 2)), 3) == [(None, "none")] * 3


def test_nobody_knows_who_speaks_where_both_channels_are_one_signal() -> None:
    found = named(heard((0, 5, 0), (5, 9, 1), (20, 25, 0), (26, 30, 0)), copies=[[19.0, 27.0]])
    assert found == [("agent", "channel"), ("customer", "channel"), (None, "none"), (None, "none")]
