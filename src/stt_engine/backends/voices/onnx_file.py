"""Writes a network in ONNX's format: the few parts of its protocol buffers that are needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_IR_VERSION, _OPSET = 8, 17
_FLOAT, _INT64 = 1, 7
_EXTERNAL = 1
_INT, _TENSOR, _INTS, _STRING = 2, 4, 7, 3
_CONTINUES = 0x80
_LARGE = 4096
"""Bytes from which on numbers stay where they are, beside the file."""

Constants = dict[str, NDArray[np.generic]]
"""Numbers by their names."""

Attribute = int | str | Sequence[int]


class OnnxFile:
    """A network that grows node by node; a value is known by its name.

    ``beside`` are the large constants by their names: the file only names them, and the runtime
    takes them from where they are (three copies of 28 MB less while it is built).
    """

    def __init__(self) -> None:
        self.beside: Constants = {}
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []

    def constant(self, values: NDArray[np.generic]) -> str:
        """Add numbers (float32 or int64) and return their name."""
        name = f"c{len(self._constants)}"
        kind = _FLOAT if values.dtype == np.float32 else _INT64
        values = np.ascontiguousarray(values)
        large = values.nbytes >= _LARGE
        if large:
            self.beside[name] = values
        dims = b"".join(_number(1, one) for one in values.shape)
        content = _elsewhere(values.nbytes) if large else _field(9, values.tobytes())
        self._constants.append(_field(5, dims + _number(2, kind) + _text(8, name) + content))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Attribute) -> str:
        """Add an operation of one result, and return that one's name."""
        name = f"n{len(self._nodes)}"
        body = b"".join(_text(1, one) for one in inputs) + _text(2, name) + _text(4, kind)
        body += b"".join(_field(5, _attribute(key, one)) for key, one in attributes.items())
        self._nodes.append(_field(1, body))
        return name

    def content(self, name: str, given: Sequence[int | str], found: str, width: int) -> bytes:
        """Return the file: ``name`` and its shape are what is given, ``found`` is what comes out.

        A length that is not known has a name in the shape.
        """
        graph = b"".join(self._nodes) + _text(2, "voices") + b"".join(self._constants)
        graph += _field(11, _value(name, given)) + _field(12, _value(found, ("batch", width)))
        opset = _field(8, _text(1, "") + _number(2, _OPSET))
        return _number(1, _IR_VERSION) + opset + _field(7, graph)


def _elsewhere(length: int) -> bytes:
    """Return what says that a tensor is outside the file; the place is asked for by nobody."""
    facts = (("location", "beside"), ("offset", "0"), ("length", str(length)))
    entries = b"".join(_field(13, _text(1, key) + _text(2, value)) for key, value in facts)
    return entries + _number(14, _EXTERNAL)


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    dims = [_text(2, one) if isinstance(one, str) else _number(1, one) for one in shape]
    dimensions = b"".join(_field(1, one) for one in dims)
    return _text(1, name) + _field(2, _field(1, _number(1, _FLOAT) + _field(2, dimensions)))


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, int):
        return _text(1, name) + _number(3, value) + _number(20, _INT)
    if isinstance(value, str):
        return _text(1, name) + _text(4, value) + _number(20, _STRING)
    return _text(1, name) + b"".join(_number(8, one) for one in value) + _number(20, _INTS)


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= _CONTINUES:
        parts.append(value % _CONTINUES | _CONTINUES)
        value //= _CONTINUES
    return bytes([*parts, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _field(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _field(field, text.encode())
