"""Whose requests a vendor counts together, and what several clients of one process use up of that."""

from __future__ import annotations

import json
import os
import threading
import time
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import urlsplit

from pydantic import SecretStr

from mdmsdk.settings import secret_values
from mdmsdk.wire import origin_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mdmsdk._run.runner import Runner
    from mdmsdk.provider import Limits
    from mdmsdk.settings import ProviderSettings

GRACE = 5.0
"""Seconds that a place is held longer than its request may take, for one that died."""
AGAIN = 0.05
"""Seconds after which to ask again where all places are taken."""


class Asked(NamedTuple):
    """A wait that the server asked for.

    Attributes:
        seconds: how long.
        hint: what the vendor's refusal says should be done.
    """

    seconds: float
    hint: str | None = None


class Wait(NamedTuple):
    """Why a request may not go yet.

    Attributes:
        seconds: how long to wait.
        asked: the server asked for it; None where we count.
    """

    seconds: float
    asked: Asked | None = None


class SharedLimits(Protocol):
    """Counts what all clients, or all processes, send on one quota."""

    def place(self) -> str:
        """A new name for a place among the requests under way."""
        ...

    async def admit(
        self, place: str, lane: str, limits: Limits, seconds: float, *, gives_way: bool = False
    ) -> Wait | None:
        """Count a request that takes at most so many seconds; None if it may go, else how long to wait.

        One that gives way leaves a turn to the next one, where several may go at once.
        """
        ...

    async def hold(self, lane: str | None, seconds: float) -> None:
        """Let no process send anything in a lane for so long, or in any."""
        ...

    def forget(self, place: str, lane: str) -> None:
        """Note that a place is free; `settle` tells the others, or the next request that is admitted."""
        ...

    async def settle(self) -> None:
        """Tell the others which places are free."""
        ...

    async def aclose(self) -> None:
        """Close what belongs to it."""
        ...


_NEVER: tuple[float, Asked | None] = (0.0, None)
_NAMES = ("username", "client_id", "api_key")
"""What names an account in the usual logins (`mdmsdk.logins`)."""


def quota_of(settings: ProviderSettings) -> str:
    """A text that is the same where a vendor counts requests together. It may hold secrets in clear.

    It is made of the server's address and of the settings that `ProviderSettings.account` names.
    """
    names = _NAMES if settings.account is None else settings.account
    account = [_text(getattr(settings, name, None)) for name in names]
    if settings.account is None and not any(account):
        account = [*secret_values(settings)]
    parts = urlsplit(settings.base_url)
    return json.dumps([*origin_of(settings.base_url), parts.path, account])


def _text(value: object) -> str | None:
    """A setting's text. Ids and names are the same in capitals; secrets are not."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return None if value is None else str(value).casefold()


def _drop_ended(places: dict[str, float], now: float) -> None:
    """Take those out whose time is up.

    No loop may stand where a lock is held, as `mdmsdk._run.signals` says.
    """
    for ended in [one for one, until in places.items() if until <= now]:
        del places[ended]


class LocalLimits:
    """Counts what several clients of this process send that the vendor counts together."""

    def __init__(self) -> None:
        self._numbers = count()
        self._next: dict[str | None, float] = {}
        self._held: dict[str | None, tuple[float, Asked | None]] = {}
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._places: dict[str, dict[str, float]] = {}

    def place(self) -> str:
        """A new name for a place among the requests under way."""
        if self._process != os.getpid():  # what is under way, the parent has under way
            self._begin()
        return str(next(self._numbers))

    async def admit(
        self, place: str, lane: str, limits: Limits, seconds: float, *, gives_way: bool = False
    ) -> Wait | None:
        """Count a request; None if it may go, else how long to wait."""
        interval = 1 / limits.rate if limits.rate else 0.0
        total = 1 / limits.total_rate if limits.total_rate else 0.0
        slack = interval * (limits.burst - 1)
        spare = min(interval, slack) if gives_way else 0.0
        with self._lock:
            now = time.monotonic()
            rates = self._next.get(lane, 0.0) - slack + spare, self._next.get(None, 0.0)
            held, asked = max(self._held.get(lane, _NEVER), self._held.get(None, _NEVER))
            if (due := max(*rates, held)) > now:
                return Wait(due - now, asked if due == held else None)
            places = self._places.setdefault(lane, {})
            _drop_ended(places, now)
            if len(places) >= limits.concurrency:
                return Wait(AGAIN)
            places[place] = now + seconds + GRACE
            self._next[lane] = max(self._next.get(lane, 0.0), now) + interval
            self._next[None] = max(self._next.get(None, 0.0), now) + total
        return None

    async def hold(self, lane: str | None, seconds: float) -> None:
        """Let none of them send anything in a lane for so long, or in any."""
        with self._lock:
            until = time.monotonic() + seconds
            self._held[lane] = max(self._held.get(lane, _NEVER), (until, Asked(seconds)))

    def forget(self, place: str, lane: str) -> None:
        """Note that a place is free."""
        self._places.get(lane, {}).pop(place, None)

    async def settle(self) -> None:
        """Do nothing: the others see at once which places are free."""

    async def aclose(self) -> None:
        """Do nothing: others go on with it."""


def count_together(runners: Iterable[Runner]) -> None:
    """Have those whose requests a vendor counts together count them together, unless all processes do."""
    by_quota: dict[str, list[Runner]] = {}
    for runner in runners:
        if runner.shared.limits is None:
            by_quota.setdefault(quota_of(runner.provider.settings), []).append(runner)
    for several in by_quota.values():
        limits = LocalLimits()
        for runner in several if len(several) > 1 else ():
            runner.shared.share_limits(limits)
