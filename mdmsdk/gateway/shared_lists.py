"""Lists in the store, so that who pages through one may ask another worker, or another replica, for more.

A list is in parts, and what says how many there are is written last: what is not whole is not there.
"""

from __future__ import annotations

import json
import logging
import time
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import anyio

from mdmsdk.errors import StoreError
from mdmsdk.federation.replies import device_read, device_written, impersonal
from mdmsdk.models import Decision

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from mdmsdk.federation import AsyncMdmFederation
    from mdmsdk.models import Device
    from mdmsdk.store import AsyncStore

__all__ = ["ListName", "Listed", "SharedList", "SharedLists"]

ListName = Literal["false", "true", "all"]
"""Of what does not comply, what does, and everything."""

_log = logging.getLogger("mdmsdk.gateway")
_PART = 250
"""Devices of one entry."""
_LEASE = 10.0
"""Seconds after which another one reads a list, where who was reading it is gone."""
_AGAIN = 0.25
"""Seconds between two looks at whether somebody else has read it."""


class Listed(NamedTuple):
    """A device of a list."""

    device: Device
    decision: Decision


class SharedList(NamedTuple):
    """A list that somebody has read.

    Attributes:
        name: of this reading of it.
        what: which list it is.
        began: when its reading began, in seconds since 1970.
        devices: the whole.
    """

    name: str
    what: ListName
    began: float
    devices: list[Listed]


class SharedLists:
    """The lists of a federation in a store that others see.

    Args:
        federation: whose lists. With other servers, names, settings, secrets or rules there are others.
        store: where they are.
        scope: what they depend on besides.
        longest: seconds for which a list is kept.
        clock: what time it is, in seconds since 1970.
    """

    def __init__(
        self,
        federation: AsyncMdmFederation,
        store: AsyncStore,
        scope: str,
        longest: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._federation = federation
        self._store = store
        self._scope = scope
        self._longest = longest
        self._clock = clock

    async def named(self, name: str) -> SharedList | None:
        """A reading by its name; None if there is none, or not all of it.

        Raises:
            StoreError: the store fails.
        """
        place = f"{self._place()}/{name}"
        head = await self._store.get(place)
        return await self._whole(place, json.loads(head)) if head else None

    async def _whole(self, place: str, head: dict[str, Any]) -> SharedList | None:
        parts = await self._store.get_many(f"{place}/{number}" for number in range(head["parts"]))
        written = [part for part in parts if part is not None]
        devices = await anyio.to_thread.run_sync(_unpacked, written)
        name = place.rpartition("/")[2]
        whole = len(devices) == head["devices"]
        return SharedList(name, head["what"], head["began"], devices) if whole else None

    async def obtain(
        self, what: ListName, name: str, age: float, read: Callable[[], Awaitable[list[Listed] | None]]
    ) -> SharedList | None:
        """A list that is not older than so many seconds; None where reading it failed.

        One at a time reads it. Others wait for what that comes to, and may use it however long it took.

        Args:
            what: which list.
            name: for this reading of it.
            age: seconds.
            read: reads it now; gives None if that fails.

        Raises:
            StoreError: the store fails, so that nobody knows whether others are reading it.
        """
        lease = f"{self._place()}/{what}"
        before = await self._store.get(lease)
        since = self._clock() - age
        while True:
            token = await self._store.lease(lease, _LEASE)
            found = await self._newest(lease, since, before)
            if found and token is not None:
                await self._store.release(lease, token)
            if found:
                return found
            if token is not None:
                return await self._read(lease, token, SharedList(name, what, self._clock(), []), read)
            await anyio.sleep(_AGAIN)

    async def _newest(self, pointer: str, since: float, before: bytes | None) -> SharedList | None:
        """The last reading, if it began since then, or is another one than before."""
        name = await self._store.get(pointer)
        if name is None:
            return None
        place = f"{self._place()}/{name.decode()}"
        head = json.loads(await self._store.get(place) or "{}")
        wanted = head and (head["began"] >= since or name != before)
        return await self._whole(place, head) if wanted else None

    async def _read(
        self,
        lease: str,
        token: int,
        found: SharedList,
        read: Callable[[], Awaitable[list[Listed] | None]],
    ) -> SharedList | None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._hold, lease, token)
            devices = await read()
            tasks.cancel_scope.cancel()
        if devices is not None:
            found = await self._keep(found._replace(devices=devices), lease, token)
        try:
            await self._store.release(lease, token)
        except StoreError as error:
            _log.debug("the lease of a list stays until it ends: %s", error)
        return None if devices is None else found

    async def _hold(self, lease: str, token: int) -> None:
        held = True
        while held:
            await anyio.sleep(_LEASE / 3)
            try:
                held = await self._store.renew(lease, token, _LEASE)
            except StoreError:
                held = False  # nobody else can take it either

    async def _keep(self, found: SharedList, lease: str, token: int) -> SharedList:
        """Put a list into the store; gives it as others find it there."""
        if not self._store.personal:
            found = found._replace(
                devices=[one._replace(device=impersonal(one.device)) for one in found.devices]
            )
        place = f"{self._place()}/{found.name}"
        head = {"what": found.what, "began": found.began, "devices": len(found.devices)}
        try:
            parts = await anyio.to_thread.run_sync(_packed, found.devices)
            await self._keep_parts(place, parts)
            await self._store.set(place, json.dumps({**head, "parts": len(parts)}).encode(), self._longest)
            await self._store.set_fenced(lease, token, {lease: found.name.encode()}, self._longest)
        except (StoreError, ValueError) as error:
            _log.warning("a list is not shared with other workers and replicas: %s", error)
        return found

    async def _keep_parts(self, place: str, parts: Sequence[bytes]) -> None:
        for number, part in enumerate(parts):
            await self._store.set(f"{place}/{number}", part, self._longest)

    def _place(self) -> str:
        digest = self._store.digest
        return f"gateway/lists/{digest(json.dumps([self._federation.fingerprint(digest), self._scope]))}"


def _packed(devices: Sequence[Listed]) -> list[bytes]:
    written = [[device_written(device), decision.value] for device, decision in devices]
    parts = [
        json.dumps(written[start : start + _PART], separators=(",", ":"), allow_nan=False).encode()
        for start in range(0, len(written), _PART)
    ]
    if _unpacked(parts) != list(devices):
        raise ValueError("a record is not the same when it is read again")
    return parts


def _unpacked(parts: Iterable[bytes]) -> list[Listed]:
    """The devices; none where another version wrote what cannot be read here."""
    try:
        return list(map(_listed, chain.from_iterable(map(json.loads, parts))))
    except (TypeError, ValueError, KeyError):
        return []


def _listed(row: Any) -> Listed:
    device, decision = row
    return Listed(device_read(device), Decision(decision))
