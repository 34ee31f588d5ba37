"""Page tokens, Link headers and rate limits of the simulated dashboard."""

from __future__ import annotations

import base64
import time
from collections import defaultdict
from typing import TYPE_CHECKING
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Buckets", "link_header", "page_position"]


class Buckets:
    """Rate limits, each a bucket that fills again, and a note of every arrival.

    Attributes:
        arrivals: when requests came, in seconds of a monotonic clock, by bucket.
        limited: how many came too fast.
    """

    def __init__(self) -> None:
        self.arrivals: dict[str, list[float]] = defaultdict(list)
        self.limited = 0
        self._levels: dict[str, tuple[float, float]] = {}

    def admit(self, limits: Iterable[tuple[str, float, float]]) -> bool:
        """Take a turn from each bucket, given as its name, its turns a second and its size."""
        now = time.monotonic()
        taken = {}
        for name, rate, size in limits:
            self.arrivals[name].append(now)
            level, then = self._levels.get(name, (size, now))
            taken[name] = min(size, level + (now - then) * rate) - 1
        if any(level < 0 for level in taken.values()):
            self.limited += 1
            return False
        self._levels |= {name: (level, now) for name, level in taken.items()}
        return True

    def busiest(self, name: str, seconds: float) -> int:
        """Count the most requests in any stretch of that many seconds."""
        times = sorted(self.arrivals[name])
        return max((sum(start <= at < start + seconds for at in times) for start in times), default=0)


def link_header(
    address: str, query: Iterable[tuple[str, str]], links: Mapping[str, int | None], *, quoted: bool
) -> str:
    """The Link header: for each relation the address of the page that starts at a position."""
    kept = [pair for pair in query if pair[0] != "startingAfter"]
    quote = '"' if quoted else ""
    parts = []
    for relation, position in links.items():
        token = [] if position is None else [("startingAfter", _token(position))]
        parts.append(f"<{address}?{urlencode([*kept, *token])}>; rel={quote}{relation}{quote}")
    return ", ".join(parts)


def _token(position: int) -> str:
    return base64.urlsafe_b64encode(f"after {position}".encode()).decode()


def page_position(token: str | None) -> int | None:
    """The position that a page token means: 0 for none, None for one that was never given out."""
    if token is None:
        return 0
    try:
        text = base64.urlsafe_b64decode(token).decode("ascii")
    except ValueError:
        return None
    number = text.removeprefix("after ")
    return int(number) if number.isdecimal() else None
