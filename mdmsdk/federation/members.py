"""The servers of a federation while one question is asked: who is left out, and whom nobody waits for."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdmsdk._run.budget import Budget, Hurry
from mdmsdk.client.verdict import Records
from mdmsdk.directory.routing import Route
from mdmsdk.errors import DeadlineExceededError, MdmError
from mdmsdk.federation.merge import Outcome, Status
from mdmsdk.federation.replies import Reply
from mdmsdk.models import ComplianceState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from mdmsdk.client.aio import AsyncMdmClient
    from mdmsdk.directory.aio import AsyncDirectory
    from mdmsdk.federation.cache import Cache
    from mdmsdk.identifiers import Key

__all__ = ["Asking", "Broken", "Question", "not_asked"]


@dataclass(frozen=True, slots=True)
class Broken:
    """A server that cannot be asked at all: its settings, its secret or its plugin is not usable.

    Attributes:
        error: why.
        judges: whether answers are incomplete without it.
    """

    server: str
    provider: str
    error: MdmError
    judges: bool = True

    def outcome(self) -> Outcome:
        """What it contributes to each answer."""
        return Outcome(
            server=self.server,
            provider=self.provider,
            status=Status.ERROR,
            error=self.error,
            judges=self.judges,
        )


def not_asked(client: AsyncMdmClient) -> Outcome:
    """The outcome of a server to which a key does not belong."""
    provider = client.provider
    return Outcome(
        server=client.server,
        provider=provider.name,
        status=Status.NOT_ASKED,
        judges=provider.settings.judges,
    )


class Question:
    """Some keys that several servers are asked for at once.

    Args:
        keys: what to ask for.
        patience: seconds that a server may take longer than the first one that answers; None for all that it
            needs.
        whole: the time for all of it; None for as long as a policy gives each request.
        early: end at the first managed record that does not comply.
        bulk: there are many keys, so that a server that answers anything at all is waited for.
        fresh: use nothing that was asked for before.
        max_age: use nothing older, in seconds; None for what the cache allows.

    Attributes:
        notes: what went wrong beside the servers.
        kept: the names of the servers that were not asked for a key, as the cache had what they say, another
            lookup was asking them, or the directory said that they do not know it.
        directory: which records to ask for.
        began: when it was put, by the monotonic clock.
        at: when the time for it is up.
    """

    def __init__(
        self,
        keys: Sequence[Key | str],
        patience: float | None,
        *,
        whole: Budget | None = None,
        early: bool = False,
        bulk: bool = False,
        fresh: bool = False,
        max_age: float | None = None,
    ) -> None:
        self.keys = keys
        self.patience = patience
        self.whole = whole
        self.bulk = bulk
        self.fresh = fresh
        self.max_age = max_age
        self.directory: AsyncDirectory | None = None
        self.notes: dict[str, None] = {}
        self.kept: set[str] = set()
        self.began: float = time.monotonic()
        self.at: float = whole.at if whole else math.inf
        self._early = early
        self._first: float | None = None
        self._settled = False

    async def look_up(self, client: AsyncMdmClient, keys: Sequence[Key | str], hurry: Hurry) -> list[Records]:
        """What a server has for some keys: the records that the directory names, or what it finds."""
        if self.directory is None or not self.directory._routes(client.server):  # noqa: SLF001
            return await client._look_up(keys, hurry)  # noqa: SLF001
        route = Route(self.directory, client, hurry, fresh=self.fresh)
        found = await route.look_up(keys)
        if route.untold:
            self.kept.add(client.server)
        return found

    def note(self, replies: Collection[Reply]) -> None:
        """Take into account that a server has given all its replies."""
        if self._first is None and any(reply.records.error is None for reply in replies):
            self._first = time.monotonic()
        self._settled = self._settled or (self._early and all(map(_is_settled, replies)))

    def until(self, heard_at: float) -> float | None:
        """How long to wait for a server that last answered something at this time."""
        if self._settled:
            return 0.0
        if self._first is None or self.patience is None:
            return None
        return self.patience + (max(self._first, heard_at) if self.bulk else self._first)

    def late(self) -> DeadlineExceededError:
        """Why a server has no result."""
        if self._settled:
            return DeadlineExceededError("not waited for: what another server said against the device stands")
        return DeadlineExceededError(
            f"no answer within the {self.patience:g} s that others are kept waiting for it",
            hint="Look with `mdm doctor` why it is slow, or raise patience in the table federation.",
        )


def _is_settled(reply: Reply) -> bool:
    device = reply.outcome.device
    return bool(device and device.registered and device.compliance.state is ComplianceState.NONCOMPLIANT)


class Asking:
    """One server that is asked.

    Args:
        client: the server.
        question: what all servers are asked.
        keys: those of its keys for this server.
        cache: where its answers are kept.

    Attributes:
        replies: what it gave so far.
    """

    def __init__(
        self, client: AsyncMdmClient, question: Question, keys: Iterable[Key | str], cache: Cache | None
    ) -> None:
        self.client = client
        self.replies: dict[Key | str, Reply] = {}
        self._question = question
        self._keys = list(dict.fromkeys(keys))
        self._cache = cache
        self._hurry = Hurry(question.whole)

    async def run(self) -> None:
        """Ask for all keys."""
        size = self.client.window
        for start in range(0, len(self._keys), size):
            await self._ask(self._keys[start : start + size])
        self._question.note(self.replies.values())

    async def _ask(self, keys: Sequence[Key | str]) -> None:
        if self._cache:
            # Looking into the cache, waiting for another's question and asking have one deadline together.
            self._hurry = Hurry(self._question.whole or self._whole(first=not self.replies))
            self.replies |= await self._cache.ask(self.client, keys, self._hurry, self._question)
        else:
            asked_at = time.time()
            for records in await self._question.look_up(self.client, keys, self._hurry):
                self.replies[records.key] = Reply.of(self.client, records, asked_at)

    def _whole(self, *, first: bool) -> Budget:
        budget = Budget(self.client._runner.policy.deadline)  # noqa: SLF001
        if first:
            budget.at = self._question.began + budget.seconds
        return budget

    def until(self) -> float | None:
        """How long to wait for it, as far as is known now."""
        return self._question.until(self.client._runner.shared.heard_at)  # noqa: SLF001

    def leave(self) -> None:
        """Note that nobody waits for it any longer."""
        self._hurry.left = True

    def reply(self, key: Key | str) -> Reply:
        """What it said about a key, or that it is late."""
        if found := self.replies.get(key):
            return found
        error = self._question.late()
        error.locate(server=self.client.server, provider=self.client.provider.name, operation="find")
        return Reply.of(self.client, Records(key, error=error), time.time())
