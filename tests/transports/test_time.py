"""A deadline is kept in every phase of an exchange, and by what is left behind."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk._run import names, net
from mdmsdk.errors import ConnectError, MdmTimeoutError, TransportError
from mdmsdk.settings import ProviderSettings
from mdmsdk.wire import Request
from tests.transports.conftest import LIMIT, TRANSPORTS, Peer, Server, Transport, answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Either = Callable[[Callable[[Peer], None]], tuple[Server, Transport]]
    Open = Callable[..., Transport]
    Serve = Callable[..., Server]

PATIENCE = 0.4
GOOD = answer(b"good")
# Documentation addresses (RFC 5737), which no packet leaves for: `dead` stands in for them.
DEAD = [("192.0.2.1", 9), ("192.0.2.2", 9), ("192.0.2.3", 9)]


@contextmanager
def in_time(kind: type[Exception] = MdmTimeoutError, message: str | None = None) -> Iterator[None]:
    began = time.monotonic()
    with pytest.raises(kind, match=message):
        yield
    assert PATIENCE * 0.9 < time.monotonic() - began < PATIENCE + 3.0


def drip(peer: Peer, data: bytes, pause: float = 0.05) -> None:
    for byte in data * 1000:
        peer.send(bytes([byte]))
        time.sleep(pause)


def linger(_: Peer) -> None:
    time.sleep(3)


def addresses(*places: tuple[str, int]) -> list[names.Address]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Names resolve to what a test says, by a function of the host."""
    real = socket.getaddrinfo

    def stand_in(function: Callable[[str], Any]) -> None:
        def getaddrinfo(host: str, *args: Any, **more: Any) -> Any:
            if not host.endswith(".example") or more.get("flags"):
                return real(host, *args, **more)
            return function(host)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return stand_in


class Unanswered(socket.socket):
    """A socket that connects for ever, as behind a firewall that drops packets."""

    theirs: socket.socket

    @classmethod
    def begin(cls) -> Unanswered:
        ours, theirs = socket.socketpair()
        sock = cls(fileno=ours.detach())
        sock.theirs = theirs
        sock.settimeout(0)
        with suppress(BlockingIOError):
            while True:
                sock.send(b"x" * 65536)  # now it is not ready for writing
        return sock

    def getpeername(self) -> Any:
        raise OSError

    def close(self) -> None:
        self.theirs.close()
        super().close()


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers at 192.0.2.0/24."""
    real = net._begin

    def begin(address: names.Address) -> socket.socket:
        return Unanswered.begin() if address[4][0].startswith("192.0.2.") else real(address)

    monkeypatch.setattr(net, "_begin", begin)


class TestPhases:
    def test_a_name_server_that_does_not_answer(self, transport: Open, resolve: Callable[..., None]) -> None:
        release = threading.Event()
        resolve(lambda _: release.wait(20) or [])
        client = transport("http://localhost")
        with in_time(message="no connection"):
            client.send(Request("GET", "https://stalled.example/"), PATIENCE)
        release.set()

    @pytest.mark.usefixtures("dead")
    def test_dead_addresses(self, transport: Open, resolve: Callable[..., None]) -> None:
        resolve(lambda _: addresses(*DEAD))
        client = transport("https://dead.example")
        with in_time(message="no connection"):
            client.get(seconds=PATIENCE)

    def test_a_server_that_does_not_shake_hands(self, serve: Serve, transport: Open) -> None:
        server = serve(linger)
        client = transport(server.origin.replace("http:", "https:"))
        with in_time(message="no connection"):
            client.get(seconds=PATIENCE)

    def test_a_handshake_that_drips(self, serve: Serve, transport: Open) -> None:
        # A record of TLS that grows byte by byte: each read succeeds.
        server = serve(lambda peer: drip(peer, b"\x16\x03\x03\x3f\xff" + b"\x02" * 16))
        client = transport(server.origin.replace("http:", "https:"))
        with in_time(TransportError):
            client.get(seconds=PATIENCE)

    @pytest.mark.parametrize(
        "drips",
        [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 500],
        ids=["interim", "head"],
    )
    def test_a_head_that_drips(self, either: Either, drips: bytes) -> None:
        def serve(peer: Peer) -> None:
            peer.head()
            drip(peer, drips, 0.01)

        _, transport = either(serve)
        with in_time(message="did not answer in full"):
            transport.get(seconds=PATIENCE)

    def test_a_body_that_drips(self, either: Either) -> None:
        def slowly(peer: Peer) -> None:
            peer.head()
            peer.send(answer(b"x" * 900_000)[:60])
            drip(peer, b"x")

        _, transport = either(slowly)
        with in_time(message="did not answer in full"):
            transport.get(seconds=PATIENCE)

    def test_a_server_that_floods(self, either: Either) -> None:
        def flood(peer: Peer) -> None:
            peer.head()
            while True:
                peer.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 500)

        _, transport = either(flood)
        with in_time(message="did not answer in full"):
            transport.get(seconds=PATIENCE)

    def test_a_server_that_does_not_read(self, either: Either) -> None:
        _, transport = either(linger)
        request = Request("POST", f"{transport.base_url}/", body=b"x" * 20_000_000)
        with in_time(message="did not answer in full"):
            transport.send(request, PATIENCE)


class TestAddresses:
    """Tried side by side, each a moment after the one before (RFC 8305)."""

    @pytest.mark.usefixtures("dead")
    def test_a_dead_one_costs_a_moment(
        self, serve: Serve, transport: Open, resolve: Callable[..., None]
    ) -> None:
        server = serve(lambda peer: peer.answer_each(GOOD))
        resolve(lambda _: addresses(*DEAD[:2], ("127.0.0.1", server.port)))
        client = transport("http://localhost")
        began = time.monotonic()
        found = client.send(Request("GET", f"http://alive.example:{server.port}/"))
        assert found.body == b"good"
        assert 0.4 < time.monotonic() - began < 5

    def test_one_that_refuses_costs_nothing(
        self, serve: Serve, transport: Open, resolve: Callable[..., None]
    ) -> None:
        server = serve(lambda peer: peer.answer_each(GOOD))
        resolve(lambda _: addresses(("127.0.0.1", 1), ("127.0.0.1", 1), ("127.0.0.1", server.port)))
        client = transport("http://localhost")
        assert client.send(Request("GET", f"http://alive.example:{server.port}/"), 5.0).body == b"good"

    def test_where_all_refuse_it_says_so(self, transport: Open, resolve: Callable[..., None]) -> None:
        resolve(lambda _: addresses(("127.0.0.1", 1), ("127.0.0.1", 1)))
        with pytest.raises(ConnectError, match="refused the connection"):
            transport("https://refusing.example").get()

    def test_families_take_turns(self) -> None:
        six = [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", (f"2001:db8::{n}", 1, 0, 0)) for n in range(3)]
        four = addresses(*DEAD[:2])
        assert net._in_turn([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]


class TestNames:
    def test_a_stalled_name_holds_up_no_program(self, resolve: Callable[..., None]) -> None:
        release = threading.Event()
        resolve(lambda _: release.wait(20) or [])
        http = TRANSPORTS["library"][1]

        async def ask() -> None:
            client = http(ProviderSettings(base_url="https://stalled.example"))
            with pytest.raises(MdmTimeoutError):
                await client.exchange(Request("GET", "https://stalled.example/"), 0.2, LIMIT)
            await client.aclose()

        began = time.monotonic()
        asyncio.run(ask())
        assert time.monotonic() - began < 10
        release.set()

    def test_those_who_ask_for_the_same_name_share_the_answer(self, resolve: Callable[..., None]) -> None:
        asked: list[str] = []
        release = threading.Event()

        def count(host: str) -> Any:
            asked.append(host)
            release.wait(60)
            return addresses(DEAD[0])

        resolve(count)
        lookups = [names.NAMES.look_up("shared.example", 1) for _ in range(50)]
        done = threading.Event()
        lookups[0].when_done(done.set)
        release.set()
        assert done.wait(60)
        assert asked == ["shared.example"]
        assert lookups[49].result() == addresses(DEAD[0])

    def test_there_are_never_more_threads_than_so_many(self, resolve: Callable[..., None]) -> None:
        now, most = [0], [0]
        release = threading.Event()

        def count(_: str) -> Any:
            now[0] += 1
            most[0] = max(most[0], now[0])
            release.wait(60)
            now[0] -= 1
            return addresses(DEAD[0])

        resolve(count)
        lookups = [names.NAMES.look_up(f"host-{n}.example", 1) for n in range(50)]
        time.sleep(0.2)
        release.set()
        done = threading.Event()
        lookups[-1].when_done(done.set)
        assert done.wait(60)
        assert most[0] == names._MOST_THREADS

    def test_an_impossible_name_is_an_unknown_one(self, transport: Open) -> None:
        with pytest.raises(ConnectError, match="is not known"):
            transport(f"https://{'x' * 80}.example").get()
