"""The HTTP server process; on shutdown, every request still gets a response."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import anyio
import anyio.to_thread
import uvicorn
from fastapi import FastAPI

from api_server.container import Service
from api_server.http.connections import RESERVE, AcceptErrors, Connection, ConnectionLimits
from api_server.http.greetings import Greetings
from api_server.settings import Settings
from stt_engine import log
from stt_engine.shown import shorten
from stt_engine.system import malloc, rlimits

_RESPONSE_SEC = 10
"""Time for sending the last responses."""

_BACKLOG = 128
"""Connections that wait to be accepted; asyncio tries so often in a row when it cannot."""

_FILES_OF_A_CALL, _FILES_OF_ITS_OWN = 4, 128

_PROBES = ("/health", "/metrics")
_OK = 200


def serve(app: FastAPI, settings: Settings, sockets: list[socket.socket] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C; a second signal stops at once. SIGHUP reloads.

    ``sockets`` are those of :func:`api_server.http.listening.listen`, else the settings' address is
    bound here.

    Raises:
        ValueError: the certificate cannot be used.
    """
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is a loop to handle it
    malloc.keep_few()
    logging.getLogger("uvicorn.access").addFilter(should_log_access)
    check_tls(settings)
    password = settings.api_tls_key_password
    limits = _limits(settings)
    config = uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        loop="asyncio",
        http=cast("type[asyncio.Protocol]", partial(Connection, limits=limits)),
        ws="none",
        backlog=_BACKLOG,
        timeout_keep_alive=settings.api_idle_timeout_sec,
        timeout_graceful_shutdown=round(settings.stop_grace_sec) + _RESPONSE_SEC,
        proxy_headers=False,  # api_server.http.front.Forwarded
        ssl_certfile=settings.api_tls_cert_file,
        ssl_keyfile=settings.api_tls_key_file,
        ssl_keyfile_password=password.get_secret_value() if password else None,
    )
    _Server(config, app.state.service, settings, limits).run(sockets)


def check_tls(settings: Settings) -> None:
    """Return where the certificate and its key can be used, or there is none.

    Raises:
        ValueError: they cannot.
    """
    if settings.api_tls_cert_file is None:
        return
    password = settings.api_tls_key_password
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            settings.api_tls_cert_file,
            settings.api_tls_key_file,
            # Without a password, OpenSSL would ask at the terminal.
            password.get_secret_value() if password else "",
        )
    except OSError as exc:
        reason = exc.strerror if exc.filename or not isinstance(exc, ssl.SSLError) else exc.reason
        where = settings.api_tls_key_file or settings.api_tls_cert_file
        raise ValueError(f"API_TLS_CERT_FILE, API_TLS_KEY_FILE: {where}: {reason}") from exc


def open_files_needed(settings: Settings) -> int:
    """Return how many files the server may have open at once."""
    calls = settings.queue_max_waiting + settings.analyze_max_at_once
    connections = settings.api_max_connections + RESERVE
    return connections + calls * _FILES_OF_A_CALL + _FILES_OF_ITS_OWN


def shortages(settings: Settings) -> list[str]:
    """Return a sentence for each limit of this process (``ulimit``) that is below the need."""
    memory_mb = max(settings.stt_decoder_memory_mb or 0, settings.text_worker_memory_mb)
    return list(rlimits.shortages(open_files_needed(settings), memory_mb))


def _limits(settings: Settings) -> ConnectionLimits:
    """Return the bounds on connections: no more than there are descriptors for."""
    for one in shortages(settings):
        log.get_logger("Server").warning("프로세스 한도가 부족함: %s", one)
    need = open_files_needed(settings)
    missing = need - rlimits.raise_open_files(need)
    return ConnectionLimits(
        max(1, settings.api_max_connections - missing),
        settings.api_header_timeout_sec,
        settings.api_idle_timeout_sec,
    )


class _Server(uvicorn.Server):
    """uvicorn, but active calls are ended with a response before its shutdown timeout."""

    def __init__(
        self,
        config: uvicorn.Config,
        service: Service,
        settings: Settings,
        limits: ConnectionLimits,
    ) -> None:
        super().__init__(config)
        self._limits = limits
        self._service = service
        self._grace_sec = settings.stop_grace_sec
        self._reloads: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(AcceptErrors())
        if hasattr(signal, "SIGHUP"):
            loop.add_signal_handler(signal.SIGHUP, self._reload)
        if self.config.is_ssl:
            there, limits = self.server_state.connections, self._limits
            Greetings(there, limits.most, RESERVE, limits.head_sec).listen_with(loop)
        await super().startup(sockets)
        if sockets:  # uvicorn says nothing of sockets that it is given
            scheme, host = "https" if self.config.is_ssl else "http", self.config.host
            shown = f"[{host}]" if ":" in host else host
            words = "Uvicorn running on %s://%s:%d (Press CTRL+C to quit)"
            port = sockets[0].getsockname()[1]
            logging.getLogger("uvicorn.error").info(words, scheme, shown, port)

    def _reload(self) -> None:
        """Open the log anew and read again what may change, off the loop."""

        async def reload() -> None:
            await anyio.to_thread.run_sync(reload_files, self._service)

        task = asyncio.get_running_loop().create_task(reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while it runs; afterwards they end the process, which has told all."""
        with super().capture_signals():
            try:
                yield
            finally:
                log.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.leaving.set()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._stop_after_grace)
            await super().shutdown(sockets)
            tasks.cancel_scope.cancel()

    async def _stop_after_grace(self) -> None:
        await anyio.sleep(self._grace_sec)
        await self._service.stop()


def reload_files(service: Service) -> None:
    """Open the log anew, and read keys and rubric again."""
    log.reopen()
    log.get_logger("Server").info("SIGHUP: 로그 파일을 다시 열고 API 키와 점검표를 다시 읽음")
    service.keys.refresh()
    service.validator.refresh()


def should_log_access(record: logging.LogRecord) -> bool:
    """Return whether an access line is logged: successful probes are not.

    Its path is cut, and its query, which may hold a key, is left out.
    """
    match record.args:
        case (client, str(method), str(path), version, int(status)):
            bare, query, _ = path.partition("?")
            shown = shorten(bare) + ("?…" if query else "")
            record.args = (client, shorten(method), shown, version, status)
            return not (method == "GET" and bare.startswith(_PROBES) and status == _OK)
    return True
