"""``stt-engine transcribe``: one recording, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from api_server.pipeline.render.formats import TEXT_FORMATS, english_of, transcript_text
from api_server.settings import Settings
from stt_engine import WhisperSTT, log
from stt_engine.errors import AudioRejected, InvalidRequest
from stt_engine.outcome import Outcome
from stt_engine.recognition.log_lines import stt_lines
from stt_engine.result import TranscribeResult, transcribe_result
from stt_engine.shown import unknown
from stt_engine.speech import SpeechRequest, Transcript
from stt_tools.cli.heard import heard
from stt_tools.cli.options import (
    Json,
    Keywords,
    Prompt,
    Temperature,
    Verbose,
    hints_of,
    load_settings,
    log_to_stderr,
    understood_language,
)
from stt_tools.cli.output import err, out, print_json, show_warnings
from stt_tools.exits import DEGRADED, DONE, refuse


def transcribe(
    file: Annotated[Path, typer.Argument(help="A recording, in any format FFmpeg reads.")],
    language: Annotated[
        str, typer.Option("--language", "-l", help="Code or name (ko, English), or 'auto'.")
    ] = "ko",
    model: Annotated[
        str | None, typer.Option(help="Model folder, or a name such as base (STT_MODEL_PATH).")
    ] = None,
    translate: Annotated[bool, typer.Option(help="Give the text in English too.")] = False,
    words: Annotated[bool, typer.Option(help="Give times of words (JSON only).")] = False,
    prompt: Prompt = None,
    keyword: Keywords = None,
    temperature: Temperature = 0.0,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help=f"Print {', '.join(TEXT_FORMATS)} instead; with --translate, of the English.",
        ),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Transcribe one recording."""
    code = understood_language(language)
    if form is not None and form not in TEXT_FORMATS:
        refuse(unknown("format", form, TEXT_FORMATS))
    if form is not None and as_json:
        refuse("give one of --json and --format")
    settings = load_settings(stt_model_path=model)
    log_to_stderr(verbose)
    hints = hints_of(prompt, keyword)
    channel = settings.stt_agent_channel
    request = SpeechRequest(file, code, translate, words, channel, hints, temperature)
    found = _run(settings, request)
    result = transcribe_result(found)
    if as_json:
        print_json(result)
    elif form is None:
        _show(result)
    else:
        _show_rest(result)
        if result["success"]:
            shown = english_of(found.value) if translate else found.value
            typer.echo(transcript_text(form, shown), nl=False)
    raise typer.Exit(DONE if result["success"] else DEGRADED)


def _run(settings: Settings, request: SpeechRequest) -> Outcome[Transcript]:
    lines = log.LogObserver(stt_lines(reveal_text=settings.reveals_text))
    with (
        heard() as show,
        WhisperSTT(
            settings.stt_model_path,
            settings.stt_device,
            settings.stt_compute_type,
            backends=settings.stt_backends,
            limits=settings.limits(),
            tuning=settings.tuning(),
            observers=(lines, show),
            preload=False,
        ) as stt,
    ):
        return stt.recognise(request, (AudioRejected, InvalidRequest))


def _show(result: TranscribeResult) -> None:
    for segment in result["segments"]:
        who = f" {segment['speaker']}:" if segment["speaker"] else ""
        out.print(
            f"[dim]{segment['start']:7.1f}–{segment['end']:.1f}{who}[/dim] "
            f"{escape(segment['text'])}",
            soft_wrap=True,  # a line of its own for each: `analyze` reads labels by the line
        )
    _show_rest(result)
    if result["text_en"]:
        out.print(f"[dim]English:[/dim] {escape(result['text_en'])}")


def _show_rest(result: TranscribeResult) -> None:
    """Print on stderr what stands beside the text."""
    show_warnings(result["warnings"])
    if result["outcome"] == "no_speech":
        err.print(f"no speech in {result['duration']:.1f} s")
    if not result["success"] and not result["is_dummy"]:
        err.print(f"[red]{escape(str(result['error']))}")
    if result["is_dummy"]:
        err.print(f"[red]not transcribed: {result['error_type']}: {escape(str(result['error']))}")
