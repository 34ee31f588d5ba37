"""Rate limit and circuit breaker of one server, shared by all its flows. They reckon; others wait."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from mdmsdk.errors import ServerUnavailableError

if TYPE_CHECKING:
    from mdmsdk.provider import Limits


class _Lane:
    """One rate limit, by the generic cell rate algorithm (ITU-T I.371): a time stamp is the whole bucket."""

    def __init__(self, rate: float | None, burst: int) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._slack = self._interval * (burst - 1)
        self._next = 0.0

    def reserve(self, now: float) -> float:
        """Take the next free turn and return when it is."""
        if not self._interval:
            return now
        turn = max(self._next, now)
        self._next = turn + self._interval
        return turn - self._slack


class Gate:
    """Tells how long a request has to wait for its turn."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open = not limits.rate and not limits.total_rate
        self._all = _Lane(limits.total_rate, 1)
        self._lanes: dict[str, _Lane] = {}
        self._held_until = 0.0
        self._lock = threading.Lock()

    def reserve(self, lane: str) -> float:
        """Take the next free turn in a lane and return the seconds until then."""
        if self._open and not self._held_until:
            return 0.0
        with self._lock:
            now = time.monotonic()
            if lane not in self._lanes:
                self._lanes[lane] = _Lane(self._limits.rate, self._limits.burst)
            turn = max(self._lanes[lane].reserve(now), self._all.reserve(now), self._held_until)
            return max(0.0, turn - now)

    def hold(self, seconds: float) -> None:
        """Let no request start for so long: the server said that it is busy."""
        with self._lock:
            self._held_until = max(self._held_until, time.monotonic() + seconds)


class Breaker:
    """Leaves a server alone after several failed operations in a row, then lets one try."""

    def __init__(self) -> None:
        self._failures = 0
        self._open_until = 0.0
        self._trying = False
        self._lock = threading.Lock()

    def admit(self) -> None:
        """Let an operation begin.

        Raises:
            ServerUnavailableError: the breaker is open, or one operation is trying already.
        """
        if not self._open_until:
            return
        with self._lock:
            left = self._open_until - time.monotonic()
            if self._open_until and (left > 0 or self._trying):
                raise ServerUnavailableError(
                    f"left alone after {self._failures} failures in a row"
                    + (f"; next try in {left:.0f} s" if left > 0 else "; one try is under way")
                )
            self._trying = True

    def success(self) -> None:
        """An operation got an answer."""
        if self._failures or self._trying:
            with self._lock:
                self._failures, self._open_until, self._trying = 0, 0.0, False

    def failure(self, threshold: int, reset: float) -> None:
        """An operation found the server unreachable or broken."""
        with self._lock:
            self._failures += 1
            self._trying = False
            if threshold and self._failures >= threshold:
                self._open_until = time.monotonic() + reset

    def abandon(self) -> None:
        """An operation ended without showing how the server is."""
        if self._trying:
            with self._lock:
                self._trying = False
