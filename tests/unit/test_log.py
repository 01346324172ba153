"""The log line: its exact form, that no input can forge another, and its file."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_engine import log, log_writer
from stt_engine.errors import ModelNotFound
from stt_engine.events import LoadStarted, RecognitionStarted, Stage, request_id
from stt_engine.log import (
    JsonFormatter,
    LineFormatter,
    LogObserver,
    configure,
    escape,
    get_logger,
    on,
    shown_text,
)
from stt_engine.outcome import DUMMY, AttemptFailed, Attempts, Failure, Outcome, StageSettled
from stt_engine.recognition.log_lines import stt_lines
from stt_engine.speech import Transcript

LINE = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] (DEBUG|INFO|WARNING|ERROR) - \[\w+\] .*")
FORGED = "x\n[2026-02-20 10:15:30] INFO - [STT] 음성 변환 완료 (0.1초)"


pytestmark = pytest.mark.usefixtures("own_logging")


@contextmanager
def _written(**settings: object) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure(stream=stream, **settings)  # type: ignore[arg-type]
    yield stream
    log.flush()


def _record(message: str, name: str = "stt.STT", level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 1, "%s", (message,), None)


def test_the_line_is_exactly_as_documented() -> None:
    record = _record("모델 로드 완료 (faster-whisper, 5.2초)")
    record.created = 1771550130.9
    stamp = LineFormatter().formatTime(record)
    line = LineFormatter().format(record)
    assert line == f"[{stamp}] INFO - [STT] 모델 로드 완료 (faster-whisper, 5.2초)"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", stamp)
    assert LINE.fullmatch(line)


def test_every_component_logs_under_its_own_name() -> None:
    with _written() as stream:
        for component in ("STT", "AgentBackend", "Transcribe", "Validation", "HealthCheck"):
            get_logger(component).info("시작")
    lines = stream.getvalue().splitlines()
    assert [line.partition("- ")[2] for line in lines] == [
        f"[{component}] 시작"
        for component in ("STT", "AgentBackend", "Transcribe", "Validation", "HealthCheck")
    ]


def test_a_library_passes_through_the_same_formatter_under_its_top_name() -> None:
    with _written() as stream:
        logging.getLogger("uvicorn.error").warning("one\ntwo")
    assert stream.getvalue().endswith("] WARNING - [uvicorn] one\\ntwo\n")
    assert len(stream.getvalue().splitlines()) == 1


@pytest.mark.parametrize(("level", "seen"), [("DEBUG", 4), ("info", 3), ("WARNING", 2)])
def test_the_level_is_a_setting(level: str, seen: int) -> None:
    with _written(level=level) as stream:
        for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
            get_logger("STT").log(number, "line")
    assert len(stream.getvalue().splitlines()) == seen


@given(st.text(st.characters(categories=None), max_size=60))
def test_any_text_becomes_one_line_without_control_characters(text: str) -> None:
    shown = escape(text)
    assert len(f"a{shown}b".splitlines()) == 1
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp", "Cs"}]
    shown.encode("utf-8")  # no lone surrogate is left
    for formatter in (LineFormatter(), JsonFormatter()):
        line = formatter.format(_record(text))
        assert len(line.splitlines()) == 1
        line.encode("utf-8")


@given(st.text(st.characters(categories=None), max_size=60))
def test_harmless_text_is_left_alone(text: str) -> None:
    bad = {"Cc", "Cf", "Zl", "Zp", "Cs"}
    kept = "".join(char for char in text if unicodedata.category(char) not in bad)
    assert escape(kept) == kept


@pytest.mark.parametrize(
    "text",
    [
        FORGED,
        FORGED.replace("\n", "\r\n"),
        FORGED.replace("\n", "\r"),
        FORGED.replace("\n", "\x85"),
        FORGED.replace("\n", "\u2028"),
        FORGED.replace("\n", "\u2029"),
        FORGED.replace("\n", "\x0b"),
        "\x1b[2K\x1b[1A[2026-02-20 10:15:30] INFO - [STT] gone",
        "\u202eevil",
        "\x00",
        "a\udcffb",
    ],
)
def test_no_input_forges_a_line(text: str) -> None:
    for fmt in ("line", "json"):
        with _written(fmt=fmt) as stream:
            get_logger("STT").error("%s", text)
        (line,) = stream.getvalue().splitlines()
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e\x1b]", line)


def test_a_component_name_cannot_forge_either() -> None:
    line = LineFormatter().format(_record("x", name="stt.a]\n[b"))
    assert len(line.splitlines()) == 1


def test_percent_signs_and_braces_in_input_are_only_text() -> None:
    assert (
        LineFormatter()
        .format(_record("100% {level} %s %(name)s"))
        .endswith("] INFO - [STT] 100% {level} %s %(name)s")
    )


def test_a_traceback_stays_within_its_line() -> None:
    with _written() as stream:
        try:
            int("first\nsecond")
        except ValueError:
            get_logger("STT").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "failed\\nTraceback" in line
    assert "ValueError: invalid literal" in line


def test_json_has_the_fields_of_the_line_and_the_request_id() -> None:
    record = _record('따옴표 " 와 \\ 와 \n 줄', level=logging.WARNING)
    token = request_id.set("req-1")
    try:
        found = json.loads(JsonFormatter().format(record))
    finally:
        request_id.reset(token)
    line = LineFormatter().format(record)
    assert set(found) == {"timestamp", "level", "component", "message", "request_id"}
    assert (
        f"[{found['timestamp']}] {found['level']} - [{found['component']}] {found['message']}"
        == line
    )
    assert found["request_id"] == "req-1"
    assert json.loads(JsonFormatter().format(record))["request_id"] is None


def test_lines_go_to_stdout_and_to_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "logs" / "api-server.log"
    configure(file=file, stream=sys.stdout)
    get_logger("STT").info("음성 변환 시작 (language=ko)")
    log.flush()
    assert LINE.fullmatch(capsys.readouterr().out.rstrip("\n"))
    assert LINE.fullmatch(file.read_text(encoding="utf-8").rstrip("\n"))


def test_configuring_twice_does_not_write_twice(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    for _ in range(2):
        configure(file=file, stream=io.StringIO())
    get_logger("STT").info("once")
    log.flush()
    assert len(file.read_text(encoding="utf-8").splitlines()) == 1


@pytest.mark.parametrize("kind", ["folder in its place", "file as its parent", "dangling"])
def test_a_log_file_that_cannot_be_opened_does_not_stop_the_service(
    tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "logs" / "api-server.log"
    if kind == "folder in its place":
        file.mkdir(parents=True)
    elif kind == "file as its parent":
        file.parent.write_text("not a folder")
    else:
        file.parent.mkdir()
        file.symlink_to(tmp_path / "nowhere" / "x.log")
    with _written(file=file) as stream:
        get_logger("STT").info("still here")
    first, second = stream.getvalue().splitlines()
    assert "WARNING - [Log] 로그 파일을 열 수 없음" in first
    assert "api-server.log" in first or "logs" in first
    assert second.endswith("INFO - [STT] still here")


def test_the_file_is_rotated_and_old_ones_are_bounded_in_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "FILE_BYTES", 2_000)
    file = tmp_path / "api-server.log"
    configure(file=file, stream=io.StringIO())
    for number in range(400):
        get_logger("STT").info("줄 %04d", number)
    log.flush()
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == [
        "api-server.log",
        *(f"api-server.log.{number}" for number in range(1, log_writer.FILE_COUNT + 1)),
    ]
    assert all(path.stat().st_size <= 2_000 for path in files)
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(LINE.fullmatch(line) for line in lines)
    assert any(line.endswith("줄 0399") for line in lines)


def test_transcripts_are_not_logged_unless_allowed() -> None:
    heard = Transcript("계좌는 일이삼", "ko", 1.0, "speech")
    outcome: Outcome[object] = Outcome(heard, "faster-whisper", elapsed_sec=8.2)
    event = StageSettled(stage=Stage.STT, outcome=outcome)
    for reveal, words in ((False, "(비공개 7자)"), (True, "계좌는 일이삼")):
        with _written() as stream:
            LogObserver(stt_lines(reveal_text=reveal))(event)
        (line,) = stream.getvalue().splitlines()
        assert line.endswith(f'INFO - [STT] 음성 변환 완료 (8.2초, text="{words}")')
    assert shown_text("", reveal=False) == "(비공개 0자)"


def test_a_dummy_writes_the_three_lines_of_the_original_in_order() -> None:
    with _written() as stream:
        attempts = Attempts(Stage.STT, [LogObserver(stt_lines())])
        with attempts.of("faster-whisper"):
            raise ModelNotFound("/app/models/x not found")
        attempts.settle(Transcript("", "ko", 0.0, "failed"), DUMMY)
    assert [line[22:] for line in stream.getvalue().splitlines()] == [
        "WARNING - [STT] 시도 실패 (faster-whisper): FileNotFoundError: /app/models/x not found",
        "ERROR - [STT] 모든 백엔드 실패: FileNotFoundError: /app/models/x not found",
        "WARNING - [STT] Dummy 응답으로 fallback (로깅됨)",
        "INFO - [STT] Dummy 응답: is_dummy=True, reason=모든 백엔드 실패로 인한 자동 fallback",
    ]


def test_a_defect_of_ours_gets_its_traceback_in_the_log() -> None:
    with _written() as stream:
        error = ZeroDivisionError("oops")
        LogObserver()(AttemptFailed(failure=Failure.of(error, Stage.STT, "x", 0.0), error=error))
    assert "ERROR - [Unexpected]" in stream.getvalue()
    assert "ZeroDivisionError: oops" in stream.getvalue()


def test_words_of_none_write_no_line() -> None:
    table = (on(RecognitionStarted, "STT", logging.INFO, lambda _event: None),)
    with _written(level="DEBUG") as stream:
        LogObserver(table)(RecognitionStarted(path=Path("x"), language="ko"))
        LogObserver(table)(LoadStarted(backend="x", path="x"))
    assert stream.getvalue() == ""
