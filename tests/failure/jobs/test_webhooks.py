"""Webhooks of real servers: signed so that others can check it, and delivered whatever ends."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import openai
import pytest

from api_server.clients.peers import may_lead_to
from api_server.clients.webhooks import WebhookClient, WebhookRefused
from tests.support.fault_server import FaultServer, answer, hang, in_turn, refused_port
from tests.support.server import ROOT, ApiServer, awaited

pytestmark = pytest.mark.timeout(200)

CLIP = (ROOT / "src/stt_engine/assets/canary.wav").read_bytes()
SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, ok").decode()
OLD = "whsec_" + base64.b64encode(b"the secret of before, also long enough").decode()
BODY = b'{"type":"job.done"}'


def check(exchange: Any, secret: str = SECRET) -> dict[str, Any]:
    """Verify a delivery as a receiver with the real package does, and return its body."""
    client = openai.OpenAI(api_key="none", webhook_secret=secret)
    client.webhooks.verify_signature(exchange.body, exchange.headers)
    body: dict[str, Any] = json.loads(exchange.body)
    return body


def identity(exchange: Any) -> str:
    return str(exchange.headers["webhook-id"])


@contextlib.asynccontextmanager
async def client_of(*secrets: str, timeout_sec: float = 5.0) -> Any:
    client = WebhookClient(secrets, timeout_sec)
    yield client
    await client.aclose()


# One delivery -------------------------------------------------------------------------------


async def test_a_receiver_can_verify_it_with_either_secret_and_with_no_other() -> None:
    async with FaultServer(answer(204)) as receiver, client_of(SECRET, OLD) as client:
        await client.send(receiver.base + "/hook", "msg_1", BODY)
        (got,) = receiver.posts
    for secret in (SECRET, OLD):
        assert check(got, secret) == {"type": "job.done"}
    other = "whsec_" + base64.b64encode(bytes(32)).decode()
    with pytest.raises(openai.InvalidWebhookSignatureError):
        check(got, other)
    assert identity(got) == "msg_1"


@pytest.mark.parametrize(
    ("script", "error", "final"),
    [
        (answer(500), "HTTP 500", False),
        (answer(410), "HTTP 410", True),
        (answer(302, Location="http://127.0.0.1:1/"), "HTTP 302", False),
        (hang, "no answer in 0.2 s", False),
    ],
    ids=["500", "410", "redirect", "hang"],
)
async def test_what_is_no_success_has_not_arrived(script: Any, error: str, final: bool) -> None:
    async with FaultServer(script) as receiver, client_of(SECRET, timeout_sec=0.2) as client:
        with pytest.raises(WebhookRefused, match=error) as refused:
            await client.send(receiver.base + "/hook", "msg_1", BODY)
    assert refused.value.final is final


async def test_nobody_there_and_no_address_are_refusals() -> None:
    async with client_of(SECRET) as client:
        with pytest.raises(WebhookRefused, match="refused"):
            await client.send(f"http://127.0.0.1:{refused_port()}/", "msg_1", BODY)
        with pytest.raises(WebhookRefused, match="cannot be used"):
            await client.send("ftp://example.com/", "msg_1", BODY)


# A server's ---------------------------------------------------------------------------------


def settings(receiver: FaultServer) -> dict[str, Any]:
    return {
        "webhook_allowed_urls": f"{receiver.base}/hooks",
        "webhook_secrets": SECRET,
        "webhook_timeout_sec": 1,
        "recordings_reserve_bytes": 0,
        "ready_proof_sec": 3600,
    }


def submit(server: ApiServer, url: str, status: int = 202) -> Any:
    form = {"language": "en", "webhook_url": url}
    with httpx2.Client(trust_env=False, timeout=60) as client:
        files = {"file": ("call.wav", CLIP)}
        found = client.post(f"{server.base}/jobs", data=form, files=files)
    assert found.status_code == status, found.text
    return found.json()


async def test_ends_are_told_once_each_and_only_to_addresses_of_the_list(tmp_path: Path) -> None:
    script = in_turn(answer(503), answer(200))
    async with FaultServer(script) as receiver:
        server = await anyio.to_thread.run_sync(lambda: ApiServer(tmp_path, **settings(receiver)))
        try:
            for url in (f"{receiver.base}/other", "http://127.0.0.1:1/hooks", "http://10.0.0.1/"):
                refused = await anyio.to_thread.run_sync(submit, server, url, 403)
                assert refused["type"].endswith("webhook-not-allowed")
            job = await anyio.to_thread.run_sync(submit, server, f"{receiver.base}/hooks/me")
            with anyio.fail_after(90):
                await receiver.wait_for_requests(3)
            bodies = [check(one) for one in receiver.posts]
            assert sorted({one["type"] for one in bodies}) == ["case.done", "job.done"]
            assert all(one["data"]["job"] == job["id"] for one in bodies)
            assert not any("speech" in one.body.decode().lower() for one in receiver.posts)
            assert len({identity(one) for one in receiver.posts}) == 2, "sent again under its id"
        finally:
            await anyio.to_thread.run_sync(server.kill)


@pytest.mark.slow
async def test_a_server_that_is_killed_while_it_delivers_delivers_again_under_the_same_id(
    tmp_path: Path,
) -> None:
    async with FaultServer(in_turn(hang, answer(200))) as receiver:
        given = settings(receiver)
        server = await anyio.to_thread.run_sync(lambda: ApiServer(tmp_path, **given))
        try:
            await anyio.to_thread.run_sync(submit, server, f"{receiver.base}/hooks")
            with anyio.fail_after(90):
                await receiver.wait_for_requests(1)
            await anyio.to_thread.run_sync(_kill, server)
            server = await anyio.to_thread.run_sync(lambda: ApiServer(tmp_path, **given))
            first = identity(receiver.posts[0])

            def again() -> bool:
                return identity_again(receiver, first)

            await anyio.to_thread.run_sync(awaited, again, "it is delivered again")
            types = {check(one)["type"] for one in receiver.posts}
            assert types <= {"case.done", "job.done"}
        finally:
            await anyio.to_thread.run_sync(server.kill)


def identity_again(receiver: FaultServer, first: str) -> bool:
    return [identity(one) for one in receiver.posts[1:]].count(first) == 1


def _kill(server: ApiServer) -> None:
    server.send(signal.SIGKILL)
    server.process.wait(30)


# Names that lead elsewhere ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "peer", "networks", "may"),
    [
        ("hooks.example", "8.8.8.8", [], True),
        ("hooks.example", "10.1.2.3", [], False),
        ("hooks.example", "10.1.2.3", ["10.0.0.0/8"], True),
        ("hooks.example", "::ffff:10.1.2.3", ["10.0.0.0/8"], True),
        ("hooks.example", "127.0.0.1", ["10.0.0.0/8"], False),
        ("hooks.example", "::ffff:127.0.0.1", ["fc00::/7"], False),
        ("hooks.example", "64:ff9b::7f00:1", [], False),
        ("hooks.example", "2002:7f00:1::", [], False),
        ("hooks.example", "169.254.169.254", ["10.0.0.0/8"], False),
        ("hooks.example", "fe80::1%eth0", ["fc00::/7"], False),
        ("hooks.example", "224.0.0.1", [], False),
        ("hooks.example", "0.0.0.0", [], False),
        ("2130706433", "127.0.0.1", [], False),
        ("127.0.0.1", "127.0.0.1", [], True),
        ("[::1]", "::1", [], True),
        ("0:0:0:0:0:0:0:1", "::1", [], True),
        ("::ffff:127.0.0.1", "127.0.0.1", [], True),
        ("localhost", "127.0.0.1", [], True),
        ("localhost", "10.1.2.3", [], False),
    ],
)
def test_where_a_name_may_lead_to(host: str, peer: str, networks: list[str], *, may: bool) -> None:
    assert may_lead_to(host, peer, networks) is may


async def test_a_name_that_is_answered_otherwise_later_is_not_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: nothing is sent, not even to look who is there."""
    import socket  # noqa: PLC0415

    async with FaultServer(answer(204)) as receiver, client_of(SECRET) as client:
        really = socket.getaddrinfo

        def rebound(host: Any, *given: Any, **named: Any) -> Any:
            return really(
                "127.0.0.1" if host in {"hooks.example", b"hooks.example"} else host,
                *given,
                **named,
            )

        monkeypatch.setattr(socket, "getaddrinfo", rebound)
        with pytest.raises(WebhookRefused, match=r"hooks.example leads to 127.0.0.1") as refused:
            await client.send(f"http://hooks.example:{receiver.port}/hook", "msg_1", BODY)
        assert not refused.value.final
        assert receiver.requests == []
        await client.send(f"http://localhost:{receiver.port}/hook", "msg_2", BODY)
        assert len(receiver.posts) == 1
