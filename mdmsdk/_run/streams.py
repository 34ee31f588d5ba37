"""The network back end of the HTTP library, in both modes: performs what `net` describes, on one line."""

from __future__ import annotations

import _thread
import asyncio
import math
import select
import time
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.lowlevel

from mdmsdk._run.framing import Framing
from mdmsdk._run.library import core
from mdmsdk._run.names import Lookup
from mdmsdk._run.net import Plain, Ready, Tls, connecting

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Generator

    from mdmsdk._run.connections import Line
    from mdmsdk._run.net import Layer

T = TypeVar("T")

_LOOK_UP = 0.5
"""Seconds after which a waiting thread looks whether its connection was closed meanwhile."""


class Seen(Exception):  # noqa: N818 - nothing has failed
    """The handshake is over, and it was all that was wanted.

    Attributes:
        chain: the certificates that the other side sent, its own first, in DER.
        version: the version of TLS that was agreed on.
    """

    def __init__(self, tls: Tls) -> None:
        super().__init__()
        self.chain = tls.sent()
        self.version = tls.object.version()


class _Stream:
    """What the streams of both modes share: the bytes, and the library's own errors."""

    def __init__(self, line: Line, layer: Layer) -> None:
        self._line = line
        self._layer = layer
        self._framing = Framing()

    def _reading(self, most: int) -> Generator[Ready | Lookup, None, bytes]:
        try:
            self._line.left()
            data = yield from self._layer.reading(most)
        except TimeoutError as error:
            raise core.ReadTimeout from error
        except OSError as error:
            raise core.ReadError from error
        self._framing.received(data)
        return data

    def _writing(self, data: bytes) -> Generator[Ready | Lookup, None, None]:
        self._framing.sent(data)
        try:
            yield from self._layer.writing(data)
        except TimeoutError as error:
            raise core.WriteTimeout from error
        except OSError as error:
            raise core.WriteError from error

    def _starting_tls(
        self, context: ssl.SSLContext, host: str | None
    ) -> Generator[Ready | Lookup, None, Tls]:
        try:
            tls = Tls(self._layer, context, host)
            yield from tls.handshaking()
            if host == self._line.look_at:
                raise Seen(tls)
        except TimeoutError as error:
            raise core.ConnectTimeout from error
        except OSError as error:
            raise core.ConnectError from error
        return tls

    def get_extra_info(self, info: str) -> Any:
        """What the library asks for: whether bytes are left over, and which protocol TLS agreed on."""
        if info == "is_readable":
            return not self._framing.complete or self._layer.leftover() is not None
        return getattr(self._layer, "object", None) if info == "ssl_object" else None


def _connecting(line: Line, host: str, port: int) -> Generator[Ready | Lookup, None, Plain]:
    try:
        line.sock = yield from connecting(host, port)
    except TimeoutError as error:
        raise core.ConnectTimeout(host) from error
    except OSError as error:
        raise core.ConnectError(host) from error
    return Plain(line.sock)


class Stream(_Stream):
    """A connected stream, in sync."""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """At most so many bytes; none at the end."""
        del timeout  # the line's deadline counts, here and below
        return perform(self._reading(max_bytes), self._line)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it."""
        del timeout
        if buffer:  # the library also writes the end of a request, which is no bytes
            perform(self._writing(buffer), self._line)

    def close(self) -> None:
        """Close the socket."""
        self._line.drop()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> Stream:
        """The same connection under TLS."""
        del timeout
        return Stream(self._line, perform(self._starting_tls(ssl_context, server_hostname), self._line))


class Backend:
    """Opens the socket of one line, in sync."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def connect_tcp(self, host: str, port: int, **_options: Any) -> Stream:
        """Connect to the first address that answers."""
        return Stream(self._line, perform(_connecting(self._line, host, port), self._line))


class AsyncStream(_Stream):
    """A connected stream, in async."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - the library's
        """At most so many bytes; none at the end."""
        del timeout
        return await perform_async(self._reading(max_bytes), self._line)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Send all of it."""
        del timeout
        if buffer:
            await perform_async(self._writing(buffer), self._line)

    async def aclose(self) -> None:
        """Close the socket."""
        self._line.drop()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> AsyncStream:
        """The same connection under TLS."""
        del timeout
        tls = await perform_async(self._starting_tls(ssl_context, server_hostname), self._line)
        return AsyncStream(self._line, tls)


class AsyncBackend:
    """Opens the socket of one line, in async."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def connect_tcp(self, host: str, port: int, **_options: Any) -> AsyncStream:
        """Connect to the first address that answers."""
        return AsyncStream(self._line, await perform_async(_connecting(self._line, host, port), self._line))


def perform(steps: Generator[Ready | Lookup, None, T], line: Line) -> T:
    """Run steps to their result, waiting in this thread."""
    try:
        want = next(steps)
        while True:
            try:
                _wait(want, line)
            except OSError as error:
                want = steps.throw(error)
            else:
                want = next(steps)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return] # a generator's result has no static type here
    finally:
        steps.close()


async def perform_async(steps: Generator[Ready | Lookup, None, T], line: Line) -> T:
    """Run steps to their result, waiting in this task."""
    try:
        want = next(steps)
        while True:
            try:
                await _wait_async(want, line)
            except OSError as error:
                want = steps.throw(error)
            else:
                want = next(steps)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return] # a generator's result has no static type here
    finally:
        steps.close()


# Both waits end with a TimeoutError when the exchange must be over, and with a ConnectionAbortedError when
# the client was closed, for which they look from time to time: nothing wakes a thread that waits for a name.


def _wait(want: Ready | Lookup, line: Line) -> None:
    """Wait for what is wanted, or for as long as it says."""
    if isinstance(want, Lookup):
        latch = _thread.allocate_lock()
        latch.acquire()
        want.when_done(latch.release)
        while not latch.acquire(timeout=line.left(_LOOK_UP)):
            pass
        return
    until = _end_of(want)
    while not _ready(want, line.left(min(_LOOK_UP, until - time.monotonic()))):
        if time.monotonic() >= until:
            return


async def _wait_async(want: Ready | Lookup, line: Line) -> None:
    """Wait for what is wanted, or for as long as it says."""
    if isinstance(want, Lookup):
        event, loop = anyio.Event(), running_loop()
        soon = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon
        want.when_done(lambda: soon(event.set))
        while not event.is_set():
            with anyio.move_on_after(line.left(_LOOK_UP)):
                await event.wait()
        return
    until = _end_of(want)
    while True:
        with anyio.move_on_after(line.left(min(_LOOK_UP, until - time.monotonic()))):
            await _ready_async(want)
            return
        if time.monotonic() >= until:
            return


def _end_of(want: Ready) -> float:
    return math.inf if want.seconds is None else time.monotonic() + want.seconds


def _ready(want: Ready, seconds: float) -> bool:
    if not hasattr(select, "poll"):  # Windows, where the third list tells of failed attempts to connect
        reading, writing = ([], want.sockets) if want.writing else (want.sockets, [])
        return any(select.select(reading, writing, writing, seconds))
    poller = select.poll()
    for sock in want.sockets:
        poller.register(sock, select.POLLOUT if want.writing else select.POLLIN)
    return bool(poller.poll(seconds * 1000))


async def _ready_async(want: Ready) -> None:
    ready = anyio.wait_writable if want.writing else anyio.wait_readable
    if len(want.sockets) == 1:
        await ready(want.sockets[0])
        return

    async def first(sock: socket.socket) -> None:
        await ready(sock)
        group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for sock in want.sockets:
            group.start_soon(first, sock)


def running_loop() -> Any:
    """The event loop that runs this task, as an object of its own library."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return anyio.lowlevel.current_token().native_token
