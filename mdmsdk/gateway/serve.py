"""Running the gateway: sockets, TLS, signals, and the end of requests under way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from mdmsdk.config import load_config
from mdmsdk.errors import ConfigurationError, MdmError
from mdmsdk.federation import AsyncMdmFederation
from mdmsdk.gateway.asgi import build
from mdmsdk.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

    from mdmsdk.gateway.settings import GatewayTls

__all__ = ["serve"]

_log = logging.getLogger("mdmsdk.gateway")
_KEEP_ALIVE = 30  # seconds
_WAITING = 2048
"""Connections that wait to be accepted."""
_HEADERS = 32 * 1024  # bytes of all headers


def serve(path: Path | None, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM, then let requests under way come to their end.

    SIGHUP reads the configuration and the certificates anew. What is wrong then is told in the log, and the
    gateway goes on with what it had; another address needs another start.

    Args:
        path: of the configuration; default: the one that is found.
        ready: called with the origin once the gateway listens.

    Raises:
        ConfigurationError: the configuration is not usable, or the address is taken.
    """
    settings, federation = _read(path)
    context = _current(settings.tls) if settings.tls else None
    listener = _listen(settings)
    try:
        asyncio.run(_Served(path, settings, context).run(federation, listener, ready))
    finally:
        listener.close()


def _read(path: Path | None) -> tuple[GatewaySettings, AsyncMdmFederation]:
    config = load_config(path)
    settings = config.read(GatewaySettings, config.gateway, "gateway")
    if not (settings.ise or settings.rest):
        raise ConfigurationError(
            "the gateway has no face",
            hint="Switch one on with the table gateway.ise or gateway.rest; see the page about mdm serve.",
        )
    return settings, AsyncMdmFederation.from_config(path)


class _Current(ssl.SSLContext):
    """What the listener has: each new connection gets the context that is made last.

    A context that is filled anew would go on trusting the authorities that it had before.
    """

    now: ssl.SSLContext

    def wrap_bio(self, *args: Any, **named: Any) -> ssl.SSLObject:
        """Begin a connection."""
        return self.now.wrap_bio(*args, **named)


def _current(tls: GatewayTls) -> _Current:
    made = _Current(ssl.PROTOCOL_TLS_SERVER)
    made.now = _context(tls)
    return made


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
        raise ConfigurationError(
            f"the certificate of the gateway is not usable: {why}",
            hint="Check cert, key and client_ca in the table gateway.tls: PEM files that belong together.",
        ) from None
    return made


def _listen(settings: GatewaySettings) -> socket.socket:
    host, port = settings.address
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # Named, so that asyncio switches off Nagle's algorithm.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise ConfigurationError(f"{settings.listen} is no address here: {error.strerror}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_WAITING)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"the gateway cannot listen on {settings.listen}: {error.strerror}",
            hint="Another program may have the port: choose another one with listen in the table gateway.",
        ) from None
    return listener


class _Connection(H11Protocol):
    """A connection that is closed where no request comes, however slowly its bytes do.

    Else somebody without credentials could hold all connections that there may be, and keep others out.
    """

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def handle_events(self) -> None:
        """Wait no longer where a request is there."""
        super().handle_events()
        # There is no cycle before the first request.
        if self._limit and not getattr(self.cycle, "response_complete", True):
            self._limit.cancel()
            self._limit = None

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, or for the rest of a body that nobody wanted."""
        self._wait()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clock."""
        super().connection_lost(exc)
        if self._limit:
            self._limit.cancel()

    def _wait(self) -> None:
        if self._limit:
            self._limit.cancel()
        self._limit = self.loop.call_later(_KEEP_ALIVE, self._close)

    def _close(self) -> None:
        """Close it; who does not read what is left is cut off."""
        self._limit = self.loop.call_later(_KEEP_ALIVE, self.transport.abort)
        self.transport.close()


class _House:
    """A configuration that is served, until somebody says that it is to end."""

    def __init__(self, settings: GatewaySettings, federation: AsyncMdmFederation) -> None:
        self.app = build(federation, settings)
        self._federation = federation
        self._up = asyncio.Event()
        self._end = asyncio.Event()
        self._life = asyncio.create_task(self._live())

    async def _live(self) -> None:
        async with self._federation, self.app.lifespan():
            self._up.set()
            await self._end.wait()

    async def up(self) -> None:
        """Wait until it serves."""
        await self._up.wait()

    async def end(self, after: float = 0.0) -> None:
        """End it, and wait until its connections are closed."""
        await asyncio.sleep(after)
        self._end.set()
        await self._life


def uvicorn_config(application: Any, settings: GatewaySettings) -> uvicorn.Config:
    """How uvicorn serves an application."""
    return uvicorn.Config(
        application,
        interface="asgi3",
        http=_Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.connections,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=max(1, round(settings.drain)),
        h11_max_incomplete_event_size=_HEADERS,
    )


class _Served:
    """What is served now, and how it is replaced."""

    def __init__(self, path: Path | None, settings: GatewaySettings, context: _Current | None) -> None:
        self._path = path
        self._settings = settings
        self._context = context
        self._house: _House
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(
        self, federation: AsyncMdmFederation, listener: socket.socket, ready: Callable[[str], None]
    ) -> None:
        """Serve to the end."""
        settings = self._settings
        self._house = _House(settings, federation)
        await self._house.up()
        config = uvicorn_config(self._serve, settings)
        config.load()
        config.ssl = self._context
        with contextlib.suppress(NotImplementedError, AttributeError):  # Windows has no SIGHUP
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._begin, self._reload)
        host, port = listener.getsockname()[:2]
        name = f"[{host}]" if ":" in host else host
        ready(f"{'https' if self._context else 'http'}://{name}:{port}")
        await uvicorn.Server(config).serve(sockets=[listener])
        for task in self._under_way:
            task.cancel()
        await self._house.end()

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._house.app(scope, receive, send)

    def _begin(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        task = asyncio.create_task(work())
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _reload(self) -> None:
        """Serve the configuration as it is now, or go on with the old one if it is not usable."""
        try:
            settings, federation = await asyncio.to_thread(_read, self._path)
            if self._context and settings.tls:
                self._context.now = await asyncio.to_thread(_context, settings.tls)
        except MdmError as error:
            _log.error("the configuration is not usable, so the old one stays: %s", error)
            return
        if settings.listen != self._settings.listen or bool(settings.tls) is not bool(self._context):
            _log.warning("another address, or TLS or none, needs another start of the gateway")
        house = _House(settings, federation)
        await house.up()
        before, self._house = self._house, house
        self._settings = settings
        _log.info("the configuration was read anew")
        await before.end(after=settings.drain)
