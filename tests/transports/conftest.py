"""The transports on offer, in each mode, against a server that a test writes byte by byte.

A transport is a pair of classes with `exchange` and `close`; what is added to `TRANSPORTS` has to pass every
test here.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from mdmsdk._run.http import AsyncHttp, Http
from mdmsdk.settings import ProviderSettings
from mdmsdk.testing import Modal
from mdmsdk.wire import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mdmsdk.wire import Response

    Open = Callable[..., "Transport"]

TRANSPORTS: dict[str, tuple[type[Any], type[Any]]] = {"library": (Http, AsyncHttp)}
LIMIT = 1_000_000


def answer(body: bytes = b"", *fields: str, status: str = "200 OK") -> bytes:
    """A whole answer with its length."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class Peer:
    """A connection as the server sees it."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number
        self._buffer = b""

    def head(self) -> bytes:
        """The next request's head; no bytes when the client closed. Content is left out."""
        while b"\r\n\r\n" not in self._buffer:
            data = self.sock.recv(65536)
            if not data:
                return b""
            self._buffer += data
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            while name.lower() == b"content-length" and len(self._buffer) < int(value):
                self._buffer += self.sock.recv(65536)
            if name.lower() == b"content-length":
                self._buffer = self._buffer[int(value) :]
        return head

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer_each(self, *answers: bytes) -> None:
        """Answer one request after the other, the last answer again and again."""
        turn = 0
        while self.head():
            self.send(answers[min(turn, len(answers) - 1)])
            turn += 1


class Server:
    """Hands each connection to a function in a thread of its own; stops with the test."""

    def __init__(self, serve: Callable[[Peer], None], context: ssl.SSLContext | None = None) -> None:
        self.peers: list[Peer] = []
        self._serve = serve
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.origin = f"{'https' if context else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._context:
                sock = self._context.wrap_socket(sock, server_side=True)
            peer = Peer(sock, len(self.peers))
            self.peers.append(peer)
            with sock:
                self._serve(peer)

    def close(self) -> None:
        self._listener.close()
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)


class Transport(Modal):
    """A transport in one mode, called as if it were the sync one."""

    wrapped: Any
    base_url = ""

    def get(self, path: str = "/", *, seconds: float = 20.0, limit: int = LIMIT, **parts: Any) -> Response:
        request = Request("GET", self.base_url + path, **parts)
        return self.send(request, seconds, limit)

    def send(self, request: Request, seconds: float = 20.0, limit: int = LIMIT) -> Response:
        found: Response = self.run(self.wrapped.exchange, request, seconds, limit)
        return found


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers: a function for each connection, and a TLS context."""
    servers: list[Server] = []

    def start(function: Callable[[Peer], None], context: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(function, context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(params=sorted(TRANSPORTS))
def transport(request: pytest.FixtureRequest, mdm_mode: str) -> Iterator[Open]:
    """Opens a transport to an address in the test's mode; keywords are settings."""
    opened: list[Transport] = []

    def open_one(base_url: str, *, mode: str = mdm_mode, **settings: Any) -> Transport:
        kind = TRANSPORTS[request.param][mode != "sync"]
        made = Transport(kind(ProviderSettings(base_url=base_url, **settings)), mode)
        made.base_url = base_url
        opened.append(made)
        return made

    yield open_one
    for made in opened:
        made.close()


class Authority:
    """A private certificate authority."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.file = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(self.file)
        self.client = folder / "client.pem"
        self._ca.issue_cert("client@mdm.example").private_key_and_cert_chain_pem.write_to_path(self.client)

    def context(self, name: str = "127.0.0.1") -> ssl.SSLContext:
        """For a server with this name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(name).configure_cert(context)
        self._ca.configure_trust(context)
        return context


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["http", "https"])
def either(
    request: pytest.FixtureRequest, serve: Callable[..., Server], transport: Open, authority: Authority
) -> Callable[[Callable[[Peer], None]], tuple[Server, Transport]]:
    """A server and a transport to it, in clear and under TLS."""

    def start(function: Callable[[Peer], None]) -> tuple[Server, Transport]:
        secure = request.param == "https"
        server = serve(function, authority.context() if secure else None)
        tls = {"ca_file": authority.file} if secure else {}
        return server, transport(server.origin, tls=tls)

    return start
