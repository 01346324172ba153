"""Recordings whose every second is a tone of its own, so that a test can say which seconds it got.

``tones`` makes the samples, ``write`` encodes them in any container with gaps, tracks and layouts,
``seconds_of`` reads back what each second is: a number, ``None`` for silence, -1 for noise.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from stt_engine.speech import AudioLimits
from tests.support.decoding import decode

RATE = 16_000
NOISE = -1


def hertz(number: int) -> float:
    return 400.0 + 60.0 * number


def tones(numbers: Iterable[int], rate: int = RATE, peak: float = 0.4) -> npt.NDArray[np.float64]:
    """Return one second of each tone, in order; -1 is a silent second."""
    clock = np.arange(rate) / rate
    fade = np.minimum(1, np.minimum(clock, clock[::-1]) / 0.01)
    return np.concatenate(
        [
            peak * fade * np.sin(2 * np.pi * hertz(n) * clock) if n >= 0 else np.zeros(rate)
            for n in numbers
        ]
    )


@dataclass(frozen=True)
class Kind:
    """A container and a codec, with what the codec insists on."""

    container: str
    codec: str
    rate: int = RATE
    layout: str = "mono"
    bit_rate: int | None = None
    options: tuple[tuple[str, str], ...] = ()
    codec_options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.container}-{self.codec}"


MP3 = Kind("mp3", "libmp3lame")
MP3_BARE = Kind("mp3", "libmp3lame", options=(("write_xing", "0"), ("id3v2_version", "0")))
AAC = Kind("adts", "aac")
OPUS = Kind("ogg", "libopus", 48_000)
VORBIS = Kind("ogg", "vorbis", layout="stereo")
FLAC = Kind("flac", "flac")
OGG_FLAC = Kind("ogg", "flac")
WEBM = Kind("webm", "libopus", 48_000)
MKA = Kind("matroska", "aac")
MP4 = Kind("mp4", "aac")
M4A = Kind("ipod", "aac")
FRAGMENTED = Kind("mp4", "aac", options=(("movflags", "frag_keyframe+empty_moov"),
                                         ("frag_duration", "2000000")))  # fmt: skip
WMA = Kind("asf", "wmav2", bit_rate=32_000)
AVI = Kind("avi", "libmp3lame")
TS = Kind("mpegts", "aac")
AMR = Kind("amr", "libopencore_amrnb", 8_000, bit_rate=12_200)
WAV = Kind("wav", "pcm_s16le")
W64 = Kind("w64", "pcm_s16le")
CAF = Kind("caf", "pcm_s16be")
VOC = Kind("voc", "pcm_s16le")
AIFF = Kind("aiff", "pcm_s16be")
AU = Kind("au", "pcm_s16be")
AC3 = Kind("ac3", "ac3", 48_000)
WAVPACK = Kind("wv", "wavpack")
TTA = Kind("tta", "tta")
_WITH_ENCODER = (AMR,) if AMR.codec in av.codecs_available else ()
"""PyAV 19 can read AMR, and no longer write it."""

KINDS = (MP3, AAC, OPUS, VORBIS, FLAC, OGG_FLAC, WEBM, MKA, MP4, FRAGMENTED, WMA, AVI, TS,
         *_WITH_ENCODER, WAV, W64, CAF, VOC, AIFF, AU, AC3, WAVPACK, TTA)  # fmt: skip

LATM = Kind("latm", "aac")
MORE = (Kind("mov", "aac"), Kind("mp2", "mp2"), Kind("eac3", "eac3", 48_000), LATM,
        Kind("mpeg", "mp2"))  # fmt: skip
"""Kinds that differ from others in little but how they begin and end."""

PACKED = (MP3, MP3_BARE, AAC, AC3, AMR, AVI, FLAC, FRAGMENTED, M4A, MKA, OGG_FLAC, OPUS, TS, TTA,
          VORBIS, WAVPACK, WEBM, WMA)  # fmt: skip
"""Damage to one of their packets is found."""

PLAIN = (WAV, W64, CAF, VOC, AIFF, AU)
"""Any byte is a sample of these: what was overwritten with noise is noise, and nobody can know."""

DECLARE_LENGTH = (AIFF, AU, AVI, CAF, FLAC, MKA, MP3, TTA, W64, WAV, WAVPACK, WEBM, WMA)
"""Their headers declare a length in time or in bytes."""

MARK_END = (OPUS, VORBIS, OGG_FLAC, VOC)
"""Their last page or block is missing after a cut, and that is all that is known."""

SILENT_ON_END = (AAC, AC3, AMR, MP3_BARE, TS)
"""Nothing in them tells a cut file from a whole one."""


def write(
    path: Path,
    kind: Kind,
    *tracks: Sequence[int],
    start: float = 0.0,
    gap: tuple[float, float] | None = None,
    drop: float = 0.0,
    seed: int = 1,
    **options: str,
) -> Path:
    """Encode one track for each of ``tracks``: its seconds as numbers of tones.

    ``start`` moves all time stamps; what is after ``gap[0]`` seconds comes ``gap[1]`` later.
    ``drop`` leaves out that share of the packets at random.
    """
    chance = random.Random(seed)
    with av.open(
        str(path), "w", format=kind.container, options={**dict(kind.options), **options}
    ) as out:
        streams = [_stream(out, kind) for _ in tracks]
        found = [
            packet
            for stream, numbers in zip(streams, tracks, strict=True)
            for packet in _packets(stream, kind, tones(numbers, kind.rate))
        ]
        for packet in sorted(found, key=lambda one: one.pts * one.time_base):
            at = float(packet.pts * packet.time_base)
            later = start + (gap[1] if gap and at >= gap[0] else 0.0)
            packet.pts += round(later / packet.time_base)
            packet.dts = packet.pts
            if chance.random() >= drop:
                out.mux(packet)
    return path


def _stream(out: Any, kind: Kind) -> Any:
    options = {"strict": "-2", **dict(kind.codec_options)}
    stream = out.add_stream(kind.codec, rate=kind.rate, layout=kind.layout, options=options)
    if kind.bit_rate:
        stream.bit_rate = kind.bit_rate
    return stream


def _packets(stream: Any, kind: Kind, samples: npt.NDArray[np.float64]) -> list[Any]:
    whole = np.round(samples * 32_767).astype(np.int16)
    if kind.layout == "stereo":
        whole = np.repeat(whole, 2)
    frame = av.AudioFrame.from_ndarray(whole[None], format="s16", layout=kind.layout)
    frame.sample_rate, frame.pts, frame.time_base = kind.rate, 0, Fraction(1, kind.rate)
    if kind.codec.startswith("pcm"):  # it would be one packet
        packets = []
        for start in range(0, whole.size, kind.rate // 10):
            part = whole[None, start : start + kind.rate // 10]
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout=kind.layout)
            frame.sample_rate, frame.pts, frame.time_base = kind.rate, start, Fraction(1, kind.rate)
            packets += stream.encode(frame)
    else:
        packets = [*stream.encode(frame), *stream.encode(None)]
    for packet in packets:
        packet.stream = stream
    return packets


def seconds_of(file: str | Path) -> list[int | None]:
    """Return the tone of each second of a decoded channel."""
    samples = np.fromfile(file, "<i2") / 32_768
    return [_tone(samples[n * RATE : (n + 1) * RATE]) for n in range(round(len(samples) / RATE))]


def _tone(second: npt.NDArray[np.float64]) -> int | None:
    middle = second[RATE // 5 : -RATE // 5]
    if len(middle) < RATE // 4 or np.sqrt(np.mean(middle**2)) < 0.01:
        return None
    power = np.abs(np.fft.rfft(middle * np.hanning(len(middle)))) ** 2
    peak = int(power.argmax())
    number = round((peak * RATE / len(middle) - 400.0) / 60.0)
    around = power[max(0, peak - 8) : peak + 9].sum() / power.sum()
    close = abs(peak * RATE / len(middle) - hertz(number)) < 15
    return number if number >= 0 and close and around > 0.6 else NOISE


def decoded(path: Path, limits: AudioLimits | None = None) -> SimpleNamespace:
    """Decode into a folder beside the file."""
    folder = path.with_name(f"{path.name}-decoded")
    folder.mkdir(exist_ok=True)
    return decode(path, folder, limits or AudioLimits())


def heard(found: SimpleNamespace) -> list[list[int | None]]:
    """Return the tones of every channel, second by second."""
    return [seconds_of(file) for file in found.files]


def unheard_seconds(found: SimpleNamespace) -> float:
    return float(sum(one["end"] - one["start"] for one in found.ledger["unheard"]))


def codes(found: SimpleNamespace) -> set[str]:
    return {one["code"] for one in found.ledger["warnings"]}
