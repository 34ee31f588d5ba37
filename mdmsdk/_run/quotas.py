"""Whose requests a vendor counts together, and what several clients of one process use up of that."""

from __future__ import annotations

import json
import os
import threading
import time
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

from mdmsdk.settings import secret_values
from mdmsdk.wire import origin_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mdmsdk._run.runner import Runner
    from mdmsdk.provider import Limits
    from mdmsdk.settings import ProviderSettings

_T = TypeVar("_T")
GRACE = 5.0
"""Seconds that a place is held longer than its request may take, for one that died."""
AGAIN = 0.05
"""Seconds after which to ask again where all places are taken."""
WAITS = 4 * AGAIN
"""Seconds for which who was told so goes before the others; who does not ask again by then, has given up."""
_SOON = 1.0
"""Seconds within which a turn has to come, for somebody to have it first: who waits longer may give up."""
_NEVER: tuple[float, Asked | None] = (0.0, None)
_NAMES = ("username", "client_id", "api_key")
"""What names an account in the usual logins (`mdmsdk.logins`)."""


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


class Counts:
    """What the clients of one quota use up together."""

    def __init__(self) -> None:
        self.numbers = count()
        self.next: dict[str | None, float] = {}
        self.held: dict[str | None, tuple[float, Asked | None]] = {}
        self.begin()

    def begin(self) -> None:
        """Forget what is under way: in a child, the parent has it under way."""
        self.lock = threading.Lock()
        self.places: dict[str, dict[str, float]] = {}
        self.waiting: dict[str, dict[LocalLimits, float]] = {}
        self.process = os.getpid()  # last: another thread goes on with the rest then


class LocalLimits:
    """Counts what several clients of this process send that the vendor counts together.

    Args:
        counts: what they use up together.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def place(self) -> str:
        """A new name for a place among the requests under way."""
        if self._counts.process != os.getpid():
            self._counts.begin()
        return str(next(self._counts.numbers))

    async def admit(
        self, place: str, lane: str, limits: Limits, seconds: float, *, gives_way: bool = False
    ) -> Wait | None:
        """Count a request; None if it may go, else how long to wait."""
        interval = 1 / limits.rate if limits.rate else 0.0
        total = 1 / limits.total_rate if limits.total_rate else 0.0
        slack = interval * (limits.burst - 1)
        spare = min(interval, slack) if gives_way else 0.0
        counts = self._counts
        with counts.lock:
            now = time.monotonic()
            waiting = _living(counts.waiting.setdefault(lane, {}), now)
            # Who was told to wait goes before who was not.
            others = 0 if self in waiting else len(waiting)
            in_lane = counts.next.get(lane, 0.0) - slack + max(spare, others * interval)
            due = max(in_lane, counts.next.get(None, 0.0) + others * total)
            held, asked = max(counts.held.get(lane, _NEVER), counts.held.get(None, _NEVER))
            if held > now and held >= due:
                return Wait(held - now, asked)
            if due > now:
                if not spare:  # who gives way goes before nobody
                    waiting[self] = min(due, now + _SOON) + WAITS
                return Wait(due - now)
            places = _living(counts.places.setdefault(lane, {}), now)
            if limits.concurrency - len(places) <= others:
                waiting[self] = now + WAITS
                return Wait(AGAIN)
            waiting.pop(self, None)
            places[place] = now + seconds + GRACE
            counts.next[lane] = max(counts.next.get(lane, 0.0), now) + interval
            counts.next[None] = max(counts.next.get(None, 0.0), now) + total
        return None

    async def hold(self, lane: str | None, seconds: float) -> None:
        """Let none of them send anything in a lane for so long, or in any."""
        counts = self._counts
        with counts.lock:
            until = time.monotonic() + seconds
            counts.held[lane] = max(counts.held.get(lane, _NEVER), (until, Asked(seconds)))

    def forget(self, place: str, lane: str) -> None:
        """Note that a place is free."""
        self._counts.places.get(lane, {}).pop(place, None)

    async def settle(self) -> None:
        """Do nothing: the others see at once which places are free."""

    async def aclose(self) -> None:
        """Do nothing: others go on with it."""


def _living(kept: dict[_T, float], now: float) -> dict[_T, float]:
    """What is not over, of what is kept until a time; another thread may give a place back meanwhile.

    No loop may stand where a lock is held, as `mdmsdk._run.signals` says.
    """
    for one in [one for one, until in list(kept.items()) if until <= now]:
        kept.pop(one, None)
    return kept


def count_together(runners: Iterable[Runner]) -> None:
    """Have those whose requests a vendor counts together count them together, unless all processes do."""
    by_quota: dict[str, list[Runner]] = {}
    for runner in runners:
        if runner.shared.limits is None:
            by_quota.setdefault(quota_of(runner.provider.settings), []).append(runner)
    for several in by_quota.values():
        counts = Counts()
        for runner in several if len(several) > 1 else ():
            runner.shared.share_limits(LocalLimits(counts))
