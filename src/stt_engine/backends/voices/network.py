"""CAM++ as an ONNX graph, out of the tensors of its checkpoint, and its last layer in numpy.

The graph goes from features (batch, frames, 80) to frames (batch, half as many times 512). A block
has a fixed number of frames, so that the pooling over a hundred half-rate frames is known when the
graph is made. What follows it, the statistics of a window and one matrix, is :class:`Pooling`: any
window can be taken from the frames of a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from stt_engine.backends.voices.checkpoint import Tensors
from stt_engine.backends.voices.onnx_file import Constants, OnnxFile
from stt_engine.errors import ModelDamaged

BANDS = 80
"""Mel bands that go in."""

_EPSILON = 1e-5
_BLOCKS = ((12, 1), (24, 2), (16, 2))
"""Layers of a block, and their dilation."""

_SEGMENT = 100
"""Half-rate frames over which a layer takes the local mean."""

_FEATURES = "features"

Floats = NDArray[np.float32]
Places = NDArray[np.int64]


def campplus(tensors: Tensors, frames: int) -> tuple[bytes, Constants]:
    """Return the network for blocks of ``frames`` frames of 10 ms: an ONNX file, and its weights.

    Raises:
        ModelDamaged: a tensor is not there.
    """
    network = _Network(tensors, frames)
    return network.content(), network.file.beside


class _Network:
    def __init__(self, tensors: Tensors, frames: int) -> None:
        self.tensors = tensors
        self.frames = frames
        self.half = (frames + 1) // 2
        self.file = OnnxFile()

    def content(self) -> bytes:
        node = self.file.node
        sound = node("Transpose", _FEATURES, perm=(0, 2, 1))
        sound = node("Unsqueeze", sound, self.whole(1))
        sound = self.head(sound)
        sound = self.convolved(sound, "xvector.tdnn.linear", strides=(2,), pads=(2, 2))
        sound = node("Relu", self.normed(sound, "xvector.tdnn.nonlinear.batchnorm"))
        for number, (layers, dilation) in enumerate(_BLOCKS, 1):
            for layer in range(1, layers + 1):
                name = f"xvector.block{number}.tdnnd{layer}"
                sound = node("Concat", sound, self.layer(sound, name, dilation), axis=1)
            name = f"xvector.transit{number}"
            sound = node("Relu", self.normed(sound, f"{name}.nonlinear.batchnorm"))
            sound = self.convolved(sound, f"{name}.linear")
        sound = node("Relu", self.normed(sound, "xvector.out_nonlinear.batchnorm"))
        frames = node("Flatten", node("Transpose", sound, perm=(0, 2, 1)), axis=1)
        width = self.half * Pooling.CHANNELS
        return self.file.content(_FEATURES, ("batch", self.frames, BANDS), frames, width)

    def head(self, sound: str) -> str:
        """Look at the spectrum as a picture: each stage halves the bands."""
        node = self.file.node
        picture = self.filtered(sound, "head.conv1", "head.bn1", 1)
        for layer in ("head.layer1", "head.layer2"):
            for part, stride in ((f"{layer}.0", 2), (f"{layer}.1", 1)):
                inner = self.filtered(picture, f"{part}.conv1", f"{part}.bn1", stride)
                inner = self.folded(inner, f"{part}.conv2", f"{part}.bn2", 1)
                if stride > 1:
                    picture = self.folded(picture, f"{part}.shortcut.0", f"{part}.shortcut.1", 2)
                picture = node("Relu", node("Add", inner, picture))
        picture = self.filtered(picture, "head.conv2", "head.bn2", 2)
        return node("Reshape", picture, self.whole(0, -1, self.frames))

    def filtered(self, sound: str, name: str, norm: str, stride: int) -> str:
        return self.file.node("Relu", self.folded(sound, name, norm, stride))

    def folded(self, sound: str, name: str, norm: str, stride: int) -> str:
        """Convolve with the norm that follows folded into the weights."""
        scale, shift = self.norm(norm)
        weight = self.tensor(f"{name}.weight")
        kernel = weight.shape[-1]
        return self.file.node(
            "Conv",
            sound,
            self.file.constant(weight * scale[:, None, None, None]),
            self.file.constant(shift),
            strides=(stride, 1),
            pads=(kernel // 2,) * 4,
        )

    def layer(self, sound: str, name: str, dilation: int) -> str:
        """Return what one layer adds: a local convolution, masked by what is around it."""
        node = self.file.node
        inner = node("Relu", self.normed(sound, f"{name}.nonlinear1.batchnorm"))
        scale, shift = self.norm(f"{name}.nonlinear2.batchnorm")
        weight = self.tensor(f"{name}.linear1.weight") * scale[:, None, None]
        inner = node("Conv", inner, self.file.constant(weight), self.file.constant(shift))
        inner = node("Relu", inner)
        local = self.convolved(
            inner, f"{name}.cam_layer.linear_local", pads=(dilation,) * 2, dilations=(dilation,)
        )
        around = node("Add", node("ReduceMean", inner, axes=(2,), keepdims=1), self.means(inner))
        mask = node("Relu", self.convolved(around, f"{name}.cam_layer.linear1"))
        mask = node("Sigmoid", self.convolved(mask, f"{name}.cam_layer.linear2"))
        return node("Mul", local, mask)

    def means(self, sound: str) -> str:
        """Return the mean of each hundred frames, where those frames are."""
        node = self.file.node
        if self.half <= _SEGMENT:
            return node("ReduceMean", sound, axes=(2,), keepdims=1)
        parts = []
        for part in range(ceil(self.half / _SEGMENT)):
            first, last = part * _SEGMENT, min(self.half, (part + 1) * _SEGMENT)
            cut = node("Slice", sound, self.whole(first), self.whole(last), self.whole(2))
            mean = node("ReduceMean", cut, axes=(2,), keepdims=1)
            parts.append(node("Expand", mean, self.whole(1, 1, last - first)))
        return node("Concat", *parts, axis=2)

    def convolved(self, sound: str, name: str, **how: tuple[int, ...]) -> str:
        inputs = [self.file.constant(self.tensor(f"{name}.weight"))]
        if f"{name}.bias" in self.tensors:
            inputs.append(self.file.constant(self.tensor(f"{name}.bias")))
        return self.file.node("Conv", sound, *inputs, **how)

    def normed(self, sound: str, name: str) -> str:
        scale, shift = (self.file.constant(one[:, None]) for one in self.norm(name))
        return self.file.node("Add", self.file.node("Mul", sound, scale), shift)

    def norm(self, name: str) -> tuple[Floats, Floats]:
        return norm(self.tensors, name)

    def tensor(self, name: str) -> Floats:
        return tensor(self.tensors, name)

    def whole(self, *values: int) -> str:
        return self.file.constant(np.array(values, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Pooling:
    """The network's end: statistics of the frames of a window, one matrix and a norm."""

    CHANNELS: ClassVar[int] = 512

    matrix: Floats
    scale: Floats
    shift: Floats

    @classmethod
    def of(cls, tensors: Tensors) -> Pooling:
        """Return it out of a checkpoint.

        Raises:
            ModelDamaged: a tensor is not there.
        """
        scale, shift = norm(tensors, "xvector.dense.nonlinear.batchnorm")
        return cls(tensor(tensors, "xvector.dense.linear.weight")[..., 0].T, scale, shift)

    def embed(
        self, frames: Floats, counted: NDArray[np.bool_], first: Places, last: Places
    ) -> tuple[Floats, Places]:
        """Return the embeddings of windows of frames, and how many frames of each were counted."""
        at = np.arange(len(frames))
        inside = (at >= first[:, None]) & (at < last[:, None]) & counted
        many = inside.sum(axis=1)
        weights, least = inside.astype(np.float32), np.maximum(many, 2)[:, None]
        mean = weights @ frames / least
        square = weights @ (frames * frames) / least
        deviation = np.sqrt(np.maximum(square - mean**2, 0) * least / (least - 1))
        pooled = np.concatenate((mean, deviation), axis=1).astype(np.float32)
        return pooled @ self.matrix * self.scale + self.shift, many.astype(np.int64)


def tensor(tensors: Tensors, name: str) -> Floats:
    """Return a tensor of the checkpoint.

    Raises:
        ModelDamaged: it is not there.
    """
    if name not in tensors:
        raise ModelDamaged(f"the checkpoint has no {name}")
    return tensors[name]


def norm(tensors: Tensors, name: str) -> tuple[Floats, Floats]:
    """Return what a batch norm multiplies by and adds, channel by channel."""
    mean, variance = (tensor(tensors, f"{name}.running_{one}") for one in ("mean", "var"))
    scale = 1 / np.sqrt(variance + np.float32(_EPSILON))
    if f"{name}.weight" not in tensors:
        return scale, -mean * scale
    scale = scale * tensor(tensors, f"{name}.weight")
    return scale, tensor(tensors, f"{name}.bias") - mean * scale
