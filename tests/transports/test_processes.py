"""Connections belong to one process and one event loop."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mdmsdk.settings import ProviderSettings
from mdmsdk.wire import Request
from tests.transports.conftest import LIMIT, TRANSPORTS, Authority, Peer, Server, Transport, answer

if TYPE_CHECKING:
    from collections.abc import Callable

    Open = Callable[..., Transport]
    Serve = Callable[..., Server]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def echo(peer: Peer) -> None:
    """Answer with the path that was asked for."""
    while head := peer.head():
        found = re.match(rb"GET (\S+)", head)
        peer.send(answer(found[1] if found else b"?"))


def wrong_answers(transport: Transport, name: str, count: int) -> int:
    paths = [f"/{name}/{turn}" for turn in range(count)]
    return sum(transport.get(path, seconds=30).text != path for path in paths)


def in_child(work: Callable[[], int]) -> int:
    """Fork, and give back the child's process id; its exit status is what the work returns."""
    child = os.fork()
    if child:
        return child
    status = 99
    try:
        status = work()
    finally:
        os._exit(status)


def statuses(children: list[int]) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
class TestFork:
    @pytest.fixture
    def mdm_mode(self) -> str:
        return "sync"

    def test_no_answer_crosses(self, serve: Serve, transport: Open) -> None:
        client = transport(serve(echo).origin)
        assert wrong_answers(client, "before", 2) == 0
        children = [in_child(partial(wrong_answers, client, f"child-{child}", 20)) for child in range(6)]
        assert wrong_answers(client, "parent", 60) == 0
        assert statuses(children) == [0] * 6

    def test_nor_under_tls_while_threads_are_asking(self, serve: Serve, authority: Authority) -> None:
        server = serve(echo, authority.context())
        # On its own: the threads of this server are in OpenSSL, too, without heeding a fork.
        program = [sys.executable, str(Path(__file__).with_name("forking.py"))]
        ran = subprocess.run(
            [*program, server.origin, str(authority.file), "10"], capture_output=True, text=True, check=True
        )
        assert ran.stdout == "0\n"

    def test_an_exchange_imports_nothing(self, serve: Serve, authority: Authority) -> None:
        """A module that another thread is importing stays locked for ever in a child that is forked then."""
        server = serve(echo, authority.context())
        program = [sys.executable, str(Path(__file__).with_name("importing.py"))]
        ran = subprocess.run(
            [*program, server.origin, str(authority.file)], capture_output=True, text=True, check=True
        )
        assert ran.stdout == "[]\n"

    def test_a_child_leaves_its_parents_connection_alone(
        self, serve: Serve, transport: Open, authority: Authority
    ) -> None:
        server = serve(echo, authority.context())
        client = transport(server.origin, tls={"ca_file": authority.file})
        client.get("/1")

        def leave() -> int:
            client.wrapped.close()
            gc.collect()
            return 0

        assert statuses([in_child(leave)]) == [0]
        assert client.get("/2").text == "/2"
        assert len(server.peers) == 1

    def test_a_child_does_not_hold_it_open(self, serve: Serve, transport: Open) -> None:
        ended = threading.Event()

        def note_end(peer: Peer) -> None:
            echo(peer)
            ended.set()

        reader, writer = os.pipe()

        def linger() -> int:
            os.close(writer)
            os.read(reader, 1)  # until the parent closes its end
            return 0

        client = transport(serve(note_end).origin)
        client.get("/1")
        child = in_child(linger)
        client.close()
        assert ended.wait(60)
        os.close(writer)
        assert statuses([child]) == [0]
        os.close(reader)


def test_a_child_of_an_event_loop_begins_anew(serve: Serve) -> None:
    server = serve(echo)
    http = TRANSPORTS["library"][1](ProviderSettings(base_url=server.origin))

    async def wrong(name: str) -> int:
        bodies = [
            (await http.exchange(Request("GET", f"{server.origin}/{name}/{turn}"), 5.0, LIMIT)).text
            for turn in range(10)
        ]
        return sum(body != f"/{name}/{turn}" for turn, body in enumerate(bodies))

    assert asyncio.run(wrong("before")) == 0
    children = [in_child(lambda: asyncio.run(wrong(f"child-{os.getpid()}"))) for _ in range(4)]
    assert asyncio.run(wrong("parent")) == 0
    assert statuses(children) == [0] * 4
    asyncio.run(http.aclose())


def test_one_client_serves_one_event_loop_after_another(serve: Serve) -> None:
    server = serve(echo)
    http = TRANSPORTS["library"][1](ProviderSettings(base_url=server.origin))

    async def ask() -> list[str]:
        requests = [Request("GET", f"{server.origin}/{turn}") for turn in range(3)]
        return [(await http.exchange(request, 5.0, LIMIT)).text for request in requests]

    for _ in range(3):
        assert asyncio.run(ask()) == ["/0", "/1", "/2"]
    assert len(server.peers) == 3
    asyncio.run(http.aclose())
    gc.collect()
