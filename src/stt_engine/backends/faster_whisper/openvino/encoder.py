"""Whisper's encoder on CPUs that have units for it: OpenVINO in CTranslate2's place.

The graph is built from the same ``model.bin``, in the form (:class:`Form`) that suits the CPU, and
before it may take part it has to agree with CTranslate2 about a real clip. Wherever it cannot be
had, :class:`OpenVinoUnavailable` says why, and CTranslate2's own encoder is as good as ever.
"""

from __future__ import annotations

import threading
import wave
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_engine.backends.faster_whisper.ct2_weights import read_variables
from stt_engine.backends.faster_whisper.openvino.cpu_features import cpu_units, has_library
from stt_engine.backends.faster_whisper.openvino.encoder_graph import build
from stt_engine.backends.faster_whisper.openvino.graph import (
    OpenVinoUnavailable,
    Precision,
    Weights,
    compiled,
    import_openvino,
    unavailable,
)
from stt_engine.speech import SAMPLE_RATE

Features = NDArray[np.float32]
"""Log-mel features (items, mels, frames of 10 ms)."""
States = NDArray[np.float32]
"""What the encoder makes of them (items, frames of 20 ms, width)."""

MAX_FRAMES = 3_000
"""Frames of 10 ms in Whisper's window of 30 s."""
MIN_FRAMES = 4
"""Two states. OpenVINO packs weights at first use, and for a single row so that every longer
input of a float32 graph came out wrong afterwards (2026.4)."""

MIN_COSINE = 0.99
MAX_RELATIVE_RMS = 0.12
"""How far the check lets it be from CTranslate2's encoder, which may itself compute in int8.

Measured with Whisper base: 0.9999 and 0.012 from CTranslate2 in float32, 0.9988 and 0.046 from int8
(int8 is off by that much itself). One wrong bias vector: 0.981 and 0.20; anything worse is further.
"""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How close two encodings of the same sound are."""

    mean_cosine: float
    """Over frames, of the cosine between the two states; 1 is the same."""
    relative_rms: float
    """Root mean square of the difference, over that of the reference; 0 is the same."""

    @classmethod
    def of(cls, states: States, reference: States) -> Agreement:
        """Compare; an encoding of another shape or with a NaN agrees with nothing."""
        if states.shape != reference.shape:
            return cls(float("nan"), float("nan"))
        with np.errstate(all="ignore"):  # what is not finite shows in the result
            lengths = np.linalg.norm(states, axis=-1) * np.linalg.norm(reference, axis=-1)
            cosine = np.mean(np.sum(states * reference, axis=-1) / lengths)
            difference = np.linalg.norm(states - reference) / np.linalg.norm(reference)
        return cls(round(float(cosine), 5), round(float(difference), 5))

    @property
    def good(self) -> bool:
        """Whether the one may stand in for the other."""
        return self.mean_cosine >= MIN_COSINE and self.relative_rms <= MAX_RELATIVE_RMS

    def __str__(self) -> str:
        """Return both numbers, with what they should be."""
        return (
            f"mean cosine {self.mean_cosine} (at least {MIN_COSINE}), "
            f"relative RMS difference {self.relative_rms} (at most {MAX_RELATIVE_RMS})"
        )


@dataclass(frozen=True, slots=True)
class Form:
    """How an encoder's matrices are kept, and what all else is computed in."""

    weights: Weights
    precision: Precision

    def __str__(self) -> str:
        """Name it; what both are is said once."""
        both = self.weights == self.precision
        return self.precision if both else f"{self.weights}-{self.precision}"


FORMS = {
    "amx_bf16": Form("bf16", "bf16"),
    "avx512_vnni": Form("int8", "f32"),
    "avx_vnni": Form("int8", "f32"),
}
"""By unit of the CPU, the best first; with none of them OpenVINO gains nothing.

Without AMX, bfloat16 saves nothing in a server (Whisper base, two cores of an AMD Zen 5 with
``avx512_bf16``: 2 to 8 % slower for a clip, though its encoder is faster by itself), and int8 comes
from CTranslate2 too.
"""

_INTEGERS = ("int8", "int8_float32")
"""CTranslate2's compute types with which nothing is in bfloat16."""


class OpenVinoEncoder:
    """A compiled encoder. Calls from several threads take turns; each uses all ``threads``.

    ``facts`` says where the states come from, for ``provenance``.
    """

    def __init__(self, folder: Path, threads: int, form: Form) -> None:
        model = build(read_variables(folder / "model.bin", "encoder/"), form.weights)
        self._request: Any = compiled(model, threads, form.precision)
        self._turn = threading.Lock()
        self._mels: int = model.input(0).partial_shape[1].get_length()
        self._width: int = model.output(0).partial_shape[2].get_length()
        self.facts: dict[str, Any] = {
            "encoder": f"openvino-{form}",
            "openvino": str(import_openvino().__version__).partition("-")[0],
            "units": cpu_units(),
        }

    def encode(self, features: Features) -> States:
        """Encode (items, mels, frames) to (items, half as many frames, width), both float32.

        Item by item, which is as fast as all at once (no padding to share, one set of scores in
        memory). Any length from 4 to 3,000 frames, without padding to it.

        Raises:
            ValueError: another number of mels than the model's, or a length outside of that.
            RuntimeError: OpenVINO failed (out of memory, for one).
        """
        items, mels, frames = features.shape
        if mels != self._mels or not MIN_FRAMES <= frames <= MAX_FRAMES:
            raise ValueError(f"features are {mels} mels and {frames} frames")
        states = np.empty((items, (frames + 1) // 2, self._width), np.float32)
        for item, state in zip(features, states, strict=True):
            with self._turn:
                state[:] = self._infer(item)
        return states

    def _infer(self, item: Features) -> States:
        inputs = {0: np.ascontiguousarray(item[None], np.float32)}
        found: States = self._request.infer(inputs, share_inputs=True, share_outputs=True)[0][0]
        return found

    def check(self, reference: Callable[[Features], States]) -> None:
        """Compare with ``reference`` on the built-in clip, and note the result in ``facts``.

        At two lengths, the shorter first: see :data:`MIN_FRAMES` for what a length can do.

        Raises:
            OpenVinoUnavailable: they do not agree; the message holds the measured difference.
        """
        whole = known_features(self._mels)
        for features in (np.ascontiguousarray(whole[..., : whole.shape[-1] // 2]), whole):
            agreement = Agreement.of(self.encode(features), reference(features))
            if not agreement.good:
                raise OpenVinoUnavailable(f"it does not agree with CTranslate2's: {agreement}")
        self.facts["encoder_check"] = asdict(agreement)


def possible_form(device: str, compute_type: str = "auto") -> Form:
    """Look, in no time, in which form there may be such an encoder here.

    Args:
        device: where CTranslate2 runs; anything but ``cpu`` needs no help.
        compute_type: the setting; ``int8`` has no bfloat16, ``float32`` no rounding at all.

    Raises:
        OpenVinoUnavailable: another device or compute type, a CPU without such units, or no
            library.
    """
    if device != "cpu":
        raise OpenVinoUnavailable(f"the model runs on {device}")
    units = cpu_units()
    if units is None:
        raise OpenVinoUnavailable(f"the CPU has none of {', '.join(FORMS)}")
    if not has_library():
        raise OpenVinoUnavailable("openvino is not installed")
    if compute_type in _INTEGERS:
        return Form("int8", "f32")
    if compute_type != "auto":
        raise OpenVinoUnavailable(f"the compute type is {compute_type}")
    return FORMS[units]


def open_encoder(
    folder: Path,
    threads: int,
    reference: Callable[[Features], States],
    form: Form,
) -> OpenVinoEncoder:
    """Build the encoder of the model in ``folder`` and prove it against CTranslate2's.

    Args:
        folder: a checked faster-whisper folder.
        threads: how many cores one call may use.
        reference: CTranslate2's encoder, from features (1, mels, frames) to states
            (1, frames / 2, width).
        form: one that is possible here.

    Raises:
        OpenVinoUnavailable: the weights are in a form that is not known, OpenVINO failed, or the
            check did.
    """
    with unavailable():
        encoder = OpenVinoEncoder(folder, threads, form)
        encoder.check(reference)
    return encoder


def known_samples() -> NDArray[np.float32]:
    """Return the built-in clip: 16 kHz, -1 to 1."""
    with (
        (files("stt_engine") / "assets" / "canary.wav").open("rb") as file,
        wave.open(file) as clip,
    ):
        samples = np.frombuffer(clip.readframes(clip.getnframes()), "<i2")
    return samples.astype(np.float32) / np.float32(32_768)


def known_features(mels: int) -> Features:
    """Return the features of the built-in clip: (1, ``mels``, an even number of frames)."""
    from faster_whisper.feature_extractor import FeatureExtractor

    extractor = FeatureExtractor(feature_size=mels, sampling_rate=SAMPLE_RATE)
    features = extractor(known_samples())
    return np.ascontiguousarray(features[None, :, : features.shape[1] // 2 * 2], np.float32)
