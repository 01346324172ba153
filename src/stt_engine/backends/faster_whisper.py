"""faster-whisper: CTranslate2 weights, no torch. Two roads through the same weights, in a chain.

The fast one (:mod:`stt_engine.backends.batched`) hears many stretches at once and names what it
doubts; that is heard again by faster-whisper itself, stretch by stretch.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from stt_engine.backends.alone import Alone
from stt_engine.backends.batched import BatchedRoad, Doubt, Encoder, NativeEncoder, token_cap
from stt_engine.backends.cpu_features import cpu_flags
from stt_engine.backends.decoders import NativeDecoder
from stt_engine.backends.grouping import LARGEST
from stt_engine.backends.hearing import Tell
from stt_engine.backends.model import Heard, Model, Said, Stretch
from stt_engine.backends.native import native_errors
from stt_engine.backends.openvino_encoder import (
    FORMS,
    Form,
    OpenVinoEncoder,
    open_encoder,
    possible_form,
)
from stt_engine.backends.openvino_graph import OpenVinoUnavailable
from stt_engine.backends.recognition import model_operations
from stt_engine.errors import DeviceUnavailable
from stt_engine.heaps import return_freed

PARAMETERS: dict[str, Any] = {
    "beam_size": 5,
    # Sampling gives another answer each time and no better one: 22 doubtful stretches kept a CER
    # of 90 % whatever the temperatures, and took twice as long with them (0, 0.2, 0.4).
    "temperature": 0.0,
    "condition_on_previous_text": False,
}
"""Passed to ``WhisperModel.transcribe``; the rest are the library's defaults."""

MOST_WORKERS = 4
"""Decoders that work at once; on a machine with more cores each has several threads."""

PAYS = FORMS["amx_bf16"]
"""The form in which OpenVINO's encoder is the faster one for many stretches too. Without AMX
it needs as long as CTranslate2's (measured on an AMD Zen 5), but uses all cores for one."""

_AVX512 = {"avx512f", "avx512cd", "avx512dq", "avx512bw", "avx512vl"}

MOST_TOKENS = (30, 14)
"""Tokens for any stretch, and for each second of it: nobody speaks faster."""

PROMPT_TOKENS = 3
"""Begin, language, task: they count as generated for CTranslate2, which stops at half of both."""


class Road(Protocol):
    """One way through the weights."""

    name: str

    def hear(self, stretches: Sequence[Stretch]) -> Sequence[Said | Doubt]:
        """Hear stretches; in their order, what was said or why that is doubtful."""
        ...


class SequentialRoad:
    """faster-whisper's own ``transcribe``, a stretch at a time: the reference."""

    name = "sequential"

    def __init__(self, library: Any, workers: int, beam_size: int) -> None:
        self._library = library
        self._parameters = {**PARAMETERS, "beam_size": beam_size}
        self._pool = ThreadPoolExecutor(workers, "sequential")

    def hear(self, stretches: Sequence[Stretch]) -> list[Said | Doubt]:
        """Hear stretches; never doubts."""
        return list(self._pool.map(self._one, stretches))

    def _one(self, stretch: Stretch) -> Said:
        found, _ = self._library.transcribe(
            stretch.samples,
            language=stretch.language,
            task=stretch.task,
            word_timestamps=stretch.words,
            max_new_tokens=2 * token_cap(stretch.seconds, MOST_TOKENS) - PROMPT_TOKENS,
            **self._parameters,
        )
        return Said(tuple(_heard(segment) for segment in found))


class FasterWhisper:
    """A loaded CTranslate2 model.

    ``job`` has ``folder``, ``device``, ``compute_type``, ``beam_size``, ``encoder`` (``auto``,
    ``ctranslate2`` or ``openvino``) and ``decoding`` (the road to begin with).

    Raises:
        DeviceUnavailable: ``openvino`` was asked for and cannot be had.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        _use_wide_registers()
        from faster_whisper import WhisperModel

        self.alone: Alone | None = None
        compute_type = job["compute_type"]
        if compute_type == "auto":
            compute_type = "default" if job["device"] == "cuda" else "int8"
        workers, threads = _shares(job["device"])
        self._library = WhisperModel(
            str(Path(job["folder"])),
            device=job["device"],
            compute_type=compute_type,
            cpu_threads=threads,
            num_workers=workers,
            local_files_only=True,
        )
        native = NativeEncoder(self._library)
        openvino, form = self._chosen(job, native, workers * threads)
        encoder: Encoder = openvino or native
        decoder = NativeDecoder(self._library, job["beam_size"])
        fast = BatchedRoad(self._library, encoder, decoder, workers)
        plain = SequentialRoad(self._library, workers, job["beam_size"])
        roads: list[Road] = [fast, plain]  # the last one never doubts
        self._roads = roads[1:] if job["decoding"] == plain.name else roads
        if form is not None:
            self.alone = Alone(
                self._library,
                Path(job["folder"]),
                fast,
                beam_size=job["beam_size"],
                threads=workers * threads,
                form=form,
                encoder=openvino,
            )
        self.detect = fast.detect
        self.together = LARGEST * workers
        self.multilingual = bool(self._library.model.is_multilingual)
        self.facts: dict[str, Any] = {
            "device": self._library.model.device,
            "compute_type": self._library.model.compute_type,
            "parameters": {
                **PARAMETERS,
                "beam_size": job["beam_size"],
                "vad": "silero",
                "decoding": [road.name for road in self._roads],
                "workers": workers,
                "threads": threads,
            },
            **encoder.facts,
        }

    def hear(self, stretches: Sequence[Stretch]) -> list[Said]:
        """Hear stretches, and again on the next road what the one before doubts.

        One alone has all cores, and its own first road.
        """
        first, facts = self.alone.now() if self.alone and len(stretches) == 1 else (None, {})
        said: dict[int, Said] = {}
        doubts: dict[int, tuple[str, ...]] = dict.fromkeys(range(len(stretches)), ())
        for road in [first or self._roads[0], *self._roads[1:]]:
            asked = list(doubts)
            for at, answer in zip(asked, road.hear([stretches[at] for at in asked]), strict=True):
                if isinstance(answer, Doubt):
                    doubts[at] = (*doubts[at], answer.reason)
                else:
                    said[at] = replace(answer, doubts=doubts.pop(at), facts=facts)
            if not doubts:
                break
        return [said[at] for at in range(len(stretches))]

    def _chosen(
        self, job: dict[str, Any], native: NativeEncoder, threads: int
    ) -> tuple[OpenVinoEncoder | None, Form | None]:
        """Give OpenVINO's encoder where it is to encode all, and in which form it may help one.

        ``native.facts`` tell why not.
        """
        asked = job["encoder"]
        if asked == "ctranslate2" or job["decoding"] == SequentialRoad.name:
            return None, None
        device = self._library.model.device
        try:
            form = possible_form(device, job["compute_type"])
            if asked != "auto" or form == PAYS:
                folder = Path(job["folder"])
                return open_encoder(folder, threads, native.encode, form), form
        except OpenVinoUnavailable as exc:
            if asked != "auto":
                raise DeviceUnavailable(f"STT_ENCODER={asked}: {exc}") from exc
            native.facts["encoder_reason"] = str(exc)
            return None, None
        native.facts["encoder_reason"] = f"for one stretch only: for many, {form} is no faster"
        return None, form


def _use_wide_registers() -> None:
    """Have CTranslate2 use AVX-512 on any maker's CPU (measured on an AMD: 7 to 12 % less time)."""
    if cpu_flags() >= _AVX512:
        os.environ.setdefault("CT2_FORCE_CPU_ISA", "AVX512")


def _shares(device: str) -> tuple[int, int]:
    """Give the decoders that work at once and the threads of each (0: the library's choice)."""
    if device == "cuda":
        return 1, 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = min(MOST_WORKERS, cores or 1)
    return workers, (cores or 1) // workers


def _heard(segment: Any) -> Heard:
    words = segment.words and tuple(
        (word.start, word.end, word.word, word.probability) for word in segment.words
    )
    return Heard(segment.start, segment.end, segment.text, math.exp(segment.avg_logprob), words)


def load(job: dict[str, Any]) -> Model:
    """Load the folder that ``job`` names."""
    with native_errors():
        model = FasterWhisper(job)
    return_freed()
    return model


def operations(tell: Tell) -> dict[str, Any]:
    """Give the operations of this backend's child process."""
    return model_operations(load, tell)
