"""OpenAI's audio API: ``/v1/audio/transcriptions``, ``/v1/audio/translations``, ``/v1/models``.

Recordings take the way of ``POST /transcribe``: one upload, one queue, one pipeline, one masking.
What differs is how they are asked for, and that a failure is an error here, never an answer.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter, Depends, Form, Request, Response

from api_server.container import Service
from api_server.http.openai.errors import failed, not_translated
from api_server.http.openai.fields import AudioForm, Value, read_transcription, read_translation
from api_server.http.openai.references import known_voices
from api_server.http.openai.schema import ERROR
from api_server.http.openai.streaming import Give, TranscriptStream
from api_server.http.problems import TITLES, build_machine_problem
from api_server.http.routes.dependencies import (
    ServiceDependency,
    find_model,
    run_analysis,
)
from api_server.http.strict import StrictRoute
from api_server.http.transcripts import MEDIA_TYPES, json_response, text_response
from api_server.http.upload import open_recording
from api_server.pipeline.analysis import AnalysisRequest
from api_server.pipeline.live_text import LiveText
from api_server.pipeline.model_names import Model
from api_server.pipeline.render import openai
from api_server.pipeline.render.formats import DIARIZED_JSON, VERBOSE_JSON, english_of
from stt_engine.native_errors import CANNOT_TELL
from stt_engine.speech import SpeechRequest, Transcript

router = APIRouter(route_class=StrictRoute)

_ALL_TEXT = (*MEDIA_TYPES.values(), TranscriptStream.media_type)
_STATUSES = (400, 401, 403, 404, 408, 413, 415, 429, 503)
_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": TITLES[status], "content": ERROR} for status in _STATUSES
}
_TEXTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The text; JSON unless another format was asked for",
        "content": {
            "application/json": {"schema": {"type": "object", "required": ["text"]}},
            **{one: {"schema": {"type": "string"}} for one in _ALL_TEXT},
        },
    }
}


def _only(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: _RESPONSES[status] for status in statuses}


async def _read_form(
    request: Request,
    file: Annotated[object, Form()] = None,  # noqa: ARG001 - makes the framework read the form
) -> list[tuple[str, Value]]:
    """Return all of the form, names as they were sent."""
    return (await request.form()).multi_items()


FormDependency = Annotated[list[tuple[str, Value]], Depends(_read_form)]


@router.post("/v1/audio/transcriptions", responses={**_TEXTS, **_RESPONSES})
async def transcriptions(
    service: ServiceDependency, request: Request, sent: FormDependency
) -> Response:
    """Transcribe a recording; the fields are OpenAI's."""
    form = read_transcription(sent)
    model = await find_model(service, form.model)
    if form.stream:
        recognise = partial(_recognised, service, form, request, model)
        diarized = form.response_format == DIARIZED_JSON
        return TranscriptStream(recognise, partial(_diarized, form) if diarized else None)
    transcript = await _recognised(service, form, request, model)
    return await anyio.to_thread.run_sync(partial(_render, form, transcript))


@router.post("/v1/audio/translations", responses={**_TEXTS, **_RESPONSES})
async def translations(
    service: ServiceDependency, request: Request, sent: FormDependency
) -> Response:
    """Translate a recording into English; the fields are OpenAI's."""
    form = read_translation(sent)
    model = await find_model(service, form.model)
    transcript = await _recognised(service, form, request, model, translate=True)
    if form.response_format == "json":
        return json_response(openai.english_json(transcript), transcript)
    return await anyio.to_thread.run_sync(partial(_render, form, english_of(transcript)))


@router.get("/v1/models", responses=_only(401, 403, 503))
async def list_models(service: ServiceDependency) -> dict[str, Any]:
    """List the names that a client may give as `model`."""
    try:
        found = await service.models.all()
    except CANNOT_TELL as exc:
        raise build_machine_problem(exc) from exc
    return {"object": "list", "data": [service.models.describe(one) for one in found]}


@router.get("/v1/models/{model:path}", responses=_only(400, 401, 403, 404, 503))
async def show_model(service: ServiceDependency, model: str) -> dict[str, Any]:
    """Return one of them; a slash in its name may be percent-encoded."""
    return service.models.describe(await find_model(service, model))


async def _recognised(
    service: Service,
    form: AudioForm,
    request: Request,
    model: Model,
    give: Give | None = None,
    *,
    translate: bool = False,
) -> Transcript:
    """Return the transcript of what was sent; ``give`` gets pieces of it meanwhile.

    What is to be masked is masked as a whole, and nothing of it is given away before.

    Raises:
        ApiError: 503, with the cause, where it could not be transcribed.
        Problem: the recording cannot be used, or no call is let in now.
    """
    channel = service.settings.stt_agent_channel
    listen = partial(known_voices, form.references, service.stt.voiceprint)
    known = await anyio.to_thread.run_sync(listen) if form.references else ()
    async with open_recording(service, None, form.file) as (path, shown):
        speech = SpeechRequest(
            path,
            form.language,
            translate,
            form.words,
            channel,
            form.hints,
            form.temperature,
            model.folder,
            known,
        )
        call = AnalysisRequest(speech, shown)
        if give is not None and service.settings.redaction != "everywhere":
            call.context.observers = (LiveText(give),)
        result = await run_analysis(service, call, request)
    if result.recognition.is_dummy:
        raise failed(result.recognition.cause)
    if why := result.recognition.value.untranslated:
        raise not_translated(why)
    return result.recognition.value


def _render(form: AudioForm, transcript: Transcript) -> Response:
    name = form.response_format
    if name in MEDIA_TYPES:
        return text_response(name, transcript)
    if name == VERBOSE_JSON:
        told = openai.verbose_json(transcript, form.granularities, form.task, form.temperature)
        return json_response(told, transcript)
    if name == DIARIZED_JSON:
        return json_response(_diarized(form, transcript), transcript)
    return json_response(openai.json_answer(transcript), transcript)


def _diarized(form: AudioForm, transcript: Transcript) -> dict[str, Any]:
    return openai.diarized_json(transcript, [one.name for one in form.references])
