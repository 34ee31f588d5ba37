"""One question at a time: who asks for what a server is being asked already waits for that answer."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from mdmsdk.client.verdict import Records
from mdmsdk.errors import DeadlineExceededError, StoreError
from mdmsdk.federation.flights import Flight, Flights
from mdmsdk.federation.replies import Reply
from mdmsdk.federation.shelf import Kept, Shelf
from mdmsdk.identifiers import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import ModuleType

    from mdmsdk._run.budget import Budget, Hurry
    from mdmsdk.client.aio import AsyncMdmClient
    from mdmsdk.federation.members import Question

_log = logging.getLogger("mdmsdk.cache")
_LEASE = 10.0
"""Seconds after which another process asks itself, should the one that asks have died."""
_LOOK = 0.02
"""Seconds between two looks for what another process is asking, at first."""


class _Own(NamedTuple):
    """A question of this call, which others may join."""

    name: str
    flight: Flight


class Cache:
    """What servers said a short time ago, and what they are being asked.

    Args:
        shelf: where it is kept.
        waits: how the federation waits.
    """

    def __init__(self, shelf: Shelf, waits: ModuleType) -> None:
        self.shelf = shelf
        self._waits = waits
        self._flights = Flights(waits)

    def takes(self, key: Key | str, client: AsyncMdmClient) -> TypeGuard[Key]:
        """Whether what a server says about this key may be kept."""
        provider = client.provider
        if provider.settings.keep_raw and not self.shelf.store.personal:
            return False
        return isinstance(key, Key) and type(key) in provider.keys

    async def ask(
        self, client: AsyncMdmClient, keys: Sequence[Key | str], hurry: Hurry, question: Question
    ) -> dict[Key | str, Reply]:
        """Ask a server for keys, or wait for what it is being asked already."""
        replies: dict[Key | str, Reply] = {}
        budget = hurry.budget(client._runner.policy.deadline)  # noqa: SLF001
        while missing := [key for key in keys if key not in replies]:
            own, joined = self._board(client, missing, question)
            try:
                replies |= await self._lead(client, own, hurry, question)
            finally:
                self._land(own, replies)
            if joined:  # asked for before, and so no fresh word
                question.kept.add(client.server)
                replies |= await self._follow(client, joined, budget)
        return replies

    def _board(
        self, client: AsyncMdmClient, keys: Iterable[Key | str], question: Question
    ) -> tuple[dict[Key | str, _Own | None], dict[Key, Flight]]:
        """The flights of these keys: one's own, None where there is nothing to join, and those of others."""
        own: dict[Key | str, _Own | None] = {}
        joined: dict[Key, Flight] = {}
        for key in keys:
            if not self.takes(key, client):
                own[key] = None
                continue
            name = self.shelf.place(client, key).entry
            flight, leads = self._flights.board(name, alone=question.fresh, max_age=question.max_age)
            if leads:
                own[key] = _Own(name, flight)
            else:
                joined[key] = flight
        return own, joined

    def _land(self, own: Mapping[Key | str, _Own | None], replies: Mapping[Key | str, Reply]) -> None:
        for key, mine in own.items():
            if mine:
                self._flights.land(mine.name, mine.flight, replies.get(key))

    async def _follow(
        self, client: AsyncMdmClient, joined: Mapping[Key, Flight], budget: Budget
    ) -> dict[Key | str, Reply]:
        """What came of others' questions; nothing where they had less time than there is here."""
        replies: dict[Key | str, Reply] = {}
        for key, flight in joined.items():
            reply = await flight.wait(self._waits, budget)
            if budget.left <= 0 and reply is None:
                error = budget.exceeded()
                error.locate(server=client.server, provider=client.provider.name, operation="find")
                reply = Reply.of(client, Records(key, error=error), self.shelf.clock())
            hasty = reply and isinstance(reply.records.error, DeadlineExceededError) and budget.left > 0
            if reply and not hasty:
                replies[key] = reply
        return replies

    async def _lead(
        self,
        client: AsyncMdmClient,
        own: Mapping[Key | str, _Own | None],
        hurry: Hurry,
        question: Question,
    ) -> dict[Key | str, Reply]:
        """Ask for keys that nobody else in this process is asking for."""
        if not own:
            return {}
        known = [key for key in own if self.takes(key, client)]
        token = None
        if question.fresh:
            kept = Kept({}, {}, await self.shelf.renew(client, known, question))
        elif self.shelf.store.shared and len(known) == 1 and not question.bulk:
            token, kept = await self._turn(client, known[0], hurry, question)
        else:  # somebody may have been given it just before
            kept = await self.shelf.read([(client, key) for key in known], question)
        if kept.fresh:
            question.kept.add(client.server)
        replies: dict[Key | str, Reply] = {key: reply for (_, key), reply in kept.fresh.items()}
        if rest := [key for key in own if key not in replies]:
            asked_at, provider = self.shelf.clock(), client.provider
            records = await question.look_up(client, rest, hurry)
            came = [Reply.of(client, one, asked_at) for one in records]
            replies |= {one.records.key: one for one in came}
            # Who was asked with other secrets may have seen other devices than those of now.
            if kept.generations and client.provider is provider:
                await self.shelf.write(client, came, kept.generations, question)
        if token is not None:
            await self._release(client, known[0], token, question)
        return replies

    async def _turn(
        self, client: AsyncMdmClient, key: Key, hurry: Hurry, question: Question
    ) -> tuple[int | None, Kept]:
        """Wait until no other process asks for the key; gives the lease to do so, and what is kept then."""
        budget, pause = hurry.budget(client._runner.policy.deadline), _LOOK  # noqa: SLF001
        while True:
            try:
                name = self.shelf.place(client, key).entry
                token = await self.shelf.attempt(partial(self.shelf.store.lease, name, _LEASE), question.at)
            except StoreError as error:
                self.shelf.tell(error, question)
                return None, Kept.nothing()
            kept = await self.shelf.read([(client, key)], question)
            if token is not None or kept.fresh or not kept.generations or budget.left <= pause:
                return token, kept
            await self._waits.sleep(pause)
            pause = min(pause * 1.5, _LOOK * 10)

    async def _release(self, client: AsyncMdmClient, key: Key, token: int, question: Question) -> None:
        name = self.shelf.place(client, key).entry
        try:
            await self.shelf.attempt(partial(self.shelf.store.release, name, token), question.at)
        except StoreError:
            _log.debug("%s: a lease was not given back, and ends by itself", client.server)

    async def invalidate(self, clients: Iterable[AsyncMdmClient], keys: Sequence[Key]) -> None:
        """Forget a device on all servers; nobody joins a question about it that is under way.

        Raises:
            StoreError: the store cannot be told.
        """
        for client in clients:
            own = [self.shelf.place(client, key).entry for key in keys]
            self._flights.forget(own)
            self._flights.forget(await self.shelf.forget(client, keys))
