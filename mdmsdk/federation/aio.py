"""Many servers, asked together, in async."""

from __future__ import annotations

import json
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NoReturn, Self, Unpack

from mdmsdk._run import waits_aio
from mdmsdk._run.budget import Budget
from mdmsdk._run.quotas import count_together
from mdmsdk.client.aio import AsyncMdmClient
from mdmsdk.client.verdict import as_key, as_keys
from mdmsdk.config import Config, load_config
from mdmsdk.directory.aio import AsyncDirectory
from mdmsdk.errors import (
    ConfigurationError,
    InvalidIdentifierError,
    MdmError,
    UnsupportedOperationError,
)
from mdmsdk.federation.answers import Answers
from mdmsdk.federation.cache import Cache
from mdmsdk.federation.chain import as_chain, by_name, goes_on, renewed, spoken
from mdmsdk.federation.lists import Lists, incomplete
from mdmsdk.federation.members import Broken, Question
from mdmsdk.federation.opening import clients_of
from mdmsdk.federation.replies import identifiers_of
from mdmsdk.federation.servers import Servers
from mdmsdk.federation.shelf import Shelf
from mdmsdk.models import Device
from mdmsdk.store.aio import AsyncStore
from mdmsdk.store.fingerprint import fingerprint as print_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path
    from types import ModuleType, TracebackType

    from mdmsdk.directory.settings import DirectorySettings
    from mdmsdk.federation.merge import Answer, Heartbeat, Merge, Outcome
    from mdmsdk.identifiers import Key
    from mdmsdk.settings import PolicyChanges, Rules

_GROWTH = 4
"""How much larger each window of `lookup_many` is than the one before, up to what the servers take."""


class AsyncMdmFederation:
    """Several MDM servers, asked as one: all at once, one outcome each, no failure hides an answer.

    Args:
        merge: which record stands for a device that several know (see `mdmsdk.config.FederationSettings`).
        rules: what a device has to fulfil besides, whatever its servers say of it, in lookups and lists;
            noncompliant lists need the inventory of every server then.
        patience: seconds that a lookup waits for further servers once one has answered.
        chain_fallback: whether a MAC address alone is enough after other identifiers were not found.
        cache_ttl: seconds for which the records of a server are used again without asking; 0: ask always.
        cache_negative_ttl: the same where a server does not know the device, at most `cache_ttl`.
        cache_max_age: seconds for which they are used where a server fails; default: `cache_ttl`, which is
            not at all.
        store: where answers and the directory are kept; default: in the memory of this process. Not closed
            with the federation.
        directory: how old a directory may be; None for lookups without one.

    Attributes:
        clients: the servers by name, in order of preference.
        broken: those of the configuration that cannot be asked at all, by name; each is one failed outcome.
        directory: which records show an identifier; None without one.
        store: where answers and the directory are kept; None where nothing is.
    """

    clients: dict[str, AsyncMdmClient]
    broken: dict[str, Broken]
    directory: AsyncDirectory | None
    store: AsyncStore | None
    _waits: ModuleType = waits_aio
    _client: type[AsyncMdmClient] = AsyncMdmClient
    _store: type[AsyncStore] = AsyncStore
    _directory: type[AsyncDirectory] = AsyncDirectory

    def __init__(
        self,
        clients: Iterable[AsyncMdmClient],
        *,
        merge: Merge = "strictest",
        rules: Rules | None = None,
        patience: float = 2.0,
        chain_fallback: bool = False,
        cache_ttl: float = 0.0,
        cache_negative_ttl: float = 10.0,
        cache_max_age: float | None = None,
        store: AsyncStore | None = None,
        directory: DirectorySettings | None = None,
    ) -> None:
        self.clients = {}
        for client in clients:
            if client.server in self.clients:
                raise ConfigurationError(f"two servers are named {client.server!r}", hint="Pass server=NAME.")
            self.clients[client.server] = client
        if not self.clients:
            raise ConfigurationError(
                "there is no server to ask", hint="Pass at least one client: nobody answers for no servers."
            )
        self._servers = Servers(self.clients, self._waits)
        self.broken = self._servers.broken
        self._patience = patience
        self._own_store: AsyncStore | None = None
        if store is None and (cache_ttl or directory):
            store = self._own_store = self._store()
        self.store = store
        self.directory = None
        if store and directory:
            self.directory = self._directory(self.clients.values(), store, directory)
        self._servers.directory = self.directory
        shelf = None
        if store and cache_ttl:
            max_age = cache_ttl if cache_max_age is None else cache_max_age
            shelf = Shelf(store, self._waits, ttl=cache_ttl, negative_ttl=cache_negative_ttl, max_age=max_age)
            self._servers.cache = Cache(shelf, self._waits)
        self._answers = Answers(self.clients, merge, rules, shelf, fallback=chain_fallback)
        count_together([client._runner for client in self.clients.values()])  # noqa: SLF001

    @classmethod
    def from_config(
        cls, path: str | Path | Config | None = None, *, servers: Iterable[str] | None = None
    ) -> Self:
        """The servers of a configuration file (see `mdmsdk.config.find_config`). Nothing is sent yet.

        A server that cannot be asked, because its settings, its secret or its plugin is not usable, is in
        `broken`, and does not keep the others from being asked.

        Args:
            path: the file, or what was read from it; default: the one that is found.
            servers: only these, by name; None means all.

        Raises:
            ConfigurationError: the file is not usable, or none of the servers is; or `servers` is empty.
        """
        config = path if isinstance(path, Config) else load_config(path)
        names = config.names(servers)
        made, broken = clients_of(config, names, cls._client)
        how = config.federation
        needed = how.cache_ttl or how.directory or config.store
        store = cls._store(config.store_settings()) if needed else None
        if store:
            for client in made:
                client.share_limits(store)
        federation = cls(
            made,
            merge=how.merge,
            rules=how.rules,
            patience=how.patience,
            chain_fallback=how.chain_fallback,
            cache_ttl=how.cache_ttl,
            cache_negative_ttl=how.cache_negative_ttl,
            cache_max_age=how.cache_max_age,
            store=store,
            directory=config.directory if how.directory else None,
        )
        federation._own_store = store
        federation.broken.update(broken)
        federation._servers.order = tuple(names)
        return federation

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a federation belongs to its process: make one there instead of pickling it")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self.clients)}>"

    async def aclose(self) -> None:
        """Close all clients."""
        if self.directory:
            self.directory._closed = True  # noqa: SLF001 - it ends with its clients
        for client in self.clients.values():
            await client.aclose()
        if self._own_store:
            await self._own_store.aclose()

    def with_policy(self, **changes: Unpack[PolicyChanges]) -> AsyncMdmFederation:
        """The same servers and connections with another patience each; `changes` are fields of `Policy`.

        Raises:
            ConfigurationError: a name or value that `Policy` does not take.
        """
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin.clients = {name: client.with_policy(**changes) for name, client in self.clients.items()}
        twin._servers, twin._answers = self._servers.of(twin.clients), self._answers.of(twin.clients)
        return twin

    def fingerprint(self, digest: Callable[[str], str]) -> str:
        """What everything that its answers and lists depend on comes to: one other setting, another text.

        Servers' names and their order, settings, secrets and versions count, and how their words are merged.

        Args:
            digest: turns a text into one that does not show it, such as `AsyncStore.digest`.
        """
        servers = {
            name: print_of(self.clients[name].provider, digest) if name in self.clients else None
            for name in self._servers.order
        }
        return digest(json.dumps([list(servers.items()), self._answers.merge, repr(self._answers.rules)]))

    async def heartbeat(self) -> list[Heartbeat]:
        """Whether each server is there; never raises for one that is not."""
        return await self._servers.heartbeats()

    async def refresh_secrets(self) -> None:
        """Read the secrets of all servers anew, as `MdmClient.refresh_secrets` does.

        Raises:
            ConfigurationError: those of a server cannot be read; it goes on with the old ones, and all others
                with new ones.
        """
        failures: list[MdmError] = []
        for client in self.clients.values():
            try:
                await client.refresh_secrets()
            except MdmError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    async def lookup(
        self,
        key: Key | str | Iterable[Key | str],
        *,
        servers: Iterable[str] | None = None,
        deadline: float | None = None,
        early: bool = False,
        fresh: bool = False,
        max_age: float | None = None,
    ) -> Answer:
        """What all servers together say about one device.

        Several keys are asked for in order, as Cisco ISE does: first what stands in the certificate, then
        the MAC address. The next one follows only if every server that could know the one before says that
        it does not; a MAC address that the device made up comes last. A record that shows another value for
        an earlier key, or that only a MAC address found after another kind, is no pass.

        Args:
            key: a key, or text whose kind is plain (see `mdmsdk.parse_key`), or several in order.
            servers: only these, by name.
            deadline: seconds for all of it; default: the ``policy.deadline`` of each server.
            early: do not wait for the others once a server says that the device does not comply, where the
                strictest verdict counts; the answer is not complete then.
            fresh: ask all servers now, and forget what the cache has under these keys, even if one fails.
            max_age: use nothing from the cache that is older, in seconds.

        Raises:
            InvalidIdentifierError: the text is no key, or could be of several kinds.
            ConfigurationError: there is no server of that name.
        """
        chain, names = as_chain(key), self._servers.chosen(servers)
        whole = None if deadline is None else Budget.of_call(deadline)
        if not fresh and (same := await self._answers.as_before(chain, names, whole, max_age)):
            return same
        before: list[Key] = []
        outcomes: tuple[Outcome, ...] = ()
        notes: dict[str, None] = {}
        while True:
            one = chain[len(before)]
            last = len(before) + 1 == len(chain)
            ask = partial(
                Question,
                [one],
                self._patience,
                whole=whole,
                early=early and self._answers.merge == "strictest",
                max_age=max_age,
            )
            question = ask(fresh=fresh or by_name(before))
            said = (await self._servers.ask(question, names))[0]
            if goes_on(said) and not last and question.kept:
                again = ask(fresh=True)
                said = renewed(said, (await self._servers.ask(again, tuple(question.kept)))[0])
                question.notes |= again.notes
            notes |= question.notes
            if not goes_on(said):
                outcomes = tuple(self._answers.held_against(outcome, one, before) for outcome in said)
                return self._answers.answer(one, outcomes, names, before, notes)
            outcomes = spoken(outcomes or said, said)
            if last:
                return self._answers.answer(one, outcomes, names, before, notes)
            before.append(one)

    async def find(
        self,
        key: Key | str,
        *,
        servers: Iterable[str] | None = None,
        deadline: float | None = None,
        fresh: bool = False,
        max_age: float | None = None,
    ) -> list[Device]:
        """Every record that the servers have for a key, those of the preferred servers first.

        Arguments are those of `lookup`.

        Raises:
            IncompleteListError: a server failed; `failures` holds what each of those ended with.
            UnsupportedOperationError: no server can search by this kind.
            InvalidIdentifierError: the text is no key, or could be of several kinds.
        """
        whole = None if deadline is None else Budget.of_call(deadline)
        question = Question([as_key(key)], None, whole=whole, fresh=fresh, max_age=max_age)
        names = self._servers.chosen(servers)
        said = (await self._servers.ask_all(question, names))[0].values()
        errors = [self.broken[name].error for name in names if name in self.broken]
        errors += [reply.records.error for reply in said if reply.records.error]
        unable = [error for error in errors if isinstance(error, UnsupportedOperationError)]
        if unable and len(unable) == len(errors) == len(said):
            raise unable[0]
        found = [self._answers.tightened(device) for reply in said for device in reply.records.devices]
        if failed := [error for error in errors if error not in unable]:
            raise incomplete("find", failed, len(found))
        return found

    async def lookup_many(
        self,
        keys: Iterable[Key | str],
        *,
        servers: Iterable[str] | None = None,
        deadline: float | None = None,
        fresh: bool = False,
        max_age: float | None = None,
    ) -> AsyncIterator[Answer]:
        """One answer for each key, in the order given, as `lookup` gives it.

        A text that is no key gives an answer whose outcomes hold the error. However many keys there are,
        only so many are in memory as the servers take at once. With `deadline`, a key whose turn comes after
        so many seconds ends with `DeadlineExceededError`.
        """
        names = self._servers.chosen(servers)
        whole = None if deadline is None else Budget.of_call(deadline)
        windows = [self.clients[name].window for name in names if name in self.clients] or [1]
        size, remaining = min(windows), as_keys(keys)
        while given := list(map(_read, islice(remaining, size))):
            question = Question(given, self._patience, whole=whole, bulk=True, fresh=fresh, max_age=max_age)
            for key, said in zip(given, await self._servers.ask(question, names), strict=True):
                yield self._answers.answer(key, said, names, (), question.notes)
            size = min(size * _GROWTH, max(windows))

    async def noncompliant(self, *, servers: Iterable[str] | None = None) -> AsyncIterator[Device]:
        """The devices that do not comply, of all servers at once, page by page, each device once.

        Records of two servers are one device if they show the same identifier of its hardware, and no
        different ones; the first that comes stands for it.

        Raises:
            IncompleteListError: after everything that the servers gave, if the list of at least one
                is not complete; `failures` holds what each of those ended with.
        """
        lists = Lists(self._servers.members(servers), "noncompliant", self._answers.rules, once=True)
        while lists.more:
            for device in await lists.next_pages(self._waits):
                yield device
        if lists.failures:
            raise incomplete("noncompliant", lists.failures, lists.collected)

    async def devices(self, *, servers: Iterable[str] | None = None) -> AsyncIterator[Device]:
        """All records of all servers at once, page by page; a device that several know comes several times.

        Raises:
            IncompleteListError: as `noncompliant`; also if a server offers no inventory.
        """
        lists = Lists(self._servers.members(servers), "devices")
        while lists.more:
            for device in await lists.next_pages(self._waits):
                yield self._answers.tightened(device)
        if lists.failures:
            raise incomplete("devices", lists.failures, lists.collected)

    async def invalidate(self, device: Device | Key | str) -> None:
        """Forget what the cache has of a device, on all servers, under every key that it was found by.

        What servers are being asked meanwhile is not kept either.

        Args:
            device: any record of it, or one of its identifiers.

        Raises:
            StoreError: the cache cannot be told, and may go on giving what it has.
            InvalidIdentifierError: the text is no key, or could be of several kinds.
        """
        if cache := self._servers.cache:
            keys = identifiers_of(device) if isinstance(device, Device) else {as_key(device)}
            await cache.invalidate(self.clients.values(), list(keys))

    async def reasons(self, device: Device, *, deadline: float | None = None) -> Device:
        """The device with its failure reasons in detail, from the server whose record it is.

        Raises:
            ConfigurationError: that server is none of these.
            MdmError: as `AsyncMdmClient.reasons`.
        """
        (name,) = self._servers.chosen([device.server])
        if name in self.broken:
            raise self.broken[name].error
        return await self.clients[name].reasons(device, deadline=deadline)


def _read(given: Key | str) -> Key | str:
    """A key; what is none as text, for the answer that says so."""
    try:
        return as_key(given)
    except InvalidIdentifierError:
        return given if isinstance(given, str) else repr(given)[:80]
