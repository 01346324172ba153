"""The recording of a request: a path on the server, or an upload that is stored for the call."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import anyio.to_thread
from fastapi import Form, UploadFile
from pydantic import Field

from api_server import paths
from api_server.models import Text
from api_server.problems import Problem, no_room
from api_server.settings import Settings
from stt_engine.errors import WorkspaceError
from stt_engine.scratch import scratch_folder
from stt_engine.speech import AUTO, LANGUAGES

FilePath = Annotated[
    Annotated[Text, Field(json_schema_extra={"minLength": 1, "pattern": r"^(?!.*://)[^\u0000]+$"})]
    | None,
    Form(description="Path on the server"),
]
"""The form field of a path; empty is none. What is wrong with one is told by :mod:`paths`."""

Language = Annotated[
    Text,
    Form(
        description="Whisper code, or 'auto'",
        json_schema_extra={"enum": [AUTO, *sorted(LANGUAGES)]},
    ),
]
"""The form field of a language; the engine refuses what it does not know."""


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
                yield stored, _shown(file.filename or "upload")
        except WorkspaceError as exc:
            raise no_room(str(exc)) from exc


def _shown(name: str) -> str:
    """Replace what UTF-8 cannot write: the name is for answers and the log only."""
    return name.encode("utf-8", "replace").decode()


def _store(file: UploadFile, target: Path) -> None:
    """Copy an upload to a file with a name that another process can open."""
    try:
        with target.open("wb") as stored:
            shutil.copyfileobj(file.file, stored)
    except OSError as exc:
        raise no_room(str(exc.strerror)) from exc
