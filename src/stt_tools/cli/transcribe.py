"""``stt-engine transcribe``: recordings, without a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
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
from stt_tools.cli.given import given_recordings
from stt_tools.cli.heard import heard
from stt_tools.cli.many import Form, plan, transcribe_each
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
    files: Annotated[
        list[Path],
        typer.Argument(help="Recordings, in any format FFmpeg reads, and folders of them."),
    ],
    language: Annotated[
        str, typer.Option("--language", "-l", help="Code or name (ko, English), or 'auto'.")
    ] = "ko",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output-dir",
            "-o",
            help="Folder for a file of each recording; those that are there are passed over.",
            show_default="here, for several recordings; one is printed",
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Do those too whose file is there.")
    ] = False,
    pattern: Annotated[
        str, typer.Option(help="Which files of a folder; **/*.wav: of folders in it, too.")
    ] = "*",
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
    """Transcribe recordings, several with one model.

    Of several, or with --output-dir, each has a file (call.wav.txt). Whatever interrupts it, the
    same command goes on where it was. Exit code 1 where one was not transcribed.
    """
    code = understood_language(language)
    if form is not None and form not in TEXT_FORMATS:
        refuse(unknown("format", form, TEXT_FORMATS))
    if form is not None and as_json:
        refuse("give one of --json and --format")
    settings = load_settings(stt_model_path=model)
    one = len(files) == 1 and not files[0].is_dir() and output is None
    written = Form(None if as_json else form or "text", translate and form is not None)
    works = [] if one else plan(given_recordings(files, pattern), output or Path(), written)
    log_to_stderr(verbose)
    hints = hints_of(prompt, keyword)
    channel = settings.stt_agent_channel

    def request(file: Path) -> SpeechRequest:
        return SpeechRequest(file, code, translate, words, channel, hints, temperature)

    with _recogniser(settings) as recognise:
        if not one:
            work = partial(_recognised, recognise, request)
            raise typer.Exit(transcribe_each(works, work, written, again=again, as_json=as_json))
        found = recognise(request(files[0]))
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


_Recognise = Callable[[SpeechRequest], Outcome[Transcript]]


@contextmanager
def _recogniser(settings: Settings) -> Iterator[_Recognise]:
    """Yield what recognises; what it hears is shown where a person looks on."""
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
        yield partial(stt.recognise, propagate=(AudioRejected, InvalidRequest))


def _recognised(
    recognise: _Recognise, request: Callable[[Path], SpeechRequest], file: Path
) -> Outcome[Transcript]:
    return recognise(request(file))


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
