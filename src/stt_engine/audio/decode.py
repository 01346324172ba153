"""Any recording to 16 kHz mono PCM files, one a channel, in constant memory and under limits.

Runs in the decoder's child process: the bytes are hostile until proved otherwise. The container
is opened from an open file, never by name, and only with the demuxers listed in
:mod:`stt_engine.audio.opening`, so that a playlist dressed up as audio cannot make FFmpeg open
another file or address. What the file holds and what of it was decoded is in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import av

from stt_engine.audio.opening import mapped, opened_file, opened_part, words
from stt_engine.audio.parts import Part
from stt_engine.audio.plan import plan
from stt_engine.audio.recording import Recording
from stt_engine.errors import AudioDamaged, AudioEmpty, AudioRejected, NotAudio, WorkspaceError
from stt_engine.protocol import (
    DecodeJob,
    DecodeStep,
    DecodeSteps,
    OnShared,
    Operations,
)
from stt_engine.speech import AudioLimits


def decode(path: Path, folder: Path, limits: AudioLimits) -> DecodeSteps:
    """Decode ``path`` into ``folder``, step by step; the first step is the header's estimate.

    Raises:
        AudioRejected: one of its kinds, saying what is wrong with the recording.
        WorkspaceError: ``folder`` cannot take the samples.
    """
    with opened_file(path, limits) as file, mapped(file) as data:
        parts = plan(data, lambda part: _name(file, part, limits))
        recording = Recording(file, data, folder, limits)
        try:
            with closing(recording):
                yield from _parts(recording, parts)
                finished = yield from recording.finish()
        except OSError as exc:
            if isinstance(exc, av.FFmpegError):
                raise NotAudio(f"cannot be decoded ({words(exc)})") from exc
            raise WorkspaceError(f"cannot write decoded audio: {exc.strerror}") from exc
        except ValueError as exc:
            raise NotAudio(f"cannot be decoded ({exc})") from exc
        return {
            "kind": "decoded",
            "duration": recording.duration,
            "files": finished.files,
            "source_format": recording.source_format,
            "ledger": recording.ledger.as_data(),
        }


def _name(file: BinaryIO, part: Part, limits: AudioLimits) -> str:
    """Return what FFmpeg takes a part for; nothing where it cannot open it."""
    try:
        with opened_part(file, part, limits) as container:
            return container.format.name
    except (NotAudio, AudioDamaged):
        return ""


def _parts(recording: Recording, parts: list[Part]) -> Iterator[DecodeStep]:
    """Decode one container after the other; one that cannot be opened hides no other."""
    refused: AudioRejected | None = None
    begins = [0, *(part.end for part in parts)]
    sizes = [max(1, part.end - begin) for begin, part in zip(begins, parts, strict=False)]
    for number, part in enumerate(parts):
        try:
            share, last = sizes[number] / sum(sizes), part is parts[-1]
            yield from recording.part(part, share, last=last)
        except (NotAudio, AudioDamaged, AudioEmpty) as exc:
            refused = refused or exc
            recording.unreadable(part, sizes[number], str(exc))
    if not recording.has_sound:
        raise refused or AudioEmpty("not one sample of sound could be decoded")


def operations(_on_shared: OnShared) -> Operations:
    """Return the operations of the decoder's child process; no two recordings share a step."""

    def run(job: DecodeJob) -> DecodeSteps:
        return decode(Path(job["path"]), Path(job["folder"]), AudioLimits(**job["limits"]))

    return {"decode": run}
