"""``stt-engine voices``: agents whose voice is known. Biometric data, off by default."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from api_server.settings import Settings
from api_server.store.errors import NoSuchVoice, VoiceExists
from api_server.store.records import VoiceRecord
from stt_engine.engine import WhisperSTT
from stt_engine.model_store.places import find_model
from stt_engine.recognition.diarisation import MODEL
from stt_engine.recognition.voiceprint import Voiceprint
from stt_tools.cli.keeping import actor, made_store_of, store_of
from stt_tools.cli.options import Json, Verbose, load_settings, log_to_stderr
from stt_tools.cli.output import out, print_json
from stt_tools.exits import refuse

app = typer.Typer(help="Voices of agents: enrol, list, erase.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Whose voice it is, as answers name it.")]

_LONGEST_NAME = 100


@app.command()
def enrol(
    name: Name,
    file: Annotated[Path, typer.Argument(help="A recording in which nobody else speaks.")],
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Enrol the voice of an agent; half a minute of speech is enough."""
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        refuse(f"a name has 1 to {_LONGEST_NAME} printable characters")
    log_to_stderr(verbose)
    settings = _wanted()
    found = _heard(settings, file)
    with made_store_of(settings) as store:
        try:
            new = store.voices.enrol(name, found.embedding, found.seconds, MODEL, actor())
        except VoiceExists as exc:
            refuse(str(exc), exc.error_type)
    _show([new], as_json=as_json)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List enrolled voices, by name."""
    with store_of(_wanted()) as store:
        found = store.voices.list() if store else []
    _show(found, as_json=as_json)


@app.command()
def erase(name: Name, as_json: Json = False) -> None:
    """Erase a voice, by its name or its id; also where KNOWN_VOICES is off."""
    with store_of(load_settings()) as store:
        if store is None:
            refuse(f"no voice of '{name}' is enrolled", "NoSuchVoice")
        try:
            gone = store.voices.erase(name, actor())
        except NoSuchVoice as exc:
            refuse(str(exc), exc.error_type)
    _show([gone], as_json=as_json)


def _wanted() -> Settings:
    """Return the settings, where voices may be known.

    Raises:
        CommandFailed: they may not.
    """
    settings = load_settings()
    if not settings.known_voices or settings.recordings_key_file is None:
        refuse("voices are biometric data: set KNOWN_VOICES=true and RECORDINGS_KEY_FILE first")
    return settings


def _heard(settings: Settings, file: Path) -> Voiceprint:
    voices = find_model(MODEL, settings.stt_home)
    with WhisperSTT(
        settings.stt_model_path,
        limits=settings.limits(),
        observers=(),
        voices_path=voices,
        preload=False,
    ) as stt:
        return stt.voiceprint(file)


def _show(found: list[VoiceRecord], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {
                    "id": one.id,
                    "name": one.name,
                    "seconds": round(one.seconds, 1),
                    "enrolled_at": one.enrolled_at,
                }
                for one in found
            ]
        )
        return
    for one in found:
        day = datetime.fromtimestamp(one.enrolled_at, UTC).date()
        out.print(escape(f"{one.name}  {one.seconds:.0f} s  {day}  {one.id}"))
