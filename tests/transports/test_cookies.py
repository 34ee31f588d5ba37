"""Cookies: kept for load balancers and sessions, few, and for the origin that set them alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mdmsdk._run.cookies import Cookies
from mdmsdk.wire import Request
from tests.transports.conftest import Peer, Server, Transport, answer

if TYPE_CHECKING:
    from collections.abc import Callable

    Open = Callable[..., Transport]
    Serve = Callable[..., Server]

HERE = ("https", "mdm.example", 443)


def test_they_come_back_to_their_origin_and_to_no_other(serve: Serve, transport: Open) -> None:
    heads: list[tuple[int, bytes]] = []

    def setting(number: int) -> Callable[[Peer], None]:
        def run(peer: Peer) -> None:
            while head := peer.head():
                heads.append((number, head))
                peer.send(
                    answer(b"", f"Set-Cookie: session=s{number}; Domain=127.0.0.1; Path=/", "Set-Cookie: b=2")
                )

        return run

    api, other = serve(setting(1)), serve(setting(2))
    client = transport(api.origin)
    for server in (api, other, api, other):
        client.send(Request("GET", f"{server.origin}/x"))
    sent = [
        next((line for line in head.split(b"\r\n") if line.startswith(b"Cookie:")), None) for _, head in heads
    ]
    assert sent == [None, None, b"Cookie: b=2; session=s1", b"Cookie: b=2; session=s2"]


def test_a_request_stays_small_whatever_a_server_sets(serve: Serve, transport: Open) -> None:
    sizes: list[int] = []

    def setting(peer: Peer) -> None:
        while head := peer.head():
            sizes.append(len(head))
            peer.send(answer(b"", *(f"Set-Cookie: c{len(sizes)}-{n}={'x' * 4000}" for n in range(10))))

    client = transport(serve(setting).origin)
    for _ in range(20):
        client.get()
    assert max(sizes) < 17_000


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("a=1", "a=1"),
        ("a=1; Path=/", "a=1"),
        ("a=1; Path=/api", "a=1"),
        ("a=1; Path=/ap", None),
        ("a=1; Path=/other", None),
        ("a=1; Max-Age=60", "a=1"),
        ("a=1; Max-Age=0", None),
        ("a=1; Max-Age=-5", None),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", None),
        ("a=1; Expires=Fri, 31 Dec 2199 23:59:59 GMT", "a=1"),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60", "a=1"),
        ("a=b=c", "a=b=c"),
        ("=1", None),
        ("a", None),
        (f"a={'x' * 5000}", None),
    ],
)
def test_what_is_kept(field: str, sent: str | None) -> None:
    cookies = Cookies()
    cookies.keep(HERE, "/api/devices?x=/y/z", [field])
    assert cookies.header(HERE, "/api/devices") == sent
    assert cookies.header(("https", "mdm.example", 8443), "/api/devices") is None
    assert cookies.header(("https", "other.example", 443), "/api/devices") is None


def test_the_last_word_counts_and_the_oldest_go() -> None:
    cookies = Cookies()
    cookies.keep(HERE, "/", [f"c{n}=1" for n in range(60)])
    cookies.keep(HERE, "/", ["c59=2"])
    sent = (cookies.header(HERE, "/") or "").split("; ")
    assert len(sent) == 50
    assert "c59=2" in sent
    assert "c0=1" not in sent
    cookies.keep(HERE, "/", ["c59=; Max-Age=0"])
    assert "c59" not in (cookies.header(HERE, "/") or "")


def test_a_secure_one_goes_over_https_alone() -> None:
    cookies = Cookies()
    plain = ("http", "127.0.0.1", 80)
    cookies.keep(plain, "/", ["a=1; Secure", "b=2"])
    assert cookies.header(plain, "/") == "b=2"
