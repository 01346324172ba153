"""The log line, its components, and the observer that writes the lines of the STT stages.

A line is ``[YYYY-MM-DD HH:MM:SS] LEVEL - [COMPONENT] message``. Every record is one line: control
characters of any input are escaped, so that nothing can forge another.
"""

from __future__ import annotations

import json
import logging
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, TypeVar

from stt_engine.events import AnswerWarned, Event, Stage, request_id
from stt_engine.log_writer import STANDS_STILL, FileSink, LineWriter, Sink, StreamSink
from stt_engine.outcome import AttemptFailed, Failure, StageSettled
from stt_engine.shown import shorten

E = TypeVar("E", bound=Event)

DUMMY_REASON = "모든 백엔드 실패로 인한 자동 fallback"

LONGEST_LINE = 8_000
"""Characters of a message; a caller's megabytes would push every other line out of the files."""

_LINE_TAIL = 3_000
"""Of those, what is kept of the end: where a traceback names its error."""

_ROOT = "stt"

FLUSH_SEC = 1.0
"""Seconds for writing the last lines of one log before the process ends."""

OPEN_SEC = 1.0
"""Seconds that the start waits for a log file to open."""


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


class _Log(logging.Handler):
    """One log: makes the lines, and has them written without waiting for that."""

    def __init__(self, sink: Sink, formatter: logging.Formatter) -> None:
        super().__init__()
        self.setFormatter(formatter)
        self.which = sink.name
        self._patience_sec = FLUSH_SEC
        self.writer = LineWriter(sink, self._regret, self._complain, self._refused)

    def emit(self, record: logging.LogRecord) -> None:
        """Have the line of ``record`` written."""
        try:
            line = self.format(record)
        except Exception as exc:  # noqa: BLE001 - a line that cannot be made is lost like any other
            self.writer.lose(type(exc).__name__)
            return
        self.writer.put(line)

    def flush(self) -> None:
        """Wait until all is written, :data:`FLUSH_SEC` at most; after a vain wait not at all."""
        written = self.writer.flush(self._patience_sec)
        self._patience_sec = FLUSH_SEC if written else 0.0
        if not written:
            self.writer.complain(STANDS_STILL)

    def close(self) -> None:
        """Have nothing more written."""
        self.flush()
        self.writer.end()
        super().close()

    def _regret(self, lines: int) -> str:
        return self._line(logging.WARNING, "쓰지 못한 줄이 여기에 빠져 있음 (%s줄)", lines)

    def _complain(self, reason: str) -> None:
        self._tell_others(logging.ERROR, "로그를 쓸 수 없어 줄이 빠짐 (%s: %s)", self.which, reason)

    def _refused(self, error: Exception) -> None:
        self._tell_others(logging.WARNING, _LEFT_OUT, error)

    def _tell_others(self, level: int, words: str, *facts: object) -> None:
        for other in _logs():
            if other is not self:  # past its lock, which a thread that tells us may hold
                other.writer.put(other._line(level, words, *facts))  # noqa: SLF001

    def _line(self, level: int, words: str, *facts: object) -> str:
        name = f"{_ROOT}.Log"
        return self.format(logging.LogRecord(name, level, __file__, 0, words, facts, None))


_LEFT_OUT = "로그 파일을 열 수 없음 (%s): stdout에만 기록"


def _logs() -> list[_Log]:
    return [one for one in logging.getLogger().handlers if isinstance(one, _Log)]


def reopen() -> None:
    """Open the log file anew, after another program has moved it away."""
    for one in _logs():
        one.writer.reopen()


def flush() -> None:
    """Wait until every line is written; :data:`FLUSH_SEC` for each log at most."""
    for one in _logs():
        one.flush()


def lost_lines() -> dict[str, int]:
    """Return for each log (``stdout``, ``file``) how many lines could not be written."""
    return {one.which: one.writer.lost for one in _logs()}


def configure(
    level: str = "INFO",
    fmt: Literal["line", "json"] = "line",
    file: Path | None = None,
    stream: IO[str] | None = None,
) -> None:
    """Send every log line to ``stream`` (stdout) and, where given, to a rotating ``file``.

    The file is rotated at 10 MiB; five old ones are kept.

    Nothing waits for a log that stands still. A ``file`` that cannot be opened is reported on
    stdout and left out until :func:`reopen`: logging must not stop the service.
    """
    formatter = JsonFormatter() if fmt == "json" else LineFormatter()
    out = _Log(StreamSink(stream or sys.stdout), formatter)
    logging.basicConfig(level=level.upper(), handlers=[out], force=True)
    logging.getLogger("stamina").setLevel(logging.ERROR)  # retries have a line of their own
    for noisy in ("httpx2", "httpcore2", "huggingface_hub", "filelock", "faster_whisper"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.root.level))
    if file is not None:
        opened = _Log(FileSink(file), formatter)
        logging.getLogger().addHandler(opened)
        if not opened.writer.opened.wait(OPEN_SEC):  # it may still open later
            get_logger("Log").warning(_LEFT_OUT, f"{file}: no answer within {OPEN_SEC:g} s")


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
