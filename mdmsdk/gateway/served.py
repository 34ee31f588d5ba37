"""What one process of the gateway serves: TLS, connections, and the end of requests under way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from mdmsdk.config import Config, load_config
from mdmsdk.errors import ConfigurationError, MdmError
from mdmsdk.federation import AsyncMdmFederation
from mdmsdk.gateway.asgi import MOST_HEADERS, build
from mdmsdk.gateway.connections import KEEP_ALIVE, Connection, Held, Listener
from mdmsdk.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

    from mdmsdk.gateway.settings import GatewayTls

__all__ = ["Served", "origin_of", "read_settings", "uvicorn_config"]

_log = logging.getLogger("mdmsdk.gateway")
_CLOSE = (b"connection", b"close")


def read_settings(config: Config) -> GatewaySettings:
    """How to serve.

    Raises:
        ConfigurationError: that is not usable.
    """
    settings = config.read(GatewaySettings, config.gateway, "gateway")
    if not (settings.ise or settings.rest):
        raise ConfigurationError(
            "the gateway has no face",
            hint="Switch one on with the table gateway.ise or gateway.rest; see the page about mdm serve.",
        )
    return settings


def origin_of(listener: socket.socket, settings: GatewaySettings) -> str:
    """Where clients find it."""
    host, port = listener.getsockname()[:2]
    name = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.tls else 'http'}://{name}:{port}"


class _Current(ssl.SSLContext):
    """What the listener has: each new connection gets the context that is made last.

    A context that is filled anew would go on trusting the authorities that it had before.
    """

    now: ssl.SSLContext

    def wrap_bio(self, *args: Any, **named: Any) -> ssl.SSLObject:
        """Begin a connection."""
        return self.now.wrap_bio(*args, **named)


def _context(tls: GatewayTls) -> ssl.SSLContext:
    """What TLS needs."""
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(tls.cert, tls.key)
        if tls.client_ca:
            made.load_verify_locations(tls.client_ca)
            made.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "strerror", None) or getattr(error, "reason", None) or type(error).__name__
        named = [
            f"{one} is not there" for one in (tls.cert, tls.key, tls.client_ca) if one and not one.exists()
        ]
        raise ConfigurationError(
            f"the certificate of the gateway is not usable: {', '.join(named) or why}",
            hint="Check cert, key and client_ca in the table gateway.tls: PEM files that belong together.",
        ) from None
    return made


class _Server(uvicorn.Server):
    """A server that ends by signals, and leaves what follows to its caller: uvicorn's ends the process."""

    leaving = False
    """Whether nobody is let in any more."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let those in who wait at the door; then shut it, and answer who is inside."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.leaving = True
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listen to signals meanwhile."""
        before = [signal.signal(one, self.handle_exit) for one in HANDLED_SIGNALS]
        try:
            yield
        finally:
            list(map(signal.signal, HANDLED_SIGNALS, before))


class _House:
    """A configuration that is served, until somebody says that it is to end."""

    def __init__(self, config: Config) -> None:
        self.settings = read_settings(config)
        # Before there are clients that somebody would have to close.
        self.context = _context(self.settings.tls) if self.settings.tls else None
        self._federation = AsyncMdmFederation.from_config(config)
        self.app = build(self._federation, self.settings)
        self._up = asyncio.Event()
        self._end = asyncio.Event()

    async def _live(self) -> None:
        async with self._federation, self.app.lifespan():
            self._up.set()
            await self._end.wait()

    async def up(self) -> None:
        """Serve from now on."""
        self._life = asyncio.create_task(self._live())
        up = asyncio.create_task(self._up.wait())
        await asyncio.wait({self._life, up}, return_when=asyncio.FIRST_COMPLETED)
        if not up.done():
            up.cancel()
            await self._life

    async def end(self, after: float = 0.0) -> None:
        """End it, at once if this is cancelled, and wait until its connections are closed."""
        try:
            await asyncio.sleep(after)
        finally:
            self._end.set()
            await self._life


def uvicorn_config(application: Any, settings: GatewaySettings) -> uvicorn.Config:
    """How uvicorn serves an application."""
    return uvicorn.Config(
        application,
        interface="asgi3",
        http=partial(Connection, held=Held(settings)),  # type: ignore[arg-type]  # it makes one
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(settings.drain)),
        h11_max_incomplete_event_size=MOST_HEADERS,
    )


class Served:
    """What one process serves, and how that is replaced.

    Args:
        path: of the configuration, to be read anew.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._house: _House
        self._next: _House | None = None
        self._context: _Current | None = None
        self._server: _Server
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, config: Config, listener: socket.socket, ready: Callable[[str], None]) -> None:
        """Serve to the end, and read the configuration anew on SIGHUP."""
        await self.begin(config)
        with contextlib.suppress(NotImplementedError, AttributeError):  # Windows has no SIGHUP
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, lambda: self.start(self._reload()))
        origin = origin_of(listener, self._house.settings)
        await self.serve(listener, lambda: ready(origin))

    async def begin(self, config: Config) -> None:
        """Make what is served first.

        Raises:
            ConfigurationError: it is not usable.
        """
        self._house = await asyncio.to_thread(_House, config)
        await self._house.up()
        if self._house.context:
            self._context = _Current(ssl.PROTOCOL_TLS_SERVER)
            self._context.now = self._house.context

    async def serve(self, listener: socket.socket, ready: Callable[[], None]) -> None:
        """Serve until a signal comes, or `end` is called."""
        settings = self._house.settings
        config = uvicorn_config(self._serve, settings)
        config.load()
        config.ssl = self._context
        self._server = _Server(config)
        ready()
        await self._server.serve(sockets=[Listener.of(listener, Held(settings))])
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, self.stay(), self._house.end(), return_exceptions=True)

    def end(self) -> None:
        """Let requests under way come to their end."""
        self._server.should_exit = True

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Any) -> None:
            # No other request on its connection would be answered.
            if self._server.leaving and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], _CLOSE]}
            await send(message)

        await self._house.app(scope, receive, answer)

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Do something beside serving."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _reload(self) -> None:
        """Serve the configuration as it is now, or go on with the old one if it is not usable."""
        try:
            await self.prepare(await asyncio.to_thread(load_config, self._path))
        except MdmError as error:
            _log.error("the configuration is not usable, so the old one stays: %s", error)
            return
        self.move()
        _log.info("the configuration was read anew")

    async def prepare(self, config: Config) -> None:
        """Make ready what is to be served next; `move` or `stay` follows.

        Raises:
            MdmError: the configuration is not usable.
        """
        await self.stay()
        house = await asyncio.to_thread(_House, config)
        await house.up()
        self._next = house

    async def stay(self) -> None:
        """Drop what was made ready."""
        house, self._next = self._next, None
        if house:
            await house.end()

    def move(self) -> None:
        """Serve what was made ready; requests under way come to their end with what was before."""
        house, self._next = self._next, None
        if house is None:
            return
        before, self._house = self._house, house
        if house.settings.listen != before.settings.listen or bool(house.context) is not bool(self._context):
            _log.warning("another address, or TLS or none, needs another start of the gateway")
        if self._context and house.context:
            self._context.now = house.context
        self.start(before.end(after=before.settings.drain))
