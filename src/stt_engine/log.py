"""The log line, its components, and the observer that writes the lines of the STT stages.

A line is ``[YYYY-MM-DD HH:MM:SS] LEVEL - [COMPONENT] message``. Every record is one line: control
characters of any input are escaped, so that nothing can forge another.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
import unicodedata
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from stt_engine.outcome import Event, Kind, Stage

DUMMY_REASON = "모든 백엔드 실패로 인한 자동 fallback"

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the call in hand; JSON lines carry it."""

_ROOT = "stt"
_FILE_BYTES = 10 * 1024 * 1024
_FILE_COUNT = 5


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
        """Give the fields of the line, escaped."""
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        top, _, rest = record.name.partition(".")
        component = rest if top == _ROOT and rest else top
        return {
            "timestamp": self.formatTime(record),
            "level": record.levelname,
            "component": escape(component),
            "message": escape(message),
        }


class JsonFormatter(LineFormatter):
    """The same fields and ``request_id`` as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Render ``record`` as JSON."""
        return json.dumps(
            {**self.facts(record), "request_id": request_id.get()}, ensure_ascii=False
        )


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
    handlers: list[logging.Handler] = [logging.StreamHandler(stream or sys.stdout)]
    problem = None
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            handlers.append(
                logging.handlers.RotatingFileHandler(
                    file, maxBytes=_FILE_BYTES, backupCount=_FILE_COUNT, encoding="utf-8"
                )
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


Table = Mapping[tuple[Stage, Kind], tuple[Line, ...]]


class LogObserver:
    """Writes the lines that a table gives for each event; the only writer of fallback lines."""

    def __init__(self, *tables: Table) -> None:
        self._tables = tables

    def __call__(self, event: Event) -> None:
        """Write the lines of ``event``; a defect of ours also gets its traceback."""
        for table in self._tables:
            for line in table.get((event.stage, event.kind), ()):
                words = line.words(event)
                if words is not None:
                    get_logger(line.component).log(line.level, "%s", words)
        if event.failure is not None and event.failure.unexpected:
            get_logger("Unexpected").error("%s", event.failure.trace)


def cause_of(event: Event) -> str:
    """``TYPE: message`` of the failure that an event carries or settles with."""
    failure = event.failure or (event.outcome.cause if event.outcome else None)
    return f"{failure.error_type}: {failure.message}" if failure else "알 수 없음"


def shown_text(text: str, *, reveal: bool) -> str:
    """Give transcript text for a log line: itself if that is allowed, else only its length."""
    return text if reveal else f"(비공개 {len(text)}자)"
