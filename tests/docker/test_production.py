"""The production file: keys, one published port, nothing writable, legs that cannot be reached."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.support.containers import (
    PRODUCTION,
    Stack,
    awaited,
    compose_command,
    docker,
    health,
    inspect,
    stack,
)

KEY = "a-key-for-the-test"
URL = "http://127.0.0.1:8003"


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    settings = {"API_KEYS": KEY, "STT_REMOTE_URL": "http://stt-model:8001"}
    folder = tmp_path_factory.mktemp("production")
    with stack(folder, "api-server", "stt-model", "vllm", file=PRODUCTION, **settings) as found:
        for service in ("api-server", "stt-model", "vllm"):
            name = container(found, service)
            awaited(lambda name=name: health(name) == "healthy", f"{name} is healthy")
        yield found


def container(production: Stack, service: str) -> str:
    return production.compose("ps", "-q", service).strip()


def ask(**form: str) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {KEY}"} if form.pop("key", "yes") == "yes" else {}
    data = {"file_path": "/app/audio/test.wav", "language": "en", **form}
    url = f"{URL}/transcribe"
    return httpx2.post(url, data=data, headers=headers, timeout=300, trust_env=False)


def test_without_keys_nothing_is_started(production: Stack) -> None:
    command = [*compose_command(), "-f", str(PRODUCTION), "config"]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ran.returncode != 0
    assert "API_KEYS" in ran.stderr


def test_a_job_survives_its_container(production: Stack) -> None:
    """Jobs are kept in a volume: the root of the container is read-only."""
    headers = {"Authorization": f"Bearer {KEY}"}
    form = {"file_path": "/app/audio/test.wav", "language": "en"}
    with httpx2.Client(base_url=URL, headers=headers, timeout=60, trust_env=False) as client:
        taken = client.post("/jobs", data=form)
        assert taken.status_code == 202, taken.text
        job = f"/jobs/{taken.json()['id']}"
        awaited(lambda: client.get(job).json()["state"] == "done", "the job is done")
        production.compose("up", "-d", "--no-deps", "--force-recreate", "api-server")
        name = container(production, "api-server")
        awaited(lambda: health(name) == "healthy", f"{name} is healthy again")
        assert client.get(job).json()["counts"]["done"] == 1
    told = docker("exec", name, "stt-engine", "audit", "checkpoint")
    assert told.startswith("stt-engine/")


def test_a_call_needs_a_key_and_then_has_everything(production: Stack) -> None:
    assert ask(key="no").status_code == 401
    response = ask(incomplete_elements_check="true", timeout="240")
    body: dict[str, Any] = response.json()
    assert (body["success"], body["agent_type"]) == (True, "vllm")
    assert body["provenance"]["server"] == "http://stt-model:8001"
    shown = production.compose("logs", "--no-color", "api-server")
    assert "recorded" in body["text"]
    assert "recorded" not in shown, "what is said is not logged"
    assert KEY not in shown


def test_only_the_api_is_published(production: Stack) -> None:
    ports = {
        service: inspect(container(production, service))["NetworkSettings"]["Ports"]
        for service in ("api-server", "stt-model", "vllm")
    }
    published = {service for service, found in ports.items() if any((found or {}).values())}
    assert published == {"api-server"}
    (address,) = {one["HostIp"] for one in ports["api-server"]["8003/tcp"]}
    assert address == "127.0.0.1"


@pytest.mark.parametrize("service", ["api-server", "stt-model", "vllm"])
def test_nothing_is_left_open(production: Stack, service: str) -> None:
    found = inspect(container(production, service))
    host = found["HostConfig"]
    assert found["Config"]["User"] == "1000:1000"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["Memory"] > 0
    assert host["NanoCpus"] > 0
    assert host["LogConfig"]["Config"]["max-size"]
    models = next(one for one in found["Mounts"] if one["Destination"] == "/app/models")
    assert not models["RW"]


@pytest.mark.parametrize("service", ["stt-model", "vllm"])
def test_the_legs_have_no_way_out(production: Stack, service: str) -> None:
    networks = inspect(container(production, service))["NetworkSettings"]["Networks"]
    internal = [docker("network", "inspect", "-f", "{{.Internal}}", name) for name in networks]
    assert internal == ["true"]
