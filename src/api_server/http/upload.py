"""The recording of a request: a path on the server, or an upload stored during the call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

from fastapi import Form
from pydantic import Field
from starlette.datastructures import UploadFile

from api_server.container import Service
from api_server.http import paths
from api_server.http.problems import Problem, build_machine_problem, build_storage_problem
from api_server.models import Text
from api_server.pii.names import mask_name
from api_server.settings import Settings
from stt_engine.errors import WorkspaceError
from stt_engine.languages import AUTO, LANGUAGES
from stt_engine.native_errors import CANNOT_TELL
from stt_engine.shown import shorten

FilePath = Annotated[
    Annotated[Text, Field(json_schema_extra={"minLength": 1, "pattern": r"^(?!.*://)[^\u0000]+$"})]
    | None,
    Form(description="Path on the server"),
]
"""The form field of a path; an empty one counts as absent. :mod:`paths` validates it."""

Language = Annotated[
    Text,
    Form(
        description="Whisper code, or 'auto'",
        json_schema_extra={"enum": [AUTO, *sorted(LANGUAGES)]},
    ),
]
"""The form field of a language; the engine rejects an unknown one."""


@asynccontextmanager
async def open_recording(
    service: Service,
    file_path: str | None,
    file: UploadFile | None,
) -> AsyncIterator[tuple[Path, str]]:
    """Yield the recording's path on this machine, and the name that the client knows."""
    if (not file_path) == (file is None):
        raise Problem(422, "one-input", "Send exactly one of 'file_path' and 'file' (an upload).")
    if file_path:
        shown = shown_name(file_path, service.settings)
        async with paths.opened(file_path, shown, service.storage) as path:
            yield path, shown
    elif file is not None:
        key = await _kept(service, file)
        try:
            shown = shown_name(file.filename or "upload", service.settings)
            yield service.recordings.path(key), shown
        finally:
            service.storage.uploads.start(partial(service.recordings.discard, key))


def shown_name(name: str, settings: Settings) -> str:
    """Return ``name`` for logs and answers: cut, masked, and without half characters."""
    name = shorten(name).encode("utf-8", "replace").decode()
    return name if settings.redaction == "off" else mask_name(name)


async def _kept(service: Service, file: UploadFile) -> str:
    """Keep an upload where another process can open it; return its key."""
    recordings = service.recordings
    try:
        put = partial(recordings.put, file.file)
        return await service.storage.uploads.run(put, recordings.discard)
    except WorkspaceError as exc:
        raise build_storage_problem(str(exc)) from exc
    except CANNOT_TELL as exc:
        raise build_machine_problem(exc) from exc
