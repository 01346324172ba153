"""The parent's side of decoding: in a child process, under a deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import cast

from stt_engine.call import CallContext
from stt_engine.events import Observer
from stt_engine.limits import Limits
from stt_engine.protocol import AUDIO, DecodeJob, DecodeLimits, DecodeResult, Result, Step
from stt_engine.speech import DecodedAudio
from stt_engine.system.tempdirs import scratch_folder
from stt_engine.workers.process import WorkerLimits
from stt_engine.workers.scheduler import QueueEntry
from stt_engine.workers.worker import Worker

OnEstimate = Callable[[float | None, int], float]
"""Called with the length in seconds that a header promises, if it does, and the channels; returns
the seconds of work that the call seems to be."""


class AudioDecoder:
    """Decodes recordings in a child process into a temporary folder that goes with the call."""

    def __init__(self, limits: Limits, observers: Iterable[Observer] = ()) -> None:
        self._limits = limits
        bounds = WorkerLimits(limits.stall_timeout_sec, limits.decoder_memory_mb, computes=True)
        self.worker = Worker(AUDIO, bounds, observers)

    @contextmanager
    def opened(
        self, path: Path, context: CallContext | None = None, on_estimate: OnEstimate | None = None
    ) -> Iterator[DecodedAudio]:
        """Decode ``path``; the samples are gone when the context ends.

        ``on_estimate`` is called before the work is done; what it raises ends the call.

        Raises:
            AudioRejected: the recording cannot be used.
            WorkerError: the decoder crashed or hung on it.
            WorkspaceError: no room for the samples.
        """
        with scratch_folder() as folder:
            entry = self.worker.entry(context or CallContext())
            found = self._decoded(self._job(path, folder), entry, on_estimate)
            files = tuple(Path(name) for name in found["files"])
            yield DecodedAudio(
                path, found["duration"], files, found["source_format"], found["ledger"]
            )

    def _job(self, path: Path, folder: Path) -> DecodeJob:
        return {
            "operation": "decode",
            "path": str(path.absolute()),  # the child keeps the folder it was started in
            "folder": str(folder),
            "limits": cast("DecodeLimits", asdict(self._limits.audio)),
        }

    def _decoded(
        self, job: DecodeJob, entry: QueueEntry, on_estimate: OnEstimate | None
    ) -> DecodeResult:
        def on_step(step: Step | Result) -> None:
            if step["kind"] == "estimate" and on_estimate is not None:
                entry.left_sec = on_estimate(step["estimate_sec"], step["channels"])

        limit = self._limits.decode_timeout_sec
        found = self.worker.call(job, timeout=limit, entry=entry, on_step=on_step)
        return cast("DecodeResult", found)
