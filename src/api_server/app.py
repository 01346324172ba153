"""The whole server: thin endpoints around :mod:`api_server.analysis`."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, FastAPI, Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse

from api_server import render
from api_server.analysis import AgentConfig, Analysis, Call
from api_server.base_app import REFUSALS, Wired, analysed, base_app
from api_server.description import PROBLEM
from api_server.models import AnalyzeRequest, AnalyzeResponse, Text, TranscribeResponse
from api_server.problems import Problem
from api_server.recording import FilePath, Language, recording
from api_server.settings import Settings
from stt_engine.log import request_id
from stt_engine.speech import SpeechRequest

router = APIRouter()


def create_app(settings: Settings | None = None, *, begin: bool = False) -> FastAPI:
    """Make the application; models are loaded and connections made once it starts.

    With ``begin`` the model is loaded from now on; whoever makes the application has to start it.

    Raises:
        pydantic.ValidationError: a setting is wrong.
        RubricInvalid: the rubric file is wrong.
        ValueError: a backend's name is wrong.
    """
    return base_app(settings or Settings(), (router,), checks=True, begin=begin)


AgentFormat = Literal["prompt_based", "text_only"]


@router.post(
    "/transcribe",
    response_model=TranscribeResponse,
    responses={**REFUSALS, 503: {"model": TranscribeResponse, "content": PROBLEM}},
)
async def transcribe_v2(
    service: Wired,
    request: Request,
    file_path: FilePath = None,
    file: Annotated[UploadFile | None, "upload"] = None,
    language: Language = "ko",
    incomplete_elements_check: Annotated[bool, Form()] = False,
    agent_url: Annotated[Text | None, Form()] = None,
    agent_request_format: Annotated[AgentFormat, Form()] = "prompt_based",
    chat_thread_id: Annotated[Text | None, Form()] = None,
    timeout: Annotated[float | None, Form(ge=1, allow_inf_nan=False)] = None,  # noqa: ASYNC109
    strict: Annotated[bool | None, Form()] = None,
) -> Response:
    """Transcribe a recording and, if asked, check it for elements of an incomplete sale."""
    agent = None
    if incomplete_elements_check:
        agent = _agent_config(
            service.settings, agent_url, agent_request_format, timeout, chat_thread_id
        )
    async with recording(service.settings, file_path, file) as (path, shown):
        speech = SpeechRequest(path, language, agent_channel=service.settings.stt_agent_channel)
        analysis = await analysed(service, Call(speech, shown, agent), request)
    strict = service.settings.strict if strict is None else strict
    return _answer(analysis, strict=strict)


@router.post("/analyze", response_model=AnalyzeResponse, responses=REFUSALS)
async def analyze(service: Wired, body: AnalyzeRequest, response: Response) -> AnalyzeResponse:
    """Check a transcript, without a recording."""
    agent = _agent_config(
        service.settings,
        body.agent_url,
        body.agent_request_format,
        body.timeout,
        body.chat_thread_id,
    )
    checked = await service.validator.check(
        body.turns() if body.segments is not None else body.text or "",
        agent.mapping(),
        timeout_sec=agent.timeout_sec,
    )
    if checked.value.agent.is_dummy:
        response.headers["X-STT-Degraded"] = "agent"
    return render.analyze_response(checked, request_id.get() or "")


def _agent_config(
    settings: Settings,
    url: str | None,
    request_format: AgentFormat,
    timeout_sec: float | None,
    chat_thread_id: str | None,
) -> AgentConfig:
    url = url or settings.agent_url
    if not settings.allows_agent(url):
        raise Problem(
            403,
            "agent-not-allowed",
            "agent_url names a host that this server may not call; "
            "the operator can add it to AGENT_ALLOWED_HOSTS.",
        )
    timeout_sec = settings.agent_timeout_sec if timeout_sec is None else timeout_sec
    if timeout_sec > settings.agent_max_timeout_sec:
        raise Problem(
            400,
            "bad-field",
            f"timeout: at most {settings.agent_max_timeout_sec:g} seconds (AGENT_MAX_TIMEOUT_SEC).",
        )
    return AgentConfig(url, request_format, timeout_sec, chat_thread_id)


def _answer(analysis: Analysis, *, strict: bool) -> Response:
    answer = render.transcribe_response(analysis, request_id.get() or "")
    degraded = render.degraded_stages(analysis)
    headers = {"X-STT-Degraded": degraded} if degraded else {}
    status = 503 if degraded and strict else 200
    return JSONResponse(answer.model_dump(mode="json"), status, headers)
