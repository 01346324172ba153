"""Who is believed about the caller's address and scheme: the proxies of the settings alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.server import DEADLINE_SEC, ApiServer, api_server, awaited

TRUSTED = "127.0.0.0/8,10.1.0.0/16"
OURS, CLIENT = "127.0.0.1", "203.0.113.7"
_LINE = re.compile(r'\[uvicorn\] (\S*):\d+ - "GET (\S+) HTTP/1\.1" 307')


def _server(folder: Path, proxies: str) -> Iterator[ApiServer]:
    settings = {"api_root_path": "/stt", "stt_model_path": folder / "none"}
    with api_server(folder, ready=False, api_trusted_proxies=proxies, **settings) as found:
        yield found


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server whose proxy is this machine."""
    yield from _server(tmp_path_factory.mktemp("trusting"), TRUSTED)


@pytest.fixture(scope="module", params=["10.0.0.0/8", ""], ids=["another's", "nobody's"])
def distrusting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    """A server for which this machine is no proxy."""
    yield from _server(tmp_path_factory.mktemp("distrusting"), request.param)


def asked(server: ApiServer, *headers: tuple[str, str]) -> tuple[str, str]:
    """Return where the caller is sent on to, and the caller's address in the log."""
    before = len(_told(server))
    with httpx2.Client(trust_env=False, timeout=DEADLINE_SEC) as client:
        given = [("Host", "localhost"), *headers]
        answer = client.get(f"{server.base}/stt/health/", headers=given)
    assert answer.status_code == 307
    told = awaited(lambda: _told(server)[before:], "the line of the access log")
    return answer.headers["location"], told[0]


def _told(server: ApiServer) -> list[str]:
    return [found[1] for line in server.lines if (found := _LINE.search(line))]


@pytest.mark.parametrize(
    ("sent", "client"),
    [
        (CLIENT, CLIENT),
        (f"{CLIENT}:40000", CLIENT),
        (f"6.6.6.6, {CLIENT}", CLIENT),  # the client's own words before the proxy's
        (f"6.6.6.6, {CLIENT}, 10.1.2.3", CLIENT),  # a second proxy of ours
        ("2001:db8::7", "2001:db8::7"),
        ("10.1.2.3", "10.1.2.3"),
        ("", OURS),
        ("unknown", OURS),
        ("x" * 5000, OURS),
        ("[2001:db8::7]:40000", "2001:db8::7"),
        ("fe80::1%[2026-01-01 00:00:00] INFO - [STT] x", OURS),
        (f"{CLIENT}:x", CLIENT),
        (f"{CLIENT}, <script>", OURS),
    ],
)
def test_a_trusted_proxy_is_believed_about_an_address(
    trusting: ApiServer, sent: str, client: str
) -> None:
    found = asked(trusting, ("X-Forwarded-For", sent), ("X-Forwarded-Proto", "https"))
    assert found == ("https://localhost/stt/health", client)


@pytest.mark.parametrize("scheme", ["http", "ftp", "javascript", "https, http", "", "ws"])
def test_no_scheme_but_that_of_the_web_is_believed(trusting: ApiServer, scheme: str) -> None:
    location, _ = asked(trusting, ("X-Forwarded-Proto", scheme))
    assert location == "http://localhost/stt/health"


def test_headers_that_proxies_of_ours_do_not_send_mean_nothing(trusting: ApiServer) -> None:
    """A client may send them, and the proxy may pass them on."""
    others = [
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Prefix", "/evil"),
        ("X-Forwarded-Port", "1"),
        ("X-Script-Name", "/evil"),
        ("X-Original-URL", "/metrics"),
        ("X-Real-IP", "6.6.6.6"),
        ("Forwarded", "for=6.6.6.6;proto=https;host=evil.example"),
    ]
    assert asked(trusting, *others) == ("http://localhost/stt/health", OURS)


def test_nobody_else_is_believed(distrusting: ApiServer) -> None:
    said = [("X-Forwarded-For", CLIENT), ("X-Forwarded-Proto", "https")]
    assert asked(distrusting, *said) == ("http://localhost/stt/health", OURS)


def test_a_forwarded_address_is_nothing_that_opens_a_door(trusting: ApiServer) -> None:
    """Loopback callers need no key and no known name; a header makes nobody one."""
    headers = {
        "Host": "evil.example",
        "X-Forwarded-For": OURS,
        "X-Forwarded-Host": "localhost",
    }
    with httpx2.Client(trust_env=False, timeout=DEADLINE_SEC) as client:
        assert client.get(f"{trusting.base}/stt/health", headers=headers).status_code == 421
