"""The server as a process: SIGHUP, TLS, and the limits that it is given."""

from __future__ import annotations

import resource
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx2
import psutil
import pytest

from api_server.http import server as module
from api_server.settings import Settings
from stt_engine.system import rlimits
from tests.support import certificates
from tests.support.server import CLI, ApiServer, api_server, awaited, environment


def key(name: str) -> str:
    return f"[keys.{name}]\nkey = '{name}-secret-0123456789'\nroles = ['read']\n"


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a running process")
def test_a_server_without_descriptors_goes_on_after_them(tmp_path: Path) -> None:
    with api_server(tmp_path, ready=False, stt_model_path=tmp_path / "none") as server:
        port, pid = server.port, server.process.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 2, hard))
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        said = "새 연결을 받을 수 없음: Too many open files"
        awaited(lambda: said in server.log.read_text("utf-8"), "it says so")
        for one in clients:
            one.close()
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        assert server.get("/health/live").status_code == 200
        assert server.log.read_text("utf-8").count(said) == 1


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no such signal here")
def test_sighup_reopens_the_log_and_reads_the_keys_again(tmp_path: Path) -> None:
    keys, log, moved = tmp_path / "keys.toml", tmp_path / "api-server.log", tmp_path / "old.log"
    keys.write_text(key("one"))
    settings = {"stt_model_path": tmp_path / "none", "api_keys_file": keys}
    with api_server(tmp_path, ready=False, **settings) as server:
        assert server.port
        log.rename(moved)
        keys.write_text(key("two"))
        server.send(signal.SIGHUP)
        awaited(lambda: log.exists() and "SIGHUP" in log.read_text("utf-8"), "the log is reopened")
        awaited(lambda: "API 키를 다시 읽음" in server.log.read_text("utf-8"), "keys are read")
        headers = {"Authorization": "Bearer two-secret-0123456789"}
        asked = httpx2.get(f"{server.base}/metrics", headers=headers, trust_env=False)
        assert asked.status_code == 200


def rubric(version: str, phrase: str) -> str:
    return f"""
version = "{version}"
effective_from = 2026-01-01
title = "시험"
disclaimer = "시험"
[[elements]]
id = "notice.test"
article = "제1조"
title = "시험"
kind = "required"
counts = "말함"
examples = ["{phrase}"]
[[elements.rules]]
says = ["{phrase}"]
"""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no such signal here")
def test_sighup_reads_the_rubric_again(tmp_path: Path) -> None:
    file = tmp_path / "rubric.toml"
    file.write_text(rubric("first", "가나다라"), "utf-8")
    settings = {"stt_model_path": tmp_path / "none", "rubric_path": file}
    with api_server(tmp_path, ready=False, **settings) as server:
        assert _checked(server) == ("first", "가나다라")
        file.write_text(rubric("second", "마바사아"), "utf-8")
        server.send(signal.SIGHUP)
        awaited(lambda: "rubric=second, 항목 1개" in _log(server), "the rubric is read")
        assert _checked(server) == ("second", "마바사아")
        file.write_text("version = 3", "utf-8")
        server.send(signal.SIGHUP)
        awaited(lambda: "이전 것을 계속 사용 (rubric=second)" in _log(server), "it is refused")
        assert _checked(server) == ("second", "마바사아")


def _log(server: ApiServer) -> str:
    return server.log.read_text("utf-8")


def _checked(server: ApiServer) -> tuple[str, str]:
    body = {"text": "상담원: 가나다라. 마바사아.", "agent_url": "http://127.0.0.1:9/v1"}
    asked = httpx2.post(f"{server.base}/analyze", json=body, timeout=60, trust_env=False)
    found = asked.json()["incomplete_elements"]
    return found["rubric_version"], found["elements"][0]["evidence"][0]["quote"].strip(" .")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificates.certificate(tmp_path_factory.mktemp("tls"))


class TlsServer(ApiServer):
    """A server whose line of the log says https."""

    @property
    def base(self) -> str:
        return f"https://127.0.0.1:{self.port}"


def test_tls(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, secret = certificate
    settings = {"stt_model_path": tmp_path / "none", "api_tls_key_password": "word"}
    options = ("--tls-cert", str(cert), "--tls-key", str(secret))
    server = TlsServer(tmp_path, *options, **settings)
    try:
        verified = ssl.create_default_context(cafile=str(cert))
        with httpx2.Client(verify=verified, trust_env=False, timeout=30) as client:
            assert client.get(f"{server.base}/health/live").status_code == 200
        server.send(signal.SIGTERM)
        server.process.wait(30)
    finally:
        server.kill()


def test_a_client_that_never_greets_is_hung_up_on(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    cert, secret = certificate
    settings = {"stt_model_path": tmp_path / "none", "api_tls_key_password": "word"}
    options = ("--tls-cert", str(cert), "--tls-key", str(secret))
    server = TlsServer(tmp_path, *options, api_header_timeout_sec=1, **settings)
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as silent:
            assert silent.recv(1) == b""
    finally:
        server.kill()


def test_clients_that_never_greet_do_not_take_all_descriptors(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    cert, secret = certificate
    settings = {"stt_model_path": tmp_path / "none", "api_tls_key_password": "word"}
    options = ("--tls-cert", str(cert), "--tls-key", str(secret))
    server = TlsServer(tmp_path, *options, api_max_connections=4, **settings)
    with ExitStack() as stack:
        try:
            address = ("127.0.0.1", server.port)
            for _ in range(40):
                stack.enter_context(socket.create_connection(address, timeout=30))
            verified = ssl.create_default_context(cafile=str(cert))
            with httpx2.Client(verify=verified, trust_env=False, timeout=30) as client:
                assert client.get(f"{server.base}/health/live").status_code == 200
            there = psutil.Process(server.process.pid).net_connections()
            assert len([one for one in there if one.status == "ESTABLISHED"]) <= 4
        finally:
            server.kill()


@pytest.mark.parametrize(("password", "option"), [("", ["--check"]), ("wrong", [])])
def test_a_key_that_cannot_be_used_is_said_at_once(
    password: str, option: list[str], tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    cert, secret = certificate
    files = {"api_tls_cert_file": cert, "api_tls_key_file": secret}
    given = {**files, "api_tls_key_password": password}
    ended = subprocess.run(
        [*CLI, "serve", *option], env=environment(tmp_path, **given), capture_output=True,
        text=True, timeout=60, check=False, cwd=tmp_path, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "API_TLS_KEY_FILE" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")
def test_limits_below_the_need_are_said() -> None:
    code = (
        "import resource; from stt_engine.system import rlimits;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300));"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 29, resource.RLIM_INFINITY));"
        "print(*rlimits.shortages(900, 2048), rlimits.raise_open_files(900), sep='\\n')"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert found[0] == "ulimit -n is 300, and 900 open files may be needed"
    assert found[1] == "ulimit -v is 524288 KiB, and 2097152 KiB may be needed"
    assert found[2] == "300"


def test_the_need_grows_with_the_settings() -> None:
    few, many = Settings(_env_file=None), Settings(_env_file=None, api_max_connections=5000)
    assert module.open_files_needed(many) - module.open_files_needed(few) == 5000 - 512
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert rlimits.raise_open_files(10) == 10
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == soft
