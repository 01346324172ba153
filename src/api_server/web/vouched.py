"""People that somebody else vouches for: a proxy by its header, or a provider by its token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import cast

from starlette.requests import Request

from api_server.settings import Settings
from api_server.store.review_records import Role

LONGEST_NAME = 100
BY_PROXY = "proxy"
"""The origin of accounts that a proxy vouches for."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """Who somebody is said to be. ``origin``: by whom, and under which name there."""

    name: str
    groups: tuple[str, ...]
    origin: str

    def role(self, settings: Settings) -> Role | None:
        """Return what their groups may do; ``None`` where they are in none that may."""
        for group, role in settings.group_roles():
            if group in self.groups:
                return cast("Role", role)
        return None


class HeaderRefused(Exception):
    """A request says who sends it, and is not to be believed; ``name`` is what it says."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(why)
        self.name = name


class ProxyHeaders:
    """Reads what a proxy says of the sender.

    Args:
        settings: the names of the headers, and whose are believed.
    """

    def __init__(self, settings: Settings) -> None:
        self._user = settings.review_proxy_user_header
        self._groups = settings.review_proxy_groups_header
        self._proxies = [ip_network(one) for one in settings.review_proxy_addresses]

    def read(self, request: Request) -> Vouched | None:
        """Return who a trusted proxy says that this is; ``None`` where nobody says anything.

        Raises:
            HeaderRefused: somebody else says so, or it is said twice, or is no name.
        """
        if self._user is None:
            return None
        named = request.headers.getlist(self._user)
        grouped = request.headers.getlist(self._groups) if self._groups else []
        if not named and not grouped:
            return None
        name = _text(named[0]) if named else ""
        if not self._is_proxy(request):
            raise HeaderRefused(name, f"from {_peer(request) or 'an unknown address'}")
        if len(named) > 1 or len(grouped) > 1:
            raise HeaderRefused(name, "it is said twice")
        if not name:
            return None
        if not is_name(name):
            raise HeaderRefused(name, "it is no name")
        groups = tuple(one.strip() for one in _text(grouped[0]).split(",")) if grouped else ()
        return Vouched(name, groups, BY_PROXY)

    def _is_proxy(self, request: Request) -> bool:
        """Return whether the connection is a proxy's, whatever headers say of addresses."""
        try:
            address = ip_address(_peer(request))
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in one for one in self._proxies)


def is_name(name: str) -> bool:
    """Return whether it can be an account's."""
    return bool(name.strip()) and len(name) <= LONGEST_NAME and name.isprintable()


def groups_of(value: object) -> tuple[str, ...]:
    """Return the groups in a claim, which may be one word or a list of words."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence):
        return tuple(one for one in value if isinstance(one, str))
    return ()


def _peer(request: Request) -> str:
    peer = request.scope.get("peer")
    return str(peer[0]) if peer else ""


def _text(value: str) -> str:
    """Return a header's value as UTF-8, which proxies send; what is none stays as it is."""
    try:
        return value.encode("latin-1").decode("utf-8").strip()
    except UnicodeError:
        return value.strip()
