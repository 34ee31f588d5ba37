"""The way through a proxy, and which one."""

from __future__ import annotations

import base64
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk._run.proxies import Proxy, proxy_for, spared
from mdmsdk.errors import ConfigurationError, ConnectError, MdmTimeoutError
from mdmsdk.settings import ProviderSettings
from tests.transports.conftest import Authority, Peer, Server, Transport, answer

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    Open = Callable[..., Transport]
    Serve = Callable[..., Server]

GOOD = answer(b"good")


class Forwarder:
    """A proxy: notes the heads it gets, and tunnels to one port."""

    def __init__(self, port: int, drips: bool = False) -> None:
        self.heads: list[bytes] = []
        self._port = port
        self._drips = drips

    def __call__(self, peer: Peer) -> None:
        self.heads.append(head := peer.head())
        if not head.startswith(b"CONNECT"):
            peer.send(GOOD)
            return
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", self._port)) as server:
            threading.Thread(target=self._copy, args=(peer.sock, server), daemon=True).start()
            self._copy(server, peer.sock, pause=self._drips)

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket, *, pause: bool = False) -> None:
        with suppress(OSError):  # either side may have closed meanwhile
            while data := source.recv(1 if pause else 65536):
                target.sendall(data)
                time.sleep(0.05 * pause)


@pytest.mark.parametrize("secure", [False, True], ids=["http-proxy", "https-proxy"])
class TestTunnel:
    def way(
        self, serve: Serve, authority: Authority, *, secure: bool, drips: bool = False
    ) -> tuple[Server, Forwarder, str]:
        server = serve(lambda peer: peer.answer_each(GOOD), authority.context())
        forwarder = Forwarder(server.port, drips)
        context: ssl.SSLContext | None = authority.context() if secure else None
        proxy = serve(forwarder, context).origin.replace("://", "://us%40er:p%3Aw@")
        return server, forwarder, proxy

    def test_with_a_login(self, serve: Serve, transport: Open, authority: Authority, *, secure: bool) -> None:
        server, forwarder, proxy = self.way(serve, authority, secure=secure)
        client = transport(server.origin, proxy=proxy, tls={"ca_file": authority.file})
        assert [client.get().body for _ in range(2)] == [b"good"] * 2
        [head] = forwarder.heads
        assert head.startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1".encode())
        assert b"Proxy-Authorization: Basic " + base64.b64encode(b"us@er:p:w") in head

    def test_that_drips_the_inner_handshake(
        self, serve: Serve, transport: Open, authority: Authority, *, secure: bool
    ) -> None:
        server, _, proxy = self.way(serve, authority, secure=secure, drips=True)
        client = transport(server.origin, proxy=proxy, tls={"ca_file": authority.file})
        began = time.monotonic()
        with pytest.raises(MdmTimeoutError):
            client.get(seconds=0.5)
        assert time.monotonic() - began < 4


def test_plain_requests_are_forwarded(serve: Serve, transport: Open) -> None:
    forwarder = Forwarder(0)
    proxy = serve(forwarder)
    client = transport("http://127.0.0.1:9", proxy=proxy.origin)
    assert client.get("/x").body == b"good"
    assert forwarder.heads[0].startswith(b"GET http://127.0.0.1:9/x HTTP/1.1")


def test_a_proxy_that_refuses_is_named(serve: Serve, transport: Open) -> None:
    proxy = serve(lambda peer: peer.answer_each(answer(status="407 Proxy Authentication Required")))
    with pytest.raises(ConnectError, match="the proxy refused the way"):
        transport("https://mdm.example", proxy=proxy.origin).get()


@pytest.mark.parametrize("url", ["socks5://user:hunter2@h:1", "http://", "http://user:hunter2@h:port"])
def test_an_address_that_is_none_does_not_show(transport: Open, url: str) -> None:
    with pytest.raises(ConfigurationError, match="the proxy is not usable") as caught:
        transport("https://mdm.example", proxy=url).get()
    assert "hunter2" not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "expected"),
    [
        ("*", "mdm.example", 443, True),
        ("example", "mdm.example", 443, True),
        (".example", "mdm.example", 443, True),
        ("*.example", "mdm.example", 443, True),
        ("mdm.example", "MDM.example.", 443, True),
        ("dm.example", "mdm.example", 443, False),
        ("mdm.example.org", "mdm.example", 443, False),
        ("other, mdm.example", "mdm.example", 443, True),
        ("other mdm.example", "mdm.example", 443, True),
        ("mdm.example:8443", "mdm.example", 8443, True),
        ("mdm.example:8443", "mdm.example", 443, False),
        ("*,other", "mdm.example", 443, False),
        ("192.0.2.0/24", "192.0.2.7", 443, True),
        ("192.0.2.0/24", "192.0.3.7", 443, False),
        ("192.0.2.7", "192.0.2.7", 443, True),
        ("192.0.2.7:8443", "192.0.2.7", 443, False),
        ("2.7", "192.0.2.7", 443, False),
        ("2001:db8::/32", "2001:db8::1", 443, True),
        ("[2001:db8::1]:8443", "2001:db8::1", 8443, True),
        ("2001:db8::1", "[2001:DB8::1]", 443, True),
        ("10.0.0.0/99", "10.0.0.1", 443, False),
        ("", "mdm.example", 443, False),
        (" , ", "mdm.example", 443, False),
    ],
)
def test_no_proxy_is_read_as_curl_reads_it(no_proxy: str, host: str, port: int, expected: Any) -> None:
    assert spared(no_proxy, host, port) is expected


def test_which_proxy_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    settings = ProviderSettings(base_url="https://mdm.example")
    own = ProviderSettings.model_validate({"base_url": "https://mdm.example", "proxy": "own.example:3128"})
    assert proxy_for(settings, "https", "mdm.example", 443).proxy is None
    monkeypatch.setenv("ALL_PROXY", "http://all.example")
    assert proxy_for(settings, "https", "mdm.example", 443) == (
        Proxy("http://all.example:80"),
        "the environment variable ALL_PROXY",
    )
    monkeypatch.setenv("HTTPS_PROXY", "https://u:p@proxy.example")
    monkeypatch.setenv("NO_PROXY", "internal.example:8443")
    assert proxy_for(settings, "https", "mdm.example", 443) == (
        Proxy("https://proxy.example:443", (b"u", b"p")),
        "the environment variable HTTPS_PROXY",
    )
    assert proxy_for(settings, "https", "internal.example", 8443) == (
        None,
        "the environment variable NO_PROXY",
    )
    assert proxy_for(settings, "https", "127.0.0.1", 443) == (
        None,
        "the server is on this machine",
    )
    assert proxy_for(own, "https", "internal.example", 8443) == (
        Proxy("http://own.example:3128"),
        "the setting proxy",
    )
    assert repr(Proxy("x", (b"user", b"hunter2"))) == "Proxy(url='x')"
