"""``POST /transcribe`` of a recognition-only server."""

from __future__ import annotations

from typing import Annotated

import anyio.to_thread
from fastapi import Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse

from api_server.http.form_fields import Format, Keywords, Model, Prompt, Temperature, Translate
from api_server.http.openapi import PROBLEM
from api_server.http.routes.dependencies import (
    REFUSALS,
    ServiceDependency,
    find_model,
    run_analysis,
)
from api_server.http.strict import strict_router
from api_server.http.transcripts import text_response
from api_server.http.upload import FilePath, Language, open_recording
from api_server.models import RecognitionResponse
from api_server.pipeline.analysis import AnalysisRequest
from api_server.pipeline.render import answers
from api_server.pipeline.render.formats import english_of
from stt_engine.events import request_id
from stt_engine.hints import Hints
from stt_engine.speech import SpeechRequest

router = strict_router()


@router.post(
    "/transcribe",
    response_model=RecognitionResponse,
    responses={**REFUSALS, 503: {"model": RecognitionResponse, "content": PROBLEM}},
)
async def recognise(
    service: ServiceDependency,
    request: Request,
    file_path: FilePath = None,
    file: Annotated[UploadFile | None, "upload"] = None,
    language: Language = "ko",
    translate: Translate = False,
    word_timestamps: Annotated[bool, Form()] = False,
    agent_channel: Annotated[int | None, Form(ge=0, le=1)] = None,
    strict: Annotated[bool | None, Form()] = None,
    prompt: Prompt = None,
    keywords: Keywords = None,
    temperature: Temperature = 0.0,
    model: Model = None,
    form: Format = None,
) -> Response:
    """Recognise a recording."""
    channel = service.settings.stt_agent_channel if agent_channel is None else agent_channel
    named = await find_model(service, model)
    hints = Hints.of(prompt, keywords)
    async with open_recording(service, file_path, file) as (path, shown):
        speech = SpeechRequest(
            path,
            language,
            translate,
            word_timestamps,
            channel,
            hints,
            temperature,
            named.folder,
        )
        analysis = await run_analysis(service, AnalysisRequest(speech, shown), request)
    recognition = analysis.recognition
    if form is not None and answers.is_answered(recognition):
        found = english_of(recognition.value) if translate else recognition.value
        return await anyio.to_thread.run_sync(text_response, form, found)
    answer = answers.recognition_response(analysis, request_id.get() or "")
    degraded = answers.degraded_stages(analysis)
    headers = {"X-STT-Degraded": degraded} if degraded else {}
    strict = service.settings.strict if strict is None else strict
    status = 503 if degraded and (strict or form) else 200
    return JSONResponse(answer.model_dump(mode="json"), status, headers)
