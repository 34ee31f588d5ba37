"""An answer belongs to its request, whole and alone."""

from __future__ import annotations

import gzip
import time
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk._run.body import BodyReader
from mdmsdk.errors import ConnectError, MalformedResponseError, MdmError, ResponseTooLargeError
from tests.transports.conftest import LIMIT, Peer, Server, Transport, answer

if TYPE_CHECKING:
    from collections.abc import Callable

    Either = Callable[[Callable[[Peer], None]], tuple[Server, Transport]]
    Open = Callable[..., Transport]
    Serve = Callable[..., Server]

GOOD, EVIL = answer(b"good"), answer(b"evil")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n"


class TestSurplus:
    """What a server sends beyond an answer is never the answer to the next request."""

    @pytest.mark.parametrize(
        "first", [GOOD, CHUNKED, answer(status="204 No Content")], ids=["length", "chunks", "204"]
    )
    def test_in_the_same_segment(self, either: Either, first: bytes) -> None:
        server, transport = either(lambda peer: peer.answer_each(GOOD if peer.number else first + EVIL))
        transport.get()
        assert transport.get().body == b"good"
        assert len(server.peers) == 2

    def test_in_the_segment_of_a_long_body(self, either: Either) -> None:
        long = answer(b"x" * 300_000)
        _, transport = either(lambda peer: peer.answer_each(long + EVIL if peer.number == 0 else GOOD))
        transport.get()
        assert transport.get().body == b"good"

    def test_in_a_segment_of_its_own(self, either: Either) -> None:
        def later(peer: Peer) -> None:
            peer.head()
            peer.send(GOOD)
            time.sleep(0.05)
            peer.send(EVIL if peer.number == 0 else b"")
            peer.answer_each(GOOD)

        _, transport = either(later)
        transport.get()
        time.sleep(0.2)
        assert transport.get().body == b"good"

    def test_after_interim_answers(self, either: Either) -> None:
        interim = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
        server, transport = either(lambda peer: peer.answer_each(interim + GOOD))
        assert [transport.get().body for _ in range(3)] == [b"good"] * 3
        assert len(server.peers) == 1

    def test_a_half_answer(self, either: Either) -> None:
        server, transport = either(lambda peer: peer.answer_each(GOOD + EVIL[:20], GOOD))
        assert [transport.get().body for _ in range(2)] == [b"good"] * 2
        assert len(server.peers) == 2

    def test_a_head_with_bare_line_feeds(self, serve: Serve, transport: Open) -> None:
        first = GOOD.replace(b"\r\n", b"\n") + answer(b"e" * 40)
        client = transport(serve(lambda peer: peer.answer_each(first, GOOD)).origin)
        assert client.get().body == b"good"
        assert client.get().body == b"good"

    def test_without_it_a_connection_is_used_again(self, either: Either) -> None:
        chunks = b"".join(b"3;x=y\r\nabc\r\n" for _ in range(2_000))
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        server, transport = either(lambda peer: peer.answer_each(GOOD, chunked, CHUNKED))
        assert transport.get().body == b"good"
        assert transport.get().body == b"abc" * 2_000
        assert transport.get().body == b"good"
        assert len(server.peers) == 1


class TestWholeness:
    @pytest.mark.parametrize(
        "wire",
        [answer(b"good")[:-1], CHUNKED[:-5], b"HTTP/1.1 200 OK\r\nContent-Le"],
        ids=["body", "chunk", "head"],
    )
    def test_a_broken_off_answer_is_none(self, either: Either, wire: bytes) -> None:
        def cut(peer: Peer) -> None:
            peer.head()
            peer.send(wire)

        _, transport = either(cut)
        with pytest.raises(ConnectError, match="broke the connection off"):
            transport.get()

    def test_the_end_of_a_connection_under_tls_is_no_end_of_an_answer(
        self, serve: Serve, transport: Open, authority: Any
    ) -> None:
        def cut(peer: Peer) -> None:
            peer.head()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\nhalf of it")  # without the farewell of TLS

        client = transport(serve(cut, authority.context()).origin, tls={"ca_file": authority.file})
        with pytest.raises(ConnectError, match="broke the connection off"):
            client.get()

    def test_an_endless_head_is_refused(self, either: Either) -> None:
        def endless(peer: Peer) -> None:
            peer.head()
            peer.send(b"HTTP/1.1 200 OK\r\n")
            while True:
                peer.send(b"X-Filler: " + b"x" * 8000 + b"\r\n")

        _, transport = either(endless)
        with pytest.raises(MdmError):
            transport.get()

    def test_a_body_beyond_the_limit_is_refused(self, either: Either) -> None:
        _, transport = either(lambda peer: peer.answer_each(answer(b"x" * (LIMIT + 1))))
        with pytest.raises(ResponseTooLargeError):
            transport.get()


class TestCompression:
    """Bytes behind the end of compressed data are part of the answer's size, and no part of an answer."""

    PACKED = gzip.compress(b"true", mtime=0)

    @pytest.mark.parametrize(
        "rest", [gzip.compress(b"false"), b"false", b"\0"], ids=["member", "text", "zero"]
    )
    def test_anything_behind_the_end_is_refused(self, either: Either, rest: bytes) -> None:
        wire = answer(self.PACKED + rest, "Content-Encoding: gzip")
        _, transport = either(lambda peer: peer.answer_each(wire))
        with pytest.raises(MalformedResponseError, match="goes on behind its end"):
            transport.get()

    def test_in_whatever_pieces_it_comes(self) -> None:
        for cut in range(1, len(self.PACKED) + 1):
            reader = BodyReader("gzip", LIMIT)
            reader.feed(self.PACKED[:cut])
            with pytest.raises(MalformedResponseError):
                reader.feed(self.PACKED[cut:] + b"x")

    def test_a_bomb_is_cut_at_the_limit(self, either: Either) -> None:
        wire = answer(gzip.compress(b"\0" * (LIMIT * 50)), "Content-Encoding: gzip")
        _, transport = either(lambda peer: peer.answer_each(wire))
        with pytest.raises(ResponseTooLargeError):
            transport.get()
