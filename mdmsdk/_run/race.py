"""Jobs that run side by side, not all of which are waited for to the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class Racer(Protocol):
    """One of the jobs."""

    async def run(self) -> None:
        """Do it, and keep what comes of it."""

    def until(self) -> float | None:
        """Until when to wait for it, by the monotonic clock, as far as is known; None for to its end."""

    def leave(self) -> None:
        """Note that it is waited for no longer; it is ended right after that."""


def due(racers: Sequence[Racer], running: Collection[int]) -> tuple[list[int], float | None]:
    """Which of those that run are not waited for any longer, and after how many seconds to look again."""
    now, late, wait = time.monotonic(), list[int](), list[float]()
    for index in running:
        if (until := racers[index].until()) is None:
            continue
        if until > now:
            wait.append(until - now)
        else:
            racers[index].leave()
            late.append(index)
    return late, min(wait, default=None)
