"""Which proxy leads to a server: the setting, the environment or the operating system."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, getproxies_environment, proxy_bypass

from mdmsdk.errors import ConfigurationError
from mdmsdk.settings import is_loopback

if TYPE_CHECKING:
    from mdmsdk.settings import ProviderSettings


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy: its address without credential, and the credential."""

    url: str
    login: tuple[bytes, bytes] | None = field(default=None, repr=False)


class Way(NamedTuple):
    """How a server is reached.

    Attributes:
        proxy: None for the direct way.
        rule: what decided that, in words.
    """

    proxy: Proxy | None
    rule: str


def proxy_for(settings: ProviderSettings, scheme: str, host: str, port: int) -> Way:
    """The way to a server; the environment's proxy leads to no loopback address.

    Raises:
        ConfigurationError: its address cannot be used.
    """
    if settings.proxy:
        return Way(_read(settings.proxy.get_secret_value()), "the setting proxy")
    if is_loopback(host):
        return Way(None, "the server is on this machine")
    environment = getproxies_environment()
    if "no" in environment:
        if spared(environment["no"], host, port):
            return Way(None, "the environment variable NO_PROXY")
    elif proxy_bypass(host):
        return Way(None, "an exception in the operating system's proxy settings")
    proxies = getproxies()
    kind = next((kind for kind in (scheme, "all") if proxies.get(kind)), None)
    if kind is None:
        return Way(None, "no setting and no environment variable names a proxy")
    variable = f"the environment variable {kind.upper()}_PROXY" if kind in environment else None
    return Way(_read(proxies[kind]), variable or "the operating system's proxy settings")


def spared(no_proxy: str, host: str, port: int) -> bool:
    """Whether ``NO_PROXY`` names a server.

    As curl reads it: names with everything below them, with or without a dot before; addresses and
    networks; an asterisk alone for all. Beyond curl, ``*.`` before a name, and ``:PORT`` behind an entry.
    """
    # https://curl.se/docs/manpage.html#NOPROXY and its lib/noproxy.c
    host = host.strip("[]").rstrip(".").lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if no_proxy.strip() == "*":
        return True
    for entry in no_proxy.replace(",", " ").lower().split():
        name, colon, digits = entry.rpartition(":")
        if colon and digits.isdigit() and (":" not in name or name.endswith("]")):
            if int(digits) != port:
                continue
        else:
            name = entry
        name = name.strip("[]").removeprefix("*").strip(".")
        if address is not None:
            if _within(address, name):
                return True
        elif name and (host == name or host.endswith(f".{name}")):
            return True
    return False


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _read(url: str) -> Proxy:
    parts = urlsplit("")
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in {"http", "https"}:  # the address may hold a password: it stays out
        raise ConfigurationError(
            "the proxy is not usable",
            hint="Write it as http://HOST:PORT or http://USER:PASSWORD@HOST:PORT, or with https; not SOCKS.",
        )
    login = None
    if parts.username or parts.password:
        login = unquote(parts.username or "").encode(), unquote(parts.password or "").encode()
    shown = f"[{host}]" if ":" in host else host
    return Proxy(f"{parts.scheme}://{shown}:{port or (443 if parts.scheme == 'https' else 80)}", login)
