"""The sockets of a server, opened before anything that takes time is begun."""

from __future__ import annotations

import socket
from contextlib import ExitStack

_BACKLOG = 128


class CannotListen(ValueError):
    """The address cannot be listened on: it is in use, not this machine's, or not allowed."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Return a listening socket for each address of ``host``; port 0 is any that is free.

    Raises:
        CannotListen: one of them cannot be had.
    """
    with ExitStack() as stack:
        try:
            flags = socket.AI_PASSIVE
            found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=flags)
            opened = []
            for family, kind, protocol, _, address in dict.fromkeys(found):
                one = stack.enter_context(socket.socket(family, kind, protocol))
                _bind(one, address)
                opened.append(one)
        except OSError as exc:
            raise CannotListen(_words(host, port, exc)) from exc
        stack.pop_all()
    return opened


def _bind(one: socket.socket, address: tuple[object, ...]) -> None:
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if one.family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind(address)
    one.listen(_BACKLOG)  # bound alone, another server could bind it as well


def _words(host: str, port: int, exc: OSError) -> str:
    reason = (exc.strerror or str(exc)).lower()
    return f"{host}:{port} cannot be listened on: {reason} (API_HOST, API_PORT)"
