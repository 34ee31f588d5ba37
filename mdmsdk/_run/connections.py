"""Connections: their sockets, who uses them, and to which process and event loop they belong.

The HTTP library speaks HTTP on them, through its public connection classes and the network back end in
`streams`. Its pools are not used: an exception from a signal handler can leave their locks held for ever.
Here a connection belongs to one exchange at a time, taken and given back by operations that are atomic.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
import weakref
from collections import deque
from typing import Any

_MOST_IDLE = 20
"""Idle connections that are kept for one origin."""
IDLE_SECONDS = 30.0
"""How long an idle connection is kept."""


class Line:
    """One connection to a server, from name resolution to the last answer.

    Attributes:
        until: when the exchange that uses it must be over, on the monotonic clock.
        closed: it was closed, perhaps by another while it was used; whoever waits on it notices.
        http: the HTTP library's connection, which speaks through it.
        look_at: a host of which only the certificate is wanted: nothing is sent to it.
    """

    __slots__ = ("__weakref__", "closed", "home", "http", "idle_since", "look_at", "sock", "until")

    def __init__(self, home: object) -> None:
        self.home = home
        self.until = 0.0
        self.closed = False
        self.sock: socket.socket | None = None
        self.http: Any = None
        self.idle_since = 0.0
        self.look_at: str | None = None

    def drop(self) -> None:
        """Close the socket; of its user's."""
        self.closed = True
        self.http = None
        if self.sock is not None:
            self.sock.close()

    def interrupt(self) -> None:
        """End what its user does with it, who then closes the socket: another could get its number."""
        self.closed = True
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """Close this process's descriptor of a connection that stays its parent's."""
        self.closed = True
        if self.sock is not None and (descriptor := self.sock.detach()) >= 0:
            os.close(descriptor)

    def left(self, seconds: float | None = None) -> float:
        """Seconds left for the exchange, and at most so many.

        Raises:
            TimeoutError: none are left.
            ConnectionAbortedError: it was closed meanwhile.
        """
        if self.closed:
            raise ConnectionAbortedError
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left if seconds is None else min(left, max(0.0, seconds))


class Connections:
    """The connections of one client.

    They belong to one process and one event loop: in another, all begins anew.
    """

    def __init__(self) -> None:
        self.closed = False
        self._process = 0
        self._loop: object = None
        self._idle: dict[Any, deque[Line]] = {}
        self._lines: weakref.WeakSet[Line] = weakref.WeakSet()
        _ALL.add(self)

    def take(self, where: Any, loop: object = None) -> Line:
        """An idle connection that leads there, else a new line, which has no socket yet.

        Args:
            where: what tells connections apart that must not be confused.
            loop: the event loop that asks.
        """
        if self._loop is not loop or self._process != os.getpid():
            self._begin_anew(loop)
        idle = self._idle.get(where)
        while idle:
            try:
                line = idle.pop()
            except IndexError:  # another thread was faster
                break
            if _reusable(line):
                return line
            line.drop()
        line = Line(self._idle)
        self._lines.add(line)
        return line

    def give(self, where: Any, line: Line) -> None:
        """Keep the connection for the next exchange, if it is fit for one."""
        line.idle_since = time.monotonic()
        # What may have come behind the answer is looked for when the next exchange takes it.
        if line.home is not self._idle or line.closed or not line.http.is_available():
            line.drop()
            return
        idle = self._idle.get(where)
        if idle is None:
            idle = self._idle.setdefault(where, deque())
        with contextlib.suppress(IndexError):  # another thread was faster
            _drop_old(idle)
        idle.append(line)
        if self.closed:  # perhaps too late for `close` to find this one
            line.drop()

    def _begin_anew(self, loop: object) -> None:
        process, self._process, self._loop = self._process, os.getpid(), loop
        lines, idle = self._lines, self._idle
        self._lines, self._idle = weakref.WeakSet(), {}
        if process not in {0, self._process}:
            for line in list(lines):
                line.forget()
        else:  # those in use are their users' to close, should their event loop still run
            _drop_all(idle)

    def forget(self) -> None:
        """Leave the connections to the parent process, in its child."""
        if self._process:
            self._begin_anew(None)

    def close(self) -> None:
        """Close the idle connections, and end what is under way on the others."""
        self.closed = True
        for line in list(self._lines):
            line.interrupt()
        _drop_all(self._idle)


_ALL: weakref.WeakSet[Connections] = weakref.WeakSet()


def _reusable(line: Line) -> bool:
    """Whether another request may be sent on it: all of the last answer was read, and nothing more came."""
    return (
        not line.closed
        and time.monotonic() - line.idle_since < IDLE_SECONDS
        and line.http.is_available()
        and not line.http.has_expired()
    )


def _drop_old(idle: deque[Line]) -> None:
    """Close those that nobody asked for in time, or that are too many, until there is none left."""
    while len(idle) >= _MOST_IDLE or time.monotonic() - idle[0].idle_since > IDLE_SECONDS:
        idle.popleft().drop()


def _drop_all(idle: dict[Any, deque[Line]]) -> None:
    for lines in list(idle.values()):
        while lines:
            with contextlib.suppress(IndexError):
                lines.pop().drop()


def _forget_all() -> None:
    for connections in list(_ALL):
        connections.forget()


if hasattr(os, "register_at_fork"):
    # At once, so that the parent's connections end when the parent closes them.
    os.register_at_fork(after_in_child=_forget_all)
