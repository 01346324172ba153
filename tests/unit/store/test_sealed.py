"""Recordings at rest: encrypted from the first byte, read in parts, and never half believed."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_server.store.errors import KeyMissing, StoreUnavailable
from api_server.store.recordings import RecordingFolder
from api_server.store.sealed import CHUNK, SealedReader, SealedWriter, SealingKeys, key_of
from tests.support.jobs_in_store import PLENTY

KEYS = SealingKeys("new", {"new": b"n" * 32, "old": b"o" * 32})
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7]


def content_of(size: int) -> bytes:
    return (b"0123456789abcdef" * (size // 16 + 1))[:size]


def sealed(content: bytes, keys: SealingKeys = KEYS, piece: int = 10_000) -> bytes:
    target = io.BytesIO()
    writer = SealedWriter(target, keys)
    for begin in range(0, len(content), piece):
        assert writer.write(content[begin : begin + piece])
    writer.finish()
    return target.getvalue()


def opened(data: bytes, keys: SealingKeys | None = KEYS) -> bytes:
    return b"".join(SealedReader(io.BytesIO(data), keys).chunks())


@pytest.mark.parametrize("size", SIZES)
def test_what_was_written_is_read(size: int) -> None:
    content = content_of(size)
    data = sealed(content)
    assert opened(data) == content
    assert SealedReader(io.BytesIO(data), KEYS).size == size
    assert content[:16] not in data or size < 16


@pytest.mark.parametrize("size", SIZES)
@given(data=st.data())
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_range_is_that_of_the_content(size: int, data: st.DataObject) -> None:
    content = content_of(size)
    begin, end = data.draw(st.integers(0, size + 9)), data.draw(st.integers(0, size + 9))
    assert (
        SealedReader(io.BytesIO(sealed(content)), KEYS).read_range(begin, end) == content[begin:end]
    )


def test_a_range_reads_only_the_chunks_around_it() -> None:
    data = bytearray(sealed(content_of(5 * CHUNK)))
    data[-1] ^= 1  # the last chunk is damaged
    reader = SealedReader(io.BytesIO(bytes(data)), KEYS)
    assert reader.read_range(CHUNK, CHUNK + 9) == content_of(5 * CHUNK)[CHUNK : CHUNK + 9]
    with pytest.raises(StoreUnavailable, match="changed"):
        reader.read_range(5 * CHUNK - 1, 5 * CHUNK)


def test_any_change_is_found() -> None:
    content = content_of(2 * CHUNK + 5)
    data = sealed(content)
    header, chunk = len(data) - 2 * (CHUNK + 16) - 21, CHUNK + 16
    first, second = data[header : header + chunk], data[header + chunk : header + 2 * chunk]
    changed = {
        "cut at a chunk": data[: header + 2 * chunk],
        "cut inside": data[:-3],
        "cut to nothing": data[:header],
        "swapped": data[:header] + second + first + data[header + 2 * chunk :],
        "longer": data + b"0",
        "salt": data[: header - 1] + b"~" + data[header:],
        "another file's": sealed(content)[:header] + data[header:],
    }
    for name, wrong in changed.items():
        with pytest.raises(StoreUnavailable):
            pytest.fail(f"{name}: {len(opened(wrong))} bytes")
    for at in range(header, len(data), 9973):
        flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(StoreUnavailable):
            opened(flipped)


def test_a_file_of_another_key_names_it() -> None:
    data = sealed(b"content", SealingKeys("gone", {"gone": b"g" * 32}))
    assert key_of(data) == "gone"
    for keys in (KEYS, None):
        with pytest.raises(KeyMissing, match="needs the key gone"):
            opened(data, keys)


def folder_of(path: Path, keys: SealingKeys | None) -> RecordingFolder:
    return RecordingFolder(path / "recordings", PLENTY, 0, keys=keys)


def test_recordings_are_encrypted_and_opened_as_files(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, KEYS)
    content = content_of(3 * CHUNK + 1)
    received = folder.receive(io.BytesIO(content))
    assert received.bytes == len(content)
    assert content[:64] not in received.file.read_bytes()
    folder.keep(received)
    with folder.opened(received.sha256) as path:
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o077 == 0
    assert not path.exists()
    assert folder.read_range(received.sha256, CHUNK, CHUNK + 3) == content[CHUNK : CHUNK + 3]


def test_keys_are_changed_while_old_recordings_can_be_read(tmp_path: Path) -> None:
    kept = {}
    for number, keys in enumerate([None, SealingKeys("old", {"old": KEYS.keys["old"]}), KEYS]):
        received = folder_of(tmp_path, keys).receive(io.BytesIO(b"recording %d" % number))
        folder_of(tmp_path, keys).keep(received)
        kept[received.sha256] = b"recording %d" % number
    folder = folder_of(tmp_path, KEYS)
    assert sorted(map(folder.is_current, kept)) == [False, False, True]
    for sha256, content in kept.items():
        folder.rewrite(sha256)
        assert folder.is_current(sha256)
        with folder_of(tmp_path, SealingKeys("new", {"new": b"n" * 32})).opened(sha256) as path:
            assert path.read_bytes() == content
        assert folder.read_range(sha256, 2, 5) == content[2:5]
    assert list((tmp_path / "recordings" / "incoming").iterdir()) == []


def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    encoded = base64.b64encode(b"k" * 32).decode()
    path.write_text(f"2026-11:{encoded}\n2026-10:{encoded}\n", "utf-8")
    keys = SealingKeys.from_file(path)
    assert (keys.current, set(keys.keys)) == ("2026-11", {"2026-11", "2026-10"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name:AAAA",
        "name:%%",
        f":{'A' * 43}=",
        f"{'n' * 33}:{'A' * 43}=",
        f"a:{'A' * 43}=\na:{'A' * 43}=",
    ],
)
def test_what_is_no_file_of_keys_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text, "utf-8")
    with pytest.raises(KeyMissing):
        SealingKeys.from_file(path)
    with pytest.raises(KeyMissing):
        SealingKeys.from_file(tmp_path / "not there")
