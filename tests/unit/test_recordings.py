"""Recordings that are kept for a call: whole, by key, and gone afterwards."""

from __future__ import annotations

import io

import pytest

from api_server.pipeline.recordings import TemporaryRecordings
from stt_engine.errors import WorkspaceError


def test_what_was_put_is_there_until_it_is_discarded() -> None:
    recordings = TemporaryRecordings()
    one, two = (recordings.put(io.BytesIO(content)) for content in (b"one", b"two"))
    path = recordings.path(one)
    assert (path.read_bytes(), recordings.path(two).read_bytes()) == (b"one", b"two")
    recordings.discard(one)
    recordings.discard(one)
    assert not path.parent.exists()
    with pytest.raises(KeyError):
        recordings.path(one)
    assert recordings.path(two).exists()
    recordings.discard(two)


def test_no_room_is_said_so_and_leaves_nothing() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(28, "No space left on device")

    recordings = TemporaryRecordings()
    with pytest.raises(WorkspaceError, match="No space left"):
        recordings.put(Broken(b"x"))
    assert recordings._kept == {}
