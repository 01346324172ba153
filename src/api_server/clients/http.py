"""The HTTP client for all outgoing calls, configured to trust nothing in its environment."""

from __future__ import annotations

import http.cookiejar
import os
import ssl
from collections.abc import Mapping

import httpx2

UNSENDABLE = (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError)
"""Exceptions of the HTTP library for a URL or a request that cannot be sent at all."""


def create_client(
    connect_timeout_sec: float,
    *,
    headers: Mapping[str, str] | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
    verify: ssl.SSLContext | None = None,
) -> httpx2.AsyncClient:
    """Return a client that ignores its environment and keeps no state.

    No proxies from the environment, redirects, cookies, keep-alive (a stale connection would
    break in the middle of a call) or compression (a small body could unpack to gigabytes).
    Certificates are verified against the system's store, which ``SSL_CERT_FILE`` replaces. Only
    connecting has its own timeout; everything else runs under the call's deadline.
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


_PACKED = frozenset({"gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress"})
"""Codings that make a body smaller; any other name changes nothing in it."""


def is_packed(response: httpx2.Response) -> bool:
    """Return whether the body is compressed, which is never asked for."""
    codings = response.headers.get("content-encoding", "").lower().split(",")
    return not _PACKED.isdisjoint(coding.strip() for coding in codings)


class BodyTooLarge(Exception):
    """A body is longer than the limit."""


async def read_body(response: httpx2.Response, limit: int) -> bytes:
    """Read a body of up to ``limit`` bytes; the body of an error response may be cut.

    Raises:
        BodyTooLarge: the body of a successful response is longer.
    """
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > limit:
            if response.is_success:
                raise BodyTooLarge
            break
    return bytes(data)


def describe_root_cause(exc: BaseException) -> str:
    """Return the operating system's description of a failed connection."""
    root = exc
    while (inner := root.__cause__ or root.__context__) is not None:
        root = inner
    if isinstance(root, BaseExceptionGroup):  # one for each network address
        root = root.exceptions[0]
    if isinstance(root, ssl.SSLError):
        return f"TLS {root.reason or type(root).__name__}"
    if isinstance(root, OSError) and root.errno:
        return os.strerror(root.errno) if root.errno > 0 else str(root.strerror)
    return type(root).__name__
