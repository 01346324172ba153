"""A server that speaks S3, as a process of its own: the drill's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stt_tools.drill.object_store import BUCKET, URL, ObjectServer

__all__ = ["BUCKET", "URL", "ObjectServer", "object_server"]


@contextmanager
def object_server(_folder: Path) -> Iterator[ObjectServer]:
    """Run one; what it holds goes with it."""
    server = ObjectServer()
    try:
        yield server
    finally:
        server.stop()
