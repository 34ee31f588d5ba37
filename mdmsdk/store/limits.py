"""The limits of a server, counted over all processes that share a Redis server."""

from __future__ import annotations

import logging
import os
import secrets
from itertools import count
from typing import TYPE_CHECKING

from mdmsdk._run import quotas
from mdmsdk._run.quotas import Asked, Wait
from mdmsdk.errors import StoreError

if TYPE_CHECKING:
    from mdmsdk.provider import Limits
    from mdmsdk.store.aio import AsyncStore
    from mdmsdk.store.redis import RedisBackEnd

_log = logging.getLogger("mdmsdk.store")
_MICRO = 1_000_000

# The generic cell rate algorithm (ITU-T I.371), as each process has it for itself: one time stamp for each
# rate, and a set of places with the time at which each is free at the latest. All by the server's clock. What
# lies further ahead than it could is from before that clock was put back.
# KEYS: the lane, all lanes, the places of the lane, then what is there while the server wants no requests in
# the lane, and in any: how many milliseconds it asked for; then who waits for a place. ARGV: interval, slack,
# interval of all, places, how long to hold one, how much time to leave to others, how long who waits goes
# before others, who asks, the name of the place; then the names of places that are free. Times are
# microseconds. Gives how long to wait, -1 for a place, and what the server asked for.
_ADMIT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local hold = tonumber(ARGV[5])
for number = 10, #ARGV do redis.call('ZREM', KEYS[3], ARGV[number]) end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[3], now + math.max(hold, 3600000000), '+inf')
redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', now)
local function next_of(key, interval, slack)
  local at = interval > 0 and tonumber(redis.call('GET', key) or 0) or 0
  if at > now + math.max(60000000, slack + interval) then return now + slack end
  return at
end
local function book(key, at, interval)
  if interval > 0 then
    local text = string.format('%.0f', math.max(at, now) + interval)
    redis.call('SET', key, text, 'PX', math.ceil((text - now) / 1000) + 1000)
  end
end
local interval, slack, total = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local lane_at, total_at = next_of(KEYS[1], interval, slack), next_of(KEYS[2], total, 0)
local held, in_any, holds = redis.call('PTTL', KEYS[4]), redis.call('PTTL', KEYS[5]), KEYS[4]
if in_any > held then held, holds = in_any, KEYS[5] end
local others = redis.call('ZSCORE', KEYS[6], ARGV[8]) and 0 or redis.call('ZCARD', KEYS[6])
local function first(seconds)
  redis.call('ZADD', KEYS[6], now + seconds + ARGV[7], ARGV[8])
  redis.call('PEXPIRE', KEYS[6], math.ceil((seconds + ARGV[7]) / 1000) + 1000)
end
local spare = tonumber(ARGV[6])
local at = math.max(lane_at - slack + math.max(spare, others * interval), total_at + others * total)
local wait = math.max(at, now + held * 1000) - now
if wait > 0 and wait == held * 1000 then return {math.ceil(wait), tonumber(redis.call('GET', holds))} end
if wait > 0 then
  if spare == 0 then first(math.min(wait, 1000000)) end
  return {math.ceil(wait), 0}
end
if tonumber(ARGV[4]) - redis.call('ZCARD', KEYS[3]) <= others then
  first(0)
  return {-1, 0}
end
redis.call('ZREM', KEYS[6], ARGV[8])
book(KEYS[1], lane_at, interval)
book(KEYS[2], total_at, total)
redis.call('ZADD', KEYS[3], now + hold, ARGV[9])
redis.call('PEXPIRE', KEYS[3], math.ceil(hold / 1000) + 1000)
return {0, 0}
"""
_SETTLE = """
for number = 1, #ARGV do redis.call('ZREM', KEYS[1], ARGV[number]) end
"""
_HOLD = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[1]) end
"""


class RedisLimits:
    """Counts what all processes send on one quota. Where Redis is away, each counts for itself.

    Args:
        back_end: the Redis server.
        quota: whose requests count together, by a name that is the same in all processes.
        store: closed at the end.
    """

    def __init__(self, back_end: RedisBackEnd, quota: str, store: AsyncStore | None = None) -> None:
        self._back_end = back_end
        self._key = f"mdmsdk:limits:{quota}"
        self._store = store
        self._mark = secrets.token_hex(8)
        self._numbers = count()
        self._free: list[tuple[str, str]] = []
        self._told = False

    def place(self) -> str:
        """A new name for a place among the requests under way."""
        return f"{self._own_name()}-{next(self._numbers)}"

    def _own_name(self) -> str:
        return f"{self._mark}-{os.getpid()}"

    async def admit(
        self, place: str, lane: str, limits: Limits, seconds: float, *, gives_way: bool = False
    ) -> Wait | None:
        """Count a request; None if it may go, else how long to wait."""
        interval = _MICRO / limits.rate if limits.rate else 0
        total = _MICRO / limits.total_rate if limits.total_rate else 0
        slack, hold = interval * (limits.burst - 1), (seconds + quotas.GRACE) * _MICRO
        spare = min(interval, slack) if gives_way else 0
        numbers = [interval, slack, total, limits.concurrency, hold, spare, quotas.WAITS * _MICRO]
        keys = [f"{self._key}:lane:{lane}", f"{self._key}:all", self._places(lane)]
        keys += [self._held(lane), self._held(None), f"{self._key}:waiting:{lane}"]
        free = [one for one, _ in self._take_free(lane)]
        values = [*map(round, numbers), self._own_name(), place, *free]
        try:
            wait, asked = await self._back_end.run(_ADMIT, keys, values)
        except StoreError as error:
            self._tell(error)
            return None
        self._told = False
        if not wait:
            return None
        return Wait(quotas.AGAIN if wait < 0 else wait / _MICRO, Asked(asked / 1000) if asked else None)

    def _places(self, lane: str) -> str:
        return f"{self._key}:places:{lane}"

    def _held(self, lane: str | None) -> str:
        return f"{self._key}:held" if lane is None else f"{self._key}:held:{lane}"

    async def hold(self, lane: str | None, seconds: float) -> None:
        """Let no process send anything in a lane for so long, or in any."""
        try:
            await self._back_end.run(_HOLD, [self._held(lane)], [max(1, round(seconds * 1000))])
        except StoreError as error:
            self._tell(error)

    def forget(self, place: str, lane: str) -> None:
        """Note that a place is free."""
        self._free.append((place, lane))

    def _take_free(self, lane: str | None = None) -> list[tuple[str, str]]:
        """Those that are to be told, of one lane or of all."""
        taken = self._free[:]
        del self._free[: len(taken)]
        self._free += [one for one in taken if lane not in {None, one[1]}]
        return [one for one in taken if lane in {None, one[1]}]

    async def settle(self) -> None:
        """Tell the others which places are free."""
        free: dict[str, list[str]] = {}
        for place, lane in self._take_free():
            free.setdefault(lane, []).append(place)
        for lane, places in free.items():
            try:
                await self._back_end.run(_SETTLE, [self._places(lane)], places)
            except StoreError as error:
                self._tell(error)  # the places are free by themselves before long

    def _tell(self, error: StoreError) -> None:
        if not self._told:
            self._told = True
            _log.warning("limits are counted for this process alone: %s", error.message)

    async def aclose(self) -> None:
        """Close the store, if it belongs to the client alone."""
        await self.settle()
        if self._store:
            await self._store.aclose()
