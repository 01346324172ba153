"""``stt-engine transcribe``: one recording, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from api_server.settings import Settings
from stt_engine import WhisperSTT, log
from stt_engine.errors import AudioRejected, InvalidRequest
from stt_engine.recognition.log_lines import stt_lines
from stt_engine.result import TranscribeResult, transcribe_result
from stt_engine.speech import SpeechRequest
from stt_tools.cli.heard import heard
from stt_tools.cli.options import Json, Verbose, load_settings, log_to_stderr, understood_language
from stt_tools.cli.output import err, out, print_json, show_warnings
from stt_tools.exits import DEGRADED, DONE


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
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Transcribe one recording."""
    code = understood_language(language)
    settings = load_settings(stt_model_path=model)
    log_to_stderr(verbose)
    request = SpeechRequest(file, code, translate, words, settings.stt_agent_channel)
    result = _run(settings, request)
    if as_json:
        print_json(result)
    else:
        _show(result)
    raise typer.Exit(DONE if result["success"] else DEGRADED)


def _run(settings: Settings, request: SpeechRequest) -> TranscribeResult:
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
        return transcribe_result(stt.recognise(request, (AudioRejected, InvalidRequest)))


def _show(result: TranscribeResult) -> None:
    for segment in result["segments"]:
        who = f" {segment['speaker']}:" if segment["speaker"] else ""
        out.print(
            f"[dim]{segment['start']:7.1f}–{segment['end']:.1f}{who}[/dim] "
            f"{escape(segment['text'])}",
            soft_wrap=True,  # a line of its own for each: `analyze` reads labels by the line
        )
    show_warnings(result["warnings"])
    if result["outcome"] == "no_speech":
        err.print(f"no speech in {result['duration']:.1f} s")
    if result["is_dummy"]:
        err.print(f"[red]not transcribed: {result['error_type']}: {escape(str(result['error']))}")
    if result["text_en"]:
        out.print(f"[dim]English:[/dim] {escape(result['text_en'])}")
