"""The command line as people run it: a process, its output, its exit code, and what it leaves."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import srt

from api_server.compliance.coverage import FULL_COVERAGE, NO_COVERAGE
from stt_tools.cli.analyze import coverage_of
from tests.support import sounds
from tests.support.fault_server import refused_port
from tests.support.in_process import CANARY_WORDS
from tests.support.models import whisper_base
from tests.support.server import (
    CLEAN_EXITS,
    CLI,
    DEADLINE_SEC,
    ROOT,
    ApiServer,
    assert_gone,
    awaited,
    environment,
)

CANARY = ROOT / "src/stt_engine/assets/canary.wav"
DONE, DEGRADED, USAGE = 0, 1, 2


def run(
    folder: Path, *arguments: object, stdin: str | None = None, **settings: object
) -> subprocess.CompletedProcess[str]:
    found = subprocess.run(
        [*CLI, *map(str, arguments)],
        input=stdin,
        env=environment(folder, **settings),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SEC,
    )
    assert "Traceback" not in found.stderr, found.stderr
    return found


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ((), ["serve", "transcribe", "analyze", "model", "doctor"]),
        (("serve",), ["--host", "--port"]),
        (("transcribe",), ["FILE", "--language", "--json"]),
        (("analyze",), ["FILE", "--agent-url", "--json"]),
        (("model",), ["fetch", "verify", "list"]),
        (("model", "fetch"), ["NAME", "--models-dir"]),
        (("model", "verify"), ["FOLDER", "--json"]),
        (("model", "list"), ["--models-dir", "--json"]),
        (("doctor",), ["--json"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_help(command: tuple[str, ...], words: list[str], tmp_path: Path) -> None:
    found = run(tmp_path, *command, "--help")
    assert found.returncode == DONE
    missing = [word for word in words if word.lower() not in found.stdout.lower()]
    assert not missing, found.stdout


def test_the_server_does_not_wait_for_what_only_its_processes_and_the_drill_need() -> None:
    late = {"av", "numpy", "sqlalchemy", "alembic", "jinja2"}
    code = f"import sys, stt_tools.cli.program; print(*sorted({late} & sys.modules.keys()))"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.split() == []


def test_unknown_command(tmp_path: Path) -> None:
    found = run(tmp_path, "transcrib", "x")
    assert (found.returncode, found.stdout) == (USAGE, "")
    assert "transcrib" in found.stderr


def test_transcribe(tmp_path: Path) -> None:
    settings = {"log_transcripts": "true", "redaction": "everywhere"}
    found = run(tmp_path, "transcribe", CANARY, "--language", "en", "--verbose", **settings)
    assert found.returncode == DONE, found.stderr
    assert CANARY_WORDS in found.stdout.lower()
    assert "음성 변환 완료" in found.stderr
    assert CANARY_WORDS not in found.stderr.lower(), "what may not be shown is not logged"


def test_transcribe_as_subtitles(tmp_path: Path) -> None:
    found = run(tmp_path, "transcribe", CANARY, "--language", "en", "--format", "srt")
    assert found.returncode == DONE, found.stderr
    (cue,) = srt.parse(found.stdout, ignore_errors=False)
    assert CANARY_WORDS in cue.content.replace("\n", " ").lower()
    timed = run(tmp_path, "transcribe", CANARY, "-l", "en", "--words", "--format", "verbose_json")
    answer = json.loads(timed.stdout)
    assert [one["word"] for one in answer["words"]][:2] == ["This", "is"]
    assert answer["segments"][0]["text"] == answer["text"]


def test_subtitles_of_the_translation_and_keywords(tmp_path: Path) -> None:
    words = ("--keyword", "Kensington", "--keyword", "Recognition Service", "--prompt", "A test.")
    found = run(
        tmp_path, "transcribe", CANARY, "-l", "en", "--translate", "--format", "vtt", *words
    )
    assert found.returncode == DONE, found.stderr
    assert CANARY_WORDS in found.stdout.replace("\n", " ").lower()
    assert "Kensington" not in found.stdout
    wrong = run(tmp_path, "transcribe", CANARY, "--keyword", "x")
    assert (wrong.returncode, "keywords" in wrong.stderr) == (USAGE, True)


def test_what_was_not_transcribed_is_no_empty_subtitle(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    found = run(tmp_path, "transcribe", CANARY, "--format", "srt", "--model", folder)
    assert (found.returncode, found.stdout) == (DEGRADED, "")
    assert "not transcribed: FileNotFoundError" in found.stderr


def test_a_format_that_is_none_is_refused(tmp_path: Path) -> None:
    found = run(tmp_path, "transcribe", CANARY, "--format", "ssa")
    assert (found.returncode, found.stdout) == (USAGE, "")
    assert "unknown format 'ssa'" in found.stderr
    both = run(tmp_path, "transcribe", CANARY, "--format", "srt", "--json")
    assert (both.returncode, json.loads(both.stdout)["error_type"]) == (USAGE, "InvalidRequest")


KEYS = {
    "success",
    "text",
    "text_en",
    "duration",
    "language",
    "error",
    "error_type",
    "backend",
    "is_dummy",
    "dummy_reason",
    "outcome",
    "segments",
    "segments_en",
    "attempts",
    "provenance",
    "coverage",
    "warnings",
    "timings",
}


def test_transcribe_json(tmp_path: Path) -> None:
    found = run(tmp_path, "transcribe", CANARY, "-l", "en", "--words", "--json", "--verbose")
    assert found.returncode == DONE, found.stderr
    told = json.loads(found.stdout)  # and nothing else is there
    assert set(told) == KEYS
    assert (told["success"], told["outcome"], told["language"]) == (True, "speech", "en")
    assert CANARY_WORDS in told["text"].lower()
    assert told["segments"][0]["words"]
    assert "[STT] 음성 변환 완료" in found.stderr


def test_transcribe_no_speech(tmp_path: Path) -> None:
    silent = sounds.silence(tmp_path / "silent.wav", 2.0)
    found = run(tmp_path, "transcribe", silent)
    assert (found.returncode, found.stdout) == (DONE, "")
    assert "no speech in 2.0 s" in found.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.wav", "FileNotFoundError: .*missing.wav"),
        ("none", "no recording in .*none"),
        ("text.wav", "NotAudio: "),
        ("empty.wav", "AudioEmpty: .*0 bytes"),
    ],
)
def test_transcribe_what_cannot_be_used(name: str, words: str, tmp_path: Path) -> None:
    sounds.text_as_wav(tmp_path / "text.wav")
    sounds.zero_bytes(tmp_path / "empty.wav")
    (tmp_path / "none").mkdir()
    found = run(tmp_path, "transcribe", tmp_path / name)
    assert (found.returncode, found.stdout) == (USAGE, "")
    assert re.search(words, found.stderr), found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_transcribe_several_with_one_model_and_go_on_where_it_was(tmp_path: Path) -> None:
    calls, texts = tmp_path / "calls", tmp_path / "texts"
    (calls / "deep").mkdir(parents=True)
    shutil.copy(CANARY, calls / "a.wav")
    shutil.copy(CANARY, calls / "deep" / "a.wav")
    (calls / "a.wav.json").write_text("{}", encoding="utf-8")
    sounds.text_as_wav(calls / "bad.wav")
    given = ("transcribe", calls, "-l", "en", "--pattern", "**/*.wav", "-o", texts)
    first = run(tmp_path, *given, "--verbose")
    assert first.returncode == DEGRADED, first.stderr
    assert first.stderr.count("모델 로드 완료") == 1, "one model for all"
    assert f"2/3 {calls / 'bad.wav'}: NotAudio" in first.stderr
    assert "1 of 3 were not transcribed" in first.stderr
    written = sorted(one.relative_to(texts) for one in texts.rglob("*") if one.is_file())
    assert written == [Path("a.wav.txt"), Path("deep/a.wav.txt")]
    assert CANARY_WORDS in (texts / "deep/a.wav.txt").read_text("utf-8").lower()
    again = run(tmp_path, *given, "--verbose")
    assert "모델 로드" not in again.stderr, "what is there is not done again"
    assert (again.returncode, again.stdout.count("there already")) == (DEGRADED, 2)
    (calls / "bad.wav").unlink()
    told = run(tmp_path, *given[:-2], "--format", "srt", "--json")
    assert (told.returncode, "one of --json and --format" in told.stdout) == (USAGE, True)
    done = run(tmp_path, *given, "--json", "--again")
    files = json.loads(done.stdout)["files"]
    assert [one["state"] for one in files] == ["done", "done"]
    assert json.loads(Path(files[0]["output"]).read_text("utf-8"))["backend"] == "faster-whisper"


def test_transcribe_without_a_model(tmp_path: Path) -> None:
    """Says what failed and what to do; on stdout there is nothing that looks like words."""
    found = run(tmp_path, "transcribe", CANARY, "--model", tmp_path / "missing")
    assert (found.returncode, found.stdout) == (DEGRADED, "")
    assert "not transcribed: FileNotFoundError" in found.stderr
    assert f"{tmp_path / 'missing'} not found" in found.stderr
    assert "stt-engine model fetch" in found.stderr


def test_analyze_with_a_refused_agent(tmp_path: Path) -> None:
    call = ROOT / "audio/sample_call_ko.json"
    url = f"http://127.0.0.1:{refused_port()}/v1"
    found = run(tmp_path, "analyze", call, "--json", vllm_api_url=url)
    assert found.returncode == DEGRADED
    told = json.loads(found.stdout)
    assert (told["success"], told["error_type"]) == (False, "ConnectionError")
    elements = told["incomplete_elements"]["elements"]
    shown = [one for one in elements if one["evidence"]]
    assert {one["source"] for one in shown} <= {"rules", None}
    unsure = {one["reason"] for one in shown if one["source"] is None}
    assert unsure <= {"suspected", "doubted"}
    assert any(one["source"] for one in shown)
    left = {one["status"] for one in elements if not one["evidence"]}
    assert left <= {"undetermined", "not_applicable"}


def test_analyze_says_that_a_failure_is_no_finding(tmp_path: Path) -> None:
    text = tmp_path / "call.txt"
    text.write_text("상담원: 원금은 보장됩니다.\n네.", encoding="utf-8")
    url = f"http://127.0.0.1:{refused_port()}/v1"
    found = run(tmp_path, "analyze", text, vllm_api_url=url)
    assert found.returncode == DEGRADED
    (said,) = (line for line in found.stdout.splitlines() if not line.startswith("undetermined"))
    assert re.fullmatch(r"violated +solicitation.certainty +rules: “원금은 보장됩니다.”", said)
    assert "not analysed: ConnectionError" in found.stderr
    assert "this is no finding" in found.stderr


def test_what_transcribe_prints_can_be_analyzed(tmp_path: Path) -> None:
    """The whole answer, its segments, and an answer of which nothing was recognised."""
    url = f"http://127.0.0.1:{refused_port()}/v1"
    printed = run(tmp_path, "transcribe", CANARY, "--language", "en", "--json")
    answer = json.loads(printed.stdout)
    segments = json.dumps(answer["segments"])
    for piped, error_type in ((printed.stdout, "ConnectionError"), (segments, "ConnectionError")):
        found = run(tmp_path, "analyze", "-", "--json", stdin=piped, vllm_api_url=url)
        assert found.returncode == DEGRADED, found.stderr
        assert json.loads(found.stdout)["error_type"] == error_type


def test_an_answer_of_transcribe_brings_its_coverage() -> None:
    """Of words that were spoken and have no text, nothing can be called absent."""
    answer = {"success": True, "text": "네.", "backend": "x", "is_dummy": False, "segments": []}
    channel = {"channel": 0, "speech_sec": 100.0, "recognised_sec": 1.0}
    told = {"share": 0.01, "decoded_share": 1.0, "whole": "yes", "channels": [channel]}
    heard = answer | {"outcome": "speech", "coverage": told}
    assert coverage_of(heard, 0).agent == 0.01
    assert coverage_of(answer | {"outcome": "failed", "text": ""}, 0) == NO_COVERAGE
    assert coverage_of({"outcome": 5, "segments": []}, 0) == NO_COVERAGE
    assert coverage_of({"segments": []}, 0) == FULL_COVERAGE


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"segmnts": []}', "unknown field 'segmnts'; did you mean 'segments'"),
        (b'{"text": "x", "text": "y"}', "'text' is sent more than once"),
        (b'[{"text": "x", "spaeker": "agent"}]', "segments.0: .*did you mean 'speaker'"),
    ],
)
def test_analyze_names_what_it_does_not_read(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "call.json"
    path.write_bytes(content)
    found = run(tmp_path, "analyze", path)
    assert (found.returncode, found.stdout) == (USAGE, "")
    assert re.search(words, found.stderr), found.stderr


@pytest.mark.parametrize("content", [b'{"segments": 5}', b'{"text": ', b"\xff\xfe\xff", None])
def test_analyze_what_cannot_be_used(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "call.json"
    if content is not None:
        path.write_bytes(content)
    found = run(tmp_path, "analyze", path)
    assert (found.returncode, found.stdout) == (USAGE, "")
    assert "call.json" in found.stderr


def test_model_verify(tmp_path: Path) -> None:
    found = run(tmp_path, "model", "verify", whisper_base(), "--json")
    assert found.returncode == DONE, found.stdout
    told = json.loads(found.stdout)
    assert {Path(one["name"]).name for one in told} >= {"model.bin", "config.json"}
    assert all(one["ok"] for one in told)


def test_model_verify_finds_a_changed_byte(tmp_path: Path) -> None:
    copy = tmp_path / whisper_base().name
    copy.mkdir()
    for path in whisper_base().iterdir():
        target = copy / path.name
        if path.suffix == ".bin":
            target.symlink_to(path)
        else:
            target.write_bytes(path.read_bytes())
    config = copy / "config.json"
    config.write_bytes(config.read_bytes().replace(b"1", b"2", 1))
    found = run(tmp_path, "model", "verify", copy, "--json")
    assert found.returncode == DEGRADED, found.stdout
    assert [Path(one["name"]).name for one in json.loads(found.stdout) if not one["ok"]] == [
        "config.json"
    ]


def test_model_verify_of_nothing(tmp_path: Path) -> None:
    found = run(tmp_path, "model", "verify", tmp_path / "missing")
    assert (found.returncode, found.stdout) == (DEGRADED, "")
    assert "missing" in found.stderr


def test_model_list(tmp_path: Path) -> None:
    found = run(tmp_path, "model", "list", "--json", "--models-dir", whisper_base().parent)
    assert found.returncode == DONE
    told = json.loads(found.stdout)
    assert "Systran/faster-whisper-base" in [one["name"] for one in told]


def test_doctor(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{refused_port()}/v1"
    found = run(tmp_path, "doctor", "--json", vllm_api_url=url)
    told: dict[str, Any] = json.loads(found.stdout)
    checks = {one["name"]: one for one in told["checks"]}
    assert (found.returncode, told["can_transcribe"]) == (DONE, True), found.stdout
    assert checks["recognition"]["verdict"] == "ok"
    assert CANARY_WORDS in checks["recognition"]["found"].lower()
    assert "openvino" in checks
    assert checks["LLM server"]["verdict"] == "warn"
    assert "ConnectionError" in checks["LLM server"]["found"]
    assert all(one["advice"] for one in told["checks"] if one["verdict"] != "ok")


def test_doctor_without_a_model(tmp_path: Path) -> None:
    found = run(tmp_path, "doctor", "--json", stt_model_path=tmp_path / "missing")
    told = json.loads(found.stdout)
    assert (found.returncode, told["can_transcribe"]) == (DEGRADED, False)
    failed = [one for one in told["checks"] if one["verdict"] == "fail"]
    assert {"model faster-whisper", "recognition"} <= {one["name"] for one in failed}


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (("--host", "0.0.0.0"), {}, "API_KEYS"),
        (("--host", "::"), {}, "API_KEYS"),
        ((), {"api_host": "0.0.0.0"}, "API_KEYS"),
        (("--port", "70000"), {}, "port"),
        ((), {"stt_backends": "magic"}, "magic"),
        ((), {"stt_stall_timeout_sec": "soon"}, "STT_STALL_TIMEOUT_SEC"),
        ((), {"rubric_path": "/nowhere.toml"}, "/nowhere.toml"),
        ((), {"api_key": "secret"}, "API_KEY is no setting; did you mean API_KEYS?"),
        ((), {"api_keys_file": "/nowhere.toml"}, "API_KEYS_FILE: /nowhere.toml"),
        ((), {"vllm_api_url": "http://me:secret@vllm/v1"}, "VLLM_API_URL: leave out the user"),
    ],
)
def test_serve_refuses(
    arguments: tuple[str, ...], settings: dict[str, str], words: str, tmp_path: Path
) -> None:
    found = run(tmp_path, "serve", *arguments, **settings)
    assert found.returncode == USAGE, found.stdout
    assert words in found.stderr
    assert "running on" not in found.stdout
    assert len(found.stderr.splitlines()) == 1
    assert "secret" not in found.stderr


SETTINGS_WRONG = {
    "redacton": "off",
    "vllm_api_url": "vllm",
    "stt_compute_type": "int7",
    "api_keys_file": "/nowhere.toml",
    "rubric_path": "/nowhere-either.toml",
}


def test_all_that_is_wrong_with_the_settings_is_told_at_once(tmp_path: Path) -> None:
    words = ["REDACTON", "VLLM_API_URL", "STT_COMPUTE_TYPE", "/nowhere.toml", "/nowhere-either"]
    checked = run(tmp_path, "serve", "--check", **SETTINGS_WRONG)
    examined = run(tmp_path, "doctor", **SETTINGS_WRONG)
    assert (checked.returncode, examined.returncode) == (USAGE, USAGE)
    assert not [one for one in words if one not in checked.stderr]
    assert not [one for one in words if one not in examined.stdout]
    good = run(tmp_path, "serve", "--check")
    assert (good.returncode, good.stderr) == (DONE, "")


def test_a_port_in_use_is_said_before_a_model_is_loaded(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = run(tmp_path, "serve", "--port", port)
    assert (found.returncode, found.stdout) == (USAGE, "")
    assert found.stderr.splitlines() == [
        f"127.0.0.1:{port} cannot be listened on: address already in use (API_HOST, API_PORT)"
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    """Its children (model, decoder, text) end with it, and so do their temporary files."""
    server = ApiServer(tmp_path)
    try:
        server.wait_ready()
        assert len(server.children()) == 3
        code = server.stop(number)
        assert code in CLEAN_EXITS | {-signal.SIGINT, 130}, code
        assert server.leftovers() == []
    finally:
        server.kill()


def _started(server: ApiServer) -> list[int]:
    """Return the processes that were started for a model."""
    line = re.compile(r"\[Worker\] 작업 프로세스 시작 \(faster-whisper, pid=(\d+)\)")
    return [int(pid) for pid in line.findall("\n".join(server.lines))]


@pytest.mark.parametrize("backends", ["faster-whisper", "faster-whisper,faster-whisper"])
def test_serve_ends_while_the_model_loads(backends: str, tmp_path: Path) -> None:
    """Nothing more is loaded once it has been told to end, a fallback neither."""
    server = ApiServer(tmp_path, stt_backends=backends)
    try:
        (pid,) = awaited(lambda: _started(server), "the model's process has started")
        psutil.Process(pid).suspend()  # else it has loaded before the server is up
        awaited(lambda: any("Started server" in line for line in server.lines), "it serves")
        code = server.stop()
        assert code in CLEAN_EXITS
        assert len(_started(server)) == 1
    finally:
        server.kill()


def test_killed_server_leaves_no_orphan(tmp_path: Path) -> None:
    """kill -9 in the middle of a transcription: the children notice, and end themselves."""
    server = ApiServer(tmp_path)
    try:
        server.wait_ready()
        children = server.children()
        assert len(children) == 3
        with pytest.raises(httpx2.TransportError):
            _killed_at_work(server, (ROOT / "audio/sample_call.wav").read_bytes())
        assert server.process.wait(DEADLINE_SEC) == -signal.SIGKILL
        assert_gone(children)
    finally:
        server.kill()


def _killed_at_work(server: ApiServer, call: bytes) -> None:
    def kill() -> None:
        awaited(lambda: server.component("faster-whisper")["state"] == "busy", "it is at work")
        server.send(signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with httpx2.Client(base_url=server.base, trust_env=False, timeout=DEADLINE_SEC) as client:
            client.post("/transcribe", data={"language": "en"}, files={"file": ("a.wav", call)})
    finally:
        killer.join()


def test_assert_gone_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check that finds no orphan would find one."""
    real = psutil.wait_procs
    monkeypatch.setattr(psutil, "wait_procs", lambda found, timeout: real(found, timeout=0.1))
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            with pytest.raises(AssertionError, match="orphans"):
                assert_gone([psutil.Process(child.pid)])
        finally:
            child.kill()
