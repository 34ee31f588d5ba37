"""The servers of a federation: whom to ask, what all of them say to a question, whether they are there."""

from __future__ import annotations

import copy
import time
from functools import partial
from typing import TYPE_CHECKING, Self

from mdmsdk.errors import ConfigurationError, MdmError
from mdmsdk.federation.members import Broken, Question, not_asked
from mdmsdk.federation.merge import Heartbeat, Outcome
from mdmsdk.federation.rounds import Round
from mdmsdk.words import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import ModuleType

    from mdmsdk.client.aio import AsyncMdmClient
    from mdmsdk.directory.aio import AsyncDirectory
    from mdmsdk.federation.cache import Cache
    from mdmsdk.federation.rounds import Said

__all__ = ["Servers"]


class Servers:
    """Asks them.

    Args:
        clients: those that can be asked, by name in order of preference.
        waits: how the federation waits.

    Attributes:
        clients: those that can be asked, by name.
        broken: those that cannot.
        order: the names of all.
        cache: what they said before; None for asking always.
        directory: which records show an identifier; None without one.
    """

    def __init__(self, clients: dict[str, AsyncMdmClient], waits: ModuleType) -> None:
        self.clients = clients
        self.broken: dict[str, Broken] = {}
        self.order: tuple[str, ...] = tuple(clients)
        self.cache: Cache | None = None
        self.directory: AsyncDirectory | None = None
        self._waits = waits

    def of(self, clients: dict[str, AsyncMdmClient]) -> Self:
        """The same servers with another patience."""
        twin = copy.copy(self)
        twin.clients = clients
        return twin

    def chosen(self, names: Iterable[str] | None) -> tuple[str, ...]:
        """The names of the servers to ask, in order.

        Raises:
            ConfigurationError: there is no server of that name, or none is chosen.
        """
        if names is None:
            return self.order
        wanted = {names} if isinstance(names, str) else set(names)
        if unknown := sorted(wanted - {*self.order}):
            raise ConfigurationError(
                f"there is no server {', '.join(unknown)}{nearest(unknown[0], self.order)}",
                hint=f"There are: {', '.join(self.order)}.",
            )
        if not wanted:
            raise ConfigurationError("no server is chosen", hint=f"There are: {', '.join(self.order)}.")
        return tuple(name for name in self.order if name in wanted)

    def members(self, names: Iterable[str] | None) -> list[AsyncMdmClient | Broken]:
        """The servers to ask, in order."""
        return [self.clients.get(name) or self.broken[name] for name in self.chosen(names)]

    async def ask(self, question: Question, names: Sequence[str]) -> list[tuple[Outcome, ...]]:
        """The outcomes for each key of a question, of all servers in order."""
        return [
            tuple(
                self.broken[name].outcome()
                if name in self.broken
                else (said[name].outcome if name in said else not_asked(self.clients[name]))
                for name in names
            )
            for said in await self.ask_all(question, names)
        ]

    async def ask_all(self, question: Question, names: Sequence[str]) -> Said:
        """What the servers say about each key, by name; those that it is not for say nothing."""
        clients = {name: self.clients[name] for name in names if name in self.clients}
        question.directory = self.directory
        asked = Round(question, clients, self.cache)
        askings = await asked.askings()
        if len(askings) == 1 and not question.kept:  # no other one would be kept waiting for it
            await askings[0].run()
        elif askings:
            await self._waits.race(askings)
        return asked.said()

    async def heartbeats(self) -> list[Heartbeat]:
        """Whether each server is there."""
        found: list[Heartbeat] = await self._waits.gather(
            [partial(self._heartbeat, name) for name in self.order]
        )
        return found

    async def _heartbeat(self, name: str) -> Heartbeat:
        if name in self.broken:
            broken = self.broken[name]
            return Heartbeat(server=name, provider=broken.provider, error=broken.error)
        client, began = self.clients[name], time.monotonic()
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
