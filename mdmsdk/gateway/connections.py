"""Connections: how many there may be, of all clients and of one, and how long one may be held."""

from __future__ import annotations

import socket
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from mdmsdk.gateway.access import Refusal, Room
from mdmsdk.gateway.asgi import CROWDED, HEADERS
from mdmsdk.gateway.clients import Networks, who
from mdmsdk.gateway.files import REFUSED
from mdmsdk.gateway.problems import refused

if TYPE_CHECKING:
    import asyncio

    from mdmsdk.gateway.settings import GatewaySettings

__all__ = ["KEEP_ALIVE", "Connection", "Held", "Listener"]

KEEP_ALIVE = 30  # seconds
_LINGER = 2.0
"""Seconds: who still sends when the connection is closed may lose the answer."""
_ON_ITS_WAY = 2.0
"""Seconds for which a connection stays open when the gateway ends, for a request that was sent."""
_REFUSED_OF_ONE = 8
"""Connections of one client over those that it may have which are told so; more are cut off."""


class Held:
    """Connections that are open, by whose they are.

    Args:
        settings: how many there may be. Those of a proxy are those of many clients.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._most = settings.connections
        self._of_one = settings.client_connections
        self._proxies = Networks(settings.proxies)
        self._open: Counter[str] = Counter()
        self._count = 0

    def add(self, client: str) -> Room:
        """Count one more; says what room there is for it."""
        name = who(client)
        self._count += 1
        self._open[name] += 1
        of_one = 0 if client in self._proxies else self._open[name] - self._of_one
        # Or they would take the files through which servers are asked.
        if self._count - self._most > REFUSED or of_one > _REFUSED_OF_ONE:
            return Room.NONE
        if of_one > 0:
            return Room.TOO_MANY_OF_ONE
        return Room.TOO_MANY if self._count > self._most else Room.ENOUGH

    def drop(self, client: str) -> None:
        """Count one less."""
        name = who(client)
        self._count -= 1
        self._open[name] -= 1
        if self._open[name] <= 0:
            del self._open[name]


class Listener(socket.socket):
    """Accepts connections that there is room for, and cuts others off.

    A connection is known here before the handshake of TLS, which somebody may never end. So these are counted
    apart from those of `Connection`, which has a transport by then and can tell a client what is wrong.
    """

    _held: Held

    @classmethod
    def of(cls, listener: socket.socket, held: Held) -> Listener:
        """Take the place of a socket that listens."""
        made = cls(listener.family, listener.type, listener.proto, fileno=listener.detach())
        made._held = held
        return made

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection.

        Raises:
            ConnectionAbortedError: there is no room for it.
        """
        plain, address = super().accept()
        client = str(address[0])
        room = self._held.add(client)
        accepted = _Accepted(plain.family, plain.type, plain.proto, fileno=plain.detach())
        accepted.whose = self._held, client
        if room is Room.NONE:
            accepted.close()
            raise ConnectionAbortedError
        return accepted, address


class _Accepted(socket.socket):
    """A connection that is counted until it is closed."""

    whose: tuple[Held, str] | None = None

    def close(self) -> None:
        """Close it."""
        whose, self.whose = self.whose, None
        if whose:
            whose[0].drop(whose[1])
        super().close()


class Connection(H11Protocol):
    """A connection that is closed where no request comes, or nobody takes the answers, however slowly.

    Else somebody without credentials could hold all connections that there may be, and keep others out.
    """

    _limit: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _deaf = False

    def __init__(self, *args: Any, held: Held, **named: Any) -> None:
        super().__init__(*args, **named)
        self._held = held
        self._whose = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._whose = self.client[0] if self.client else ""
        room = self._held.add(self._whose)
        if room is Room.NONE:
            transport.abort()
            return
        if room is not Room.ENOUGH:
            self.app_state: dict[str, Any] = {**self.app_state, CROWDED: room}
        self._wait()

    def handle_events(self) -> None:
        """Wait no longer where a request is there."""
        super().handle_events()
        if self._limit and not self._deaf and not getattr(self.cycle, "response_complete", True):
            self._limit.cancel()
            self._limit = None

    def on_response_complete(self) -> None:
        """Begin to wait for the next request, or for the rest of a body that nobody wanted."""
        self._wait()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Tell what is no request, or has too large headers, in the format of every other error.

        Where that comes in the body of a request whose answer has begun, nothing can be told any more.
        """
        self._deaf = True
        if not getattr(self.cycle, "response_complete", True):  # who answers hears that the client is gone
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.close()
            return
        status = getattr(sys.exception(), "error_status_hint", 400)
        answer = refused(Refusal(status, msg, headers={"Connection": "close"}))
        head = h11.Response(status_code=status, headers=[*answer.raw_headers, *HEADERS])
        for event in (head, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        if self._limit:
            self._limit.cancel()
        self._limit = self.loop.call_later(_LINGER, self.transport.abort)
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def data_received(self, data: bytes) -> None:
        """Read what comes, and drop it after an error."""
        if not self._deaf:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the clock."""
        super().connection_lost(exc)
        self._held.drop(self._whose)
        for timer in (self._limit, self._unread):
            if timer:
                timer.cancel()

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        super().pause_writing()
        self._unread = self.loop.call_later(KEEP_ALIVE, self.transport.abort)

    def resume_writing(self) -> None:
        """Wait no longer."""
        super().resume_writing()
        if self._unread:
            self._unread.cancel()
            self._unread = None

    def shutdown(self) -> None:
        """Answer what is under way, and what was sent already; then close."""
        # There is no cycle before the first request.
        if getattr(self.cycle, "response_complete", True):
            self.loop.call_later(_ON_ITS_WAY, super().shutdown)
        else:
            super().shutdown()

    def _wait(self) -> None:
        if self._limit:
            self._limit.cancel()
        self._limit = self.loop.call_later(KEEP_ALIVE, self._close)

    def _close(self) -> None:
        """Close it; who does not read what is left is cut off."""
        self._limit = self.loop.call_later(KEEP_ALIVE, self.transport.abort)
        self.transport.close()
