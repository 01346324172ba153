"""Several recordings with one model: a file for each, and those that are there are passed over."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from api_server.pipeline.render.formats import english_of, transcript_text
from stt_engine.errors import AudioRejected, EngineError, InvalidRequest
from stt_engine.outcome import Outcome, error_type_of
from stt_engine.result import TranscribeResult, transcribe_result
from stt_engine.speech import Transcript
from stt_tools.cli.output import err, out, print_json, show_warnings
from stt_tools.exits import DEGRADED, DONE, INTERRUPTED, refuse

_ENDINGS = {"text": ".txt", "verbose_json": ".json", "diarized_json": ".json"}


@dataclass(frozen=True, slots=True)
class Work:
    """One recording, and the file that its text goes into."""

    file: Path
    output: Path


@dataclass(frozen=True, slots=True)
class Form:
    """What is written: a format by its name, or the whole answer as JSON (``None``)."""

    name: str | None = "text"
    english: bool = False

    @property
    def ending(self) -> str:
        """What the name of an output file ends with."""
        return ".json" if self.name is None else _ENDINGS.get(self.name, f".{self.name}")

    def render(self, found: Outcome[Transcript]) -> str:
        """Return the text of an output file."""
        if self.name is None:
            return json.dumps(transcribe_result(found), ensure_ascii=False, indent=2) + "\n"
        return transcript_text(self.name, english_of(found.value) if self.english else found.value)


def plan(recordings: Iterable[tuple[Path, Path]], folder: Path, form: Form) -> list[Work]:
    """Return what is to be done; ``call.wav`` goes into ``call.wav.txt`` in ``folder``.

    Raises:
        CommandFailed: two would go into one file.
    """
    works: dict[Path, Work] = {}
    for file, name in recordings:
        output = folder / name.with_name(f"{name.name}{form.ending}")
        if output in works:
            refuse(f"{works[output].file} and {file} would both be {output}: name them apart")
        works[output] = Work(file, output)
    return list(works.values())


@dataclass(slots=True)
class _Ended:
    """How one ended: ``done``, ``there`` already, or ``failed`` with its cause."""

    work: Work
    state: str
    error_type: str | None = None
    error: str | None = None
    found: TranscribeResult | None = None

    def facts(self) -> dict[str, object]:
        return {
            "file": str(self.work.file),
            "output": None if self.state == "failed" else str(self.work.output),
            "state": self.state,
            "error_type": self.error_type,
            "error": self.error,
            "outcome": self.found["outcome"] if self.found else None,
            "warnings": [one["code"] for one in self.found["warnings"]] if self.found else [],
        }


def transcribe_each(
    works: list[Work],
    recognise: Callable[[Path], Outcome[Transcript]],
    form: Form,
    *,
    again: bool,
    as_json: bool,
) -> int:
    """Write the text of each that is not there yet, and return the command's exit code.

    One that fails has no file, and ends nothing: it is tried when the command is run again.
    """
    ended: list[_Ended] = []
    try:
        for number, work in enumerate(works, 1):
            one = _there(work) if not again else None
            ended.append(one or _done(work, recognise, form))
            _tell(ended[-1], f"{number}/{len(works)}", quiet=as_json)
    except KeyboardInterrupt:
        left = len(works) - len(ended)
        err.print(f"{len(ended)} of {len(works)} are done; the same command does the other {left}")
        if not as_json:
            return INTERRUPTED
        raise
    failed = [one for one in ended if one.state == "failed"]
    if as_json:
        print_json({"success": not failed, "files": [one.facts() for one in ended]})
    elif failed:
        err.print(f"[red]{len(failed)} of {len(works)} were not transcribed[/red]")
    return DEGRADED if failed else DONE


def _there(work: Work) -> _Ended | None:
    return _Ended(work, "there") if work.output.exists() else None


def _done(work: Work, recognise: Callable[[Path], Outcome[Transcript]], form: Form) -> _Ended:
    try:
        found = recognise(work.file)
    except (AudioRejected, InvalidRequest) as exc:
        return _Ended(work, "failed", error_type_of(exc), str(exc))
    if found.is_dummy or (form.english and found.value.text and not found.value.text_en):
        cause = found.cause
        kind = cause.error_type if cause else EngineError.__name__
        return _Ended(work, "failed", kind, cause.message if cause else "no translation")
    _write(work.output, form.render(found))
    return _Ended(work, "done", found=transcribe_result(found))


def _write(output: Path, text: str) -> None:
    """Write a file whole or not at all."""
    output.parent.mkdir(parents=True, exist_ok=True)
    half = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(output)
    finally:
        half.unlink(missing_ok=True)


def _tell(one: _Ended, at: str, *, quiet: bool) -> None:
    if one.state == "failed":
        cause = escape(f"{one.error_type}: {one.error}")
        err.print(f"[red]{at} {escape(str(one.work.file))}: {cause}[/red]")
    elif not quiet:
        silent = one.found is not None and one.found["outcome"] == "no_speech"
        more = " (there already)" if one.state == "there" else " (no speech)" if silent else ""
        out.print(escape(f"{at} {one.work.output}{more}"))
        show_warnings(one.found["warnings"] if one.found else ())
