"""Sounds made on the spot, so that no binary is kept for a test: numpy, ``wave`` and PyAV only.

The writers give mono 16-bit PCM WAV and return the path they wrote. ``encode`` turns any WAV into
each format a recorder is known to leave; ask ``can_encode`` first, since PyAV's build decides.
"""

import io
import struct
import wave
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

Samples = npt.NDArray[np.float64]

RATE = 16_000
RINGBACK_HZ = (440.0, 480.0)
RINGBACK_ON = 1.0
RINGBACK_PERIOD = 3.0
CHORDS = (
    (261.63, 329.63, 392.00, 523.25),
    (220.00, 261.63, 329.63, 440.00),
    (174.61, 220.00, 261.63, 349.23),
    (196.00, 246.94, 293.66, 392.00),
)
NOTE = 0.25
GSM_BYTES = 65
GSM_SAMPLES = 320


@dataclass(frozen=True, slots=True)
class Encoding:
    """How one kind of file is made: container, codec, and what the codec insists on."""

    suffix: str
    container: str
    codec: str
    rate: int | None = None
    layout: str | None = None
    bit_rate: int | None = None
    picture: bool = False
    options: dict[str, str] = field(default_factory=dict)


ENCODINGS: dict[str, Encoding] = {
    "wav-s16": Encoding(".wav", "wav", "pcm_s16le"),
    "wav-mulaw": Encoding(".wav", "wav", "pcm_mulaw", rate=8_000),
    "wav-alaw": Encoding(".wav", "wav", "pcm_alaw", rate=8_000),
    "wav-f32": Encoding(".wav", "wav", "pcm_f32le"),
    "wav-gsm": Encoding(".wav", "wav", "libgsm_ms", rate=8_000, layout="mono", bit_rate=13_000),
    "mp3": Encoding(".mp3", "mp3", "libmp3lame", bit_rate=64_000),
    "m4a": Encoding(".m4a", "ipod", "aac", bit_rate=64_000),
    "flac": Encoding(".flac", "flac", "flac"),
    # FFmpeg's own Vorbis encoder is called experimental and knows stereo only.
    "vorbis": Encoding(".ogg", "ogg", "vorbis", layout="stereo", options={"strict": "-2"}),
    "opus": Encoding(".opus", "ogg", "libopus", rate=48_000, bit_rate=32_000),
    "webm": Encoding(".webm", "webm", "libopus", rate=48_000, bit_rate=32_000),
    "amr": Encoding(".amr", "amr", "libopencore_amrnb", rate=8_000, layout="mono", bit_rate=12_200),
    "mp4": Encoding(".mp4", "mp4", "aac", bit_rate=64_000),
    "mp4-video": Encoding(".mp4", "mp4", "aac", bit_rate=64_000, picture=True),
}


def write_wav(path: Path, samples: Samples, rate: int = RATE) -> Path:
    """Write ``(frames,)`` or ``(frames, channels)`` samples between -1 and 1."""
    shaped = samples.reshape(len(samples), -1)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(shaped.shape[1] if shaped.size else 1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.round(np.clip(shaped, -1, 1) * 32_767).astype("<i2").tobytes())
    return path


def read_wav(path: Path) -> tuple[Samples, int]:
    """Read a 16-bit PCM WAV as ``(frames, channels)`` samples and its rate."""
    with wave.open(str(path), "rb") as source:
        raw = np.frombuffer(source.readframes(source.getnframes()), dtype="<i2")
        return raw.reshape(-1, source.getnchannels()) / 32_768, source.getframerate()


def repeated(recording: bytes, times: int) -> bytes:
    """Return the same words over and over, with a pause that starts a new stretch of speech."""
    raw = io.BytesIO()
    with wave.open(io.BytesIO(recording)) as source, wave.open(raw, "wb") as out:
        out.setparams(source.getparams())
        pause = b"\0" * (3 * source.getframerate() * source.getsampwidth())
        out.writeframes((source.readframes(source.getnframes()) + pause) * times)
    return raw.getvalue()


def _clock(seconds: float, rate: int) -> Samples:
    return np.arange(round(seconds * rate)) / rate


def silence(path: Path, seconds: float = 5.0, rate: int = RATE) -> Path:
    """Write digital silence."""
    return write_wav(path, np.zeros(round(seconds * rate)), rate)


def white_noise(
    path: Path, seconds: float = 5.0, rate: int = RATE, *, dbfs: float = -20.0, seed: int = 7
) -> Path:
    """Write white noise at a mean level of ``dbfs``."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return write_wav(path, noise * 10 ** (dbfs / 20), rate)


def sine(
    path: Path, seconds: float = 5.0, rate: int = RATE, *, hertz: float = 1_000.0, peak: float = 0.5
) -> Path:
    """Write one steady tone."""
    return write_wav(path, peak * np.sin(2 * np.pi * hertz * _clock(seconds, rate)), rate)


def ring_tone(path: Path, seconds: float = 12.0, rate: int = RATE) -> Path:
    """Write the Korean ring-back tone: 440 and 480 Hz, one second on, two off."""
    clock = _clock(seconds, rate)
    tone = sum((np.sin(2 * np.pi * hertz * clock) for hertz in RINGBACK_HZ), np.zeros(len(clock)))
    return write_wav(path, 0.2 * tone * (clock % RINGBACK_PERIOD < RINGBACK_ON), rate)


def hold_music(path: Path, seconds: float = 15.0, rate: int = RATE) -> Path:
    """Write hold music: plucked chords, note by note, each fading out over the next ones."""
    tune = np.zeros(round(seconds * rate))
    ring = _clock(4 * NOTE, rate)
    for index, start in enumerate(range(0, len(tune), round(NOTE * rate))):
        chord = CHORDS[index // 8 % len(CHORDS)]
        hertz = chord[(0, 1, 2, 3, 2, 1, 2, 3)[index % 8]]
        note = np.zeros(len(ring))
        for harmonic in range(1, 5):
            note += np.sin(2 * np.pi * hertz * harmonic * ring) / harmonic**2
        note *= np.exp(-4 * ring) * np.minimum(1, ring / 0.005)
        end = min(len(tune), start + len(note))
        tune[start:end] += note[: end - start]
    return write_wav(path, 0.4 * tune / max(1e-9, float(np.max(np.abs(tune), initial=0))), rate)


def two_channels(path: Path, left: Path, right: Path) -> Path:
    """Write a stereo recording out of two mono ones of one rate; the shorter is padded."""
    (one, rate), (two, other) = read_wav(left), read_wav(right)
    if rate != other:
        raise ValueError(f"the rates differ: {rate} and {other}")
    both = np.zeros((max(len(one), len(two)), 2))
    both[: len(one), 0] = one[:, 0]
    both[: len(two), 1] = two[:, 0]
    return write_wav(path, both, rate)


def truncated_wav(
    path: Path, declared: float = 10.0, present: float = 2.0, rate: int = RATE
) -> Path:
    """Write a WAV whose header declares more seconds than are there (a copy cut short)."""
    sine(path, declared, rate)
    data = path.read_bytes()
    header = data.index(b"data") + 8
    path.write_bytes(data[: header + 2 * round(present * rate)])
    return path


def text_as_wav(path: Path, text: str = "This is not a recording.\n") -> Path:
    """Write plain text under an audio name."""
    path.write_text(text, encoding="utf-8")
    return path


def zero_bytes(path: Path) -> Path:
    """Write an empty file."""
    path.write_bytes(b"")
    return path


def header_only_wav(path: Path, rate: int = RATE) -> Path:
    """Write a whole WAV header with no samples behind it."""
    layout = struct.pack("<HHIIHH", 1, 1, rate, rate * 2, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data" + bytes(4)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def gsm_wav(path: Path, seconds: float = 5.0, seed: int = 7) -> Path:
    """Write a valid GSM 06.10 WAV (format 49) of random frames: a warble, for decoding only.

    PyAV's build decodes GSM and has no encoder for it.
    """
    blocks = round(seconds * 8_000 / GSM_SAMPLES)
    data = np.random.default_rng(seed).bytes(blocks * GSM_BYTES)
    layout = struct.pack("<HHIIHHHH", 49, 1, 8_000, 1_625, GSM_BYTES, 0, 2, GSM_SAMPLES)
    body = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout
    body += b"fact" + struct.pack("<II", 4, blocks * GSM_SAMPLES)
    body += b"data" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def can_encode(name: str) -> bool:
    """Return whether this build of PyAV has the encoder of ``ENCODINGS[name]``."""
    try:
        av.Codec(ENCODINGS[name].codec, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def encode(source: Path, target: Path, name: str) -> Path:
    """Write ``source`` (a WAV) to ``target`` as ``ENCODINGS[name]``, and give ``target``."""
    how = ENCODINGS[name]
    with (
        av.open(str(source)) as reader,
        av.open(str(target), "w", format=how.container) as writer,
    ):
        heard = reader.streams.audio[0]
        picture = writer.add_stream("mpeg4", rate=1) if how.picture else None
        # A plain WAV names no layout ("1 channels"), which most encoders refuse.
        layout = how.layout or ("mono" if heard.channels == 1 else "stereo")
        stream = writer.add_stream(
            how.codec, rate=how.rate or heard.rate, layout=layout, options=dict(how.options)
        )
        if not isinstance(stream, AudioStream):
            raise TypeError(f"{how.codec} is not a sound encoder")
        if how.bit_rate:
            stream.bit_rate = how.bit_rate
        if picture:
            _draw(writer, picture, float((heard.duration or 0) * (heard.time_base or 0)))
        # The encoder resamples by itself to the rate, layout and format it was opened with.
        for frame in reader.decode(heard):
            writer.mux(stream.encode(frame))
        writer.mux(stream.encode(None))
    return target


def _draw(writer: OutputContainer, stream: VideoStream, seconds: float) -> None:
    """Put a black picture, one frame a second, before the sound (a screen recording)."""
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    stream.codec_context.time_base = Fraction(1)
    for second in range(max(1, round(seconds))):
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        frame.pts, frame.time_base = second, Fraction(1)
        writer.mux(stream.encode(frame))
    writer.mux(stream.encode(None))


def first_seconds(wav: Path, seconds: int) -> bytes:
    """Cut a WAV file in any coding: what has to be seen seldom takes a whole call."""
    raw = wav.read_bytes()
    start = raw.index(b"data") + 8
    length = seconds * int.from_bytes(raw[28:32], "little")
    head = raw[: start - 4] + length.to_bytes(4, "little")
    return head[:4] + (start + length - 8).to_bytes(4, "little") + head[8:] + raw[start:][:length]
