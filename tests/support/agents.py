"""An AgentBackend under watch: its log lines as they are written, and every event."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from api_server.clients.agent.backend import AgentBackendResponse
from api_server.observability.log_lines.agent import AGENT_LINES, CIRCUIT_LINES
from stt_engine.events import Event
from stt_engine.log import LineFormatter, LogObserver
from stt_engine.outcome import AttemptFailed

DUMMY_TEXT = "[DUMMY 응답] 분석을 수행할 수 없습니다."
FELL_BACK = "WARNING - [AgentBackend] Dummy 응답으로 fallback (로깅됨)"


class Watch(logging.Handler):
    """Collects the lines (without their time stamps) and the events."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(LineFormatter())
        self.lines: list[str] = []
        self.events: list[Event] = []
        self.observers = (self.events.append, LogObserver(AGENT_LINES, CIRCUIT_LINES))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record).partition("] ")[2])

    @property
    def logged(self) -> list[str]:
        """The lines an operator sees at level INFO."""
        return [line for line in self.lines if not line.startswith("DEBUG")]

    def assert_no_defect(self) -> None:
        assert not [
            one for one in self.events if isinstance(one, AttemptFailed) and one.failure.unexpected
        ]


@contextmanager
def watching() -> Iterator[Watch]:
    """Watch every line of this project's loggers."""
    watch, logger = Watch(), logging.getLogger("stt")
    level = logger.level
    logger.addHandler(watch)
    logger.setLevel(logging.DEBUG)
    try:
        yield watch
    finally:
        logger.removeHandler(watch)
        logger.setLevel(level)
    watch.assert_no_defect()


def assert_dummy(response: AgentBackendResponse, error_type: str, words: str) -> None:
    """Assert the shape of a dummy, and that it names the real cause."""
    assert response["error_type"] == error_type, response
    assert words in (response["error"] or ""), response
    assert response == {
        "success": False,
        "response": DUMMY_TEXT,
        "agent_type": "dummy",
        "is_dummy": True,
        "dummy_reason": response["error"],
        "error": response["error"],
        "error_type": error_type,
        "processing_time_sec": response["processing_time_sec"],
        "chat_thread_id": response["chat_thread_id"],
    }


def line_of(error_type: str, message: str | None) -> str:
    """Return the ERROR line that belongs to a failure."""
    assert message is not None
    if error_type == "TimeoutError":
        inside = message.partition("(")[2].rstrip(")")
        return f"ERROR - [AgentBackend] 타임아웃 발생 (timeout={inside})"
    if error_type == "ConnectionError":
        detail = message.removeprefix("Agent 서버 연결 실패: ")
        return f"ERROR - [AgentBackend] 연결 실패: {detail}"
    return f"ERROR - [AgentBackend] 예기치 않은 오류: {error_type}: {message}"
