"""Whisper's encoder as an OpenVINO graph, out of CTranslate2's variables."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from stt_engine.backends.faster_whisper.ct2_weights import Variables
from stt_engine.backends.faster_whisper.openvino.graph import Graph, Weights


def build(variables: Variables, weights: Weights) -> Any:
    """Return an ``openvino.Model``: features (B, mels, T) to states (B, ceil(T / 2), width).

    Both are float32. With ``bf16`` the weights and all between are bfloat16: a float32 graph under
    OpenVINO's hint is as fast, but keeps a float32 copy of every weight for as long as it lives.
    With ``int8`` the matrices are, and what they multiply is rounded as it comes.

    Raises:
        WeightsUnreadable: a variable is missing, or stored in an unknown form.
    """
    return _Encoder(variables, weights).model()


class _Encoder(Graph):
    def __init__(self, variables: Variables, weights: Weights) -> None:
        super().__init__(variables, "encoder", weights)
        self.mels = self.plain("conv1/weight").shape[1]

    def model(self) -> Any:
        op = self.op
        features = op.parameter([-1, self.mels, -1], np.float32, "features")
        kind = "bf16" if self.weights == "bf16" else "f32"
        sound = self.convolution(op.convert(features, kind), "conv1", 1)
        sound = self.convolution(sound, "conv2", 2)
        states = self.placed(op.transpose(sound, self.integers(0, 2, 1)))
        for number in itertools.count():
            if not self.has(f"layer_{number}/ffn/linear_0/weight"):
                break
            states = op.add(states, self.attention(states, f"layer_{number}/self_attention"))
            states = self.feed_forward(states, f"layer_{number}/ffn")
        states = op.convert(self.norm(states, "layer_norm"), "f32")
        return self.ov.Model([states], [features], "whisper_encoder")

    def convolution(self, sound: Any, name: str, stride: int) -> Any:
        """Pad by one, convolve, and apply GELU."""
        op = self.op
        weight = self.constant(self.plain(f"{name}/weight"))
        bias = self.constant(self.plain(f"{name}/bias")[None, :, None])
        return op.gelu(op.add(op.convolution(sound, weight, [stride], [1], [1], [1]), bias), "erf")

    def placed(self, states: Any) -> Any:
        """Add the positions, as many as there are."""
        op, first, step = self.op, self.integers(0), self.integers(1)
        length = op.gather(op.shape_of(states), step, self.integer(0))
        positions = self.constant(self.plain("position_encodings/encodings"))
        return op.add(states, op.slice(positions, first, length, step, first))

    def attention(self, states: Any, name: str) -> Any:
        op = self.op
        fused = self.linear(self.norm(states, f"{name}/layer_norm"), f"{name}/linear_0")
        width = self.plain("conv1/bias").size // self.heads
        apart = op.reshape(fused, self.integers(0, 0, 3, self.heads, width), special_zero=True)
        apart = op.transpose(apart, self.integers(2, 0, 3, 1, 4))
        parts = [op.gather(apart, self.integer(part), self.integer(0)) for part in range(3)]
        scale = self.constant(np.float32(width**-0.5))
        heard = op.scaled_dot_product_attention(*parts, scale=scale)
        heard = op.transpose(heard, self.integers(0, 2, 1, 3))
        return self.linear(
            op.reshape(heard, self.integers(0, 0, -1), special_zero=True), f"{name}/linear_1"
        )
