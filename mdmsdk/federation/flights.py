"""Questions under way, so that who asks the same meanwhile waits for their answer."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from mdmsdk._run.budget import Budget
    from mdmsdk.federation.replies import Reply

# Seconds after which one who waits looks whether the one who asks still lives. A signal handler's exception
# may have ended him at any point.
_LOOK_AGAIN = 0.5


class Flight:
    """One question that a server is asked, by the call that made it.

    Attributes:
        reply: what came; None if the call ended without any, in whatever way.
        began: when, by the monotonic clock.
    """

    __slots__ = ("_over", "_owner", "_parks", "began", "reply")

    def __init__(self, owner: Any) -> None:
        self._owner = owner
        self._over = False
        self._parks: set[Any] = set()
        self.reply: Reply | None = None
        self.began: float = time.monotonic()

    @property
    def over(self) -> bool:
        """Whether nothing more comes."""
        return self._over or self._owner.over

    def is_older(self, seconds: float | None) -> bool:
        """Whether it began longer ago."""
        return seconds is not None and time.monotonic() - self.began > seconds

    def land(self, reply: Reply | None) -> None:
        """Say what came; a second call does nothing."""
        if self._over:
            return
        self.reply, self._over = reply, True
        for park in list(self._parks):
            park.wake()

    async def wait(self, waits: ModuleType, budget: Budget) -> Reply | None:
        """What came within the budget."""
        park = waits.Park()
        try:
            self._parks.add(park)
            await self._wait(park, budget)
        finally:
            self._parks.discard(park)
        return self.reply

    async def _wait(self, park: Any, budget: Budget) -> None:
        while not self.over and (left := budget.left) > 0:
            await park.wait(min(left, _LOOK_AGAIN))


class Flights:
    """The latest question under way for each name."""

    def __init__(self, waits: ModuleType) -> None:
        self._waits = waits
        self._latest: dict[tuple[str, object], Flight] = {}
        self._lock = threading.RLock()

    def board(self, name: str, *, alone: bool = False, max_age: float | None = None) -> tuple[Flight, bool]:
        """A flight, and whether it is the caller's own, to be landed in `finally`.

        Args:
            name: what is asked.
            alone: join none that began earlier.
            max_age: join none that began longer ago, in seconds.
        """
        # After a fork, and on another event loop, nobody lands what began before.
        place = (name, self._waits.era())
        with self._lock:
            flight = self._latest.get(place)
            if flight is not None and not (flight.over or alone or flight.is_older(max_age)):
                return flight, False
            flight = self._latest[place] = Flight(self._waits.current_owner())
            return flight, True

    def land(self, name: str, flight: Flight, reply: Reply | None) -> None:
        """End a flight that is one's own."""
        flight.land(reply)
        with self._lock:
            place = (name, self._waits.era())
            if self._latest.get(place) is flight:
                del self._latest[place]

    def forget(self, names: Iterable[str]) -> None:
        """Let nobody join what is under way for these names."""
        era = self._waits.era()
        with self._lock:
            self._forget(names, era)

    def _forget(self, names: Iterable[str], era: object) -> None:
        for name in names:
            self._latest.pop((name, era), None)
