"""What servers said, in the store, for a time.

An entry is what one server had for one key: never a merged answer, and never an error. Beside it stands the
generation of its key. An entry counts only in the generation in which its question was sent: who forgets a
device, or asks afresh, begins a new one, and what was under way before comes too late, in all processes.
"""

from __future__ import annotations

import json
import logging
import math
import secrets
import time
from functools import partial
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar
from urllib.parse import quote

from mdmsdk.errors import StoreError
from mdmsdk.federation.replies import Reply, decode, encode
from mdmsdk.store.fingerprint import fingerprint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
    from types import ModuleType

    from mdmsdk.client.aio import AsyncMdmClient
    from mdmsdk.federation.members import Question
    from mdmsdk.federation.merge import Outcome
    from mdmsdk.identifiers import Key
    from mdmsdk.provider import MdmProvider
    from mdmsdk.store import AsyncStore

    Generations = dict[tuple[str, Key], str | None]

T = TypeVar("T")
_log = logging.getLogger("mdmsdk.cache")
_REMEMBERED = 20_000
"""Entries of which a process remembers what it read, so that the same bytes need not be read again."""
_UNDER_WAY = 3600.0
"""Seconds for which a question that was sent may still bring an entry of an older generation."""
_PATIENCE = 2.5
"""Seconds that the store takes at the most before it says that it fails; who has less looks at the clock."""
_SHARE = 0.25
"""The share of the time that is left which the store may take of those."""
_REST = 5.0
"""Seconds for which a store that was too slow is left alone."""
_SLOW = "the store does not answer in time"
_MOST = 256
"""Identifiers that may lead to each other; devices that share a dock have more than one device has."""


class Place(NamedTuple):
    """The names of a key's entry, of its generation, and of what leads to the device's other keys."""

    entry: str
    generation: str
    links: str


class _Home(NamedTuple):
    """Where the entries of a server are, as its settings are now."""

    provider: MdmProvider
    server: str
    prefix: str
    places: dict[Key, Place]


class _Read(NamedTuple):
    """An entry as it was read the last time, and since when it is there, by a clock that nobody sets."""

    value: bytes
    reply: Reply
    generation: str | None
    born: float


class Words(NamedTuple):
    """What servers said of a key, as it stands in the store, for as long as it may be used.

    Attributes:
        homes: the servers, and where their entries were.
        names: of the entries and generations.
        values: what stood there.
        since: when the first of them was asked for, by the wall clock and by the one that nobody sets.
        until: when the first of them is too old, by both.
        replies: those of servers whose own rules count days, of which more may have gone by.
    """

    homes: list[tuple[AsyncMdmClient, _Home]]
    names: list[str]
    values: list[bytes | None]
    since: tuple[float, float]
    until: tuple[float, float]
    replies: list[tuple[AsyncMdmClient, Reply]]

    def may_count(self, wall: float, running: float, max_age: float | None) -> bool:
        """Whether none is too old now, and all come from the settings and the days of now."""
        if wall >= self.until[0] or running >= self.until[1]:
            return False
        if max_age is not None and max(wall - self.since[0], running - self.since[1]) >= max_age:
            return False
        for client, home in self.homes:
            if home.provider is not client.provider:
                return False
        return all(reply.of_now(client) is reply for client, reply in self.replies)


class Kept(NamedTuple):
    """What there is for keys, by the server's name and the key.

    Attributes:
        fresh: what may be used as it is.
        stale: what may be used where the server fails.
        generations: those of the keys; none where the store cannot be read.
    """

    fresh: dict[tuple[str, Key], Reply]
    stale: dict[tuple[str, Key], Reply]
    generations: Generations

    @classmethod
    def nothing(cls) -> Kept:
        """As if the store was empty, and not to be written to."""
        return cls({}, {}, {})


class Shelf:
    """The entries of all servers.

    What the store fails at is noted with the question and logged once; lookups go on without it.

    Args:
        store: where they are.
        waits: how the federation waits.
        ttl: seconds for which a server's records are used without asking again.
        negative_ttl: the same where it had none.
        max_age: seconds after which records are not used even where the server fails.
    """

    clock: Callable[[], float] = staticmethod(time.time)
    monotonic: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(
        self, store: AsyncStore, waits: ModuleType, *, ttl: float, negative_ttl: float, max_age: float
    ) -> None:
        self.store = store
        self._waits = waits
        self._rests_until = 0.0
        self._ttl, self._negative_ttl, self._max_age = ttl, min(negative_ttl, ttl), max(max_age, ttl)
        self._seen: dict[str, _Read] = {}
        self._born: dict[str, tuple[bytes | None, float]] = {}
        self._homes: dict[str, _Home] = {}
        self._void: dict[str, float] = {}
        self._failing = False

    async def read(self, wanted: Sequence[tuple[AsyncMdmClient, Key]], question: Question) -> Kept:
        """What is kept for these keys of these servers."""
        kept = Kept.nothing()
        if not wanted:
            return kept
        places = [self.place(client, key) for client, key in wanted]
        try:
            names = [name for place in places for name in place[:2]]
            values = await self.attempt(partial(self.store.get_many, names), question.at)
        except StoreError as error:
            self.tell(error, question)
            return kept
        self._failing = False
        for index, (client, key) in enumerate(wanted):
            value, generation = values[2 * index], values[2 * index + 1]
            current = None if generation is None else generation.decode()
            kept.generations[client.server, key] = current
            if value is not None:
                name = places[index].entry
                read = self._entry(client, key, name, value)
                if read and read.generation == current and read.born > self._void.get(name, -math.inf):
                    self._sort(kept, client, key, read, question)
        return kept

    def _entry(self, client: AsyncMdmClient, key: Key, name: str, value: bytes) -> _Read | None:
        seen = self._seen.get(name)
        if seen and seen.value == value:
            return seen
        decoded = decode(client, key, value)
        if decoded is None:
            return None
        if len(self._seen) >= _REMEMBERED:
            self._seen.clear()
        reply, generation = decoded
        written, born = self._born.pop(name, (None, 0.0))
        if written != value:  # another process wrote it
            born = self.monotonic() - max(self.clock() - reply.asked_at, 0.0)
        read = self._seen[name] = _Read(value, reply, generation, born)
        return read

    def _sort(self, kept: Kept, client: AsyncMdmClient, key: Key, read: _Read, question: Question) -> None:
        """Put what was read where it belongs by its age, which is never less than either clock says."""
        reply = read.reply
        age = max(self.clock() - reply.asked_at, self.monotonic() - read.born)
        most = self._most(question)
        ttl = self._ttl if reply.records.devices else self._negative_ttl
        if age < min(ttl, most):
            kept.fresh[client.server, key] = reply.of_now(client)
        elif age < most and reply.records.devices:
            kept.stale[client.server, key] = reply.of_now(client)

    def _most(self, question: Question) -> float:
        return self._max_age if question.max_age is None else min(question.max_age, self._max_age)

    def is_usable(self, stale: Reply, question: Question) -> bool:
        """Whether a reply is still young enough to stand in for a server that fails."""
        return self.clock() - stale.asked_at < self._most(question)

    def words(
        self, clients: Iterable[AsyncMdmClient | None], key: Key, outcomes: Iterable[Outcome]
    ) -> Words | None:
        """What stands in the store for these very outcomes; None where they are from somewhere else."""
        words = Words([], [], [], (math.inf, math.inf), (math.inf, math.inf), [])
        for client, outcome in zip(clients, outcomes, strict=True):
            if client is None:
                return None
            place = self.place(client, key)
            read = self._seen.get(place.entry)
            if read is None or read.reply.outcome is not outcome:
                return None
            generation = None if read.generation is None else read.generation.encode()
            words.homes.append((client, self._home(client)))
            words.names.extend(place[:2])
            words.values.extend((read.value, generation))
            if read.reply.counts_days(client):
                words.replies.append((client, read.reply))
            ttl = self._ttl if read.reply.records.devices else self._negative_ttl
            (wall, running), (wall_end, running_end) = words.since, words.until
            asked_at = read.reply.asked_at
            words = words._replace(
                since=(min(wall, asked_at), min(running, read.born)),
                until=(min(wall_end, asked_at + ttl), min(running_end, read.born + ttl)),
            )
        return words

    async def still(self, words: Words, at: float, max_age: float | None) -> bool:
        """Whether the same stands there, and may still be used.

        Args:
            words: what stood there.
            at: when the time to find out is up, by the monotonic clock.
            max_age: seconds that none of it may be older than; None for what the cache allows.
        """
        if not words.may_count(self.clock(), self.monotonic(), max_age):
            return False
        if self._void and not self._void.keys().isdisjoint(words.names):
            return False
        try:
            values = await self.attempt(partial(self.store.get_many, words.names), at)
        except StoreError:
            return False
        return values == words.values

    async def write(
        self,
        client: AsyncMdmClient,
        replies: Iterable[Reply],
        generations: Generations,
        question: Question,
    ) -> None:
        """Keep what a server said, in the generations in which it was asked."""
        try:
            await self.attempt(partial(self._write, client, replies, generations), question.at)
        except StoreError as error:
            self.tell(error, question)

    async def _write(
        self, client: AsyncMdmClient, replies: Iterable[Reply], generations: Generations
    ) -> None:
        names = [name for name in generations if name[0] == client.server]
        # One of an older generation would only stand in the way of its successor.
        now = await self.store.get_many([self.place(client, key).generation for _, key in names])
        same = {
            key
            for (server, key), value in zip(names, now, strict=True)
            if generations[server, key] == (value and value.decode())
        }
        good = [one for one in replies if one.records.error is None and one.records.key in same]
        await self._set(client, [one for one in good if one.records.devices], generations, self._max_age)
        if self._negative_ttl:
            none = [one for one in good if not one.records.devices]
            await self._set(client, none, generations, self._negative_ttl)

    async def _set(
        self,
        client: AsyncMdmClient,
        replies: Iterable[Reply],
        generations: Mapping[tuple[str, Key], str | None],
        seconds: float,
    ) -> None:
        values: dict[str, bytes] = {}
        links: dict[str, set[str]] = {}
        if len(self._born) >= _REMEMBERED:
            self._born.clear()
        for one in replies:
            key = one.records.key
            if isinstance(key, str):  # such a text ends with an error
                continue
            value = encode(one, generations[client.server, key], personal=self.store.personal)
            if value is None:
                _log.debug("%s: a record is not kept: read again it would be another", client.server)
                continue
            values[self.place(client, key).entry] = value
            self._born[self.place(client, key).entry] = (
                value,
                self.monotonic() - one.records.elapsed_ms / 1000,
            )
            if one.records.devices:
                names = {self.place(client, shown).links for shown in {key, *one.identifiers()}}
                links.update({name: links.get(name, set()) | names for name in names})
        if links:
            await self._link(links)
        if values:
            await self.store.set_many(values, seconds)

    async def _link(self, links: Mapping[str, set[str]]) -> None:
        """Note which identifiers are one device's, so that one of them is enough to forget it under all."""
        before = await self.store.get_many(links)
        joined = {
            name: sorted(names.union(_linked(known)))[:_MOST]
            for (name, names), known in zip(links.items(), before, strict=True)
        }
        values = {name: json.dumps(names).encode() for name, names in joined.items()}
        await self.store.set_many(values, self._max_age + _UNDER_WAY)

    async def renew(self, client: AsyncMdmClient, keys: Iterable[Key], question: Question) -> Generations:
        """Begin a new generation of these keys."""
        fresh = {key: secrets.token_hex(8) for key in keys}
        names = {self.place(client, key).generation: one.encode() for key, one in fresh.items()}
        try:
            await self.attempt(partial(self.store.set_many, names, self._max_age + _UNDER_WAY), question.at)
        except StoreError as error:
            # What the store goes on giving, as a full one does, this process does not take any more.
            if len(self._void) >= _REMEMBERED:
                self._void.clear()
            self._void.update({self.place(client, key).entry: self.monotonic() for key in fresh})
            self.tell(error, question)
            return {}
        return {(client.server, key): one for key, one in fresh.items()}

    async def forget(self, client: AsyncMdmClient, keys: Iterable[Key]) -> list[str]:
        """Forget what a server said about a device under any key; gives the names of all entries concerned.

        Raises:
            StoreError: the store cannot be told.
        """
        home = self._home(client)
        links = {self.place(client, key).links for key in keys}
        for value in await self.store.get_many(sorted(links)):
            links.update(_linked(value))
        names = [link.removeprefix(f"cache/{home.server}/links/") for link in links]
        new = {f"cache/{home.server}/generations/{name}": secrets.token_hex(8).encode() for name in names}
        await self.store.set_many(new, self._max_age + _UNDER_WAY)
        entries = [f"{home.prefix}/{name}" for name in names]
        await self.store.delete(*entries)
        return entries

    def _home(self, client: AsyncMdmClient) -> _Home:
        home = self._homes.get(client.server)
        if home is None or home.provider is not client.provider:
            server = quote(client.server, safe="")
            prefix = f"cache/{server}/{fingerprint(client.provider, self.store.digest)}"
            home = self._homes[client.server] = _Home(client.provider, server, prefix, {})
        return home

    def place(self, client: AsyncMdmClient, key: Key) -> Place:
        """Where what belongs to a key is."""
        home = self._home(client)
        place = home.places.get(key)
        if place is None:
            if len(home.places) >= _REMEMBERED:
                home.places.clear()
            name = f"{key.kind}/{self.store.digest(f'{key.kind}:{key.canonical}')}"
            place = home.places[key] = Place(
                f"{home.prefix}/{name}",
                f"cache/{home.server}/generations/{name}",
                f"cache/{home.server}/links/{name}",
            )
        return place

    async def attempt(self, job: Callable[[], Awaitable[T]], at: float) -> T:
        """What the store gives, unless it takes so long that nobody has the time for it.

        Args:
            job: what it is asked.
            at: when the time for everything is up, by the monotonic clock.

        Raises:
            StoreError: it fails, or is too slow.
        """
        now = time.monotonic()
        if now < self._rests_until:
            raise StoreError(_SLOW)
        left = at - now
        if not self.store.shared or left > _PATIENCE:
            return await job()
        racer = _Attempt(job, now + max(left, 0.0) * _SHARE)
        await self._waits.race([racer])
        if racer.left:
            self._rests_until = time.monotonic() + _REST
            raise StoreError(_SLOW)
        return racer.result

    def tell(self, error: StoreError, question: Question) -> None:
        """Note that the store fails."""
        question.notes[f"asked without the cache: {error.message}"] = None
        # One that is shared logs by itself that it is out of reach.
        if not self._failing and (not self.store.shared or error.message == _SLOW):
            _log.warning("lookups go on without the cache: %s", error)
        self._failing = True


class _Attempt(Generic[T]):
    """Something that the store does, if it does it in time.

    Attributes:
        left: whether nobody waits for it any longer.
        result: what it gave.
    """

    result: T

    def __init__(self, job: Callable[[], Awaitable[T]], at: float) -> None:
        self._job = job
        self._at = at
        self.left = False

    async def run(self) -> None:
        """Do it."""
        self.result = await self._job()

    def until(self) -> float:
        """When it is too late."""
        return self._at

    def leave(self) -> None:
        """Note that it is."""
        self.left = True


def _linked(value: bytes | None) -> list[str]:
    return [] if value is None else json.loads(value)
