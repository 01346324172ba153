"""The tree is that of RFC 6962."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_server.audit.merkle import (
    EMPTY,
    Frontier,
    hash_leaf,
    inclusion_path,
    root_by_path,
    root_of,
)

# Leaves and roots that implementations of Certificate Transparency check themselves with.
LEAVES = [
    bytes.fromhex(one)
    for one in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def defined_root(data: list[bytes]) -> bytes:
    """The definition of section 2.1, word for word: slow, and nothing to be wrong about."""
    if not data:
        return hashlib.sha256(b"").digest()
    if len(data) == 1:
        return hashlib.sha256(b"\x00" + data[0]).digest()
    k = 1
    while k * 2 < len(data):
        k *= 2
    return hashlib.sha256(b"\x01" + defined_root(data[:k]) + defined_root(data[k:])).digest()


def defined_path(m: int, data: list[bytes]) -> list[bytes]:
    """The audit path of section 2.1.1."""
    if len(data) == 1:
        return []
    k = 1
    while k * 2 < len(data):
        k *= 2
    if m < k:
        return [*defined_path(m, data[:k]), defined_root(data[k:])]
    return [*defined_path(m - k, data[k:]), defined_root(data[:k])]


@pytest.mark.parametrize(("size", "root"), ROOTS.items())
def test_known_roots(size: int, root: str) -> None:
    assert root_of(map(hash_leaf, LEAVES[:size])).hex() == root


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_the_root_is_that_of_the_definition_after_each_leaf(data: list[bytes]) -> None:
    tree = Frontier()
    assert tree.root() == EMPTY
    for count, one in enumerate(data, 1):
        tree.add(hash_leaf(one))
        assert tree.root() == defined_root(data[:count])


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=70), st.data())
def test_paths_are_those_of_the_definition_and_prove_their_leaf_alone(
    data: list[bytes], draw: st.DataObject
) -> None:
    index = draw.draw(st.integers(0, len(data) - 1))
    leaves = [hash_leaf(one) for one in data]
    path = inclusion_path(leaves, index)
    assert path == defined_path(index, data)
    root = root_of(leaves)
    assert root_by_path(leaves[index], index, len(data), path) == root
    assert root_by_path(hash_leaf(b"another one"), index, len(data), path) != root
    for other in {*range(len(data))} - {index}:
        if leaves[other] != leaves[index]:
            assert root_by_path(leaves[other], other, len(data), path) != root
    assert root_by_path(leaves[index], index, len(data), [*path, root]) is None
    assert root_by_path(leaves[index], len(data), len(data), path) is None
    if path:
        changed = draw.draw(st.integers(0, len(path) - 1))
        wrong = [EMPTY if at == changed else node for at, node in enumerate(path)]
        assert root_by_path(leaves[index], index, len(data), wrong) != root


def test_there_is_no_path_to_a_leaf_that_is_not_there() -> None:
    with pytest.raises(IndexError):
        inclusion_path([], 0)
