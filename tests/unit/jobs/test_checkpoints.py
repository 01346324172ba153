"""Checkpoints outside of this machine: sent until they have arrived, and never in silence."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import anyio
import anyio.abc
import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from openai import OpenAI
from pydantic import ValidationError

from api_server.clients.syslog import SyslogClient, TlsFiles
from api_server.clients.webhooks import WebhookClient, WebhookRefused
from api_server.jobs import checkpoints
from api_server.jobs.checkpoints import CheckpointSender
from api_server.jobs.events import CheckpointSent, CheckpointUnsent
from api_server.settings import Settings
from stt_engine.events import Event
from tests.support.certificates import PASSWORD, certificate
from tests.support.fault_server import FaultServer, answer, in_turn, refused_port

BOUND = 30.0
NOTE = "origin\n2\nroot\n\n\N{EM DASH} signed\n"
SECRET = f"whsec_{base64.b64encode(b's' * 32).decode()}"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "_FIRST_REST_SEC", 0.01)


class Told:
    """Events, and when as many of a kind have come as are waited for."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._more = anyio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._more.set()

    async def wait(self, kind: type[Event], times: int = 1) -> list[Event]:
        with anyio.fail_after(BOUND):
            while len(found := [one for one in self.events if isinstance(one, kind)]) < times:
                self._more = anyio.Event()
                await self._more.wait()
        return found


@asynccontextmanager
async def at_work(sender: CheckpointSender) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sender.run)
        yield
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def syslog_server() -> AsyncIterator[tuple[int, list[bytes]]]:
    received: list[bytes] = []

    async def read(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            received.append(b"".join([block async for block in stream]))

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, read)
        yield listener.extra(anyio.abc.SocketAttribute.local_port), received
        tasks.cancel_scope.cancel()
    await listener.aclose()


async def test_a_checkpoint_is_a_line_of_syslog() -> None:
    told = Told()
    async with syslog_server() as (port, received):
        webhooks = WebhookClient([SECRET], 10.0)
        sender = CheckpointSender.of(f"syslog://127.0.0.1:{port}", webhooks, [told])
        async with at_work(sender):
            sender.offer(NOTE)
            await told.wait(CheckpointSent)
            sender.offer(NOTE)  # the same again
            sender.offer("another")
            await told.wait(CheckpointSent, 2)
    first, second = received
    length, _, line = first.partition(b" ")
    assert int(length) == len(line)
    head, _, message = line.decode().partition(" - ")
    assert head.startswith("<109>1 20")
    assert "\n" not in message
    assert json.loads(message) == {"checkpoint": NOTE}
    assert b"another" in second


class TlsKeeper:
    """A syslog server of RFC 5425 in a thread: one real TLS connection, then its end.

    ``proves``: clients have to show a certificate. ``polite``: it signs the end, as TLS asks.
    """

    def __init__(
        self, files: tuple[Path, Path], *, proves: bool = False, polite: bool = True
    ) -> None:
        self.received = b""
        self._polite = polite
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*files, PASSWORD)
        if proves:
            self._context.verify_mode = ssl.CERT_REQUIRED
            self._context.load_verify_locations(files[0])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        plain, _ = self._listener.accept()
        with plain, suppress(OSError), self._context.wrap_socket(plain, True) as secured:
            while block := secured.recv(4096):
                self.received += block
            if self._polite:
                secured.unwrap()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._thread.join(BOUND)
        self._listener.close()
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Return a certificate, its key, and both in one file, the key unsealed."""
    folder = tmp_path_factory.mktemp("tls")
    cert, sealed = certificate(folder)
    key = load_pem_private_key(sealed.read_bytes(), PASSWORD.encode())
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both = folder / "both.pem"
    both.write_bytes(cert.read_bytes() + plain)
    return cert, sealed, both


@pytest.mark.parametrize("proves", [False, True])
async def test_syslog_goes_over_tls(tls_files: tuple[Path, Path, Path], *, proves: bool) -> None:
    cert, key, both = tls_files
    files = TlsFiles(cert, both if proves else None)
    told = Told()
    with TlsKeeper((cert, key), proves=proves) as keeper:
        url = f"syslog+tls://127.0.0.1:{keeper.port}"
        sender = CheckpointSender.of(url, WebhookClient([SECRET], 10.0), [told], files)
        async with at_work(sender):
            sender.offer(NOTE)
            await told.wait(CheckpointSent)
    length, _, line = keeper.received.partition(b" ")
    assert int(length) == len(line)
    assert json.loads(line.decode().partition(" - ")[2]) == {"checkpoint": NOTE}
    assert not [one for one in told.events if isinstance(one, CheckpointUnsent)]


@pytest.mark.parametrize(
    ("trusted", "polite", "reason"),
    [(False, True, "CERTIFICATE_VERIFY_FAILED"), (True, False, "")],
)
async def test_nothing_is_sent_to_whoever_only_says_that_they_keep_it(
    tls_files: tuple[Path, Path, Path], reason: str, *, trusted: bool, polite: bool
) -> None:
    """Not verified; or an end that is not signed: it may have been cut."""
    cert, key, _ = tls_files
    with TlsKeeper((cert, key), polite=polite) as keeper:
        client = SyslogClient("127.0.0.1", keeper.port, 10.0, TlsFiles(cert if trusted else None))
        with pytest.raises(WebhookRefused, match=reason or "."):
            await client.send("chk_1", "line", datetime.now(UTC))
        assert polite == (keeper.received == b"")


async def test_files_of_tls_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    client = SyslogClient("127.0.0.1", refused_port(), 5.0, TlsFiles(tmp_path / "none.pem"))
    with pytest.raises(WebhookRefused, match="No such file"):
        await client.send("chk_1", "line", datetime.now(UTC))


async def test_a_syslog_server_that_is_away_is_an_error() -> None:
    client = SyslogClient("127.0.0.1", refused_port(), 5.0)
    with pytest.raises(WebhookRefused):
        await client.send("chk_1", "line", datetime.now(UTC))


async def test_a_webhook_is_signed_and_tried_until_it_arrives() -> None:
    told = Told()
    script = in_turn(answer(500), answer(503), answer(204))
    async with FaultServer(script) as server:
        client = WebhookClient([SECRET], 10.0)
        sender = CheckpointSender.of(server.url, client, [told])
        async with at_work(sender):
            sender.offer(NOTE)
            await told.wait(CheckpointSent)
        failed = [one for one in told.events if isinstance(one, CheckpointUnsent)]
        assert ["HTTP 500" in failed[0].reason, "HTTP 503" in failed[1].reason] == [True, True]
        last = server.posts[-1]
        OpenAI(api_key="none", webhook_secret=SECRET).webhooks.verify_signature(
            last.body.decode(), last.headers
        )
        assert json.loads(last.body)["data"] == {"note": NOTE}
        assert len({one.headers["webhook-id"] for one in server.posts}) == 1


async def test_what_a_later_one_has_overtaken_is_not_sent() -> None:
    told, sent = Told(), list[str]()
    tried = anyio.Event()

    async def deliver(_identity: str, note: str, _at: datetime) -> None:
        tried.set()
        if note == "first":
            raise WebhookRefused("not now")
        sent.append(note)

    sender = CheckpointSender(deliver, [told])
    async with at_work(sender):
        sender.offer("first")
        with anyio.fail_after(BOUND):
            await tried.wait()
        sender.offer("second")
        await told.wait(CheckpointSent)
    assert sent == ["second"]


@pytest.mark.parametrize("url", ["file:///a", "syslog://", "syslog://a:b", "nowhere"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        Settings(audit_checkpoints_url=url)
