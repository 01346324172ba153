"""Names of other hosts, a proxy's prefix, slow bodies and defects: in the application itself."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import httpx2
import pytest

from api_server.app import create_app
from api_server.http.routes import health
from api_server.settings import Settings
from tests.support.bad_input import assert_problem


def client_of(app: object, base: str = "http://127.0.0.1") -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    return httpx2.AsyncClient(transport=transport, base_url=base, timeout=30)


def app_of(**settings: object) -> object:
    given = {"log_file": None, "stt_model_path": "none", **settings}
    return create_app(Settings(_env_file=None, **given))  # type: ignore[arg-type]


OURS = ["127.0.0.1", "127.0.0.1:8003", "localhost:8003", "LOCALHOST", "[::1]:8003", "[::1]"]
OTHERS = ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:1", "", "a@localhost"]


@pytest.mark.parametrize("host", OURS + OTHERS)
async def test_without_keys_loopback_answers_to_its_own_names(host: str) -> None:
    async with client_of(app_of()) as client:
        answer = await client.get("/health", headers={"Host": host})
        if host in OURS:
            assert answer.status_code == 200
        else:
            assert_problem(answer, 421, "API_ALLOWED_HOSTS")


@pytest.mark.parametrize(
    ("settings", "known"),
    [
        ({"api_allowed_hosts": ["stt.example"]}, True),
        ({"api_keys": ["k" * 20]}, True),
        ({"api_host": "0.0.0.0", "api_allow_no_key": True}, True),
        ({"api_keys": ["k" * 20], "api_allowed_hosts": ["other.example"]}, False),
    ],
)
async def test_names_that_the_operator_allows(settings: dict[str, object], known: bool) -> None:
    async with client_of(app_of(**settings)) as client:
        answer = await client.get("/health/live", headers={"Host": "stt.example:443"})
        assert answer.status_code == (200 if known else 421)


@pytest.mark.parametrize("prefix", ["", "/stt"], ids=["taken off", "left on"])
async def test_behind_a_proxy_with_a_prefix(prefix: str) -> None:
    key = "k" * 20
    app = app_of(api_root_path="/stt/", api_named_keys=[f"boss:admin:{key}"])
    async with client_of(app) as client:
        assert (await client.get(f"{prefix}/health/live")).status_code == 200
        assert_problem(await client.get(f"{prefix}/metrics"), 401, "Authorization")
        client.headers["Authorization"] = f"Bearer {key}"
        assert (await client.get(f"{prefix}/metrics")).status_code == 200
        docs = await client.get(f"{prefix}/docs")
        assert "'/stt/openapi.json'" in docs.text
        described = (await client.get(f"{prefix}/openapi.json")).json()
        assert described["servers"] == [{"url": "/stt"}]
        moved = await client.get(f"{prefix}/health/")
        assert moved.headers["location"] == "http://127.0.0.1/stt/health"


@pytest.mark.parametrize("path", ["/analyze", "/transcribe"])
async def test_a_body_that_does_not_come(path: str) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        yield b'{"text": "'
        await anyio.sleep_forever()

    kind = "application/json" if path == "/analyze" else "application/x-www-form-urlencoded"
    async with client_of(app_of(api_body_timeout_sec=0.05)) as client:
        answer = await client.post(path, content=trickle(), headers={"Content-Type": kind})
        assert_problem(answer, 408, r"within 0\.05 s \(API_BODY_TIMEOUT_SEC\)")
        assert answer.headers["connection"] == "close"


async def test_a_defect_is_a_problem_document_with_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_of()
    service = app.state.service  # type: ignore[attr-defined]
    monkeypatch.setattr(type(service.readiness), "reason", property(lambda _self: 1 / 0))
    async with client_of(app) as client:
        answer = await client.get(health.router.routes[2].path)  # type: ignore[attr-defined]
        told = assert_problem(answer, 500, "defect of its own")
        assert "ZeroDivision" not in answer.text
        assert told["type"] == "urn:stt-engine:problem:defect"
