"""Sends one message to a syslog server: RFC 5424, with its length before it, over TLS or TCP.

Over TLS that is RFC 5425, over plain TCP RFC 6587. There is no UDP here: nobody would know whether
anything has arrived.
"""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import anyio
import anyio.to_thread

from api_server.clients.webhooks import WebhookRefused

PORT, TLS_PORT = 601, 6514
"""Where such servers listen by themselves."""

_NOTICE_OF_AUDIT = 13 * 8 + 5


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: ``authorities`` verify the server (by default the system's), ``own`` is shown."""

    authorities: Path | None = None
    own: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return how to connect; raises ``OSError`` where a file cannot be used."""
        found = ssl.create_default_context(cafile=self.authorities)
        if self.own is not None:
            found.load_cert_chain(self.own)
        return found


class SyslogClient:
    """Sends messages, each over a connection of its own.

    Args:
        host: the server.
        port: its port.
        timeout_sec: for one message, everything included.
        tls: how the server is verified; without, nothing is encrypted.
    """

    def __init__(
        self, host: str, port: int, timeout_sec: float, tls: TlsFiles | None = None
    ) -> None:
        self._host, self._port, self._timeout_sec = host, port, timeout_sec
        self._tls = tls

    async def send(self, identity: str, message: str, at: datetime) -> None:
        """Send one message, a line of text; ``identity`` is its MSGID.

        Raises:
            WebhookRefused: it was not taken, as far as is known.
        """
        head = f"<{_NOTICE_OF_AUDIT}>1 {at.isoformat()} {socket.gethostname() or '-'}"
        line = f"{head} stt-engine {os.getpid()} {identity} - {message}".encode()
        try:
            with anyio.fail_after(self._timeout_sec):
                await self._deliver(b"%d %b" % (len(line), line))
        except TimeoutError as exc:
            raise WebhookRefused(f"no end in {self._timeout_sec:g} s") from exc
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as exc:
            cause = exc if isinstance(exc, ssl.SSLError) else exc.__cause__ or exc
            raise WebhookRefused(str(cause) or type(cause).__name__) from exc

    async def _deliver(self, frame: bytes) -> None:
        """Send a frame, and wait until the server has read it and hangs up."""
        if self._tls is None:
            async with await anyio.connect_tcp(self._host, self._port) as stream:
                await stream.send(frame)
                await stream.send_eof()
                with suppress(anyio.EndOfStream):
                    await stream.receive(1)
            return
        context = await anyio.to_thread.run_sync(self._tls.context)  # files, renewed by others
        async with await anyio.connect_tcp(
            self._host, self._port, ssl_context=context, tls_hostname=self._host
        ) as secured:
            await secured.send(frame)
            plain, _ = await secured.unwrap()  # its end, signed by both: nobody has cut it off
            await plain.aclose()
