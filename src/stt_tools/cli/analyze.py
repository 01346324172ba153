"""``stt-engine analyze``: the check of one transcript, without a server."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, cast

import anyio
import typer
from pydantic import ValidationError
from rich.markup import escape

from api_server.compliance.coverage import (
    FULL_COVERAGE,
    NO_COVERAGE,
    Coverage,
    measure_coverage,
)
from api_server.compliance.request_body import BodyRejected, validate_request
from api_server.container import Service
from api_server.models import AnalyzeRequest, AnalyzeResponse, RecognitionResponse
from api_server.pipeline.analysis import AgentConfig
from api_server.pipeline.render import answers
from api_server.settings import Settings
from api_server.text.strict_json import NotStrictJson, parse_strictly
from stt_engine.errors import EngineError
from stt_engine.result import WarningResult
from stt_engine.speech import Transcript
from stt_tools.cli.options import Json, Verbose, load_settings, log_to_stderr
from stt_tools.cli.output import err, out, print_json, show_warnings
from stt_tools.exits import DEGRADED, DONE, refuse, refuse_on_error

_OPTIONS = ("agent_url", "agent_request_format", "chat_thread_id", "timeout")


def analyze(
    file: Annotated[
        Path,
        typer.Argument(
            help="Text (one turn a line), JSON ({'segments': [...]}), or what `transcribe --json` "
            "prints; - for stdin."
        ),
    ],
    agent_url: Annotated[str | None, typer.Option(help="Chat-completions URL.")] = None,
    agent_format: Annotated[str, typer.Option(help="prompt_based or text_only.")] = "prompt_based",
    timeout: Annotated[float | None, typer.Option(help="Seconds for the answer.")] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Check a transcript for elements of an incomplete sale (불완전판매요소)."""
    settings = load_settings()
    log_to_stderr(verbose)
    extra = {"agent_url": agent_url, "agent_request_format": agent_format, "timeout": timeout}
    given = _read(file)
    body = _request(file, {**given, **{key: one for key, one in extra.items() if one}})
    with err.status("LLM에 묻는 중…"):
        answer = anyio.run(_run, settings, body, coverage_of(given, settings.stt_agent_channel))
    if as_json:
        print_json(answer.model_dump(mode="json"))
    else:
        _show(answer)
    raise typer.Exit(DONE if answer.success else DEGRADED)


def _read(file: Path) -> dict[str, Any]:
    """Return what the file says: a request's fields, an answer of ``transcribe``, or plain text."""
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        text = raw.decode("utf-8-sig")
        if text.lstrip().startswith("{"):
            return cast("dict[str, Any]", parse_strictly(text))
        with suppress(NotStrictJson):
            if isinstance(found := parse_strictly(text), list):
                return {"segments": found}
    except OSError as exc:
        refuse(f"{file}: {exc.strerror}")
    except UnicodeDecodeError:
        refuse(f"{file} is not UTF-8 text")
    except NotStrictJson as exc:
        refuse(f"{file} begins like JSON and is not: {exc}")
    return {"text": text}


def _request(file: Path, given: dict[str, Any]) -> AnalyzeRequest:
    if _is_answer(given):
        given = {key: one for key, one in given.items() if key in _OPTIONS or key == "segments"}
    try:
        return validate_request(given)
    except BodyRejected as exc:
        refuse(f"{file}: {exc}")


def _is_answer(given: dict[str, Any]) -> bool:
    """Return whether ``given`` is what ``transcribe --json`` or ``POST /transcribe`` gives."""
    return "segments" in given and "outcome" in given


def coverage_of(given: dict[str, Any], agent_channel: int) -> Coverage:
    """Return how much of the call an answer of ``transcribe`` covers."""
    if not _is_answer(given):
        return FULL_COVERAGE
    with suppress(ValidationError, EngineError):
        told = RecognitionResponse.model_validate(given)
        transcript = Transcript(
            told.text,
            told.language,
            told.duration,
            told.outcome,
            coverage=told.coverage,
            warnings=tuple(told.warnings),
        )
        return measure_coverage(transcript, agent_channel)
    return NO_COVERAGE


async def _run(settings: Settings, body: AnalyzeRequest, coverage: Coverage) -> AnalyzeResponse:
    with refuse_on_error():
        service = Service.of(settings)
    agent = AgentConfig(
        body.agent_url or settings.agent_url,
        body.agent_request_format,
        body.timeout or settings.agent_timeout_sec,
        body.chat_thread_id,
    )
    checked = await service.validator.check(
        body.transcript(),
        agent.mapping(),
        timeout_sec=agent.timeout_sec,
        coverage=coverage,
    )
    await service.aclose()
    return answers.analyze_response(checked, "")


def _show(answer: AnalyzeResponse) -> None:
    found = answer.incomplete_elements or {}
    for element in found.get("elements", []):
        quotes = "; ".join(f"“{one['quote']}”" for one in element["evidence"])
        why = (quotes and element["source"]) or element["reason"]
        basis = f"{why}: {quotes}" if quotes else why
        out.print(f"{element['status']:<15} {element['id']:<32} {escape(basis)}")
    show_warnings(cast("WarningResult", asdict(one)) for one in answer.warnings)
    if not answer.success:
        err.print(f"[red]not analysed: {escape(f'{answer.error_type}: {answer.error}')}[/red]")
        err.print("this is no finding: what no rule found (without quotes above) is undetermined")
