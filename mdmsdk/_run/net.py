"""What sockets do, as generators that say what to wait for; `connections` waits, in either mode.

Nothing in here blocks: a socket is asked, and what it is not ready for is yielded. So both modes share every
line of connecting, of TLS and of reading, and the time belongs to the one who waits: when it is up, a
`TimeoutError` is thrown in.
"""

from __future__ import annotations

import errno
import socket
import ssl
import time
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from mdmsdk._run.names import NAMES
from mdmsdk._run.trust import IN_OPENSSL

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from mdmsdk._run.names import Address, Lookup

T = TypeVar("T")

# RFC 8305, section 5: the connection attempt delay, in seconds.
_NEXT_ATTEMPT = 0.25
_UNDER_WAY = {0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN, getattr(errno, "WSAEWOULDBLOCK", 0)}
_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Ready:
    """Wait until one of the sockets can be read, or written; at most so many seconds."""

    sockets: tuple[socket.socket, ...]
    writing: bool = False
    seconds: float | None = None


Steps = "Generator[Ready | Lookup, None, T]"
"""Yields what it waits for, and returns its result."""


def connecting(host: str, port: int) -> Generator[Ready | Lookup, None, socket.socket]:
    """A connection to the first of the host's addresses that answers.

    The addresses are tried side by side, each a moment after the one before (RFC 8305), so that a dead one
    costs a quarter of a second and not the deadline.

    Raises:
        TimeoutError: none answered in time, or the name was not resolved in time.
        OSError: no address could be reached, or the name is not known (`socket.gaierror`).
    """
    addresses = _in_turn((yield from resolving(host, port)))
    racing: list[socket.socket] = []
    try:
        return (yield from _racing(addresses, racing))
    finally:
        for sock in racing:
            sock.close()


def _racing(
    addresses: list[Address], racing: list[socket.socket]
) -> Generator[Ready | Lookup, None, socket.socket]:
    failure = OSError(errno.EHOSTUNREACH, "the name has no address")
    next_at = 0.0
    while addresses or racing:
        if addresses and time.monotonic() >= next_at:
            try:
                racing.append(_begin(addresses.pop(0)))
            except OSError as error:
                failure = error
                continue
            next_at = time.monotonic() + _NEXT_ATTEMPT
        patience = max(0.0, next_at - time.monotonic()) if addresses else None
        yield Ready(tuple(racing), writing=True, seconds=patience)
        for sock in list(racing):
            try:
                _check(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            except OSError as error:
                failure, next_at = error, 0.0
                racing.remove(sock)
                sock.close()
                continue
            if _connected(sock):
                racing.remove(sock)
                return sock
    raise failure


def reaching(addresses: Sequence[Address]) -> Generator[Ready | Lookup, None, list[OSError | None]]:
    """What becomes of a connection to each address, all tried at once: None where one answers."""
    outcomes: dict[int, OSError | None] = {}
    trying: dict[int, socket.socket] = {}
    try:
        yield from _reach(addresses, trying, outcomes)
    except TimeoutError as error:
        outcomes |= dict.fromkeys(trying, error)
    finally:
        for sock in trying.values():
            sock.close()
    return [outcomes[index] for index in range(len(addresses))]


def _reach(
    addresses: Sequence[Address], trying: dict[int, socket.socket], outcomes: dict[int, OSError | None]
) -> Generator[Ready | Lookup, None, None]:
    for index, address in enumerate(addresses):
        try:
            trying[index] = _begin(address)
        except OSError as error:
            outcomes[index] = error
    while trying:
        yield Ready(tuple(trying.values()), writing=True)
        for index, sock in list(trying.items()):
            try:
                _check(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            except OSError as error:
                outcomes[index] = error
            else:
                if not _connected(sock):
                    continue
                outcomes[index] = None
            trying.pop(index).close()


def resolving(host: str, port: int) -> Generator[Ready | Lookup, None, Sequence[Address]]:
    """The addresses of a host; raises as `connecting` does."""
    lookup = NAMES.look_up(host, port)
    if not lookup.done:
        yield lookup
    return lookup.result()


def _in_turn(addresses: Sequence[Address]) -> list[Address]:
    """The addresses with their families by turns, the first one's first (RFC 8305, section 4)."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for address in chain.from_iterable(zip_longest(first, others)) if address]


def _begin(address: Address) -> socket.socket:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _check(sock.connect_ex(where))
    except BaseException:
        sock.close()
        raise
    return sock


def _check(code: int) -> None:
    if code not in _UNDER_WAY:
        raise OSError(code, errno.errorcode.get(code, "failed"))


def _connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


class Layer(Protocol):
    """Bytes in both directions: a socket, or TLS over another layer."""

    sock: socket.socket

    def reading(self, most: int) -> Generator[Ready | Lookup, None, bytes]:
        """At most so many bytes; none at the end."""

    def writing(self, data: bytes) -> Generator[Ready | Lookup, None, None]:
        """Send all of the data."""

    def leftover(self) -> bytes | None:
        """What has arrived without being asked for; None for nothing, no bytes for the end."""


class Plain:
    """A connected socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._readable = Ready((sock,))
        self._writable = Ready((sock,), writing=True)

    def reading(self, most: int) -> Generator[Ready | Lookup, None, bytes]:
        """At most so many bytes; none at the end."""
        while True:
            try:
                return self.sock.recv(most)
            except BlockingIOError:
                yield self._readable

    def writing(self, data: bytes) -> Generator[Ready | Lookup, None, None]:
        """Send all of the data."""
        view = memoryview(data)
        while view:
            try:
                view = view[self.sock.send(view) :]
            except BlockingIOError:
                yield self._writable

    def leftover(self) -> bytes | None:
        """What has arrived without being asked for; None for nothing, no bytes for the end."""
        try:
            return self.sock.recv(_CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return b""


class Tls:
    """TLS over another layer, which may be TLS itself (the way through an https proxy)."""

    def __init__(self, below: Layer, context: ssl.SSLContext, host: str | None) -> None:
        self.sock = below.sock
        self._below = below
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        with IN_OPENSSL:
            self.object = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def sent(self) -> list[bytes]:
        """The certificates that the other side sent, its own first, in DER; not all of them were checked."""
        inner: Any = self.object
        if not hasattr(inner, "get_unverified_chain"):  # public from Python 3.13
            inner = inner._sslobj  # noqa: SLF001
        with IN_OPENSSL:
            chain = inner.get_unverified_chain() or []
        return [
            one if isinstance(one, bytes) else ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in chain
        ]

    def handshaking(self) -> Generator[Ready | Lookup, None, None]:
        """Agree on keys, and check who the other side is."""
        yield from self._doing(self.object.do_handshake)

    def reading(self, most: int) -> Generator[Ready | Lookup, None, bytes]:
        """At most so many bytes; none where the other side said that it is the end."""
        try:
            return (yield from self._doing(self.object.read, most))
        except ssl.SSLZeroReturnError:
            return b""

    def writing(self, data: bytes) -> Generator[Ready | Lookup, None, None]:
        """Send all of the data."""
        view = memoryview(data)
        while view:
            view = view[(yield from self._doing(self.object.write, view)) :]

    def leftover(self) -> bytes | None:
        """What has arrived without being asked for, messages of TLS itself aside."""
        while True:
            try:
                with IN_OPENSSL:
                    return self.object.read(_CHUNK)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return b""
            arrived = self._below.leftover()
            if not arrived:
                return arrived
            self._incoming.write(arrived)

    def _doing(self, function: Callable[..., T], *args: Any) -> Generator[Ready | Lookup, None, T]:
        """Call a function of the TLS object until it has what it needs from the layer below."""
        while True:
            try:
                with IN_OPENSSL:
                    result = function(*args)
            except ssl.SSLWantReadError:
                yield from self._flush()
            except ssl.SSLError:
                yield from self._flush()  # the alert that tells the other side why
                raise
            else:
                yield from self._flush()
                return result
            if arrived := (yield from self._below.reading(_CHUNK)):
                self._incoming.write(arrived)
            else:
                self._incoming.write_eof()

    def _flush(self) -> Generator[Ready | Lookup, None, None]:
        if self._outgoing.pending:
            yield from self._below.writing(self._outgoing.read())
