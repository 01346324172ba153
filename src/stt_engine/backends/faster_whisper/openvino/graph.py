"""What the graphs of Whisper's encoder and decoder have in common, out of CTranslate2's variables.

The same numbers in the same order as CTranslate2: GELU by the error function, layer norm with
epsilon 1e-5, queries scaled by the square root of a head's width.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stt_engine.backends.faster_whisper.ct2_weights import Variables, WeightsUnreadable, plain

_EPSILON = 1e-5
_TOOLS = "openvino.tools.ovc"
_INT8_MAX = 127.0
_BLOCK = 512

_KEPT_SHAPES = 5
"""For how many lengths kernels are kept, in each graph. By itself OpenVINO keeps 5,000, which are
80 MiB after sixty chunks; 5, 20 and 5,000 are as fast, and 5 take 50 MiB less than 20."""

Weights = Literal["bf16", "f32", "int8"]
"""How matrices are kept; ``int8`` with a scale for each row. OpenVINO rounds what they multiply
with a scale for each 32 numbers. 64 are up to 9 % faster and as close to float32, but `make cer`
had more errors with them (English 13.7 instead of 13.4 % of the characters), if only by chance."""

Precision = Literal["bf16", "f32"]
"""What all else is computed in."""


class OpenVinoUnavailable(Exception):
    """OpenVINO cannot help here; the message says why. CTranslate2 does the work."""


@contextmanager
def unavailable() -> Iterator[None]:
    """Turn what goes wrong in building and trying a graph into :class:`OpenVinoUnavailable`."""
    try:
        yield
    except (WeightsUnreadable, OSError, ImportError, RuntimeError, ValueError, MemoryError) as exc:
        raise OpenVinoUnavailable(f"{type(exc).__name__}: {exc}") from exc


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


@cache
def shared_core() -> Any:
    """Return OpenVINO's core, one for the process, which stays until it ends.

    Where a processor has AMX, each core moves the stack of its thread's signals. Two that go in the
    order in which they came leave it in memory that is gone, and the next signal is a SIGSEGV.
    """
    return import_openvino().Core()


def compiled(model: Any, threads: int, precision: Precision) -> Any:
    """Compile a graph for ``threads`` cores; give its request, which is for one call at a time."""
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "CPU_RUNTIME_CACHE_CAPACITY": _KEPT_SHAPES,
        "KV_CACHE_PRECISION": precision,  # by itself OpenVINO keeps keys and values in 8 bits
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,  # two streams of one thread: 5 % more, for a second set of buffers
        "ENABLE_CPU_PINNING": False,  # CTranslate2's threads use the same cores
    }
    return shared_core().compile_model(model, "CPU", settings).create_infer_request()


class Graph:
    """Nodes of one graph; a variable is named as in ``model.bin``, without ``side``."""

    def __init__(self, variables: Variables, side: str, weights: Weights) -> None:
        self.ov = import_openvino()
        self.op = self.ov.opset13
        self.variables = variables
        self.side = side
        self.weights = weights
        self.heads = self.plain_integer("num_heads")

    def plain(self, name: str) -> NDArray[np.float32]:
        """Return a variable as float32."""
        return plain(self.variables, f"{self.side}/{name}")

    def plain_integer(self, name: str) -> int:
        """Return a variable that is one whole number."""
        stored = self.variables.get(f"{self.side}/{name}")
        if stored is None:
            raise WeightsUnreadable(f"no variable {self.side}/{name}")
        return int(stored.item())

    def has(self, name: str) -> bool:
        """Return whether there is such a variable."""
        return f"{self.side}/{name}" in self.variables

    def feed_forward(self, states: Any, name: str) -> Any:
        """Add what the two inner layers of ``name`` make of the states."""
        op = self.op
        inner = self.linear(self.norm(states, f"{name}/layer_norm"), f"{name}/linear_0")
        return op.add(states, self.linear(op.gelu(inner, "erf"), f"{name}/linear_1"))

    def linear(self, states: Any, name: str) -> Any:
        """Multiply by the matrix of ``name``, and add its bias."""
        rows = self.plain(f"{name}/weight")
        integers = self.weights == "int8"
        matrix = self.integer_matrix(Rows.rounded(rows)) if integers else self.constant(rows)
        product = self.product(states, matrix)
        return self.op.add(product, self.constant(self.plain(f"{name}/bias")))

    def product(self, states: Any, matrix: Any) -> Any:
        """Multiply by the transpose of a matrix."""
        return self.op.matmul(states, matrix, transpose_a=False, transpose_b=True)

    def integer_matrix(self, rows: Rows, *, shared: bool = False) -> Any:
        """Keep a matrix as int8; a ``shared`` one has to outlive the graph."""
        op = self.op
        values = op.constant(rows.values, shared_memory=shared)
        return op.multiply(op.convert(values, "f32"), op.constant(rows.scales))

    def norm(self, states: Any, name: str) -> Any:
        """Normalise the last axis."""
        op = self.op
        even = op.mvn(states, self.integers(-1), True, _EPSILON, "inside_sqrt")  # noqa: FBT003
        scaled = op.multiply(even, self.constant(self.plain(f"{name}/gamma")))
        return op.add(scaled, self.constant(self.plain(f"{name}/beta")))

    def constant(self, values: NDArray[np.float32] | np.float32) -> Any:
        """Keep numbers as bfloat16 where the graph is in bfloat16, else as float32."""
        values = np.asarray(values)
        if self.weights != "bf16":
            return self.op.constant(values)
        kept = self.ov.Tensor(self.ov.Type.bf16, list(values.shape))
        kept.data.view(np.uint16)[...] = _bf16_bits(values)
        return self.op.constant(kept, shared_memory=True)

    def integers(self, *values: int) -> Any:
        """Return a list of whole numbers."""
        return self.op.constant(np.array(values, np.int64))

    def integer(self, value: int) -> Any:
        """Return one whole number."""
        return self.op.constant(np.int64(value))


@dataclass(frozen=True, slots=True)
class Rows:
    """A matrix in int8 with a scale for each row, rounded as CTranslate2 does."""

    values: NDArray[np.int8]
    scales: NDArray[np.float32]

    @classmethod
    def rounded(cls, rows: NDArray[np.float32], order: NDArray[np.int64] | None = None) -> Rows:
        """Round a matrix, some rows at a time: a vocabulary is large; ``order`` puts them in it."""
        values = np.empty(rows.shape, np.int8)
        scales = np.empty((len(rows), 1), np.float32)
        for at in range(0, len(rows), _BLOCK):
            block = rows[at : at + _BLOCK] if order is None else rows[order[at : at + _BLOCK]]
            largest = np.maximum(block.max(axis=1), -block.min(axis=1))
            scale = np.where(largest > 0, largest / _INT8_MAX, np.float32(1))[:, None]
            scales[at : at + _BLOCK] = scale
            values[at : at + _BLOCK] = np.rint(block / scale)
        return cls(values, scales)

    def __getitem__(self, places: slice) -> Rows:
        """Return some of the rows, in the same memory."""
        return Rows(self.values[places], self.scales[places])


def _bf16_bits(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Round to the nearest bfloat16, ties to even, and give its 16 bits."""
    bits = np.atleast_1d(np.ascontiguousarray(values)).view(np.uint32)
    rounded_up = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return rounded_up.astype(np.uint16).reshape(values.shape)
