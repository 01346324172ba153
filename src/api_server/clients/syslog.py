"""Sends one message to a syslog server: RFC 5424, over TCP with its length before it (RFC 6587).

There is no UDP here: nobody would know whether anything has arrived.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from datetime import datetime

import anyio

from api_server.clients.webhooks import WebhookRefused

PORT = 601
"""Where such servers listen by themselves."""

_NOTICE_OF_AUDIT = 13 * 8 + 5


class SyslogClient:
    """Sends messages, each over a connection of its own.

    Args:
        host: the server.
        port: its port.
        timeout_sec: for one message, everything included.
    """

    def __init__(self, host: str, port: int, timeout_sec: float) -> None:
        self._host, self._port, self._timeout_sec = host, port, timeout_sec

    async def send(self, identity: str, message: str, at: datetime) -> None:
        """Send one message, a line of text; ``identity`` is its MSGID.

        Raises:
            WebhookRefused: it was not taken, as far as is known.
        """
        head = f"<{_NOTICE_OF_AUDIT}>1 {at.isoformat()} {socket.gethostname() or '-'}"
        line = f"{head} stt-engine {os.getpid()} {identity} - {message}".encode()
        try:
            with anyio.fail_after(self._timeout_sec):
                async with await anyio.connect_tcp(self._host, self._port) as stream:
                    await stream.send(b"%d %b" % (len(line), line))
                    await stream.send_eof()
                    with suppress(anyio.EndOfStream):
                        await stream.receive(1)  # until the server has read it and hangs up
        except TimeoutError as exc:
            raise WebhookRefused(f"no end in {self._timeout_sec:g} s") from exc
        except (OSError, anyio.BrokenResourceError) as exc:
            raise WebhookRefused(str(exc) or type(exc).__name__) from exc
