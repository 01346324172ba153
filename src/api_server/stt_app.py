"""Recognition alone: the leg that another server, or curl, can be pointed at."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, FastAPI, Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse

from api_server import render
from api_server.analysis import Call
from api_server.base_app import REFUSALS, Wired, analysed, base_app
from api_server.description import PROBLEM
from api_server.models import RecognitionResponse
from api_server.recording import FilePath, Language, recording
from api_server.settings import Settings
from stt_engine.log import request_id
from stt_engine.speech import SpeechRequest

router = APIRouter()


def create_stt_app(settings: Settings | None = None, *, begin: bool = False) -> FastAPI:
    """Make the application that recognises and never asks an agent.

    With ``begin`` the model is loaded from now on; whoever makes the application has to start it.

    Raises:
        pydantic.ValidationError: a setting is wrong.
        RubricInvalid: the rubric file is wrong.
        ValueError: a backend's name is wrong.
    """
    return base_app(settings or Settings(), (router,), checks=False, begin=begin)


@router.post(
    "/transcribe",
    response_model=RecognitionResponse,
    responses={**REFUSALS, 503: {"model": RecognitionResponse, "content": PROBLEM}},
)
async def recognise(
    service: Wired,
    request: Request,
    file_path: FilePath = None,
    file: Annotated[UploadFile | None, "upload"] = None,
    language: Language = "ko",
    translate: Annotated[bool, Form(description="English in text_en too")] = False,
    word_timestamps: Annotated[bool, Form()] = False,
    agent_channel: Annotated[int | None, Form(ge=0, le=1)] = None,
    strict: Annotated[bool | None, Form()] = None,
) -> Response:
    """Recognise a recording."""
    channel = service.settings.stt_agent_channel if agent_channel is None else agent_channel
    async with recording(service.settings, file_path, file) as (path, shown):
        speech = SpeechRequest(path, language, translate, word_timestamps, channel)
        analysis = await analysed(service, Call(speech, shown), request)
    answer = render.recognition_response(analysis, request_id.get() or "")
    headers = {"X-STT-Degraded": "stt"} if answer.is_dummy else {}
    strict = service.settings.strict if strict is None else strict
    status = 503 if answer.is_dummy and strict else 200
    return JSONResponse(answer.model_dump(mode="json"), status, headers)
