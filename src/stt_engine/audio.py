"""Any recording to 16 kHz mono PCM files, one a channel, in constant memory and under limits.

Runs in the decoder's child process: the bytes are hostile until proved otherwise. The container
is opened from an open file, never by name, and only with the demuxers listed here, so that a
playlist dressed up as audio cannot make FFmpeg open another file or address.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.codec import Codec, UnknownCodecError
from av.codec.context import CodecContext
from av.container import InputContainer

from stt_engine.declared_length import (
    check_length,
    check_whole,
    declared_seconds,
    declared_wav_seconds,
)
from stt_engine.errors import (
    AudioEmpty,
    AudioNotFound,
    AudioTooLarge,
    AudioTooLong,
    AudioUnreadable,
    NotAudio,
    WorkspaceError,
)
from stt_engine.speech import SAMPLE_RATE, AudioLimits

DEMUXERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,eac3,flac,g722,g726,gsm,loas,"
    "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,mpeg,mpegts,ogg,tta,voc,w64,wav,wv"
)
"""FFmpeg demuxers that hold their own samples; none of them follows a reference elsewhere."""


def _sound_decoders() -> Iterator[str]:
    for name in sorted(av.codecs_available):
        with suppress(UnknownCodecError):  # an encoder only
            if Codec(name, "r").type == "audio":
                yield name


DECODERS = ",".join(_sound_decoders())
"""No other is opened while FFmpeg looks around: a small cover picture unpacks to gigabytes."""

_BETTER_DECODERS = {"amrnb": "libopencore_amrnb", "amrwb": "libopencore_amrwb"}
"""FFmpeg's own drop the pauses of a recorder that sends none (DTX), and every time after them."""

_SAME_CHANNELS = 1e-3
"""Two channels whose difference has less than this share of their energy (-30 dB) are one."""

_RATES = range(1_000, 768_001)
"""Sample rates of real recorders; a damaged one makes FFmpeg's resampler run for ever."""

_STEP_SEC = 0.2
"""How long decoding goes on before another recording may have its turn."""

_MAX_DAMAGED = 10_000
"""Packets of which not one can be decoded: there is no sound to come, however many follow."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What :func:`decode` wrote: ``files`` are raw s16le mono at 16 kHz in channel order."""

    duration: float
    files: tuple[str, ...]
    source_format: str


def decode(
    path: Path, folder: Path, limits: AudioLimits
) -> Generator[dict[str, Any], None, dict[str, Any]]:
    """Decode ``path`` into ``folder``, step by step, and return :class:`Decoded` as a dict.

    The first step gives what the header promises (``estimate_sec``, ``None`` where it is silent,
    and ``channels``), the others the seconds that are done (``decoded_sec``).

    Raises:
        AudioRejected: one of its kinds, saying what is wrong with the recording.
        WorkspaceError: ``folder`` cannot take the samples.
    """
    with _opened(path, limits) as file:
        declared = declared_wav_seconds(file)
        with _container(file) as container:
            stream = _audio_stream(container)
            check_length(declared_seconds(container, stream, file), limits)
            yield {"estimate_sec": _estimate(container, stream), "channels": _channels(stream)}
            writer = yield from _write(stream, container, folder, limits)
            declared = declared or declared_seconds(container, stream, file)
            check_whole(writer.duration, declared)
            return asdict(Decoded(writer.duration, writer.files(), container.format.name))


def _estimate(container: InputContainer, stream: AudioStream) -> float | None:
    """Give the length in seconds as far as FFmpeg can tell before decoding; good for a forecast."""
    if stream.duration is not None and stream.time_base is not None:
        return max(0.0, float(stream.duration * stream.time_base))
    return max(0.0, container.duration / av.time_base) if container.duration else None


def operations(
    _tell: object = None,
) -> dict[str, Callable[..., Generator[dict[str, Any], None, dict[str, Any]]]]:
    """Give the operations of the decoder's child process; no two recordings share a step."""

    def run(job: dict[str, Any]) -> Generator[dict[str, Any], None, dict[str, Any]]:
        limits = AudioLimits(job["max_bytes"], job["max_duration_sec"])
        return decode(Path(job["path"]), Path(job["folder"]), limits)

    return {"decode": run}


@contextmanager
def _opened(path: Path, limits: AudioLimits) -> Iterator[BinaryIO]:
    try:
        # O_NONBLOCK: opening a FIFO must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError as exc:
        raise AudioNotFound(f"{path} not found") from exc
    except OSError as exc:
        raise AudioUnreadable(f"{path}: {exc.strerror}") from exc
    except ValueError as exc:  # a NUL
        raise AudioNotFound(f"{path} not found: no file can have this name ({exc})") from exc
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):
        os.close(descriptor)
        kind = "a folder" if stat.S_ISDIR(info.st_mode) else "not a regular file"
        raise AudioUnreadable(f"{path} is {kind}; give the path of one recording")
    with os.fdopen(descriptor, "rb") as file:
        if info.st_size == 0:
            raise AudioEmpty(f"{path} has 0 bytes")
        if info.st_size > limits.max_bytes:
            raise AudioTooLarge(f"{info.st_size} bytes; the limit is {limits.max_bytes}")
        yield file


@contextmanager
def _container(file: BinaryIO) -> Iterator[InputContainer]:
    with ExitStack() as stack:
        try:
            container = stack.enter_context(
                av.open(
                    file,
                    mode="r",
                    options={
                        "format_whitelist": DEMUXERS,
                        "protocol_whitelist": "",
                        "codec_whitelist": DECODERS,
                    },
                    metadata_errors="ignore",
                )
            )
        except (av.FFmpegError, ValueError) as exc:
            raise NotAudio(f"no audio format recognised in the content ({_words(exc)})") from exc
        yield container


def _words(exc: Exception) -> str:
    return str(getattr(exc, "strerror", None) or type(exc).__name__)


def _audio_stream(container: InputContainer) -> AudioStream:
    if not container.streams.audio:
        raise NotAudio(f"a {container.format.name} file without an audio stream")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise NotAudio(f"a {container.format.name} file with an unknown audio codec")
    if stream.codec_context.sample_rate:  # where the header tells
        _check_rate(stream.codec_context.sample_rate)
    return stream


def _check_rate(rate: int) -> None:
    if rate not in _RATES:
        raise NotAudio(f"a sample rate of {rate} Hz")


def _decoder(stream: AudioStream) -> AudioCodecContext:
    """Give the decoder of ``stream``, or a better one where this build has it."""
    own = stream.codec_context
    better = _BETTER_DECODERS.get(own.codec.name, "")
    if better not in av.codecs_available:
        return own
    chosen = cast("AudioCodecContext", CodecContext.create(better, "r"))
    chosen.sample_rate, chosen.layout = own.sample_rate, own.layout
    return chosen


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Decode packet by packet; a damaged packet is passed over, as every player does."""
    packets, decoder = container.demux(stream), _decoder(stream)
    damaged, heard = 0, False
    while heard or damaged < _MAX_DAMAGED:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            return  # the container ends here; _check_whole judges what is missing
        if packet is None:
            return
        try:
            frames = decoder.decode(packet)
        except av.FFmpegError:
            damaged += 1
            continue
        heard = heard or bool(frames)
        yield from frames


class _Writer:
    """Appends planar 16-bit frames to one file a channel and measures how alike they are."""

    def __init__(self, folder: Path, channels: int, limits: AudioLimits) -> None:
        self._paths = [folder / f"channel{n}.s16" for n in range(channels)]
        self._limits = limits
        self._samples = 0
        self._energy = 0.0
        self._difference = 0.0

    @property
    def duration(self) -> float:
        return self._samples / SAMPLE_RATE

    def run(self, frames: Iterator[AudioFrame]) -> Iterator[dict[str, Any]]:
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("wb")) for path in self._paths]
            began = time.monotonic()
            for frame in frames:
                samples = frame.to_ndarray().reshape(len(files), -1)
                for number, file in enumerate(files):
                    file.write(samples[number].tobytes())
                self._measure(samples)
                if self.duration > self._limits.max_duration_sec:
                    raise AudioTooLong(
                        f"longer than {self._limits.max_duration_sec:g} s, which is the limit"
                    )
                if time.monotonic() - began > _STEP_SEC:
                    yield {"decoded_sec": self.duration}
                    began = time.monotonic()

    def _measure(self, samples: np.ndarray) -> None:
        self._samples += samples.shape[1]
        if len(samples) > 1:
            left, right = samples.astype(np.float64)
            self._energy += float(left @ left + right @ right)
            self._difference += float((left - right) @ (left - right))

    def files(self) -> tuple[str, ...]:
        """Give the channel files; the same sound on both channels is one channel."""
        same = self._difference <= _SAME_CHANNELS * self._energy
        return tuple(str(path) for path in (self._paths[:1] if same else self._paths))


def _channels(stream: AudioStream) -> int:
    return 2 if stream.codec_context.channels == 2 else 1  # noqa: PLR2004 - stereo


def _write(
    stream: AudioStream, container: InputContainer, folder: Path, limits: AudioLimits
) -> Generator[dict[str, Any], None, _Writer]:
    channels = _channels(stream)
    writer = _Writer(folder, channels, limits)
    try:
        yield from writer.run(_resampled(_frames(container, stream), channels))
    except OSError as exc:
        if isinstance(exc, av.FFmpegError):
            raise NotAudio(f"cannot be decoded ({_words(exc)})") from exc
        raise WorkspaceError(f"cannot write decoded audio: {exc.strerror}") from exc
    except ValueError as exc:
        raise NotAudio(f"cannot be decoded ({exc})") from exc
    if writer.duration == 0:
        raise AudioEmpty("not one sample of sound could be decoded")
    return writer


def _resampled(frames: Iterator[AudioFrame], channels: int) -> Iterator[AudioFrame]:
    """Convert to planar 16-bit at 16 kHz; a change of format in mid file starts a new resampler."""
    layout = "stereo" if channels > 1 else "mono"
    resampler, shape = None, None
    for frame in frames:
        frame.pts = None  # broken time stamps must not drop or pad samples
        found = (frame.format.name, frame.layout.name, frame.sample_rate)
        if resampler is None or found != shape:
            if resampler is not None:
                yield from resampler.resample(None)
            _check_rate(frame.sample_rate)
            resampler, shape = av.AudioResampler("s16p", layout, SAMPLE_RATE), found
        yield from resampler.resample(frame)
    if resampler is not None:
        yield from resampler.resample(None)
