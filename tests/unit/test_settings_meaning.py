"""Settings that are misspelt or cannot work end the start, all of them told in sentences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api_server.settings import Settings, SettingsInvalid, examine_settings, read_settings
from api_server.settings.reading import misspelt
from tests.support.server import ROOT


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("API_KEY", "API_KEYS"),
        ("APIKEYS", "API_KEYS"),
        ("REDACTON", "REDACTION"),
        ("redacton", "REDACTION"),
        ("VLLM_URL", "VLLM_API_URL"),
        ("STT_MODEL", "STT_MODEL_PATH"),
        ("AGENT_TIMEOUT", "AGENT_TIMEOUT_SEC"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("AGENT_ALLOWED_HOST", "AGENT_ALLOWED_HOSTS"),
        ("RUBRIC_FILE", "RUBRIC_PATH"),
        ("STT_DEVICES", "STT_DEVICE"),
    ],
)
def test_misspelt_name(name: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(SettingsInvalid) as told:
        read_settings()
    assert told.value.problems == [f"{name.upper()} is no setting; did you mean {meant}?"]


def test_misspelt_name_in_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("API_KEY=x\nOTHER=1\n")
    with pytest.raises(SettingsInvalid, match="API_KEY is no setting; did you mean API_KEYS"):
        read_settings()


OTHERS = "HOME PATH LOGNAME LANG HOST PORT HOSTNAME SSH_AGENT_PID OPENAI_API_KEY LOG_DIR TZ TERM"

CLUSTER = "SERVICE_HOST SERVICE_PORT SERVICE_PORT_HTTP PORT PORT_8001_TCP PORT_8001_TCP_ADDR"


def test_names_of_others_are_left_alone() -> None:
    """Those that programs and our own compose files use."""
    used = OTHERS.split()
    for service in ("STT_MODEL", "API", "API_SERVER", "VLLM", "AGENT"):
        used += [f"{service}_{end}" for end in CLUSTER.split()]
    for path in (*ROOT.glob("docker/**/*"), ROOT / "Makefile", ROOT / ".ci/run"):
        raw = path.read_bytes() if path.is_file() else b""
        if b"\0" not in raw and path.suffix not in {".crt", ".pem"}:  # fetched packages, keys
            used += re.findall(r"\b[A-Z][A-Z0-9_]{2,}\b", raw.decode())
    assert misspelt(used) == []


WRONG = (
    ("VLLM_API_URL", "vllm:8000/v1", "give http://HOST:PORT"),
    ("VLLM_API_URL", "ftp://vllm/v1", "give http://HOST:PORT"),
    ("VLLM_API_URL", "http://user:secret@vllm/v1", "leave out the user and the password"),
    ("VLLM_API_URL", "http://vllm:99999/v1", "out of range"),
    ("VLLM_API_URL", "http://vllm/v1?key=secret", r"leave out what follows '\?'"),
    ("VLLM_API_URL", "http://vllm/v1/chat/completions", "leave out /chat/completions"),
    ("VLLM_API_URL", "http://vllm /v1", "give http://HOST:PORT"),
    ("VLLM_API_URL", "", "give http://HOST:PORT"),
    ("STT_REMOTE_URL", "stt-model:8001", "give http://HOST:PORT"),
    ("STT_REMOTE_URL", "http://user:secret@stt-model:8001", "leave out the user"),
    ("AGENT_ALLOWED_HOSTS", "[::1]:8000", "AGENT_ALLOWED_URLS"),
    ("AGENT_ALLOWED_HOSTS", "::1", "AGENT_ALLOWED_URLS"),
    ("AGENT_ALLOWED_HOSTS", "http://vllm:8000", "AGENT_ALLOWED_URLS"),
    ("AGENT_ALLOWED_HOSTS", "vllm/v1", "AGENT_ALLOWED_URLS"),
    ("AGENT_ALLOWED_HOSTS", "good,vllm:0", "port is a number from 1 to 65535"),
    ("AGENT_ALLOWED_HOSTS", "vllm:http", "port is a number from 1 to 65535"),
    ("AGENT_ALLOWED_HOSTS", "user@vllm", "name or the address"),
    ("AGENT_ALLOWED_URLS", "vllm:8000", "give http://HOST:PORT"),
    ("AGENT_ALLOWED_URLS", "http://vllm/a/../b", "leave out '.' and '..'"),
    ("STT_COMPUTE_TYPE", "int7", "int8"),
    ("STT_BACKENDS", "fast-whisper", "unknown backend 'fast-whisper'; did you mean 'faster-whi"),
    ("STT_BACKENDS", "magic", "unknown backend 'magic'; there is faster-whisper"),
    ("STT_BACKENDS", ",", "name at least one"),
    ("STT_DEVICE", "gpu", "'cuda'"),
    ("REDACTION", "on", "'everywhere'"),
    ("STRICT", "perhaps", "boolean"),
    ("API_HOST", "http://0.0.0.0", "machine alone"),
    ("API_HOST", "127.0.0.1:8003", "machine alone"),
    ("API_KEYS", "geheim schlüssel", "printable ASCII"),
    ("API_NAMED_KEYS", "secret", "give NAME:ROLE"),
    ("API_NAMED_KEYS", "a:cal:secret", "unknown role 'cal'; did you mean 'call'"),
    ("AGENT_API_KEY", "열쇠", "printable ASCII"),
    ("AUDIO_MAX_DURATION_SEC", "inf", "finite"),
    ("QUEUE_MAX_WAIT_SEC", "nan", "."),
)


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_value_that_can_never_work(
    name: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as told:
        read_settings()
    (problem,) = told.value.problems
    assert re.match(rf"{name}: .*{words}", problem), problem
    assert "secret" not in problem
    assert "\n" not in problem


def test_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"API_KEY": "x", "API_HOST": "0.0.0.0", "STT_COMPUTE_TYPE": "int7"}
    wrong |= {"VLLM_API_URL": "vllm", "AGENT_MAX_TIMEOUT_SEC": "5"}
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    settings, problems = examine_settings()
    assert settings.stt_compute_type == "auto"
    assert len(problems) == 5
    told = "\n".join(problems)
    assert re.search("API_KEY is no setting", told)
    assert "no API key is set" in told
    assert "AGENT_TIMEOUT_SEC is above AGENT_MAX_TIMEOUT_SEC" in told


OWN = "https://llm.bank:8443/v1"


@pytest.mark.parametrize(
    ("url", "allowed", "has_key"),
    [
        ("https://llm.bank:8443/v1", True, True),
        ("https://LLM.bank:8443/v1/chat/completions", True, True),
        ("https://llm.bank:8443/v1/", True, True),
        ("http://llm.bank:8443/v1", False, False),
        ("https://llm.bank:8443/v1beta", False, False),
        ("https://llm.bank:8443/", False, False),
        ("https://llm.bank:8443/v1/../admin", False, False),
        ("https://llm.bank:8443/v1/%2e%2e/admin", False, False),
        ("https://llm.bank:8443/v1/%252e%252e/admin", False, False),
        ("https://llm.bank:8443/v1/..%2fadmin", False, False),
        ("https://llm.bank:8443/v1/..;a=b/admin", False, False),
        ("https://llm.bank:8443/v1\\..\\admin", False, False),
        ("https://llm.bank/v1", False, False),
        ("https://llm.bank.evil:8443/v1", False, False),
        ("https://user@llm.bank:8443/v1", False, False),
        ("https://llm.bank:8443/v1#x", False, False),
        ("http://agents/one", True, False),
        ("https://agents/one", True, False),
        ("http://agents:8080/one", False, False),
        ("http://agents:443/one", False, False),
        ("http://tools:9000/x", True, False),
        ("http://tools/x", False, False),
        ("http://any:1/x", True, False),
        ("https://any:65535/x", True, False),
        ("http://[::1]:8000/v2/ask", True, False),
        ("http://[::1]:8001/v2/ask", False, False),
        ("http://[::1]:8000/v20", False, False),
    ],
)
def test_where_agents_may_be(url: str, allowed: bool, has_key: bool) -> None:
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        vllm_api_url=OWN,
        agent_allowed_hosts=["agents", "TOOLS:9000", "any:*"],
        agent_allowed_urls=["http://[::1]:8000/v2"],
    )
    assert settings.allows_agent(url) is allowed
    assert settings.is_llm_server(url) is has_key
