"""The directory, in async."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from mdmsdk._run import waits_aio
from mdmsdk.directory.entries import code_of, key_of, written
from mdmsdk.directory.ledger import Ledger, LostError
from mdmsdk.directory.routing import Pointer
from mdmsdk.directory.state import DirectoryEntry, DirectoryStatus, Known, State, doubt_of, status_of
from mdmsdk.directory.walking import Walker, WalkProgress
from mdmsdk.errors import ConfigurationError, IncompleteListError, MdmError, StoreError
from mdmsdk.provider import Capability
from mdmsdk.words import nearest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
    from types import ModuleType

    from mdmsdk.client.aio import AsyncMdmClient
    from mdmsdk.directory.entries import Reference
    from mdmsdk.directory.settings import DirectorySettings
    from mdmsdk.directory.walking import Due
    from mdmsdk.identifiers import Key
    from mdmsdk.store.aio import AsyncStore

_log = logging.getLogger("mdmsdk.directory")
_REMEMBER = 1.0
"""Seconds for which what is known of a directory is used before the store is asked again."""
_LOOK_AGAIN = 5.0
"""Seconds after which `keep` looks whether a walk is due."""
_AFTER_FAILURE = 60.0
"""Seconds after which a walk is tried again that failed."""


class AsyncDirectory:
    """Which records of each server show an identifier, from walks through their inventories and from lookups.

    It tells whom to ask, and never what to think of a device: the record is fetched by its name and has to
    show the identifier. `mdmsdk.AsyncMdmFederation.directory` is the one that its lookups use.
    """

    _waits: ModuleType = waits_aio
    _clock: Callable[[], float] = time.time

    def __init__(
        self, clients: Iterable[AsyncMdmClient], store: AsyncStore, settings: DirectorySettings
    ) -> None:
        self._store, self._settings = store, settings
        self._clients = {client.server: client for client in clients}
        self._known = {
            name: Known(client, settings.max_age, store.digest) for name, client in self._clients.items()
        }
        self._ledger = {name: Ledger(store, name) for name in self._clients}
        self._states: dict[str, tuple[float, State | None]] = {}
        self._closed = False
        # How often it said "records", "absent" or "unsure" of a server.
        self._said: Counter[tuple[str, str]] = Counter()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a directory belongs to its process: make one there instead of pickling it")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    async def status(self, *, servers: Iterable[str] | None = None) -> list[DirectoryStatus]:
        """How far the directory of each server is that lists its devices.

        Raises:
            ConfigurationError: there is no server of that name that lists them.
            StoreError: the store does not work.
        """
        now = self._clock()
        names = self._chosen(servers)
        return [status_of(await self._ledger[name].state(), self._known[name], now) for name in names]

    async def build(
        self,
        *,
        servers: Iterable[str] | None = None,
        full: bool = False,
        progress: Callable[[WalkProgress], None] | None = None,
    ) -> list[DirectoryStatus]:
        """Walk through the inventories of all servers at once, now; gives how far each directory is then.

        A walk that was broken off goes on. A server that can tell what changed is asked for that alone, if
        everything was read less than half of `max_age` ago. A failure of one is in its status, and does not
        end the others.

        Args:
            servers: only these, by name.
            full: read everything anew.
            progress: is told of each page; by several threads, in sync.

        Raises:
            ConfigurationError: there is no server of that name that lists its devices.
        """
        jobs = [
            partial(self._walk, name, lambda _: "full" if full else "changes", spread=0.0, progress=progress)
            for name in self._chosen(servers)
        ]
        found: list[DirectoryStatus] = await self._waits.gather(jobs)
        return found

    async def keep(self, *, progress: Callable[[WalkProgress], None] | None = None) -> None:
        """Walk whenever a walk is due, spread over the time until the next, until the servers are closed.

        In sync, give it a thread of its own. Several processes may keep the same directory: one of them
        walks.
        """
        await self._waits.gather([partial(self._keep, name, progress) for name in self._usable()])

    async def export(self, *, servers: Iterable[str] | None = None) -> AsyncIterator[DirectoryEntry]:
        """All identifiers that walks found, with the names of the records that showed them.

        Raises:
            ConfigurationError: there is no server of that name that lists its devices.
            IncompleteListError: a server has no complete directory, or a part of it is lost; after all
                others.
        """
        lacking = []
        for name in self._chosen(servers):
            state, known = await self._ledger[name].state(), self._known[name]
            doubt = doubt_of(state, known, self._clock())
            if doubt:
                lacking.append(f"{name}: {doubt}")
            if state and state.volume:
                try:
                    async for code, records in self._ledger[name].entries(state.volume):
                        yield _entry(known, code, records)
                except LostError:
                    lacking.append(f"{name}: a part of the directory is lost")
        if lacking:
            raise IncompleteListError("; ".join(lacking), operation="directory")

    # --- for lookups ---

    def _routes(self, server: str) -> bool:
        """Whether lookups at a server go by the directory."""
        return server in self._known and self._known[server].usable

    async def _look(self, client: AsyncMdmClient, keys: Sequence[Key]) -> dict[Key, Pointer]:
        """What it says about keys; without a store that works, nothing."""
        try:
            return await self._pointers(client.server, keys)
        except StoreError as error:
            _log.info("%s: the directory is not used: %s", client.server, error.message)
            return {key: Pointer((), "the store does not work") for key in keys}

    async def _pointers(self, server: str, keys: Sequence[Key]) -> dict[Key, Pointer]:
        ledger, known, now = self._ledger[server], self._known[server], self._clock()
        codes = list(map(code_of, keys))
        state = await self._state(server)
        lately, found = await ledger.look(state.volume if state else None, codes)
        if found is None and state and state.volume:  # another process may have put a new one into its place
            state = await self._state(server, fresh=True)
            lately, found = await ledger.look(state.volume if state else None, codes)
        if found is None:
            why = doubt_of(state, known, now) or "a part of the directory is lost"
            return {key: Pointer(noted, why) for key, noted in zip(keys, lately, strict=True)}
        return {
            key: Pointer((*walked, *noted), doubt_of(state, known, now, type(key)))
            for key, walked, noted in zip(keys, found, lately, strict=True)
        }

    async def _state(self, server: str, *, fresh: bool = False) -> State | None:
        read_at, state = self._states.get(server, (0.0, None))
        now = time.monotonic()
        if fresh or server not in self._states or not now < read_at + _REMEMBER:
            state = await self._ledger[server].state()
            self._states[server] = now, state
        return state

    async def _note(self, client: AsyncMdmClient, records: Mapping[Key, Sequence[Reference]]) -> None:
        """Remember the records that lookups found."""
        found = {code_of(key): dict.fromkeys(map(written, names)) for key, names in records.items()}
        try:
            await self._ledger[client.server].note(found, self._settings.max_age)
        except StoreError as error:
            _log.info("%s: the directory was not told what was found: %s", client.server, error.message)

    # --- walks ---

    async def _walk(
        self, name: str, due: Due, *, spread: float, progress: Callable[[WalkProgress], None] | None
    ) -> DirectoryStatus:
        walker = Walker(
            self._clients[name],
            self._known[name],
            Ledger(self._store, name),
            clock=self._clock,
            sleep=self._waits.sleep,
            progress=progress,
        )
        failure: str | None
        try:
            failure = await walker.run(due, spread=spread)
            state = await self._ledger[name].state()
        except MdmError as error:  # such as the store's
            failure, state = str(error), None
        self._states.pop(name, None)
        status = status_of(state, self._known[name], self._clock())
        return status.model_copy(update={"reason": failure}) if failure else status

    async def _keep(self, name: str, progress: Callable[[WalkProgress], None] | None) -> None:
        wait = 0.0
        while not self._closed:
            if wait > 0:
                part = min(wait, _LOOK_AGAIN)
                await self._waits.sleep(part)
                wait -= part
                continue
            wait = await self._keep_once(name, progress)

    async def _keep_once(self, name: str, progress: Callable[[WalkProgress], None] | None) -> float:
        """Walk if that is due; gives the seconds until the next look."""
        known = self._known[name]
        changes = Capability.CHANGES in known.provider.capabilities

        def due(state: State | None) -> str | None:
            return _due(state, known, self._settings, self._clock(), changes=changes)

        try:
            if due(await self._ledger[name].state()) is None:
                return _LOOK_AGAIN
        except StoreError:
            return _AFTER_FAILURE
        status = await self._walk(name, due, spread=self._settings.interval / 2, progress=progress)
        return _AFTER_FAILURE if status.reason else _LOOK_AGAIN

    def _usable(self) -> list[str]:
        return [name for name, known in self._known.items() if known.usable]

    def _chosen(self, servers: Iterable[str] | None) -> list[str]:
        usable = self._usable()
        wanted = usable if servers is None else list(dict.fromkeys(servers))
        for name in wanted:
            if name in self._known and name not in usable:
                raise ConfigurationError(
                    f"the server {name} lists no devices, so that it has no directory",
                    hint="Leave it out: it is asked as before.",
                )
            if name not in usable:
                there_are = f"There are: {', '.join(usable)}."
                raise ConfigurationError(f"there is no server {name}{nearest(name, usable)}", hint=there_are)
        return wanted


def _due(
    state: State | None, known: Known, settings: DirectorySettings, now: float, *, changes: bool
) -> str | None:
    """Which walk is due now, "full" or "changes"; some minutes earlier at random, so that servers differ."""
    if state is None or state.full_at is None or state.fingerprint != known.fingerprint:
        return "full"
    if state.walk:
        return "full" if state.walk.full else "changes"
    early = 1 - random.random() / 10  # noqa: S311 - no secret
    whole = settings.max_age / 2 if changes else settings.interval
    if not 0 <= now - state.full_at < whole * early:
        return "full"
    walked_at = state.walked_at or state.full_at
    return "changes" if now - walked_at >= settings.interval * early else None


def _entry(known: Known, code: bytes, records: Sequence[Reference]) -> DirectoryEntry:
    key = key_of(code)
    return DirectoryEntry(
        server=known.server,
        provider=known.provider.name,
        kind=key.kind,
        key=str(key),
        records=tuple(record.name for record in records),
    )
