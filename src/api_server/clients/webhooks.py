"""Sends one webhook, signed after Standard Webhooks, to an address that the operator has listed.

Redirects are not followed, and what is answered is not read: an address may not lead elsewhere. Nor
may a name: to whom a connection was made is looked at before anything is sent.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2

from api_server.clients.http import UNSENDABLE, create_client, describe_root_cause
from api_server.clients.peers import may_lead_to
from stt_engine.errors import EngineError
from stt_engine.version import __version__

PREFIX = "whsec_"
"""What a secret begins with; the rest is base64."""

_CONNECT_SEC = 5.0
_GONE = 410


class WebhookRefused(EngineError):
    """It has not arrived; ``final``: the receiver wants no more of them."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


class WebhookClient:
    """Sends webhooks.

    Args:
        secrets: each signs; a receiver knows one of them, so that they can be changed.
        timeout_sec: for one delivery, everything included.
        clock: seconds since 1970, UTC.
        verify: TLS settings; by default the system's CA store.
        networks: where names may lead to, besides public addresses.
    """

    def __init__(
        self,
        secrets: Sequence[str],
        timeout_sec: float,
        clock: Callable[[], float] = time.time,
        verify: ssl.SSLContext | None = None,
        networks: Sequence[str] = (),
    ) -> None:
        self._networks = tuple(networks)
        self._keys = [base64.b64decode(one.removeprefix(PREFIX)) for one in secrets]
        self.timeout_sec = timeout_sec
        self._clock = clock
        headers = {"User-Agent": f"stt-engine/{__version__}", "Content-Type": "application/json"}
        self._client = create_client(_CONNECT_SEC, headers=headers, verify=verify)

    def headers(self, identity: str, body: bytes) -> dict[str, str]:
        """Return the headers that sign ``body`` under its id, now."""
        at = str(int(self._clock()))
        content = b".".join((identity.encode(), at.encode(), body))
        signed = (hmac.new(key, content, hashlib.sha256).digest() for key in self._keys)
        return {
            "webhook-id": identity,
            "webhook-timestamp": at,
            "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in signed),
        }

    async def send(self, url: str, identity: str, body: bytes) -> None:
        """Deliver one webhook.

        Raises:
            WebhookRefused: it has not arrived, as far as is known.
        """
        try:
            with anyio.fail_after(self.timeout_sec):
                headers = self.headers(identity, body)
                request = self._client.build_request(
                    "POST",
                    url,
                    content=body,
                    headers=headers,
                    extensions={"trace": partial(self._look_at_peer, urlsplit(url).hostname or "")},
                )
                response = await self._client.send(request, stream=True)
                await response.aclose()
        except TimeoutError as exc:
            raise WebhookRefused(f"no answer in {self.timeout_sec:g} s") from exc
        except UNSENDABLE as exc:
            raise WebhookRefused(f"the address cannot be used: {exc}", final=True) from exc
        except httpx2.HTTPError as exc:
            raise WebhookRefused(describe_root_cause(exc)) from exc
        if not response.is_success:
            status = response.status_code
            raise WebhookRefused(f"HTTP {status}", final=status == _GONE)

    async def _look_at_peer(self, host: str, what: str, facts: dict[str, Any]) -> None:
        """Hang up where a connection leads to a machine that may not be called.

        Raises:
            WebhookRefused: it does; the name may be answered rightly another time.
        """
        if not what.endswith("connect_tcp.complete"):
            return
        stream = facts["return_value"]
        peer = str(stream.get_extra_info("server_addr")[0])
        if not may_lead_to(host, peer, self._networks):
            await stream.aclose()
            raise WebhookRefused(f"{host} leads to {peer}, no address of WEBHOOK_ALLOWED_NETWORKS")

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()
