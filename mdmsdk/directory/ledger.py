"""A directory in the store: what is known of it, and its shards. One process writes them, by its lease."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

from pydantic import ValidationError

from mdmsdk.directory.entries import EMPTY, find, halves, lines_of, merge, number_of
from mdmsdk.directory.state import State, place_of
from mdmsdk.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from mdmsdk.directory.entries import Reference
    from mdmsdk.directory.state import Volume
    from mdmsdk.store.aio import AsyncStore

__all__ = ["LEASE", "Ledger", "LostError", "TakenError"]

LEASE = 60.0
"""Seconds after which another process may take a walk over that was left alone."""
_FULL = 32
"""Entries in a shard, on average, at which there are to be twice as many: so few that SQLite keeps several
shards on a page, and that hashing one at each look costs little."""
_AT_ONCE = 256
"""Shards that are read or written at once."""


class LostError(Exception):
    """A part of what was written is not in the store any more."""


class TakenError(Exception):
    """Another process walks, or has walked."""


class Ledger:
    """The part of the store that belongs to a server."""

    def __init__(self, store: AsyncStore, server: str) -> None:
        self._store = store
        self._place = place_of(server)
        self._token: int | None = None
        self._held_at = 0.0

    # --- reading ---

    async def state(self) -> State | None:
        """What is known of the directory; None if nothing is, or in a form of another version."""
        text = await self._store.get(self._state)
        try:
            return None if text is None else State.model_validate_json(text)
        except ValidationError:
            return None

    async def look(
        self, volume: Volume | None, codes: Sequence[bytes]
    ) -> tuple[list[tuple[Reference, ...]], list[tuple[Reference, ...]] | None]:
        """The records of identifiers: those that lookups noted, and those of a walk.

        The latter are None where a shard is not there, or where there is no volume.
        """
        names = [self._note(code) for code in codes]
        if volume:
            names += [self._shard(volume, number_of(code, volume.shards)) for code in codes]
        parts = await self._store.get_many(names)
        notes, shards = parts[: len(codes)], parts[len(codes) :]
        lately = [find(note, code) if note else () for note, code in zip(notes, codes, strict=True)]
        if volume is None or None in shards:
            return lately, None
        return lately, [find(shard or b"", code) for shard, code in zip(shards, codes, strict=True)]

    async def entries(self, volume: Volume) -> AsyncIterator[tuple[bytes, tuple[Reference, ...]]]:
        """All that a walk found.

        Raises:
            LostError: a part of it is not there.
        """
        for numbers in _portions(volume.shards):
            for shard in await self._read(volume, numbers):
                for line in lines_of(shard):
                    yield line

    # --- writing ---

    async def note(self, found: Mapping[bytes, Mapping[bytes, None]], seconds: float) -> None:
        """Keep what lookups showed, for so many seconds."""
        values = {self._note(code): merge(EMPTY, {code: records})[0] for code, records in found.items()}
        await self._store.set_many(values, seconds)

    async def take(self) -> int:
        """Take the lease; gives its token.

        Raises:
            TakenError: another process has it.
        """
        self._held_at = time.monotonic()
        self._token = await self._store.lease(self._lease, LEASE)
        if self._token is None:
            raise TakenError
        return self._token

    async def hold(self, known: State) -> None:
        """Hold the lease longer. `known` is what this process wrote last.

        Raises:
            TakenError: another process has it now, or had it meanwhile.
        """
        if await self._renew():
            return
        await self.take()
        if await self.state() != known:
            raise TakenError

    async def _renew(self) -> bool:
        now = time.monotonic()
        held = self._token is not None and await self._store.renew(self._lease, self._token, LEASE)
        self._held_at = now
        return held

    async def leave(self) -> None:
        """Give the lease back."""
        if self._token:
            await self._store.release(self._lease, self._token)
            self._token = None

    async def save(self, state: State) -> None:
        """Keep what is known of the directory."""
        await self._write({self._state: state.model_dump_json().encode()})

    async def begin(self, volume: Volume) -> None:
        """Make the shards of a new volume."""
        for numbers in _portions(volume.shards):
            await self._write({self._shard(volume, number): EMPTY for number in numbers})

    async def put(self, volume: Volume, new: Mapping[bytes, Mapping[bytes, None]]) -> Volume:
        """Add entries; gives the volume, which has more shards if there are many.

        Raises:
            LostError: a part of what was written is not there.
            TakenError: another process walks.
        """
        while volume.identifiers + len(new) > volume.shards * _FULL:
            volume = await self._doubled(volume)
        by_shard: defaultdict[int, dict[bytes, Mapping[bytes, None]]] = defaultdict(dict)
        for code, references in new.items():
            by_shard[number_of(code, volume.shards)][code] = references
        numbers, more = sorted(by_shard), 0
        for start in range(0, len(numbers), _AT_ONCE):
            portion = numbers[start : start + _AT_ONCE]
            shards = await self._read(volume, portion)
            merged = [merge(shard, by_shard[number]) for number, shard in zip(portion, shards, strict=True)]
            names = [self._shard(volume, number) for number in portion]
            await self._write({name: text for name, (text, _) in zip(names, merged, strict=True)})
            more += sum(count for _, count in merged)
        return volume.model_copy(update={"identifiers": volume.identifiers + more})

    async def drop(self, volume: Volume | None) -> None:
        """Remove the shards of a volume."""
        for numbers in _portions(volume.shards if volume else 0):
            await self._store.delete(*(self._shard(volume, number) for number in numbers if volume))

    async def _doubled(self, volume: Volume) -> Volume:
        # Under other names, so that a walk that ends in the midst of it goes on with what was there before.
        larger = volume.model_copy(update={"shards": 2 * volume.shards})
        for numbers in _portions(volume.shards):
            values: dict[str, bytes] = {}
            for number, shard in zip(numbers, await self._read(volume, numbers), strict=True):
                low, high = halves(shard, volume.shards)
                values[self._shard(larger, number)] = low
                values[self._shard(larger, number + volume.shards)] = high
            await self._write(values)
        return larger

    async def _read(self, volume: Volume, numbers: Sequence[int]) -> list[bytes]:
        shards = await self._store.get_many([self._shard(volume, number) for number in numbers])
        there = [shard for shard in shards if shard is not None]
        if len(there) < len(shards):
            raise LostError
        return there

    async def _write(self, values: Mapping[str, bytes]) -> None:
        if self._token is None:
            raise StoreError("the directory is written by who holds its lease alone")
        if time.monotonic() - self._held_at > LEASE / 3:  # very much is being written
            await self._renew()
        if not await self._store.set_fenced(self._lease, self._token, values):
            raise TakenError

    # --- names ---

    @property
    def _state(self) -> str:
        return f"{self._place}/state"

    @property
    def _lease(self) -> str:
        return f"{self._place}/walk"

    def _shard(self, volume: Volume, number: int) -> str:
        return f"{self._place}/{volume.walk:x}.{volume.shards:x}/{number:x}"

    def _note(self, code: bytes) -> str:
        return f"{self._place}/seen/{code.decode()}"


def _portions(shards: int) -> list[range]:
    return [range(start, min(start + _AT_ONCE, shards)) for start in range(0, shards, _AT_ONCE)]
