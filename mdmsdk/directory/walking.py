"""One walk through a server's inventory, page by page, into the store; another process may go on with it."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from mdmsdk.directory.cursors import dumped, loaded
from mdmsdk.directory.entries import KINDS, add, entries_of, reference_of
from mdmsdk.directory.ledger import LEASE, LostError, TakenError
from mdmsdk.directory.state import State, Volume, Walk
from mdmsdk.errors import MdmError, ProtocolError
from mdmsdk.provider import Capability

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mdmsdk.client.aio import AsyncMdmClient
    from mdmsdk.client.verdict import Reading
    from mdmsdk.directory.ledger import Ledger
    from mdmsdk.directory.state import Known
    from mdmsdk.models import Device

    Due = Callable[[State | None], str | None]

__all__ = ["WalkProgress", "Walker"]

_log = logging.getLogger("mdmsdk.directory")
_OVERLAP = timedelta(minutes=10)
"""Before the last walk began, changes are asked for from then on: clocks differ, and servers write late."""
_KEEP_EVERY = 5.0
"""Seconds after which what came is written, even if it is little."""
_GONE = "the store lost a part of what was written: the next walk begins anew"
_TAKEN = "another process walks through this server"


@dataclass(frozen=True, slots=True)
class WalkProgress:
    """How far a walk is.

    Attributes:
        server: whose inventory it goes through.
        full: whether through all devices, or through those that changed.
        pages: how many pages are read.
        devices: how many devices came.
        expected: how many the last walk through everything found; None before the first.
    """

    server: str
    full: bool
    pages: int
    devices: int
    expected: int | None = None


class Walker:
    """A walk through one server, by the process that has the lease.

    Args:
        client: of the server.
        known: the server.
        ledger: its part of the store.
        clock: the time in seconds since 1970.
        sleep: waits for so many seconds.
        progress: is told of each page.
    """

    def __init__(
        self,
        client: AsyncMdmClient,
        known: Known,
        ledger: Ledger,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        progress: Callable[[WalkProgress], None] | None = None,
    ) -> None:
        self._client, self._known, self._ledger = client, known, ledger
        self._clock, self._sleep, self._progress = clock, sleep, progress
        self._buffer: dict[bytes, dict[bytes, None]] = {}
        self._kept_at = 0.0

    async def run(self, due: Due, *, spread: float = 0.0) -> str | None:
        """Walk, or go on with a walk that was broken off; gives why it is not complete, None if it is.

        Args:
            due: which walk is due by a state, ``"full"`` through everything or ``"changes"``, or None. It is
                asked with the lease in hand, as another process may have walked meanwhile.
            spread: seconds over which to spread the requests.
        """
        try:
            token = await self._ledger.take()
        except TakenError:
            return _TAKEN
        try:
            return await self._walk(token, due, spread)
        except TakenError:
            return _TAKEN
        finally:
            await self._ledger.leave()

    async def _walk(self, token: int, due: Due, spread: float) -> str | None:
        state = await self._ledger.state()
        if (what := due(state)) is None:
            return None
        full = what == "full"
        if state is None or state.fingerprint != self._known.fingerprint:
            if state:
                await self._ledger.drop(state.volume)
            state = State(fingerprint=self._known.fingerprint)
        walk, cursor = state.walk, None
        if walk and (full > walk.full or self._is_stale(walk)):
            walk = None
        if walk:
            try:
                cursor = walk.cursor and loaded(walk.cursor, self._packages)
            except ValueError as error:
                _log.info("%s: the walk begins anew: %s", self._client.server, error)
                walk = None
        if walk is None:
            state, walk = await self._begin(state, token, full=full)
        try:
            return await self._read(state, walk, cursor, spread)
        except LostError:
            await self._ledger.save(State(fingerprint=self._known.fingerprint, failure=_GONE))
            return _GONE

    def _is_stale(self, walk: Walk) -> bool:
        return not 0 <= self._clock() - walk.begun <= self._known.max_age

    @property
    def _packages(self) -> set[str]:
        return {"mdmsdk", type(self._known.provider).__module__.partition(".")[0]}

    async def _begin(self, state: State, token: int, *, full: bool) -> tuple[State, Walk]:
        """A new walk: through everything, if that was asked for, or is due, or nothing else will do."""
        if state.walk and state.walk.full:
            await self._ledger.drop(state.walk.volume)
        changes = Capability.CHANGES in self._known.provider.capabilities
        since = state.server_time - _OVERLAP if state.server_time else None
        old = state.full_at is None or not self._known.is_recent(state.full_at, self._clock())
        if full or not changes or old or since is None or state.volume is None:
            volume, since, full = Volume(walk=token), None, True
            await self._ledger.begin(volume)
        else:
            volume = state.volume
        walk = Walk(
            volume=volume,
            full=full,
            begun=self._clock(),
            server_time=self._client.server_time,
            since=since,
        )
        state = state.model_copy(update={"walk": walk})
        await self._ledger.save(state)
        return state, walk

    def _reading(self, walk: Walk) -> Reading:
        if Capability.CHANGES in self._known.provider.capabilities:
            return self._client._changes(walk.since)  # noqa: SLF001
        return self._client._reading("devices")  # noqa: SLF001

    async def _read(self, state: State, walk: Walk, cursor: Any, spread: float) -> str | None:
        """Read all pages that are left; gives why the list is not complete."""
        reading = self._reading(walk)
        reading.resume(cursor, walk.devices)
        pause = spread / state.pages if state.pages else 0.0
        self._kept_at = time.monotonic()
        while reading.more:
            began = time.monotonic()
            devices, failure = await self._client._next_page(reading)  # noqa: SLF001
            await self._ledger.hold(state)
            if failure:
                return await self._break_off(state, walk, reading.cursor, failure)
            walk = self._take(walk, devices, state.devices)
            if reading.more:
                state, walk = await self._keep(state, walk, reading.cursor)
                took = time.monotonic() - began
                await self._rest(state, pause - took)
        return await self._finish(state, walk)

    def _take(self, walk: Walk, devices: list[Device], expected: int) -> Walk:
        """Note what a page shows."""
        provider, unnamed, unreadable = self._known.provider, walk.unnamed, set(walk.unreadable)
        for device in devices:
            unreadable.update(kind.kind for kind in KINDS if kind.field in device.unreadable)
            if reference := reference_of(provider, device):
                add(self._buffer, entries_of(provider, device), reference)
            else:
                unnamed += 1
        pages, came = walk.pages + 1, walk.devices + len(devices)
        if self._progress:
            likely = expected if walk.full and expected else None
            self._progress(WalkProgress(self._client.server, walk.full, pages, came, likely))
        return walk.model_copy(
            update={
                "pages": pages,
                "devices": came,
                "unnamed": unnamed,
                "unreadable": frozenset(unreadable),
            }
        )

    async def _keep(self, state: State, walk: Walk, cursor: Any) -> tuple[State, Walk]:
        """Write what came, unless it is little and came soon."""
        soon = time.monotonic() - self._kept_at < _KEEP_EVERY
        if soon and len(self._buffer) < walk.volume.shards:
            return state, walk
        walk = await self._put(walk)
        try:
            kept = walk.model_copy(update={"cursor": dumped(cursor)})
        except ValueError as error:  # after a restart it begins anew, and puts the same into the same volume
            _log.debug("%s: %s", self._client.server, error)
            kept = walk.model_copy(update={"cursor": None, "pages": 0, "devices": 0})
        changes = {} if walk.full else {"volume": walk.volume}
        before = state
        state = state.model_copy(update={**changes, "walk": kept})
        await self._ledger.save(state)
        await self._tidy(before, state)
        self._kept_at = time.monotonic()
        return state, walk

    async def _put(self, walk: Walk) -> Walk:
        volume = await self._ledger.put(walk.volume, self._buffer)
        self._buffer = {}
        return walk.model_copy(update={"volume": volume})

    async def _tidy(self, before: State, now: State) -> None:
        """Remove the shards of ledger that are not in use any more."""

        def ledger(state: State) -> dict[tuple[int, int], Volume]:
            both = (state.volume, state.walk and state.walk.volume)
            return {(volume.walk, volume.shards): volume for volume in both if volume}

        used = ledger(now)
        for name, volume in ledger(before).items():
            if name not in used:
                await self._ledger.drop(volume)

    async def _rest(self, state: State, seconds: float) -> None:
        """Wait, and hold the lease meanwhile."""
        while seconds > 0:
            part = min(seconds, LEASE / 3)
            await self._sleep(part)
            seconds -= part
            if seconds > 0:
                await self._ledger.hold(state)

    async def _break_off(self, state: State, walk: Walk, cursor: Any, failure: MdmError) -> str:
        """Note why the list ended; what may get well by itself goes on there, everything else begins anew."""
        cause = failure.__cause__ if isinstance(failure.__cause__, MdmError) else failure
        _log.warning("%s: the walk through the inventory broke off: %s", self._client.server, failure)
        if cause.retryable and not isinstance(cause, ProtocolError):
            self._kept_at = -_KEEP_EVERY
            before, _ = await self._keep(state, walk, cursor)
            after = before.model_copy(update={"failure": str(failure)})
        else:
            before, after = state, state.model_copy(update={"walk": None, "failure": str(failure)})
        await self._ledger.save(after)
        await self._tidy(before, after)
        return str(failure)

    async def _finish(self, state: State, walk: Walk) -> str | None:
        """Note that the list was complete; gives why that proves nothing all the same."""
        walk = await self._put(walk)
        failure = None
        if walk.unnamed:
            failure = f"{walk.unnamed} records have no name by which they could be asked for"
        changes: dict[str, Any] = {
            "volume": walk.volume,
            "walked_at": walk.begun,
            "server_time": walk.server_time,
            "unreadable": walk.unreadable if walk.full else state.unreadable | walk.unreadable,
            "walk": None,
            "failure": failure,
        }
        if walk.full:
            changes |= {"full_at": walk.begun, "full_server_time": walk.server_time}
            changes |= {"pages": walk.pages, "devices": walk.devices}
        if walk.unnamed:
            changes["full_at"] = None
        after = state.model_copy(update=changes)
        await self._ledger.save(after)
        await self._tidy(state, after)
        return failure
