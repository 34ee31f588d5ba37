"""One question to several servers: whom it is for, what is known already, and who has to be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdmsdk.federation.chain import in_scope
from mdmsdk.federation.members import Asking
from mdmsdk.federation.shelf import Kept
from mdmsdk.identifiers import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdmsdk.client.aio import AsyncMdmClient
    from mdmsdk.federation.cache import Cache
    from mdmsdk.federation.members import Question
    from mdmsdk.federation.replies import Reply

    Said = list[dict[str, Reply]]


class Round:
    """The servers of a question.

    Args:
        question: what they are asked.
        clients: the servers, by name in order.
        cache: what they said before.
    """

    def __init__(
        self, question: Question, clients: Mapping[str, AsyncMdmClient], cache: Cache | None
    ) -> None:
        self._question = question
        self._clients = clients
        self._cache = cache
        self._kept = Kept.nothing()
        self._askings: dict[str, Asking] = {}
        providers = {name: client.provider for name, client in clients.items()}
        self._scopes = [
            (key, in_scope(key, providers) if isinstance(key, Key) else set(providers))
            for key in question.keys
        ]

    async def askings(self) -> list[Asking]:
        """The servers to ask, each for what is not kept of it."""
        question, cache = self._question, self._cache
        keys = {name: [key for key, scope in self._scopes if name in scope] for name in self._clients}
        if question.whole is None and self._clients:
            patience = min(one._runner.policy.deadline for one in self._clients.values())  # noqa: SLF001
            question.at = question.began + patience
        if cache and not question.fresh:
            pairs = [
                (client, key)
                for name, client in self._clients.items()
                for key in keys[name]
                if cache.takes(key, client)
            ]
            self._kept = await cache.shelf.read(pairs, question)
        kept = self._kept.fresh
        for name, some in keys.items():
            if missing := [key for key in some if (name, key) not in kept]:
                self._askings[name] = Asking(self._clients[name], question, missing, cache)
            elif some:
                question.note([kept[name, key] for key in some if isinstance(key, Key)])
        question.kept.update(name for name, _ in kept)
        return list(self._askings.values())

    def said(self) -> Said:
        """What the servers said about each key, by name; those that it is not for said nothing."""
        return [
            {name: self._reply(name, key) for name in self._clients if name in scope}
            for key, scope in self._scopes
        ]

    def _reply(self, name: str, key: Key | str) -> Reply:
        if isinstance(key, Key) and (kept := self._kept.fresh.get((name, key))):
            return kept
        reply = self._askings[name].reply(key)
        error = reply.records.error
        if not (error and error.retryable and self._cache and isinstance(key, Key)):
            return reply
        old = self._kept.stale.get((name, key))
        if old is None or not self._cache.shelf.is_usable(old, self._question):
            return reply
        self._question.notes[f"{name}: what it said before stands, since it fails now: {error.message}"] = (
            None
        )
        return old
