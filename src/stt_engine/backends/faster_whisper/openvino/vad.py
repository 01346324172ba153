"""Silero's voice detection in OpenVINO: a third of onnxruntime's time, for the same numbers."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from stt_engine.backends.faster_whisper.openvino.graph import (
    OpenVinoUnavailable,
    compiled,
    shared_core,
    unavailable,
)
from stt_engine.backends.vad import Samples

MAX_DIFFERENCE = 0.01
"""Between the probabilities of both libraries (measured: 1e-6); speech begins at 0.5."""

_WINDOW = 512
"""Samples."""

_TOGETHER = 256
"""Windows at once: more take as long, and memory."""


class OpenVinoVad:
    """What faster-whisper asks of an ``onnxruntime.InferenceSession``. For one thread at a time.

    Args:
        file: the network.
        spare: an onnxruntime session of it, which takes over for good where OpenVINO fails.
    """

    def __init__(self, file: Path, spare: Any) -> None:
        self.reason: str | None = None
        """Why onnxruntime took over."""
        self._spare = spare
        self._request = compiled(shared_core().read_model(file), 1, "f32")

    def run(self, _outputs: None, inputs: Mapping[str, Samples]) -> tuple[Samples, ...]:
        """Return the probabilities of windows (N, samples), and the state (``h``, ``c``) then."""
        if self.reason is None:
            try:
                return self._looked(inputs)
            except RuntimeError as exc:
                self.reason = f"OpenVINO stumbled: {exc}"
        found: tuple[Samples, ...] = self._spare.run(None, inputs)
        return found

    def facts(self) -> dict[str, str]:
        """Return which library detects speech, and why not OpenVINO any more."""
        if self.reason is None:
            return {"vad": "openvino"}
        return {"vad": "onnxruntime", "vad_reason": self.reason}

    def _looked(self, inputs: Mapping[str, Samples]) -> tuple[Samples, ...]:
        state = {name: inputs[name] for name in ("h", "c")}
        found = []
        for at in range(0, len(inputs["input"]), _TOGETHER):
            windows = np.ascontiguousarray(inputs["input"][at : at + _TOGETHER])
            results = self._request.infer({"input": windows, **state}).to_tuple()
            found.append(results[0])
            state = dict(zip(("h", "c"), results[1:], strict=True))
        return np.concatenate(found), state["h"], state["c"]


def look_with_openvino(known: Samples) -> None:
    """Have faster-whisper look for speech with OpenVINO from now on.

    Args:
        known: samples at 16 kHz with speech in them, about which both have to agree.

    Raises:
        OpenVinoUnavailable: they do not, or OpenVINO failed; onnxruntime stays.
    """
    from faster_whisper.utils import get_assets_path
    from faster_whisper.vad import SileroVADModel, get_vad_model

    with unavailable():
        (file,) = Path(get_assets_path()).glob("silero_vad*.onnx")
        theirs: Any = SileroVADModel(str(file))  # the shared one may look with OpenVINO already
        ours = copy(theirs)
        ours.session = OpenVinoVad(file, theirs.session)
        whole = known[: len(known) // _WINDOW * _WINDOW]
        found, wanted = ours(whole), theirs(whole)
    if ours.session.reason is not None:
        raise OpenVinoUnavailable(ours.session.reason)
    if found.shape != wanted.shape or not np.abs(found - wanted).max() <= MAX_DIFFERENCE:
        raise OpenVinoUnavailable("it does not agree with onnxruntime about where speech is")
    get_vad_model().session = ours.session
