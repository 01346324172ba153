"""Makes mono telephone calls of which it is known who speaks when."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from evaluation.speakers.voices import RATE, Samples, Voice

_WORDS_PER_SEC = 2.5
_FRAME = 320


@dataclass(frozen=True, slots=True)
class Turn:
    """One voice speaks, from ``start`` to ``end`` in seconds; ``words`` are the words' middles."""

    voice: int
    start: float
    end: float
    words: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """How the calls of one kind are: lengths in seconds, levels in decibels below speech."""

    name: str
    turn_sec: tuple[float, float] = (2.0, 7.0)
    gap_sec: tuple[float, float] = (0.15, 0.8)
    voices: int = 2
    noise_db: float | None = None
    backchannels: float = 0.0
    level_db: float = 4.0
    """How much louder the one voice may be than the other."""
    line: bool = True
    """The voices come over different lines: a spectrum of its own for each."""
    echo_db: float | None = None
    """A copy of all a quarter of a second later."""
    music_sec: float = 0.0
    """Music on hold in the middle, which the recogniser took for speech."""
    ringing_sec: float = 0.0
    """A ring tone before the call, which the recogniser took for speech."""
    announced_sec: float = 0.0
    """Another voice speaks for so long first, and never returns; it is none of ``voices``."""
    handed_over: bool = False
    """The third voice takes over from the first one in the middle of the call."""


CONDITIONS = (
    Condition("normal"),
    Condition("same line", line=False, level_db=1.0),
    Condition("fast, overlaps", turn_sec=(0.7, 2.2), gap_sec=(-0.3, 0.3)),
    Condition("back-channels", backchannels=0.35),
    Condition("noise 10 dB", noise_db=10.0),
    Condition("echo, 14 dB", echo_db=14.0),
    Condition("music on hold", music_sec=12.0),
    Condition("ring tone", ringing_sec=12.0),
    Condition("announcement", announced_sec=9.0),
    Condition("one voice", voices=1),
    Condition("three voices", voices=3),
    Condition("handed over", voices=3, handed_over=True),
)


def make_calls(
    voices: Sequence[Voice], calls: int, seconds: float, music: Sequence[Samples] = ()
) -> Iterator[Call]:
    """Yield calls of every condition, always the same ones."""
    rng, number = random.Random(11), 0
    for condition in CONDITIONS:
        for turn in range(calls * (1 + (condition.voices == 1))):
            number += 1
            speakers = rng.sample(voices, condition.voices + (condition.announced_sec > 0))
            played = music[turn // 2 % len(music)] if music and turn % 2 else None
            yield make_call(condition, tuple(speakers), seconds, number, played)


@dataclass(slots=True)
class Call:
    """A mono call, and the truth about it."""

    name: str
    condition: Condition
    voices: tuple[str, ...]
    samples: Samples
    turns: list[Turn] = field(default_factory=list)
    others: list[tuple[float, float]] = field(default_factory=list)
    """From when to when there is something that is nobody's of the call, in seconds."""

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / RATE


def make_call(
    condition: Condition,
    voices: tuple[Voice, ...],
    seconds: float,
    seed: int,
    music: Samples | None = None,
) -> Call:
    """Return a call of about ``seconds`` between the voices; the same seed makes the same call.

    ``music`` is played on hold, by default made of chords. A voice more than the condition has is
    that of an announcement.
    """
    rng = np.random.default_rng(seed)
    lines = [_line(rng) if condition.line else np.array([1.0], np.float32) for _ in voices]
    gains = 10 ** (rng.uniform(-condition.level_db, condition.level_db, len(voices)) / 40)
    spoken = [_endless(voice, rng) for voice in voices]
    sound = np.zeros(int((seconds + 15) * RATE), np.float32)
    names = tuple(one.name for one in voices[: condition.voices])
    call = Call(condition.name, condition, names, sound)
    at, who, held = _before(call, spoken[-1]), int(rng.integers(condition.voices)), False
    while at < seconds:
        if condition.music_sec and not held and at > seconds / 2:
            held = True
            played = _music(condition.music_sec, rng) if music is None else music
            at = _put(call, at, condition.music_sec, played)
        wanted = rng.uniform(*condition.turn_sec)
        end = _say(call, who, at, wanted, spoken[who], gains[who], lines[who])
        if condition.voices > 1 and end - at > 3 and rng.random() < condition.backchannels:
            other = (who + 1) % condition.voices
            middle = rng.uniform(at + 1, end - 1)
            _say(call, other, middle, 0.5, spoken[other], gains[other], lines[other])
        at = end + rng.uniform(*condition.gap_sec)
        who = _next(condition, who, late=at > seconds / 2)
    whole = sound[: int((at + 0.5) * RATE)]
    if condition.echo_db is not None:
        later = np.concatenate((np.zeros(RATE // 4, np.float32), whole))[: len(whole)]
        whole = whole + later * np.float32(10 ** (-condition.echo_db / 20))
    call.samples = _telephone(whole, condition.noise_db, rng)
    return call


def _next(condition: Condition, who: int, *, late: bool) -> int:
    """Return who speaks after ``who``."""
    if not condition.handed_over:
        return (who + 1) % condition.voices
    agent = 2 if late else 0
    return agent if who == 1 else 1


def _before(call: Call, spoken: Iterator[Samples]) -> float:
    """Put into the call what is before its first turn; return where that begins."""
    ringing, announced = call.condition.ringing_sec, call.condition.announced_sec
    if ringing:
        return _put(call, 0.5, ringing, _ringing(ringing))
    part = np.zeros(0, np.float32)
    while len(part) < announced * RATE:
        part = np.concatenate((part, np.zeros(RATE // 5, np.float32), next(spoken)))
    return _put(call, 0.5, announced, part) if announced else 0.5


def _put(call: Call, at: float, seconds: float, sound: Samples) -> float:
    """Put something into the call that is nobody's of it; return where the next turn begins."""
    first = int(at * RATE)
    part = sound[: int(seconds * RATE)]
    call.samples[first : first + len(part)] += part
    call.others.append((at, at + len(part) / RATE))
    return at + len(part) / RATE + 0.5


def _music(seconds: float, rng: np.random.Generator) -> Samples:
    """Return made music: chords of three tones with overtones, each dying away."""
    found, beat = np.zeros(int(seconds * RATE), np.float32), int(0.4 * RATE)
    time = np.arange(beat) / RATE
    for start in range(0, len(found), beat):
        root = 220 * 2 ** (int(rng.integers(0, 12)) / 12)
        chord = sum(
            np.sin(2 * np.pi * root * step * over * time) / over
            for step in (1.0, 1.26, 1.5)
            for over in (1, 2, 3, 4)
        )
        part = found[start : start + beat]
        part += (0.04 * chord * np.exp(-3 * time)).astype(np.float32)[: len(part)]
    return found


def _ringing(seconds: float) -> Samples:
    """Return a ring tone: 440 and 480 Hz, a second of three."""
    time = np.arange(int(seconds * RATE)) / RATE
    tone = 0.06 * (np.sin(2 * np.pi * 440 * time) + np.sin(2 * np.pi * 480 * time))
    return np.where(time % 3 < 1, tone, 0).astype(np.float32)


def _endless(voice: Voice, rng: np.random.Generator) -> Iterator[Samples]:
    while True:
        for number in rng.permutation(len(voice.utterances)):
            yield voice.utterances[number]


def _say(
    call: Call,
    who: int,
    at: float,
    seconds: float,
    spoken: Iterator[Samples],
    gain: float,
    line: Samples,
) -> float:
    """Put one turn into the call, cut where it is quiet; return where it ends."""
    part = next(spoken)
    while len(part) < seconds * RATE:
        part = np.concatenate((part, np.zeros(int(0.12 * RATE), np.float32), next(spoken)))
    part = part[: _quiet_cut(part, int(seconds * RATE))]
    heard = np.convolve(part, line)[: len(part)] * np.float32(gain)
    first = int(at * RATE)
    room = call.samples[first : first + len(heard)]
    room += heard[: len(room)]
    end = at + len(part) / RATE
    count = max(1, round((end - at) * _WORDS_PER_SEC))
    words = tuple(at + (end - at) * (one + 0.5) / count for one in range(count))
    call.turns.append(Turn(who, at, end, words))
    return end


def _quiet_cut(part: Samples, wanted: int) -> int:
    """Return where near ``wanted`` samples it is quietest, so that no word is cut in two."""
    first, last = int(wanted * 0.8), min(len(part), int(wanted * 1.2))
    if last >= len(part) - _FRAME:
        return len(part)
    levels = [float((part[at : at + _FRAME] ** 2).sum()) for at in range(first, last, _FRAME)]
    return first + int(np.argmin(levels)) * _FRAME + _FRAME // 2


def _line(rng: np.random.Generator) -> Samples:
    """Return the impulse response of a line: a microphone's slope and a little echo of a room."""
    response = np.zeros(480, np.float32)
    response[0] = 1.0
    response[1] = rng.uniform(-0.4, 0.4)
    tail = rng.normal(0, 1, 479) * np.exp(-np.arange(479) / 120)
    response[1:] += (rng.uniform(0.0, 0.05) * tail).astype(np.float32)
    return response


def _telephone(sound: Samples, noise_db: float | None, rng: np.random.Generator) -> Samples:
    """Return what an 8 kHz line from 300 to 3,400 Hz with mu-law leaves of it, at 16 kHz."""
    if noise_db is not None:
        level = 0.06 * 10 ** (-noise_db / 20)
        sound = sound + rng.normal(0, level, len(sound)).astype(np.float32)
    spectrum = np.fft.rfft(sound)
    hertz = np.fft.rfftfreq(len(sound), 1 / RATE)
    spectrum[(hertz < 300) | (hertz > 3_400)] = 0
    narrow = np.fft.irfft(spectrum, len(sound))
    loudest = np.abs(narrow).max()
    coded = np.round(np.log1p(255 * np.abs(narrow) / loudest) / np.log(256) * 127) / 127
    decoded = np.sign(narrow) * (256**coded - 1) / 255 * loudest
    return decoded.astype(np.float32)
