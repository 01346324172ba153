"""What callers and other servers chose is cut, masked and counted under a closed set of labels."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path

import pytest

from api_server.clients.agent.formats import redact_url
from api_server.clients.events import CircuitChanged
from api_server.http.problems import LONGEST_DETAIL, Problem
from api_server.http.server import should_log_access
from api_server.observability.log_lines.transcribe import TRANSCRIBE_LINES
from api_server.observability.metrics import FailureMetrics
from api_server.pii.names import mask_name
from api_server.settings import Settings
from stt_engine import log, log_writer
from stt_engine.errors import AudioEmpty, InvalidRequest
from stt_engine.events import Stage
from stt_engine.outcome import AttemptFailed, Failure, Refused

MEGABYTE = "가" * 1_000_000
PHONE = "010-1234-5678"


def test_no_line_is_longer_than_the_limit() -> None:
    for fmt in (log.LineFormatter(), log.JsonFormatter()):
        record = logging.LogRecord("stt.STT", 40, "", 1, "%s", (MEGABYTE + "the end",), None)
        line = fmt.format(record)
        assert len(line) < log.LONGEST_LINE + 200
        assert "(1000007 characters)" in line
        assert "the end" in line


def test_a_name_in_a_refusal_is_cut_and_masked() -> None:
    for error, words in (
        (InvalidRequest(f"unknown language '{MEGABYTE}'"), "(1000019 characters)"),
        (AudioEmpty(f"/calls/{PHONE}_김서연.wav has 0 bytes"), "/calls/***-****-****_김서연.wav"),
    ):
        event = Refused(stage=Stage.TRANSCRIBE, error=error)
        (line,) = [said for one in TRANSCRIBE_LINES if (said := one.words(event))]
        assert words in line
        assert len(line) < 600
        assert PHONE not in line


def test_a_name() -> None:
    assert mask_name("상담 녹취 (최종).wav") == "상담 녹취 (최종).wav"
    assert mask_name(f"{PHONE}.wav") == "***-****-****.wav"
    assert mask_name("880101-1234567.wav") == "******-*******.wav"
    assert len(mask_name(MEGABYTE)) < 300


def test_a_detail_is_cut() -> None:
    body = bytes(Problem(400, "bad-field", MEGABYTE).response().body).decode()
    assert body.count("가") == LONGEST_DETAIL
    assert "(1000000 characters)" in body


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://vllm:8000/v1/chat/completions", "http://vllm:8000/v1/chat/completions"),
        ("http://me:secret@vllm/v1?key=secret#secret", "http://vllm/v1"),
        ("https://hooks/T0/abcdefghij0123456789secret", "https://hooks/T0/***"),
        ("https://bot/bot123456:AAsecretsecretsecret/send", "https://bot/***/send"),
        ("http://vllm/" + "a" * 1_000_000, None),
    ],
)
def test_a_url(url: str, shown: str | None) -> None:
    told = redact_url(url)
    assert "secret" not in told
    assert len(told) < 300
    assert shown is None or told == shown


def test_the_access_log_has_no_query() -> None:
    args = ("127.0.0.1:1", "GET", f"/health?token=secret&x={MEGABYTE}", "1.1", 400)
    record = logging.LogRecord("uvicorn.access", 20, "", 1, '%s - "%s %s HTTP/%s" %d', args, None)
    assert should_log_access(record)
    assert record.getMessage() == '127.0.0.1:1 - "GET /health?… HTTP/1.1" 400'
    good = ("127.0.0.1:1", "GET", "/health/live", "1.1", 200)
    record = logging.LogRecord("uvicorn.access", 20, "", 1, '%s - "%s %s HTTP/%s" %d', good, None)
    assert not should_log_access(record)


@pytest.mark.usefixtures("own_logging")
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_is_one_line_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device that is always full: no exception, no traceback on stderr, one line on stdout."""
    stream = io.StringIO()
    log.configure(stream=stream, file=Path("/dev/full"))
    for number in range(50):
        log.get_logger("STT").info("줄 %d", number)
    log.flush()
    lines = stream.getvalue().splitlines()
    assert len([line for line in lines if "줄 " in line and "STT" in line]) == 50
    (told,) = [line for line in lines if "[Log]" in line]
    assert told.endswith("ERROR - [Log] 로그를 쓸 수 없어 줄이 빠짐 (file: OSError)")
    assert capsys.readouterr().err == ""
    assert log.lost_lines() == {"stdout": 0, "file": 50}
    monkeypatch.setattr(log_writer, "_SILENCE_SEC", 0.0)
    log.get_logger("STT").info("later")
    log.flush()
    assert stream.getvalue().count("[Log]") >= 2


@pytest.mark.usefixtures("own_logging")
def test_nowhere_to_write_is_no_exception(capsys: pytest.CaptureFixture[str]) -> None:
    closed = io.StringIO()
    log.configure(stream=closed)
    closed.close()
    for _ in range(3):
        log.get_logger("STT").info("x")
    log.flush()
    assert capsys.readouterr().err == ""


def test_labels_are_a_closed_set() -> None:
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        vllm_api_url="https://llm/v1",
        agent_allowed_hosts=["agents:9000", "any:*"],
        stt_remote_url="http://stt-model:8001",
    )
    metrics = FailureMetrics(settings.targets())
    kept = ["https://llm:443 (m)", "http://agents:9000", "http://stt-model:8001"]
    for target in (*kept, *(f"http://any:{port}" for port in range(1, 500)), "nonsense"):
        metrics(CircuitChanged(target=target, what="opened", failures=5, retry_after=1.0))
    for name in ("TimeoutError", "FileNotFoundError", "ZeroDivisionError", "Invented", "x" * 999):
        failure = Failure(Stage.STT, "remote", name, "", 0.0)
        metrics(AttemptFailed(failure=failure, error=ValueError()))
    text = metrics.registry.collect()
    labels = {
        (label, value)
        for metric in text
        for sample in metric.samples
        for label, value in sample.labels.items()
    }
    assert {value for label, value in labels if label == "target"} == {*kept, "other"}
    assert {value for label, value in labels if label == "error_type"} == {
        "TimeoutError",
        "FileNotFoundError",
        "ZeroDivisionError",
        "other",
    }
    assert not [value for _, value in labels if re.search("Invented|x{9}", value)]
