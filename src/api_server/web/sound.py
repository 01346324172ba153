"""Recordings in the form that browsers play, and their peaks: made once, off the loop, bounded.

What is played is what was recognised: the engine's own decoder makes it, so that times agree with
those of the text to the sample, whatever the file's own container says.
"""

from __future__ import annotations

import io
import os
import shutil
import wave
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from uuid import uuid4

import anyio
import numpy as np
import numpy.typing as npt
from anyio import to_thread

from stt_engine.events import Observer
from stt_engine.limits import Limits
from stt_engine.recognition.decoder import AudioDecoder
from stt_engine.system.tempdirs import scratch_folder

RATE = 16_000
BINS = 144_000
"""Most peaks of a channel: 20 a second (50 ms each) of two hours, fewer of a longer call."""

_PER_SEC = 20
_WAITING = 16
_BLOCK = RATE * 10
_FULL = 32_767

Opened = Callable[[], AbstractAsyncContextManager[Path]]


class SoundUnavailable(Exception):
    """The recording cannot be played now; the message says why."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A WAV file of one or two channels, and a file of peaks.

    The peaks are one byte each, 0 to 255, channel after channel; the first line of their file is
    ``channels bins seconds``.
    """

    wav: Path
    peaks: Path


class Sounds:
    """The cache of what browsers play.

    Args:
        folder: made when the first recording is asked for. ``None``: a temporary one, which goes
            with the server; nothing stays in the clear where recordings are encrypted.
        limits: the engine's, for decoding.
        max_bytes: of the folder.
        reserve_bytes: of free space that it leaves.
        observers: told of the decoder's process.
    """

    def __init__(
        self,
        folder: Path | None,
        limits: Limits,
        max_bytes: int,
        reserve_bytes: int,
        observers: Iterable[Observer] = (),
    ) -> None:
        self._known, self._lock, self._held = folder, Lock(), ExitStack()
        self._max_bytes, self._reserve_bytes = max_bytes, reserve_bytes
        self._decoder = AudioDecoder(limits, observers)
        self._limiter = anyio.CapacityLimiter(1)
        self._making: dict[str, anyio.Event] = {}

    async def get(self, key: str, opened: Opened) -> Sound:
        """Return what ``key`` stands for; where it is not there, it is made of what is opened.

        Raises:
            SoundUnavailable: there is no room, or too many wait.
            EngineError: it cannot be decoded.
        """
        sound = await to_thread.run_sync(self._of, key)
        while (event := self._making.get(key)) is not None:
            await event.wait()
        if await to_thread.run_sync(_touched, sound):
            return sound
        if key in self._making:  # somebody was faster
            return await self.get(key, opened)
        if len(self._making) >= _WAITING:
            raise SoundUnavailable("too many recordings are being prepared; try again")
        event = self._making[key] = anyio.Event()
        try:
            async with opened() as path:
                work = partial(self._make, path, sound)
                await to_thread.run_sync(work, limiter=self._limiter)
        finally:
            del self._making[key]
            event.set()
        return sound

    def close(self) -> None:
        """End the decoder's process."""
        self._decoder.worker.close()
        self._held.close()

    @property
    def _folder(self) -> Path:
        """The folder of the cache; a temporary one goes even after a kill, at the next start."""
        with self._lock:
            if self._known is None:
                self._known = self._held.enter_context(scratch_folder())
            return self._known

    def _of(self, key: str) -> Sound:
        return Sound(self._folder / f"{key}.wav", self._folder / f"{key}.peaks")

    def names(self) -> list[str]:
        """Return what the cache holds, by the keys of :meth:`get`."""
        return [one.stem for one in self._folder.glob("*.wav")]

    def drop(self, names: Iterable[str]) -> None:
        """Remove what ``names`` stand for."""
        for one in names:
            sound = self._of(one)
            sound.wav.unlink(missing_ok=True)
            sound.peaks.unlink(missing_ok=True)

    def _make(self, path: Path, sound: Sound) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._decoder.opened(path) as decoded:
                size = sum(one.stat().st_size for one in decoded.files[:2])
                self._check_room(size)
                _write(decoded.files[:2], sound)
            self._forget(sound)
        except OSError as exc:
            raise SoundUnavailable(f"the folder of the page: {exc.strerror}") from exc

    def _check_room(self, size: int) -> None:
        free = shutil.disk_usage(self._folder).free
        if size > self._max_bytes or free - size < self._reserve_bytes:
            raise SoundUnavailable("there is no room to prepare this recording")

    def _forget(self, new: Sound) -> None:
        """Remove what was not asked for the longest, until the rest fits."""
        files = sorted(self._folder.glob("*.wav"), key=lambda one: one.stat().st_mtime)
        total = sum(one.stat().st_size for one in files)
        for file in files:
            if total <= self._max_bytes:
                return
            if file != new.wav:
                total -= file.stat().st_size
                file.unlink(missing_ok=True)
                file.with_suffix(".peaks").unlink(missing_ok=True)


def cut(sound: Sound, start: float, end: float) -> bytes:
    """Return a part of what can be played, as a WAV file; times in seconds."""
    with wave.open(str(sound.wav), "rb") as whole:
        rate, frames = whole.getframerate(), whole.getnframes()
        begin = min(frames, max(0, round(start * rate)))
        whole.setpos(begin)
        content = whole.readframes(max(0, min(frames, round(end * rate)) - begin))
        out = io.BytesIO()
        with wave.open(out, "wb") as part:
            part.setparams(whole.getparams())
            part.writeframes(content)
    return out.getvalue()


def _touched(sound: Sound) -> bool:
    try:
        os.utime(sound.wav)
        return sound.peaks.is_file()
    except OSError:
        return False


def _write(files: tuple[Path, ...], sound: Sound) -> None:
    """Write WAV and peaks beside their names, and rename them when they are whole."""
    samples = [_samples(one) for one in files]
    length = max(len(one) for one in samples)
    bins = max(1, min(BINS, length * _PER_SEC // RATE))
    half = sound.wav.with_name(f"{uuid4().hex}.half")
    try:
        with half.open("wb") as raw, wave.open(raw, "wb") as out:
            half.chmod(0o600)
            out.setnchannels(len(samples))
            out.setsampwidth(2)
            out.setframerate(RATE)
            for begin in range(0, length, _BLOCK):
                out.writeframes(_interleaved(samples, begin).tobytes())
        peaks = b"".join(_peaks(one, length, bins) for one in samples)
        head = f"{len(samples)} {bins} {length / RATE:.3f}\n".encode()
        sound.peaks.write_bytes(head + peaks)
        half.replace(sound.wav)
    finally:
        half.unlink(missing_ok=True)


def _samples(file: Path) -> npt.NDArray[np.int16]:
    if file.stat().st_size == 0:
        return np.zeros(0, dtype="<i2")
    return np.memmap(file, dtype="<i2", mode="r")


def _interleaved(samples: list[npt.NDArray[np.int16]], begin: int) -> npt.NDArray[np.int16]:
    blocks = [one[begin : begin + _BLOCK] for one in samples]
    found = np.zeros((max(len(one) for one in blocks), len(blocks)), dtype="<i2")
    for channel, block in enumerate(blocks):
        found[: len(block), channel] = block
    return found


def _peaks(samples: npt.NDArray[np.int16], length: int, bins: int) -> bytes:
    """Return the loudest sample of each of ``bins`` equal parts, as bytes."""
    edges = np.linspace(0, length, bins, endpoint=False).astype(np.int64)
    edges = edges[edges < len(samples)]
    if not len(edges):
        return bytes(bins)
    loud = np.maximum(
        np.maximum.reduceat(samples, edges).astype(np.int32),
        -np.minimum.reduceat(samples, edges).astype(np.int32),
    )
    # The root lifts quiet voices, which are what a listener looks for.
    shown = np.sqrt(np.minimum(loud, _FULL) / _FULL) * 255
    return shown.astype(np.uint8).tobytes().ljust(bins, b"\0")


@asynccontextmanager
async def as_opened(path: Path) -> AsyncIterator[Path]:
    """Yield a path that needs no opening."""
    yield path
