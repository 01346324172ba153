"""Where speech is, asked of OpenVINO: the same network, and the same spans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from faster_whisper.vad import get_vad_model

from stt_engine.backends.faster_whisper.openvino import vad
from stt_engine.backends.faster_whisper.openvino.encoder import known_samples
from stt_engine.backends.faster_whisper.openvino.graph import (
    OpenVinoUnavailable,
    compiled,
    import_openvino,
)
from stt_engine.backends.faster_whisper.openvino.vad import OpenVinoVad, look_with_openvino
from stt_engine.backends.vad import Samples, facts, speech_spans
from tests.support.units import needs_library

pytestmark = needs_library


@pytest.fixture(autouse=True)
def model() -> Iterator[Any]:
    """faster-whisper's with onnxruntime, whatever was loaded before; and again afterwards."""
    get_vad_model.cache_clear()
    yield get_vad_model()
    get_vad_model.cache_clear()


def talk() -> Samples:
    """The built-in clip, loud and quiet, with noise and silence between: 40 seconds."""
    clip = known_samples()
    rng = np.random.default_rng(3)
    parts = []
    for loudness in (1.0, 0.1, 0.5, 1.5, 0.03):
        pause = rng.standard_normal(4 * 16_000).astype(np.float32) * 0.003
        parts += [loudness * clip, pause, np.zeros(16_000, np.float32)]
    return np.concatenate(parts).astype(np.float32)


def test_the_same_spans(model: Any) -> None:
    samples = talk()
    wanted = speech_spans(samples)
    assert len(wanted) > 2
    theirs = model.session
    look_with_openvino(known_samples())
    assert model.session is not theirs
    assert speech_spans(samples) == wanted


def test_the_same_probabilities_for_any_number_of_windows(model: Any) -> None:
    samples = talk()
    whole = {count: model(samples[: 512 * count]) for count in (1, 255, 256, 257, 900)}
    look_with_openvino(known_samples())
    for count, wanted in whole.items():
        np.testing.assert_allclose(model(samples[: 512 * count]), wanted, atol=1e-4)


@pytest.mark.parametrize("wrong", [0.02, float("nan")])
def test_what_disagrees_is_not_used(
    model: Any, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    run, theirs = OpenVinoVad.run, model.session

    def off(self: OpenVinoVad, *asked: Any) -> tuple[Any, ...]:
        found, *state = run(self, *asked)
        return (found + np.float32(wrong), *state)

    monkeypatch.setattr(vad.OpenVinoVad, "run", off)
    with pytest.raises(OpenVinoUnavailable, match="does not agree with onnxruntime"):
        look_with_openvino(known_samples())
    assert model.session is theirs


def test_where_openvino_stumbles_onnxruntime_goes_on_and_it_is_told(model: Any) -> None:
    samples = talk()
    wanted = speech_spans(samples)
    assert facts() == {"vad": "onnxruntime"}
    look_with_openvino(known_samples())
    assert facts() == {"vad": "openvino"}
    model.session._request = compiled(_refusing(), 1, "f32")  # a real error of OpenVINO's
    assert speech_spans(samples) == wanted
    told = facts()
    assert told["vad"] == "onnxruntime"
    assert told["vad_reason"].startswith("OpenVINO stumbled: ")


def _refusing() -> Any:
    """A network that takes no windows of Silero's size."""
    library = import_openvino()
    op = library.opset13
    inputs = [op.parameter([-1, 3], np.float32, name) for name in ("input", "h", "c")]
    for one in inputs:
        one.output(0).set_names({one.get_friendly_name()})
    return library.Model([op.result(one) for one in inputs], inputs, "refusing")
