"""Resolves host names in daemon threads, which are left behind when they take too long."""

from __future__ import annotations

import _thread
import contextlib
import encodings.idna  # noqa: F401 - which `getaddrinfo` would import otherwise: see below
import os
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Address = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
"""As `socket.getaddrinfo` gives it."""

_MOST_THREADS = 32
# A module that a thread is importing at the time of a fork stays locked in the child for ever. So nothing
# that an exchange needs is imported as late as that.


class Lookup:
    """A name being resolved. Whoever waits for it hands in what to call when it is done."""

    __slots__ = ("_failure", "_wakers", "done", "found", "key")

    def __init__(self, key: tuple[str, int]) -> None:
        self.key = key
        self.done = False
        self.found: Sequence[Any] = ()
        self._failure: Exception | None = None
        self._wakers: list[Callable[[], object]] = []

    def when_done(self, waker: Callable[[], object]) -> None:
        """Call this when the name is resolved; at once where it already is."""
        self._wakers.append(waker)
        if self.done:
            waker()

    def result(self) -> Sequence[Address]:
        """The addresses, never none.

        Raises:
            OSError: the name is not known, or cannot be resolved now.
        """
        if self._failure:
            raise self._failure
        return self.found

    def resolve(self, flags: int = 0) -> None:
        """Ask the operating system, which may take as long as it likes."""
        host, port = self.key
        try:
            self.found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        except OSError as error:
            self._failure = error
        except Exception as error:  # noqa: BLE001 - such as a label that is too long (UnicodeError)
            self._failure = socket.gaierror(socket.EAI_NONAME, f"{type(error).__name__}")
        self.done = True
        for waker in list(self._wakers):
            # Two may call the same one, and the event loop of a third may be gone.
            with contextlib.suppress(RuntimeError):
                waker()


class Names:
    """At most so many names at a time; those who ask for the same one share the answer.

    Daemon threads, and not an executor of the standard library, because that waits for its threads when
    the interpreter ends, and `asyncio.run` for those of the event loop: with a name server that does not
    answer, for minutes.
    """

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what is under way: threads do not survive a fork."""
        self._lock = threading.Lock()
        self._under_way: dict[tuple[str, int], Lookup] = {}
        self._waiting: deque[Lookup] = deque()
        self._threads = 0

    def look_up(self, host: str, port: int) -> Lookup:
        """Begin to resolve a name."""
        numeric = Lookup((host, port))
        numeric.resolve(socket.AI_NUMERICHOST)
        if numeric.found:  # an address needs no name server, and so no thread
            return numeric
        with self._lock:
            lookup = self._under_way.get((host, port))
            if lookup is None:
                if self._threads < _MOST_THREADS:
                    # Not `threading.Thread`, whose start waits and could be interrupted half-way.
                    _thread.start_new_thread(self._work, ())
                    self._threads += 1
                lookup = self._under_way[host, port] = Lookup((host, port))
                self._waiting.append(lookup)
            return lookup

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._threads -= 1
                    return
                lookup = self._waiting.popleft()
            lookup.resolve()
            with self._lock:
                del self._under_way[lookup.key]


NAMES = Names()
"""Of this process; a name server is no server's own."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=NAMES.begin_anew)
