"""faster-whisper: CTranslate2 weights, no torch. Two pipelines over the same weights, in a chain.

The fast one (:mod:`stt_engine.backends.faster_whisper.batched`) transcribes many chunks at
once and names results of low confidence; those are transcribed again by faster-whisper itself.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from stt_engine.backends.base import (
    ChunkResult,
    LanguageGuess,
    Model,
    RawSegment,
    SpeechChunk,
)
from stt_engine.backends.faster_whisper.batched import (
    BatchedPipeline,
    Encoder,
    LowConfidence,
    NativeEncoder,
    token_cap,
)
from stt_engine.backends.faster_whisper.decoder import NativeDecoder, tokenizer_of
from stt_engine.backends.faster_whisper.grouping import LARGEST
from stt_engine.backends.faster_whisper.hint_tokens import hint_tokens
from stt_engine.backends.faster_whisper.likelihood import log_likelihoods
from stt_engine.backends.faster_whisper.openvino.cpu_features import cpu_flags
from stt_engine.backends.faster_whisper.openvino.encoder import (
    FORMS,
    Form,
    OpenVinoEncoder,
    open_encoder,
    possible_form,
)
from stt_engine.backends.faster_whisper.openvino.graph import OpenVinoUnavailable
from stt_engine.backends.faster_whisper.openvino.single_stream import SingleStream
from stt_engine.backends.recognition import model_operations
from stt_engine.backends.repetition import is_suspect
from stt_engine.errors import DeviceUnavailable
from stt_engine.native_errors import native_errors
from stt_engine.protocol import LoadJob, OnShared, Operations
from stt_engine.system.malloc import return_freed

PARAMETERS: dict[str, Any] = {
    "beam_size": 5,
    # Sampling gives another answer each time and no better one: 22 unsure chunks kept a CER of
    # 90 % whatever the temperatures, and took twice as long with them (0, 0.2, 0.4).
    "temperature": 0.0,
    "condition_on_previous_text": False,
}
"""Passed to ``WhisperModel.transcribe``; the rest are the library's defaults."""

MOST_WORKERS = 4
"""Decoders that work at once; on a machine with more cores each has several threads."""

PAYS = FORMS["amx_bf16"]
"""The form in which OpenVINO's encoder is the faster one for many chunks too. Without AMX
it needs as long as CTranslate2's (measured on an AMD Zen 5), but uses all cores for one."""

_AVX512 = {"avx512f", "avx512cd", "avx512dq", "avx512bw", "avx512vl"}

MOST_TOKENS = (30, 14)
"""Tokens for any chunk, and for each second of it: nobody speaks faster."""

PROMPT_TOKENS = 3
"""Begin, language, task: they count as generated for CTranslate2, which stops at half of both."""


class Pipeline(Protocol):
    """One way through the weights."""

    name: str

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> Sequence[ChunkResult | LowConfidence]:
        """Transcribe chunks; return results in their order, or why one has low confidence."""
        ...


class SequentialPipeline:
    """faster-whisper's own ``transcribe``, a chunk at a time: the reference."""

    name = "sequential"

    def __init__(self, library: Any, workers: int, beam_size: int) -> None:
        self._library = library
        self._parameters = {**PARAMETERS, "beam_size": beam_size}
        self._pool = ThreadPoolExecutor(workers, "sequential")

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult | LowConfidence]:
        """Transcribe chunks; no result has low confidence."""
        return list(self._pool.map(self._one, chunks))

    def _one(self, chunk: SpeechChunk) -> ChunkResult:
        most = token_cap(chunk.seconds, MOST_TOKENS)
        found = self._segments(chunk, most, words=chunk.words)
        cut = any(len(segment.tokens) >= most - PROMPT_TOKENS for segment in found)
        if cut and not chunk.words and not is_suspect("".join(one.text for one in found)):
            # Its text ends in the middle, its times do not: the words' own times say where.
            found = self._segments(chunk, most, words=True)
        return ChunkResult(tuple(_heard(segment, words=chunk.words) for segment in found))

    def _segments(self, chunk: SpeechChunk, most: int, *, words: bool) -> list[Any]:
        found, _ = self._library.transcribe(
            chunk.samples,
            language=chunk.language,
            task=chunk.task,
            word_timestamps=words,
            **{**self._parameters, "temperature": chunk.temperature},
            **self._bounds(chunk, 2 * most - PROMPT_TOKENS),
        )
        return list(found)

    def _bounds(self, chunk: SpeechChunk, most: int) -> dict[str, Any]:
        """Return what stands before the text, and how much of it there may be."""
        if not chunk.hints:
            return {"max_new_tokens": most}
        tokenizer = tokenizer_of(self._library, chunk.language, chunk.task)
        _, *shown = hint_tokens(tokenizer, chunk.hints)  # the library adds the first one itself
        room = self._library.max_length - len(shown) - 1 - PROMPT_TOKENS
        return {"initial_prompt": shown, "max_new_tokens": min(most, room)}


class FasterWhisper:
    """A loaded CTranslate2 model.

    ``job`` has ``folder``, ``device``, ``compute_type``, ``beam_size``, ``encoder`` (``auto``,
    ``ctranslate2`` or ``openvino``) and ``decoding`` (the pipeline to begin with).

    Raises:
        DeviceUnavailable: ``openvino`` is required by the setting and not available.
    """

    def __init__(self, job: LoadJob) -> None:
        _use_wide_registers()
        from faster_whisper import WhisperModel

        self.alone: SingleStream | None = None
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
        fast = BatchedPipeline(self._library, encoder, decoder, workers)
        plain = SequentialPipeline(self._library, workers, job["beam_size"])
        pipelines: list[Pipeline] = [fast, plain]  # the last one accepts every result
        self._pipelines = pipelines[1:] if job["decoding"] == plain.name else pipelines
        if form is not None:
            self.alone = SingleStream(
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
            "takes": ["words", "hints", "temperature"],
            "device": self._library.model.device,
            "compute_type": self._library.model.compute_type,
            "parameters": {
                **PARAMETERS,
                "beam_size": job["beam_size"],
                "vad": "silero",
                "decoding": [pipeline.name for pipeline in self._pipelines],
                "workers": workers,
                "threads": threads,
            },
            **encoder.facts,
        }

    def transcribe(self, chunks: Sequence[SpeechChunk]) -> list[ChunkResult]:
        """Transcribe chunks; what has low confidence goes to the next pipeline.

        A single chunk has all cores, and a first pipeline of its own.
        """
        first, facts = self.alone.now() if self.alone and len(chunks) == 1 else (None, {})
        said: dict[int, ChunkResult] = {}
        languages: dict[int, tuple[LanguageGuess, ...] | None] = {}
        low_confidence: dict[int, tuple[str, ...]] = dict.fromkeys(range(len(chunks)), ())
        for pipeline in [first or self._pipelines[0], *self._pipelines[1:]]:
            name = SingleStream.name if pipeline is first else pipeline.name
            last = pipeline is self._pipelines[-1]  # the one that can draw words
            asked = [at for at in low_confidence if last or not chunks[at].temperature]
            for at, answer in zip(
                asked, pipeline.transcribe([chunks[at] for at in asked]), strict=True
            ):
                languages[at] = languages.get(at) or answer.languages
                if isinstance(answer, LowConfidence):
                    low_confidence[at] = (*low_confidence[at], answer.reason)
                else:
                    said[at] = replace(
                        answer,
                        segments=tuple(replace(one, pipeline=name) for one in answer.segments),
                        low_confidence=low_confidence.pop(at),
                        languages=languages[at],
                        facts=facts,
                    )
            if not low_confidence:
                break
        return [said[at] for at in range(len(chunks))]

    def log_likelihoods(self, chunk: SpeechChunk, texts: Sequence[str]) -> list[float]:
        """Return how likely each text is by the sound alone."""
        return log_likelihoods(self._library, chunk, texts)

    def _chosen(
        self, job: LoadJob, native: NativeEncoder, threads: int
    ) -> tuple[OpenVinoEncoder | None, Form | None]:
        """Return OpenVINO's encoder where it is to encode all, and in which form it may help one.

        ``native.facts`` say why not.
        """
        asked = job["encoder"]
        if asked == "ctranslate2" or job["decoding"] == SequentialPipeline.name:
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
    """Return the decoders that work at once and the threads of each (0: the library's choice)."""
    if device == "cuda":
        return 1, 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    workers = min(MOST_WORKERS, cores or 1)
    return workers, (cores or 1) // workers


def _heard(segment: Any, *, words: bool) -> RawSegment:
    timed = segment.words and tuple(
        (word.start, word.end, word.word, word.probability) for word in segment.words
    )
    confidence = math.exp(segment.avg_logprob)
    return RawSegment(
        segment.start, segment.end, segment.text, confidence, timed if words else None
    )


def load(job: LoadJob) -> Model:
    """Load the folder that ``job`` names."""
    with native_errors():
        model = FasterWhisper(job)
    return_freed()
    return model


def operations(on_shared: OnShared) -> Operations:
    """Return the operations of this backend's child process."""
    return model_operations(load, on_shared)
