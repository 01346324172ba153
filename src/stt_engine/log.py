"""The log line, its components, and the observer that writes the lines of the STT stages.

A line is ``[YYYY-MM-DD HH:MM:SS] LEVEL - [COMPONENT] message``. Every record is one line: control
characters of any input are escaped, so that nothing can forge another.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import math
import sys
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, TypeVar

from stt_engine.events import AnswerWarned, Event, Stage, request_id
from stt_engine.outcome import AttemptFailed, Failure, StageSettled
from stt_engine.shown import shorten

E = TypeVar("E", bound=Event)

DUMMY_REASON = "모든 백엔드 실패로 인한 자동 fallback"

LONGEST_LINE = 8_000
"""Characters of a message; a caller's megabytes would push every other line out of the files."""

_LINE_TAIL = 3_000
"""Of those, what is kept of the end: where a traceback names its error."""

_ROOT = "stt"
_FILE_BYTES = 10 * 1024 * 1024
_FILE_COUNT = 5
_SILENCE_SEC = 60.0


def get_logger(component: str) -> logging.Logger:
    """Return the logger whose lines carry ``[component]``."""
    return logging.getLogger(f"{_ROOT}.{component}")


def escape(text: str) -> str:
    r"""Make ``text`` one harmless line: control and separator characters become ``\uXXXX``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape_char(char) for char in text)


def _escape_char(char: str) -> str:
    if char in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[char]
    # Cc: controls; Cf: direction marks; Zl/Zp: line separators; Cs: lone surrogates.
    if unicodedata.category(char) in {"Cc", "Cf", "Zl", "Zp", "Cs"}:
        return f"\\u{ord(char):04x}"
    return char


class LineFormatter(logging.Formatter):
    """The human line; third-party loggers pass through it with their top name as component."""

    default_time_format = "%Y-%m-%d %H:%M:%S"
    default_msec_format = ""

    def format(self, record: logging.LogRecord) -> str:
        """Render ``record`` as one line."""
        facts = self.facts(record)
        return "[{timestamp}] {level} - [{component}] {message}".format_map(facts)

    def facts(self, record: logging.LogRecord) -> dict[str, str]:
        """Return the fields of the line, escaped."""
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        message = shorten(message, LONGEST_LINE, tail=_LINE_TAIL)
        top, _, rest = record.name.partition(".")
        component = rest if top == _ROOT and rest else top
        return {
            "timestamp": self.formatTime(record),
            "level": record.levelname,
            "component": escape(shorten(component)),
            "message": escape(message),
        }


class JsonFormatter(LineFormatter):
    """The same fields and ``request_id`` as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Render ``record`` as JSON."""
        return json.dumps(
            {**self.facts(record), "request_id": request_id.get()}, ensure_ascii=False
        )


class _Forgiving(logging.Handler):
    """A handler that cannot always write, on a full disk say: its log then loses lines.

    The other handlers are told once a minute.
    """

    _told_at = -math.inf

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Report a log that cannot be written to the others, a line a minute; never raise."""
        error = sys.exc_info()[1]
        if time.monotonic() - self._told_at < _SILENCE_SEC:
            return
        self._told_at = time.monotonic()
        told = logging.LogRecord(
            f"{_ROOT}.Log",
            logging.ERROR,
            record.pathname,
            record.lineno,
            "로그를 쓸 수 없어 줄이 빠짐 (%s: %s)",
            (type(self).__name__.strip("_"), type(error).__name__ if error else "?"),
            None,
        )
        for other in logging.getLogger().handlers:
            if other is not self and isinstance(other, _Forgiving):
                other.handle(told)


class _Stream(_Forgiving, logging.StreamHandler[IO[str]]):
    """Writes to a stream."""


class _RotatingFile(_Forgiving, logging.handlers.RotatingFileHandler):
    """Writes to a file that is rotated."""

    def reopen(self) -> None:
        """Close the file; the next line opens it by its name."""
        self.acquire()
        try:
            if self.stream is not None:
                self.stream.close()
                self.stream = None
        finally:
            self.release()


def reopen() -> None:
    """Open the log file anew, after another program has moved it away."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _RotatingFile):
            handler.reopen()


def configure(
    level: str = "INFO",
    fmt: Literal["line", "json"] = "line",
    file: Path | None = None,
    stream: IO[str] | None = None,
) -> None:
    """Send every log line to ``stream`` (stdout) and, where given, to a rotating ``file``.

    The file is rotated at 10 MiB; five old ones are kept.

    A ``file`` that cannot be opened is reported on stdout and left out: logging must not stop
    the service.
    """
    formatter = JsonFormatter() if fmt == "json" else LineFormatter()
    handlers: list[logging.Handler] = [_Stream(stream or sys.stdout)]
    problem = None
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handlers.append(
                _RotatingFile(file, maxBytes=_FILE_BYTES, backupCount=_FILE_COUNT, encoding="utf-8")
            )
        except OSError as exc:
            problem = exc
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=handlers, force=True)
    logging.getLogger("stamina").setLevel(logging.ERROR)  # retries have a line of their own
    for noisy in ("httpx2", "httpcore2", "huggingface_hub", "filelock", "faster_whisper"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.root.level))
    if problem is not None:
        get_logger("Log").warning("로그 파일을 열 수 없음 (%s): stdout에만 기록", problem)


@dataclass(frozen=True, slots=True)
class Line:
    """One log line: where it goes, how loud, and its words (``None`` from ``words``: no line)."""

    component: str
    level: int
    words: Callable[[Event], str | None]


Words = str | Callable[[E], str | None]
"""The words of a line, or what makes them out of its event."""

Table = tuple[Line, ...]
"""Lines in the order in which they are written for one event."""


def on(of: type[E], component: str, level: int, words: Words[E]) -> Line:
    """Return the line of an event of type ``of``."""

    def say(event: Event) -> str | None:
        if not isinstance(event, of):
            return None
        return words if isinstance(words, str) else words(event)

    return Line(component, level, say)


def on_failed(stage: Stage, component: str, level: int, words: Words[AttemptFailed]) -> Line:
    """Return the line of an attempt of ``stage`` that failed."""

    def say(event: AttemptFailed) -> str | None:
        if event.failure.stage != stage:
            return None
        return words if isinstance(words, str) else words(event)

    return on(AttemptFailed, component, level, say)


def on_settled(stage: Stage, component: str, level: int, words: Words[StageSettled]) -> Line:
    """Return the line of an outcome of ``stage``, whatever it is."""

    def say(event: StageSettled) -> str | None:
        if event.stage != stage:
            return None
        return words if isinstance(words, str) else words(event)

    return on(StageSettled, component, level, say)


def on_answered(stage: Stage, component: str, level: int, words: Words[StageSettled]) -> Line:
    """Return the line of an outcome of ``stage`` that some source gave."""
    return _on_outcome(stage, component, level, words, dummy=False)


def on_dummy(stage: Stage, component: str, level: int, words: Words[StageSettled]) -> Line:
    """Return the line of an outcome of ``stage`` that no source could give."""
    return _on_outcome(stage, component, level, words, dummy=True)


def _on_outcome(
    stage: Stage, component: str, level: int, words: Words[StageSettled], *, dummy: bool
) -> Line:
    def say(event: StageSettled) -> str | None:
        if event.outcome.is_dummy != dummy:
            return None
        return words if isinstance(words, str) else words(event)

    return on_settled(stage, component, level, say)


class LogObserver:
    """Writes the lines that tables have for each event; the only writer of fallback lines."""

    def __init__(self, *tables: Table) -> None:
        self._lines = tuple(line for table in tables for line in table)

    def __call__(self, event: Event) -> None:
        """Write the lines of ``event``; a defect of ours also gets its traceback."""
        for line in self._lines:
            words = line.words(event)
            if words is not None:
                get_logger(line.component).log(line.level, "%s", words)
        if isinstance(event, AttemptFailed) and event.failure.unexpected:
            get_logger("Unexpected").error("%s", event.failure.trace)


def named(failure: Failure | None) -> str:
    """Return ``TYPE: message`` of a failure."""
    return f"{failure.error_type}: {failure.message}" if failure else "알 수 없음"


def cause_of(event: AttemptFailed | StageSettled) -> str:
    """Return ``TYPE: message`` of the failure that an event carries or settles with."""
    return named(event.failure if isinstance(event, AttemptFailed) else event.outcome.cause)


def shown_text(text: str, *, reveal: bool) -> str:
    """Return transcript text for a log line: itself if that is allowed, else only its length."""
    return text if reveal else f"(비공개 {len(text)}자)"


def warned(stage: Stage, event: AnswerWarned) -> str | None:
    """Return the line of a warning of that stage, ``None`` for another's."""
    if event.stage != stage:
        return None
    one = event.warning
    return f"경고 ({one.code}): {one.message} - {one.detail}"
