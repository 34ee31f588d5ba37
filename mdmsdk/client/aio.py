"""The async client."""

from __future__ import annotations

import logging
import time
from datetime import UTC
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn, Self, Unpack
from urllib.parse import urlsplit

from mdmsdk._run import waits_aio
from mdmsdk._run.budget import Budget, Hurry
from mdmsdk._run.quotas import quota_of
from mdmsdk._run.rules import fit_to_show
from mdmsdk._run.runner import Runner
from mdmsdk.client import verdict
from mdmsdk.client.described import Described
from mdmsdk.client.verdict import Records
from mdmsdk.errors import (
    ConfigurationError,
    IncompleteListError,
    MdmError,
    MdmTimeoutError,
    UnsupportedOperationError,
)
from mdmsdk.identifiers import Key
from mdmsdk.proof import proven
from mdmsdk.provider import Capability

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence
    from datetime import datetime
    from types import ModuleType, TracebackType

    from pydantic import SecretStr

    from mdmsdk.models import Device, LookupResult, ServerInfo
    from mdmsdk.provider import MdmProvider, Page
    from mdmsdk.search import Found
    from mdmsdk.settings import Policy, PolicyChanges, Rules
    from mdmsdk.store.aio import AsyncStore
    from mdmsdk.wire import Response


_log = logging.getLogger("mdmsdk.client")


class AsyncMdmClient:
    """One MDM server, as an application uses it; made by `mdmsdk.connect_async`.

    Use it as a context manager, or call `aclose`. It may be used by many tasks at once.

    Args:
        renew: gives the provider with its secrets read anew, for `refresh_secrets`.

    Attributes:
        server: the name under which errors and devices mention the server.
    """

    server: str
    _waits: ModuleType = waits_aio

    def __init__(
        self,
        provider: MdmProvider,
        *,
        server: str | None = None,
        http: Any = None,
        renew: Callable[[], MdmProvider] | None = None,
    ) -> None:
        self._renew = renew
        self.server = server or urlsplit(provider.settings.base_url).hostname or ""
        self._runner = Runner(self._waits, provider, self.server, provider.settings.policy, http)
        self._home = self._runner
        self._described = Described(self._runner, self._waits)
        self._rules = verdict.rules_of(provider.settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client belongs to its process: make one there instead of pickling it")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.server} ({self.provider.name})>"

    @property
    def provider(self) -> MdmProvider:
        """The provider that describes its protocol."""
        return self._runner.provider

    @property
    def _batch_size(self) -> int:
        return self.provider.limits.batch_size if Capability.BATCH in self.provider.capabilities else 1

    @property
    def server_time(self) -> datetime:
        """What the server's clock says, as far as its last answer told; otherwise this machine's."""
        return self._runner.shared.clock.now()

    @property
    def last_response(self) -> Response | None:
        """What the server answered last, but to a login; only with the setting ``keep_raw``. For debugging.

        Of calls side by side it is whichever was last. Credentials are hidden, cookies left out, and of JSON
        also the members whose names tell of passwords and keys.
        """
        last = self._runner.shared.last
        return None if last is None else fit_to_show(last, self._runner.secrets)

    @property
    def window(self) -> int:
        """How many keys `lookup_many` has under way at once."""
        limits = self.provider.limits.lowered(self.provider.settings.limits)
        return self._batch_size * limits.concurrency

    async def aclose(self) -> None:
        """Give the credential back, where the vendor has a way to, and close the connections."""
        await self._runner.aclose()

    async def refresh_secrets(self, **secrets: str | SecretStr) -> None:
        """Go on with new secrets: what comes next logs in anew. Sends nothing, and needs no restart.

        Args:
            secrets: new values of settings that are secrets, such as ``client_secret``; without any, those
                of the configuration are read again from where they are kept.

        Raises:
            ConfigurationError: they cannot be read or used, and the client goes on with the old ones.
        """
        from mdmsdk.client.build import renewed

        try:
            provider = renewed(self.provider, secrets, self._renew)
        except MdmError as error:
            error.locate(server=self.server, provider=self.provider.name, operation="refresh_secrets")
            raise
        await self._runner.renew(provider)

    def share_limits(self, store: AsyncStore, *, close: bool = False) -> None:
        """Count what is sent to the server over all processes that share a store on Redis; else do nothing.

        Together count those with the same ``base_url`` and account, whatever their names
        (`mdmsdk.settings.ProviderSettings.account`). Where Redis is away, each process counts for itself.

        Args:
            store: the store.
            close: whether it is closed with this client.
        """
        quota = quota_of(self.provider.settings)
        if limits := store._limits_of(quota, close=close):  # noqa: SLF001
            self._home.shared.share_limits(limits)

    def with_policy(self, **changes: Unpack[PolicyChanges]) -> AsyncMdmClient:
        """The same server and connections with another patience; `changes` are fields of `Policy`.

        Raises:
            ConfigurationError: a name or value that `Policy` does not take.
        """
        from mdmsdk.client.build import checked

        policy = self._runner.policy
        return self._under(checked(type(policy), {**policy.model_dump(), **changes}, "policy"))

    def _under(self, policy: Policy) -> AsyncMdmClient:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        twin._runner = self._runner.with_policy(policy)
        twin._described = self._described.under(twin._runner)
        return twin

    def _budget(self, deadline: float | None) -> Budget:
        return Budget(self._runner.policy.deadline) if deadline is None else Budget.of_call(deadline)

    async def heartbeat(self, *, deadline: float | None = None) -> ServerInfo:
        """Reach the server, log in where that takes a step of its own, and read what it is.

        Args:
            deadline: seconds for all of it; default: ``policy.deadline``.

        Raises:
            MdmError: it is not reachable, not trusted, or does not let us in.
            ConfigurationError: the rules of the settings say nothing about any of its devices, as far as
                one page of its inventory tells.
        """
        budget = self._budget(deadline)
        info = await self._described.read("heartbeat", budget, fresh=True)
        if self._rules and Capability.INVENTORY in self.provider.capabilities:
            await self._check_rules(self._rules, budget)
        return info

    async def lookup(self, key: Key | str, *, deadline: float | None = None) -> Device | None:
        """The device with this key, or None if the server does not know it.

        Of several records for one key, the registered one with the newest check-in stands for
        all, and the strictest compliance state among them counts.

        Args:
            key: a key, or text whose kind is plain (see `mdmsdk.parse_key`).
            deadline: seconds for this call; default: ``policy.deadline``.

        Raises:
            InvalidIdentifierError: the text is no key, or could be of several kinds.
            UnsupportedOperationError: the provider cannot search by this kind.
            FilterIgnoredError: the server answered about another device.
            MdmError: there is no answer; never to be taken for a verdict.
        """
        return verdict.pick(await self.find(key, deadline=deadline))

    async def find(self, key: Key | str, *, deadline: float | None = None) -> list[Device]:
        """Every record that the server has for this key; arguments and errors are those of `lookup`."""
        key = verdict.as_key(key)
        self._require(key)
        budget = self._budget(deadline)
        devices: list[Device] = await self._described.ask("find", "find", key, budget=budget)
        return self._accept(key, devices)

    async def lookup_many(
        self, keys: Iterable[Key | str], *, deadline: float | None = None
    ) -> AsyncIterator[LookupResult]:
        """One result for each key, in the order given; in batches where the provider can, or side by side.

        A failure is part of the result of its key, and does not end the others.

        Args:
            keys: what `lookup` takes.
            deadline: seconds for all of them, from the first on: a key whose turn comes later ends with
                `DeadlineExceededError`. Default: ``policy.deadline`` for each request.
        """
        hurry = Hurry(None if deadline is None else self._budget(deadline))
        remaining = verdict.as_keys(keys)
        while given := list(islice(remaining, self.window)):
            for records in await self._look_up(given, hurry):
                yield records.result()

    def noncompliant(self, *, rules: Rules | None = None) -> AsyncIterator[Device]:
        """The devices that do not comply, as they arrive, page by page.

        Args:
            rules: what a device has to fulfil besides, whatever the server or the settings say. With these,
                or rules in the settings, all devices are read and judged.

        Raises:
            IncompleteListError: while iterating, rather than ending early; what came before is true,
                but a device that did not come may be noncompliant all the same.
            FilterIgnoredError: the server listed devices that comply.
            UnsupportedOperationError: there are rules, which need `Capability.INVENTORY`.
            ConfigurationError: the rules of the settings say nothing about any device of the server.
            MdmError: the first page already failed.
        """
        return self._list(self._reading("noncompliant", rules))

    def devices(self, *, since: datetime | None = None) -> AsyncIterator[Device]:
        """All devices, as they arrive; with `Capability.INVENTORY`. Raises as `noncompliant` does.

        Args:
            since: only those that changed since this time, by the server's own clock (`server_time`), and
                maybe others; with `Capability.CHANGES`. Those that were deleted show in no such list.
        """
        return self._list(self._reading("devices") if since is None else self._changes(since))

    async def reasons(self, device: Device, *, deadline: float | None = None) -> Device:
        """The device with its failure reasons in detail; for providers with `Capability.REASONS`.

        May cost several requests, within `deadline` seconds or ``policy.deadline``.
        """
        self._require_capability(Capability.REASONS)
        budget = self._budget(deadline)
        record: Device = await self._described.ask("reasons", "reasons", device, budget=budget)
        return verdict.explained(self._settled(self._judged(record)), device)

    async def _check_rules(self, rules: Rules, budget: Budget) -> None:
        """Look whether the rules say anything about the devices of a server that fit on one page.

        Raises:
            ConfigurationError: they do not.
        """
        coverage = verdict.Coverage(rules)
        try:
            page: Page[Device] = await self._described.ask("heartbeat", "devices_page", None, budget=budget)
        except MdmError as error:
            _log.info("%s: looking whether the rules say anything failed: %s", self.server, error.message)
            return
        if page.next_cursor is None:
            for row in page.items:
                coverage.look(row, self.server_time)
            try:
                coverage.check()
            except MdmError as error:
                error.locate(server=self.server, provider=self.provider.name, operation="heartbeat")
                raise

    def _judged(self, row: Device) -> Device:
        """A provider's record with the verdict of the rules, where there are any."""
        return verdict.ruled(row, self._rules, self.server_time) if self._rules else row

    def _settled(self, device: Device) -> Device:
        return verdict.settle(device, self.server, self.provider.name)

    def _require(self, key: Key) -> None:
        if type(key) not in self.provider.keys:
            kinds = ", ".join(sorted(kind.kind for kind in self.provider.keys))
            raise self._unsupported(f"cannot search by {key.kind}, only by: {kinds}")

    def _require_capability(self, capability: Capability) -> None:
        if capability not in self.provider.capabilities:
            raise self._unsupported(f"does not offer {capability.value}")

    def _unsupported(self, what: str) -> UnsupportedOperationError:
        name = self.provider.name
        return UnsupportedOperationError(f"the provider {name!r} {what}", server=self.server, provider=name)

    def _accept(self, key: Key, devices: Sequence[Device]) -> list[Device]:
        try:
            devices = proven(self.provider, key, [self._judged(device) for device in devices])
        except MdmError as error:
            error.locate(server=self.server, provider=self.provider.name, operation="find")
            raise
        return [self._settled(device) for device in devices]

    def _read_key(self, text: Key | str) -> Key | Records:
        key = text
        try:
            key = verdict.as_key(text)
            self._require(key)
        except MdmError as error:
            given: object = key
            return Records(given if isinstance(given, str | Key) else repr(given)[:80], error=error)
        return key

    async def _look_up(self, given: Sequence[Key | str], hurry: Hurry) -> list[Records]:
        """What the server has for each key, all asked for at once."""
        rows = [self._read_key(text) for text in given]
        asked = list(dict.fromkeys(row for row in rows if not isinstance(row, Records)))
        jobs = [
            partial(self._look_up_chunk, chunk, hurry) for chunk in verdict.chunks(asked, self._batch_size)
        ]
        found = {records.key: records for chunk in await self._waits.gather(jobs) for records in chunk}
        return [row if isinstance(row, Records) else found[row] for row in rows]

    async def _look_up_chunk(self, keys: Sequence[Key], hurry: Hurry) -> list[Records]:
        began = time.monotonic()
        found: Found
        budget = hurry.budget(self._runner.policy.deadline)
        try:
            if len(keys) == 1:
                found = {keys[0]: await self._described.ask("find", "find", keys[0], budget=budget)}
            else:
                found = await self._described.ask("find", "find_batch", keys, budget=budget)
        except MdmError as error:
            found = dict.fromkeys(keys, error)
        elapsed_ms = (time.monotonic() - began) * 1000
        return [self._records(key, found[key], elapsed_ms) for key in keys]

    async def _look_up_named(self, place: str | None, names: Sequence[Key], hurry: Hurry) -> list[Records]:
        """The records of these names (`MdmProvider.record_key`), which were seen in one place."""
        began, budget = time.monotonic(), hurry.budget(self._runner.policy.deadline)
        found: Found
        try:
            found = await self._described.ask("find", "find_in", place, names, budget=budget)
        except MdmError as error:
            found = dict.fromkeys(names, error)
        elapsed_ms = (time.monotonic() - began) * 1000
        return [self._records(name, found[name], elapsed_ms) for name in names]

    def _records(self, key: Key, rows: list[Device] | MdmError, elapsed_ms: float) -> Records:
        try:
            if isinstance(rows, MdmError):
                raise rows
            return Records(key, self._accept(key, rows), elapsed_ms=elapsed_ms)
        except MdmError as error:
            error.locate(server=self.server, provider=self.provider.name, operation="find")
            return Records(key, error=error, elapsed_ms=elapsed_ms)

    def _reading(self, operation: str, rules: Rules | None = None) -> verdict.Reading:
        """A list before its first page.

        Raises:
            UnsupportedOperationError: it needs an inventory, which the provider does not offer.
        """
        offenders = None
        if operation == "devices":
            self._require_capability(Capability.INVENTORY)
        elif self._rules or rules:
            if Capability.INVENTORY not in self.provider.capabilities:
                raise self._unsupported("offers no inventory, by which alone rules give a noncompliant list")
            offenders = verdict.Offenders(self._rules, rules)
        return verdict.Reading(self._runner.policy.max_pages, operation, offenders)

    def _changes(self, since: datetime | None) -> verdict.Reading:
        """The list of the devices that changed, each with every identifier; None for all.

        Raises:
            UnsupportedOperationError: the provider cannot tell.
            ConfigurationError: the time has no zone.
        """
        self._require_capability(Capability.CHANGES)
        if since is not None and since.tzinfo is None:
            raise ConfigurationError("since has no time zone", hint="Give a time as datetime.now(UTC) is.")
        return verdict.Reading.of_changes(self._runner.policy.max_pages, since and since.astimezone(UTC))

    async def _list(self, reading: verdict.Reading) -> AsyncIterator[Device]:
        while reading.more:
            devices, failure = await self._next_page(reading)
            for device in devices:
                yield device
            if failure:
                raise failure

    async def _next_page(self, reading: verdict.Reading) -> tuple[list[Device], MdmError | None]:
        """The devices of the next page, and the error at which the list ends, after those."""
        devices: list[Device] = []
        try:
            budget = Budget(self._runner.policy.list_patience, patient=True)
            given = (*reading.given, reading.cursor)
            page = await self._described.ask(reading.operation, reading.method, *given, budget=budget)
            for row in reading.take(page):
                device = self._settled(self._judged(row))
                if found := reading.pick(row, device, self.server_time):
                    devices.append(found)
            if reading.blank and not reading.more:
                await self._described.ask(reading.operation, "see_a_device", budget=budget)
            reading.check()
        except MdmError as error:
            reading.more = False
            return devices, self._of_list(error, reading)
        return devices, None

    def _of_list(self, error: MdmError, reading: verdict.Reading) -> MdmError:
        """The error to raise for one at which a list ends."""
        error.locate(server=self.server, provider=self.provider.name, operation=reading.operation)
        if isinstance(error, MdmTimeoutError):
            error.hint = verdict.patience_hint(self.provider.settings)
        if isinstance(error, IncompleteListError):
            error.collected = reading.collected
        elif reading.collected:
            broken = reading.broken_off(error)
            broken.__cause__ = error
            return broken
        return error
