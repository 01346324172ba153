"""The HTTP client of everything this server calls: one that trusts nothing around it."""

from __future__ import annotations

import http.cookiejar
import os
import ssl
from collections.abc import Mapping

import httpx2

UNSENDABLE = (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)
"""What the library raises for an address or a request that cannot be sent at all."""


def distrustful_client(
    connect_timeout_sec: float,
    *,
    headers: Mapping[str, str] | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
    verify: ssl.SSLContext | None = None,
) -> httpx2.AsyncClient:
    """Make a client that trusts nothing around it.

    No proxies from the environment, no redirects, no cookies kept, no connection kept (a stale
    one would break in the middle of a call), no compression (a small body could unpack to
    gigabytes). Certificates are checked against the system's store, which ``SSL_CERT_FILE``
    replaces. Only connecting has a bound of its own; the rest has the call's deadline.
    """
    no_cookies = http.cookiejar.DefaultCookiePolicy(allowed_domains=[])
    return httpx2.AsyncClient(
        transport=transport,
        verify=verify or ssl.create_default_context(),
        trust_env=False,
        follow_redirects=False,
        cookies=http.cookiejar.CookieJar(no_cookies),
        timeout=httpx2.Timeout(None, connect=connect_timeout_sec),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
        headers={
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            **(headers or {}),
        },
    )


class BodyTooLarge(Exception):
    """More bytes came than are read."""


async def read_body(response: httpx2.Response, limit: int) -> bytes:
    """Read a body of up to ``limit`` bytes; of an error's body a part is enough.

    Raises:
        BodyTooLarge: a successful answer holds more.
    """
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > limit:
            if response.is_success:
                raise BodyTooLarge
            break
    return bytes(data)


def root_words(exc: BaseException) -> str:
    """Give the operating system's words for a connection that failed."""
    root = exc
    while (inner := root.__cause__ or root.__context__) is not None:
        root = inner
    if isinstance(root, BaseExceptionGroup):  # one a network address
        root = root.exceptions[0]
    if isinstance(root, ssl.SSLError):
        return f"TLS {root.reason or type(root).__name__}"
    if isinstance(root, OSError) and root.errno:
        return os.strerror(root.errno) if root.errno > 0 else str(root.strerror)
    return type(root).__name__
