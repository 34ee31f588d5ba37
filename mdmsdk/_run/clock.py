"""What time it is for the server, whose own times are compared with that."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from mdmsdk.models import clean_time
from mdmsdk.wire import http_date

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdmsdk.wire import Response


class Clock:
    """The server's clock: the last Date that it sent, and how long ago that was.

    Kept as text until somebody asks, since hardly anybody does.

    Attributes:
        fields: the header of that answer.
    """

    def __init__(self) -> None:
        self._heard: tuple[str, float] | None = None
        self.fields: Mapping[str, str] = {}

    def hear(self, response: Response) -> None:
        """Note what time a good answer of the server tells, if it does."""
        self.fields = response.headers
        if said := response.header("date"):
            self._heard = said, time.monotonic()

    def told(self) -> datetime | None:
        """The time there; None where the server does not tell one, or was not asked anything yet."""
        if self._heard:
            said, heard_at = self._heard
            if moment := _read(said):
                return moment + timedelta(seconds=time.monotonic() - heard_at)
        return None

    def now(self) -> datetime:
        """The time there; here, where the server does not tell one."""
        return self.told() or datetime.now(UTC)


@lru_cache(maxsize=64)
def _read(said: str) -> datetime | None:
    return clean_time(http_date(said))
