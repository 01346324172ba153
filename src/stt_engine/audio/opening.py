"""Opening: a file as bytes, and a part of it as FFmpeg's container, under bounds."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.codec.codec import Codec, UnknownCodecError
from av.container import InputContainer

from stt_engine.audio.file_bytes import FileBytes
from stt_engine.audio.parts import NO_INDEX, Bytes, Part
from stt_engine.audio.window import Window
from stt_engine.errors import (
    AudioDamaged,
    AudioEmpty,
    AudioNotFound,
    AudioRejected,
    AudioTooLarge,
    AudioUnreadable,
    NotAudio,
)
from stt_engine.native_errors import raise_machines_own
from stt_engine.speech import AudioLimits

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

_MAPPED_BYTES = 512 << 20
"""The child's memory ceiling counts what is mapped."""

_HEAD_BYTES = 16
_MAGIC = (
    (0, b"OggS", "an Ogg file"),
    (4, b"ftyp", "an MP4 file"),
    (0, b"\x1aE\xdf\xa3", "a Matroska or WebM file"),
    (0, b"fLaC", "a FLAC file"),
    (0, b"\x30\x26\xb2\x75", "an ASF (WMA) file"),
    (8, b"WAVE", "a WAV file"),
    (8, b"AVI ", "an AVI file"),
    (0, b"wvpk", "a WavPack file"),
    (0, b"TTA1", "a TTA file"),
    (0, b"caff", "a CAF file"),
)
"""What a file is by the bytes with which it begins, at their place."""

_OPTIONS = {
    "format_whitelist": DEMUXERS,
    "protocol_whitelist": "",
    "codec_whitelist": DECODERS,
}

_open: Any = av.open
_ASKS_FOR_TAGS = int(av.__version__.partition(".")[0]) < 19  # noqa: PLR2004 - PyAV 19
_ANY_TAGS = {"metadata_errors": "ignore"} if _ASKS_FOR_TAGS else {}
"""Tags that are no UTF-8 end nothing: PyAV 19 does so by itself, and has no word for it."""


@contextmanager
def opened_file(path: Path, limits: AudioLimits) -> Iterator[BinaryIO]:
    """Open a regular file of a size that is allowed.

    Raises:
        AudioRejected: it is none, or cannot be opened.
    """
    try:
        # O_NONBLOCK: opening a FIFO must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError as exc:
        raise AudioNotFound(f"{path} not found") from exc
    except OSError as exc:
        raise_machines_own(exc)
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
def mapped(file: BinaryIO) -> Iterator[Bytes]:
    """Map a file into memory for the scanners, or read it where it is too big for that."""
    size = os.fstat(file.fileno()).st_size
    if size > _MAPPED_BYTES:
        yield FileBytes(file.fileno(), size)
        return
    try:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError:  # a file system whose files cannot be mapped
        yield FileBytes(file.fileno(), size)
        return
    try:
        yield data
    finally:
        with suppress(BufferError):  # an array still looks at it, and lets go of it later
            data.close()


@contextmanager
def opened_part(file: BinaryIO, part: Part, limits: AudioLimits) -> Iterator[InputContainer]:
    """Open one container of a file.

    Raises:
        NotAudio: FFmpeg recognises nothing in it.
        AudioDamaged: what it is can be told, but it cannot be opened.
        AudioUnreadable: its header takes too long.
    """
    window = Window(file.fileno(), part.pieces)
    window.bound(limits.open_timeout_sec)
    try:
        container: InputContainer = _open(window, mode="r", options=_OPTIONS, **_ANY_TAGS)
    except (av.FFmpegError, ValueError, OSError, OverflowError) as exc:
        raise _unopened(window, part, words(exc)) from exc
    window.bound(None)
    with container:
        yield container


def _unopened(window: Window, part: Part, why: str) -> AudioRejected:
    """Return what to say of a part that FFmpeg cannot open."""
    if NO_INDEX in part.notes:
        return AudioDamaged(
            "an MP4 file whose index (moov) is missing: it was cut, or never finished; send the "
            "whole recording"
        )
    window.bound(None)
    window.seek(0)
    head = window.read(_HEAD_BYTES)
    for at, magic, name in _MAGIC:
        if head[at : at + len(magic)] == magic:
            return AudioDamaged(f"looks like {name} that is damaged: it cannot be opened ({why})")
    return NotAudio(f"no audio format recognised in the content ({why})")


def words(exc: Exception) -> str:
    """Return what an error of FFmpeg or the system says, without the file's name."""
    return str(getattr(exc, "strerror", None) or type(exc).__name__)
