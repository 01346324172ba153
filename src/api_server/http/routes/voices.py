"""``/voices``: agents whose voice is known. Biometric data: only where ``KNOWN_VOICES`` is on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

import anyio.to_thread
from fastapi import Form, Request, UploadFile

from api_server.container import Service
from api_server.http.openapi import PROBLEM
from api_server.http.problems import (
    TITLES,
    Problem,
    build_audio_problem,
    build_machine_problem,
    build_store_problem,
)
from api_server.http.routes.dependencies import REFUSALS, ServiceDependency, owner_of
from api_server.http.strict import strict_router
from api_server.http.upload import open_recording
from api_server.jobs.desk import NoStoreYet
from api_server.models import Text, VoiceList, VoiceResponse
from api_server.store.errors import NoSuchVoice, VoiceExists
from api_server.store.records import VoiceRecord
from stt_engine.errors import AudioRejected, EngineError, InvalidRequest
from stt_engine.recognition.diarisation import MODEL

T = TypeVar("T")

router = strict_router()

_UNAVAILABLE: dict[int | str, dict[str, Any]] = {
    status: {"description": TITLES[status], "content": PROBLEM} for status in (409, 503)
}
_RESPONSES = {**REFUSALS, **_UNAVAILABLE}


@router.post("/voices", status_code=201, responses=_RESPONSES)
async def enrol(
    service: ServiceDependency,
    request: Request,
    name: Annotated[Text, Form(min_length=1, max_length=100, description="Whose voice it is")],
    file: Annotated[UploadFile | None, "upload"] = None,
) -> VoiceResponse:
    """Enrol the voice of an agent, by a recording in which nobody else speaks."""
    _check(service)
    if not name.strip() or not name.isprintable():
        raise Problem(400, "bad-field", "name: give printable characters")
    async with open_recording(service, None, file) as (path, shown):
        try:
            found = await anyio.to_thread.run_sync(service.stt.voiceprint, path)
        except AudioRejected as exc:
            named = type(exc)(str(exc).replace(str(path), shown))
            raise build_audio_problem(named) from exc
        except InvalidRequest as exc:
            raise Problem(400, "bad-field", f"file: {exc}") from exc
        except EngineError as exc:
            raise build_machine_problem(exc) from exc
    keep = partial(_enrol, name, found.embedding, found.seconds, owner_of(request))
    return _shown(await _ask(service, keep, make=True))


@router.get("/voices", responses=_RESPONSES)
async def list_voices(service: ServiceDependency) -> VoiceList:
    """Show whose voices are enrolled."""
    _check(service)
    try:
        found = await _ask(service, lambda store: store.voices.list())
    except NoStoreYet:
        found = []
    return VoiceList(voices=[_shown(one) for one in found])


@router.delete("/voices/{voice}", responses=_RESPONSES)
async def erase(service: ServiceDependency, request: Request, voice: str) -> VoiceResponse:
    """Erase a voice, by its id."""
    _check(service)
    try:
        actor = owner_of(request) or "server"
        return _shown(await _ask(service, lambda store: store.voices.erase(voice, actor)))
    except NoStoreYet:
        raise _problem(NoSuchVoice(f"no voice of '{voice}' is enrolled")) from None


def _enrol(name: str, embedding: tuple[float, ...], seconds: float, owner: str, store: Any) -> Any:  # noqa: ANN401
    return store.voices.enrol(name, embedding, seconds, MODEL, owner or "server")


def _check(service: Service) -> None:
    if not service.settings.known_voices:
        raise Problem(
            403, "voices-off", "No voice is known here; the operator can set KNOWN_VOICES."
        )


async def _ask(service: Service, work: Callable[[Any], T], *, make: bool = False) -> T:
    try:
        return await service.desk.run(work, make=make)
    except EngineError as exc:
        raise _problem(exc) from exc


def _problem(error: EngineError) -> Problem:
    if isinstance(error, NoSuchVoice):
        return Problem(404, "no-such-voice", f"{error}; see GET /voices.")
    if isinstance(error, VoiceExists):
        return Problem(409, "voice-exists", f"{error}.")
    return build_store_problem(error)


def _shown(one: VoiceRecord) -> VoiceResponse:
    return VoiceResponse(
        id=one.id, name=one.name, seconds=round(one.seconds, 1), enrolled_at=one.enrolled_at
    )
