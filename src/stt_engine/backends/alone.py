"""What OpenVINO does on all cores: the road for a stretch that no other is heard with.

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

from stt_engine.backends.batched import BatchedRoad, Doubt
from stt_engine.backends.decoders import special_tokens
from stt_engine.backends.model import Stretch
from stt_engine.backends.openvino_decoder import OpenVinoDecoder
from stt_engine.backends.openvino_encoder import Form, OpenVinoEncoder, known_samples, open_encoder
from stt_engine.backends.openvino_graph import OpenVinoUnavailable, unavailable
from stt_engine.backends.openvino_vad import look_with_openvino
from stt_engine.heaps import return_freed
from stt_engine.outcome import Attempts, Stage

_Choice = tuple[BatchedRoad | None, Mapping[str, Any]]

MAX_DIFFERENCE = 0.1
"""Between the confidences of two roads that hear the same (measured with Whisper base: 0.01)."""


class Alone:
    """The road, and what is known of it; begins to build it at once.

    Args:
        library: faster-whisper's ``WhisperModel``.
        folder: a checked faster-whisper folder.
        fast: the road that it has to agree with.
        beam_size: hypotheses that are followed.
        threads: cores of this process.
        form: of OpenVINO's encoder.
        encoder: that, where there is one already.
    """

    def __init__(
        self,
        library: Any,
        folder: Path,
        fast: BatchedRoad,
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
        """Give the road, if there is one, and the facts of it: ``alone`` or ``alone_reason``."""
        return self._now

    def wait(self) -> None:
        """Wait until it is known whether there is one."""
        self._building.join()

    def _build(self) -> None:
        attempts = Attempts(Stage.LOAD)  # untold: every answer that it would have helped says why
        with attempts.of("alone"):
            self._now = self._proved()
        if attempts.failures:  # popped: its traceback holds this frame, and all that was read
            self._now = None, {"alone_reason": attempts.failures.pop().message}
        else:  # where the road took too much memory, more of OpenVINO would too
            with attempts.of("vad"):  # untold: every answer says which library looked
                look_with_openvino(known_samples())
            attempts.failures.clear()
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
        road = BatchedRoad(self._library, encoder, decoder, 1)
        check_agreement(road, self._fast)
        return road, {"alone": {**encoder.facts, **decoder.facts}}


def check_agreement(road: BatchedRoad, reference: BatchedRoad) -> None:
    """Have two roads hear the built-in clip.

    Raises:
        OpenVinoUnavailable: they do not hear the same, or not with the same confidence.
    """
    clip = Stretch(known_samples(), "en", "transcribe")
    (found,), (wanted,) = road.hear([clip]), reference.hear([clip])
    if isinstance(found, Doubt) or isinstance(wanted, Doubt):
        raise OpenVinoUnavailable(f"it could not be compared with CTranslate2: {found}, {wanted}")
    texts = [[one.text for one in said.segments] for said in (found, wanted)]
    confidences = [[one.confidence or 0.0 for one in said.segments] for said in (found, wanted)]
    if texts[0] != texts[1] or max(_differences(*confidences), default=1.0) > MAX_DIFFERENCE:
        raise OpenVinoUnavailable(f"it does not agree with CTranslate2: {texts}, {confidences}")


def _differences(some: Sequence[float], others: Sequence[float]) -> list[float]:
    return [abs(one - other) for one, other in zip(some, others, strict=True)]
