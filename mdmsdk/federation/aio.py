"""Many servers, asked together, in async."""

from __future__ import annotations

import time
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NoReturn, Self

from mdmsdk._run import waits_aio
from mdmsdk.client.aio import AsyncMdmClient
from mdmsdk.client.verdict import as_key, as_keys, judge_together, rivals_of, tightened
from mdmsdk.config import load_config
from mdmsdk.errors import ConfigurationError, IncompleteListError, MdmError
from mdmsdk.federation.merge import Answer, Heartbeat, Merge, Outcome, merged
from mdmsdk.models import ComplianceState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence
    from pathlib import Path
    from types import ModuleType, TracebackType

    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device, LookupResult
    from mdmsdk.settings import Rules

_NO_TIME = 1e-9
"""Seconds that no request is made in."""


class AsyncMdmFederation:
    """Several MDM servers, asked as one: all at once, one outcome each, no failure hides an answer.

    Args:
        merge: which record stands for a device that several know (see `mdmsdk.config.FederationSettings`).
        rules: what a device has to fulfil besides, whatever its servers say of it. The record that stands
            for it is judged; noncompliant lists need the inventory of every server.

    Attributes:
        clients: the servers by name, in order of preference.
    """

    clients: dict[str, AsyncMdmClient]
    _waits: ModuleType = waits_aio
    _client: type[AsyncMdmClient] = AsyncMdmClient

    def __init__(
        self, clients: Iterable[AsyncMdmClient], *, merge: Merge = "strictest", rules: Rules | None = None
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
        self._merge = merge
        self._rules = rules

    @classmethod
    def from_config(cls, path: str | Path | None = None, *, servers: Iterable[str] | None = None) -> Self:
        """The servers of a configuration file (see `mdmsdk.config.find_config`). Nothing is sent yet.

        Args:
            path: the file; default: the one that is found.
            servers: only these, by name; None means all.

        Raises:
            ConfigurationError: the file, a server's settings or a secret is not usable; or `servers` is
                empty.
        """
        config = load_config(path)
        read = {name: partial(config.provider, name) for name in config.names(servers)}
        clients = [cls._client(get(), server=name, renew=get) for name, get in read.items()]
        return cls(clients, merge=config.federation.merge, rules=config.federation.rules)

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
        for client in self.clients.values():
            await client.aclose()

    async def heartbeat(self) -> list[Heartbeat]:
        """Whether each server is there; never raises for one that is not."""
        jobs = [partial(self._heartbeat, client) for client in self.clients.values()]
        found: list[Heartbeat] = await self._waits.gather(jobs)
        return found

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

    async def lookup(self, key: Key | str, *, deadline: float | None = None) -> Answer:
        """What all servers together say about one key.

        Args:
            key: as a client takes it.
            deadline: seconds for all of them; default: the ``policy.deadline`` of each.

        Raises:
            InvalidIdentifierError: the text is no key, or could be of several kinds.
        """
        return (await self._ask([as_key(key)], deadline))[0]

    async def lookup_many(
        self, keys: Iterable[Key | str], *, deadline: float | None = None
    ) -> AsyncIterator[Answer]:
        """One answer for each key, in the order given, as `lookup` gives it.

        A text that is no key gives an answer whose outcomes hold the error. With `deadline`, a key whose turn
        comes after so many seconds ends with `DeadlineExceededError`.
        """
        left, began = deadline, time.monotonic()
        window = max((client.window for client in self.clients.values()), default=1)
        remaining = as_keys(keys)
        while given := list(islice(remaining, window)):
            for answer in await self._ask(given, left):
                yield answer
            if deadline is not None:
                left = max(deadline - (time.monotonic() - began), _NO_TIME)

    async def noncompliant(self) -> AsyncIterator[Device]:
        """The devices that do not comply, server by server, as they arrive.

        Raises:
            IncompleteListError: after everything that the servers gave, if the list of at least one
                is not complete; `failures` holds what each of those ended with.
        """
        collected = 0
        failures: list[MdmError] = []
        for client in self.clients.values():
            try:
                async for device in client.noncompliant(rules=self._rules):
                    collected += 1
                    yield device
            except MdmError as error:
                failures.append(error)
        if failures:
            raise IncompleteListError(
                "; ".join(map(str, failures)),
                collected=collected,
                failures=tuple(failures),
                operation="noncompliant",
                hint=failures[0].hint,
            )

    async def _ask(self, keys: list[Key | str], deadline: float | None) -> list[Answer]:
        jobs = [partial(self._results, client, keys, deadline) for client in self.clients.values()]
        by_server = await self._waits.gather(jobs)
        answers = []
        for results in zip(*by_server, strict=True):
            outcomes = tuple(
                Outcome.of(
                    client.server, client.provider.name, result, judges=client.provider.settings.judges
                )
                for client, result in zip(self.clients.values(), results, strict=True)
            )
            device = merged(outcomes, self._merge)
            if device and self._rules:
                device = self._ruled(self._rules, device, [one.device for one in outcomes if one.device])
            answers.append(Answer(key=results[0].key, device=device, outcomes=outcomes))
        return answers

    def _ruled(self, rules: Rules, device: Device, known: Sequence[Device]) -> Device:
        """The device by the rules; which of them it breaks, any of its records may know."""
        judged = [tightened(one, rules, self.clients[one.server].server_time) for one in (device, *known)]
        broken = [one for one in judged if one.compliance.state is ComplianceState.NONCOMPLIANT]
        rivals = [judged[0], *rivals_of(device, broken)]
        return judge_together(judged[0], rivals, f"{len(known)} servers know the device")

    @staticmethod
    async def _results(
        client: AsyncMdmClient, keys: list[Key | str], deadline: float | None
    ) -> list[LookupResult]:
        return [result async for result in client.lookup_many(keys, deadline=deadline)]

    @staticmethod
    async def _heartbeat(client: AsyncMdmClient) -> Heartbeat:
        began = time.monotonic()
        info, failure = None, None
        try:
            info = await client.heartbeat()
        except MdmError as error:
            failure = error
        elapsed_ms = (time.monotonic() - began) * 1000
        return Heartbeat(
            server=client.server,
            provider=client.provider.name,
            info=info,
            error=failure,
            elapsed_ms=elapsed_ms,
        )
