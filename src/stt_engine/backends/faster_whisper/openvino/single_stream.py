"""The single-stream pipeline: OpenVINO on all cores, for a chunk that is in no batch.

And, for all of them, where speech is. This is built and proved beside the work, because it takes
as long as all the rest of loading: until it is there, and where it cannot be had, CTranslate2 and
onnxruntime do it. Under a ceiling of memory it is built before any call, which must not be the one
that memory ends for.
"""

from __future__ import annotations

import resource
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stt_engine.backends.base import SpeechChunk
from stt_engine.backends.faster_whisper.batched import BatchedPipeline, LowConfidence
from stt_engine.backends.faster_whisper.decoder import special_tokens
from stt_engine.backends.faster_whisper.openvino.decoder import OpenVinoDecoder
from stt_engine.backends.faster_whisper.openvino.encoder import (
    Form,
    OpenVinoEncoder,
    known_samples,
    open_encoder,
)
from stt_engine.backends.faster_whisper.openvino.graph import OpenVinoUnavailable, unavailable
from stt_engine.backends.faster_whisper.openvino.vad import look_with_openvino
from stt_engine.outcome import capture
from stt_engine.system.malloc import return_freed

_Choice = tuple[BatchedPipeline | None, Mapping[str, Any]]

MAX_DIFFERENCE = 0.1
"""Between the confidences of two pipelines for one text (measured with Whisper base: 0.01)."""


class SingleStream:
    """The pipeline, and what is known of it; begins to build it at once.

    ``name`` is what an answer calls it.

    Args:
        library: faster-whisper's ``WhisperModel``.
        folder: a checked faster-whisper folder.
        fast: the pipeline that it has to agree with.
        beam_size: hypotheses that are followed.
        threads: cores of this process.
        form: of OpenVINO's encoder.
        encoder: that, where there is one already.
    """

    name = "single-stream"

    def __init__(
        self,
        library: Any,
        folder: Path,
        fast: BatchedPipeline,
        *,
        beam_size: int,
        threads: int,
        form: Form,
        encoder: OpenVinoEncoder | None,
    ) -> None:
        self._library = library
        self._folder = folder
        self._fast = fast
        self._beam_size = beam_size
        self._threads = threads
        self._form = form
        self._encoder = encoder
        self._now: _Choice = None, {"alone_reason": "it is still being prepared"}
        self._building = threading.Thread(target=self._build, name="alone")
        self._building.start()
        if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
            self.wait()

    def now(self) -> _Choice:
        """Return the pipeline, if there is one, and its facts: ``alone`` or ``alone_reason``."""
        return self._now

    def wait(self) -> None:
        """Wait until it is known whether there is one."""
        self._building.join()

    def _build(self) -> None:
        with capture() as kept:  # every answer that it would have helped says why
            self._now = self._proved()
        error, kept.error = kept.error, None  # its traceback holds this frame, and all it read
        if error is not None:
            self._now = None, {"alone_reason": str(error) or type(error).__name__}
        else:  # where the pipeline took too much memory, more of OpenVINO would too
            with capture() as kept:  # every answer says which library looked
                look_with_openvino(known_samples())
            kept.error = None
        del error
        return_freed()

    def _proved(self) -> _Choice:
        encoder = self._encoder or open_encoder(
            self._folder, self._threads, self._fast.encoder.encode, self._form
        )
        with unavailable():
            decoder = OpenVinoDecoder(
                self._folder,
                special_tokens(self._library),
                beam_size=self._beam_size,
                threads=self._threads,
            )
        pipeline = BatchedPipeline(self._library, encoder, decoder, 1)
        check_agreement(pipeline, self._fast)
        return pipeline, {"alone": {**encoder.facts, **decoder.facts}}


def check_agreement(pipeline: BatchedPipeline, reference: BatchedPipeline) -> None:
    """Have two pipelines transcribe the built-in clip.

    Raises:
        OpenVinoUnavailable: their texts differ, or their confidences.
    """
    clip = SpeechChunk(known_samples(), "en", "transcribe")
    (found,), (wanted,) = pipeline.transcribe([clip]), reference.transcribe([clip])
    if isinstance(found, LowConfidence) or isinstance(wanted, LowConfidence):
        raise OpenVinoUnavailable(f"it could not be compared with CTranslate2: {found}, {wanted}")
    texts = [[one.text for one in said.segments] for said in (found, wanted)]
    confidences = [[one.confidence or 0.0 for one in said.segments] for said in (found, wanted)]
    if texts[0] != texts[1] or max(_differences(*confidences), default=1.0) > MAX_DIFFERENCE:
        raise OpenVinoUnavailable(f"it does not agree with CTranslate2: {texts}, {confidences}")


def _differences(some: Sequence[float], others: Sequence[float]) -> list[float]:
    return [abs(one - other) for one, other in zip(some, others, strict=True)]
