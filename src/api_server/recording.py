"""The recording of a request: a path on the server, or an upload that is stored for the call."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio.to_thread
from fastapi import UploadFile

from api_server import paths
from api_server.problems import Problem, no_room
from api_server.settings import Settings
from stt_engine.errors import WorkspaceError
from stt_engine.scratch import scratch_folder


@asynccontextmanager
async def recording(
    settings: Settings, file_path: str | None, file: UploadFile | None
) -> AsyncIterator[tuple[Path, str]]:
    """Give the one recording that was sent, as a real path and the name the caller knows."""
    if (not file_path) == (file is None):
        raise Problem(422, "one-input", "Send exactly one of 'file_path' and 'file' (an upload).")
    if file_path:
        yield paths.resolve(file_path, settings.audio_roots), file_path
    elif file is not None:
        try:
            with scratch_folder() as folder:
                stored = folder / "upload"
                await anyio.to_thread.run_sync(_store, file, stored)
                yield stored, file.filename or "upload"
        except WorkspaceError as exc:
            raise no_room(str(exc)) from exc


def _store(file: UploadFile, target: Path) -> None:
    """Copy an upload to a file with a name that another process can open."""
    try:
        with target.open("wb") as stored:
            shutil.copyfileobj(file.file, stored)
    except OSError as exc:
        raise no_room(str(exc.strerror)) from exc
