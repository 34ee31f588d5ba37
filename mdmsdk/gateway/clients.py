"""Who a client is: one answer for limits, for the throttle of wrong credentials, and for connections."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Networks", "behind", "is_here", "who"]

_MANY = 4096
_SITE = 64
"""Bits of an IPv6 address that a network is given; the rest its machines choose as they like."""
# What the addresses of IPv4 look like from a network that has IPv6 alone, https://www.rfc-editor.org/rfc/rfc6052
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@lru_cache(_MANY)
def who(client: str) -> str:
    """Whom to count an address for: an IPv4 address for itself, one of IPv6 for its /64 network."""
    address = _address(client)
    if address is None or address.version == 4:  # noqa: PLR2004 - of IP
        return str(address or client)
    return str(ipaddress.ip_network((int(address), _SITE), strict=False))


def is_here(client: str) -> bool:
    """Whether an address is one of this machine alone."""
    address = _address(client)
    return address is not None and address.is_loopback


class Networks:
    """Networks and single addresses, as the settings have them."""

    def __init__(self, listed: Iterable[str]) -> None:
        self._listed = [ipaddress.ip_network(text) for text in listed]

    def __bool__(self) -> bool:
        return bool(self._listed)

    def __contains__(self, client: str) -> bool:
        address = _address(client)
        return address is not None and any(address in network for network in self._listed)


def behind(proxies: Networks, client: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The address of a client that may be behind proxies: the last one that is none of theirs.

    Each proxy adds the address that asked it to the end of X-Forwarded-For. What stands before the first
    address that is no proxy's, the client itself may have written.
    """
    if client not in proxies:
        return client
    told = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin-1")
    for one in reversed(told.split(",")):
        address = _without_port(one.strip())
        if _address(address) is None:
            break
        client = address
        if client not in proxies:
            break
    return client


def _without_port(text: str) -> str:
    host, _, _ = text.removeprefix("[").partition("]")
    return host.partition(":")[0] if host.count(":") == 1 else host


@lru_cache(_MANY)
def _address(client: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An address, that of IPv4 where it stands inside one of IPv6; None if it is none."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return None
    if address.version == 4:  # noqa: PLR2004 - of IP
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return getattr(address, "ipv4_mapped", None) or address
