"""Which machine a name may lead to: names are answered by others, who may change the answer.

What counts is whom a connection was made to, so that nothing can change between look and call.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

_NAT64 = IPv6Network("64:ff9b::/96")

Address = IPv4Address | IPv6Address


def may_lead_to(host: str, peer: str, networks: Sequence[str]) -> bool:
    """Return whether ``host``, which the operator has listed, may lead to the address ``peer``.

    Always to a public one, to itself where it is an address, and as ``localhost`` to this machine;
    to any other only where it is in ``networks``.
    """
    found = _plain(ip_address(peer.partition("%")[0]))
    if host.removeprefix("[").removesuffix("]") == peer or _is(host, found):
        return True
    if host.rstrip(".") == "localhost" and found.is_loopback:
        return True
    public = found.is_global and not found.is_multicast
    return public or any(found in ip_network(one) for one in networks)


def _is(host: str, found: Address) -> bool:
    """Return whether ``host`` is this address, in whatever form."""
    try:
        return _plain(ip_address(host.removeprefix("[").removesuffix("]"))) == found
    except ValueError:
        return False


def _plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one only wraps."""
    if isinstance(address, IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and address.teredo is not None:
        inner = address.teredo[1]
    if inner is None and address in _NAT64:
        inner = IPv4Address(int(address) & 0xFFFF_FFFF)
    return inner or address
