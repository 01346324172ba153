"""``POST /transcribe``: transcribes a recording and optionally checks it."""

from __future__ import annotations

from typing import Annotated

import anyio.to_thread
from fastapi import Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse

from api_server.clients.agent.types import RequestFormat
from api_server.http.form_fields import (
    Format,
    Keywords,
    Model,
    Prompt,
    Temperature,
    TextFormat,
    Translate,
)
from api_server.http.openapi import PROBLEM
from api_server.http.problems import Problem
from api_server.http.routes.agent_config import build_agent_config
from api_server.http.routes.dependencies import (
    REFUSALS,
    ServiceDependency,
    find_model,
    owner_of,
    run_analysis,
)
from api_server.http.strict import strict_router
from api_server.http.transcripts import text_response
from api_server.http.upload import FilePath, Language, open_recording
from api_server.jobs.call_keeper import CallRecording
from api_server.jobs.options import JobOptions
from api_server.models import Text, TranscribeResponse
from api_server.pipeline.analysis import AnalysisRequest
from api_server.pipeline.render import answers
from api_server.pipeline.render.formats import english_of
from api_server.pipeline.result import CallResult
from api_server.store.records import CaseRecord
from stt_engine.events import request_id
from stt_engine.hints import Hints

router = strict_router()


@router.post(
    "/transcribe",
    response_model=TranscribeResponse,
    responses={**REFUSALS, 503: {"model": TranscribeResponse, "content": PROBLEM}},
)
async def transcribe_v2(
    service: ServiceDependency,
    request: Request,
    file_path: FilePath = None,
    file: Annotated[UploadFile | None, "upload"] = None,
    language: Language = "ko",
    word_timestamps: Annotated[bool, Form()] = False,
    incomplete_elements_check: Annotated[bool, Form()] = False,
    agent_url: Annotated[Text | None, Form()] = None,
    agent_request_format: Annotated[RequestFormat, Form()] = "prompt_based",
    chat_thread_id: Annotated[Text | None, Form()] = None,
    timeout: Annotated[float | None, Form(ge=1, allow_inf_nan=False)] = None,  # noqa: ASYNC109
    strict: Annotated[bool | None, Form()] = None,
    translate: Translate = False,
    prompt: Prompt = None,
    keywords: Keywords = None,
    temperature: Temperature = 0.0,
    model: Model = None,
    form: Format = None,
) -> Response:
    """Transcribe a recording and, if asked, check it for elements of an incomplete sale."""
    agent = None
    check_format(form, incomplete_elements_check=incomplete_elements_check)
    if incomplete_elements_check:
        agent = build_agent_config(
            service.settings, agent_url, agent_request_format, timeout, chat_thread_id
        )
    named = await find_model(service, model)
    hints = Hints.of(prompt, keywords)
    options = JobOptions(
        language, word_timestamps, agent, translate, hints, temperature, named.other
    )
    async with open_recording(service, file_path, file) as (path, shown):
        speech = options.speech(path, service.settings.stt_agent_channel, named.folder)
        analysis = await run_analysis(service, AnalysisRequest(speech, shown, agent), request)
        kept = await service.calls.keep(
            analysis,
            options,
            CallRecording(path, shown, file_path),
            owner_of(request),
        )
    strict = service.settings.strict if strict is None else strict
    recognition = analysis.recognition
    if form is not None and answers.is_answered(recognition):
        found = english_of(recognition.value) if translate else recognition.value
        return await anyio.to_thread.run_sync(text_response, form, found)
    return _render_response(analysis, kept, strict=strict or form is not None)


def check_format(form: TextFormat | None, *, incomplete_elements_check: bool) -> None:
    """Refuse a file of text where a check is asked for.

    Raises:
        Problem: 400; the result of a check would be lost.
    """
    if form is not None and incomplete_elements_check:
        words = "format: the check's result has no place in it; leave one of them out"
        raise Problem(400, "bad-field", words)


def _render_response(analysis: CallResult, kept: CaseRecord | None, *, strict: bool) -> Response:
    answer = answers.transcribe_response(analysis, request_id.get() or "", kept)
    degraded = answers.degraded_stages(analysis)
    headers = {"X-STT-Degraded": degraded} if degraded else {}
    status = 503 if degraded and strict else 200
    return JSONResponse(answer.model_dump(mode="json"), status, headers)
