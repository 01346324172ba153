"""The Merkle tree of RFC 6962 over a list of leaves: its root, and paths that prove a leaf.

Leaves and nodes are hashed under different first bytes, so that neither can stand for the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

EMPTY = hashlib.sha256().digest()
"""The root over no leaves."""


def hash_leaf(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node above two others."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The roots of the complete subtrees so far: leaves come one by one, and none is kept."""

    def __init__(self) -> None:
        self._roots: list[bytes] = []
        self.size = 0

    def add(self, leaf: bytes) -> None:
        """Add the hash of one more leaf."""
        merged, size = leaf, self.size
        while size & 1:
            merged = hash_node(self._roots.pop(), merged)
            size >>= 1
        self._roots.append(merged)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over the leaves so far."""
        if not self._roots:
            return EMPTY
        above = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            above = hash_node(left, above)
        return above


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over the hashes of leaves."""
    tree = Frontier()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root()


def inclusion_path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from one leaf to the root over all of them, lowest first.

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    path: list[bytes] = []
    begin, end = 0, len(leaves)
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(root_of(leaves[middle:end]))
            end = middle
        else:
            path.append(root_of(leaves[begin:middle]))
            begin = middle
    return path[::-1]


def root_by_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a path leads to; ``None`` where no such path can be in such a tree."""
    if not 0 <= index < size:
        return None
    sides: list[bool] = []  # from the root down: whether the leaf is on the left
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        sides.append(index < middle)
        begin, end = (begin, middle) if index < middle else (middle, end)
    if len(sides) != len(path):
        return None
    for is_left, other in zip(reversed(sides), path, strict=True):
        leaf = hash_node(leaf, other) if is_left else hash_node(other, leaf)
    return leaf


def _split(size: int) -> int:
    """Return the largest power of two below ``size``."""
    return 1 << (size - 1).bit_length() - 1
