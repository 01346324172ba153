"""Whisper's encoder as an OpenVINO graph, out of CTranslate2's variables.

The same numbers in the same order as CTranslate2: GELU by the error function, layer norm with
epsilon 1e-5, convolutions padded by one, queries scaled by the square root of a head's width.
"""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_engine.backends.ct2_weights import Variables, WeightsUnreadable, plain

_EPSILON = 1e-5
_TOOLS = "openvino.tools.ovc"


def import_openvino() -> Any:
    """Import OpenVINO without its model converter, which would import Intel's telemetry."""
    hidden = "openvino" not in sys.modules
    if hidden:  # its import is an ImportError now, which OpenVINO expects
        sys.modules[_TOOLS] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if hidden:
            del sys.modules[_TOOLS]
    return openvino


def build(variables: Variables, *, bf16: bool) -> Any:
    """Give an ``openvino.Model``: features (B, mels, T) to states (B, ceil(T / 2), width).

    Both are float32. With ``bf16`` the weights and all between are bfloat16: a float32 graph under
    OpenVINO's hint is as fast, but keeps a float32 copy of every weight for as long as it lives.

    Raises:
        WeightsUnreadable: a variable is missing, or stored in an unknown form.
    """
    return _Graph(variables, bf16=bf16).model()


class _Graph:
    """Nodes of one graph; a variable is named as in ``model.bin``, without ``encoder/``."""

    def __init__(self, variables: Variables, *, bf16: bool) -> None:
        self.ov = import_openvino()
        self.op = self.ov.opset13
        self.variables = variables
        self.type = "bf16" if bf16 else "f32"
        self.mels = self.plain("conv1/weight").shape[1]
        self.heads = int(self.plain_integer("num_heads"))

    def plain(self, name: str) -> NDArray[np.float32]:
        return plain(self.variables, f"encoder/{name}")

    def plain_integer(self, name: str) -> int:
        stored = self.variables.get(f"encoder/{name}")
        if stored is None:
            raise WeightsUnreadable(f"no variable encoder/{name}")
        return int(stored.item())

    def model(self) -> Any:
        op = self.op
        features = op.parameter([-1, self.mels, -1], np.float32, "features")
        sound = self.convolution(op.convert(features, self.type), "conv1", 1)
        sound = self.convolution(sound, "conv2", 2)
        states = self.placed(op.transpose(sound, self.integers(0, 2, 1)))
        for number in itertools.count():
            if f"encoder/layer_{number}/ffn/linear_0/weight" not in self.variables:
                break
            states = self.layer(states, f"layer_{number}")
        states = op.convert(self.norm(states, "layer_norm"), "f32")
        return self.ov.Model([states], [features], "whisper_encoder")

    def convolution(self, sound: Any, name: str, stride: int) -> Any:
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

    def layer(self, states: Any, name: str) -> Any:
        op = self.op
        states = op.add(states, self.attention(states, f"{name}/self_attention"))
        inner = self.linear(self.norm(states, f"{name}/ffn/layer_norm"), f"{name}/ffn/linear_0")
        return op.add(states, self.linear(op.gelu(inner, "erf"), f"{name}/ffn/linear_1"))

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

    def linear(self, states: Any, name: str) -> Any:
        weight = self.constant(self.plain(f"{name}/weight"))
        product = self.op.matmul(states, weight, transpose_a=False, transpose_b=True)
        return self.op.add(product, self.constant(self.plain(f"{name}/bias")))

    def norm(self, states: Any, name: str) -> Any:
        op = self.op
        even = op.mvn(states, self.integers(-1), True, _EPSILON, "inside_sqrt")  # noqa: FBT003
        scaled = op.multiply(even, self.constant(self.plain(f"{name}/gamma")))
        return op.add(scaled, self.constant(self.plain(f"{name}/beta")))

    def constant(self, values: NDArray[np.float32] | np.float32) -> Any:
        values = np.asarray(values)
        if self.type == "f32":
            return self.op.constant(values)
        kept = self.ov.Tensor(self.ov.Type.bf16, list(values.shape))
        kept.data.view(np.uint16)[...] = _bf16_bits(values)
        return self.op.constant(kept, shared_memory=True)

    def integers(self, *values: int) -> Any:
        return self.op.constant(np.array(values, np.int64))

    def integer(self, value: int) -> Any:
        return self.op.constant(np.int64(value))


def _bf16_bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round to the nearest bfloat16, ties to even, and give its 16 bits."""
    bits = np.atleast_1d(np.ascontiguousarray(values)).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return rounded.astype(np.uint16).reshape(values.shape)
