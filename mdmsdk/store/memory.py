"""The store in the memory of one process."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from mdmsdk.errors import StoreError
from mdmsdk.store.envelope import SKEW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mdmsdk.store.back_end import Fence

# What an entry takes besides its bytes: two objects, a tuple, a float, a place in the dictionary.
_OVERHEAD = 300
_FEW_LEASES = 100
_SWEEP_EVERY = 60.0


class MemoryBackEnd:
    """Entries in dictionaries; among those that have an end, those used last stand last.

    A child process begins with what its parent had, and goes its own way.

    Args:
        clock: what time it is, in seconds.
        max_size: bytes that all may take together.
    """

    def __init__(self, clock: Callable[[], float], max_size: int) -> None:
        self._clock = clock
        self._most = max_size
        self._size = self._kept_size = 0
        self._passing: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()
        self._kept: dict[bytes, bytes] = {}
        self._sweep_at = 0.0
        self._leases: dict[bytes, tuple[int, float, float]] = {}
        self._many_leases = _FEW_LEASES
        self._last_token = 0
        self._lock = threading.Lock()
        self._process = os.getpid()

    @property
    def _alone(self) -> threading.Lock:
        if self._process != os.getpid():  # a thread that is not here any more may have held it
            self._lock, self._process = threading.Lock(), os.getpid()
            self._kept_size = sum(map(_size_of, self._kept, self._kept.values()))
            passing = (_size_of(name, entry) for name, (entry, _) in self._passing.items())
            self._size = self._kept_size + sum(passing)
        return self._lock

    @property
    def works(self) -> bool:
        """It does."""
        return True

    async def read(self, names: Sequence[bytes]) -> list[bytes | None]:
        """The entries."""
        with self._alone:
            return self._read_all(names, self._clock())

    def _read_all(self, names: Sequence[bytes], now: float) -> list[bytes | None]:
        return [self._read(name, now) for name in names]

    def _read(self, name: bytes, now: float) -> bytes | None:
        found = self._passing.get(name)
        if found is None:
            return self._kept.get(name)
        entry, ends = found
        if ends <= now:
            self._drop(name)
            return None
        self._passing.move_to_end(name)
        return entry

    def _drop(self, name: bytes) -> None:
        if found := self._passing.pop(name, None):
            self._size -= _size_of(name, found[0])
        elif (entry := self._kept.pop(name, None)) is not None:
            self._size -= _size_of(name, entry)
            self._kept_size -= _size_of(name, entry)

    async def write(
        self, entries: Mapping[bytes, bytes], expires: float | None, fence: Fence | None = None
    ) -> bool:
        """Keep entries."""
        with self._alone:
            now = self._clock()
            if fence and not self._holds(fence, now):
                return False
            self._make_room(entries, now)
            self._write_all(entries, None if expires is None else now + expires)
        return True

    def _write_all(self, entries: Mapping[bytes, bytes], ends: float | None) -> None:
        for name, entry in entries.items():
            self._drop(name)
            size = _size_of(name, entry)
            self._size += size
            if ends is None:
                self._kept[name] = entry
                self._kept_size += size
            else:
                self._passing[name] = entry, ends

    def _make_room(self, entries: Mapping[bytes, bytes], now: float) -> None:
        """Drop what is over, and then what was unused the longest, if that is needed."""
        wanted = sum(map(_size_of, entries, entries.values()))
        wanted -= sum(_size_of(name, self._kept[name]) for name in entries if name in self._kept)
        if self._kept_size + wanted > self._most:
            raise StoreError(
                f"the store is full: max_size is {self._most:,} bytes, and what has no end takes the others",
                hint="Raise max_size in the table store, or keep the store in a file.",
            )
        if self._size + wanted <= self._most:
            return
        if not self._sweep_at - _SWEEP_EVERY <= now < self._sweep_at:
            self._sweep_at = now + _SWEEP_EVERY
            for name in [name for name, (_, ends) in self._passing.items() if ends <= now]:
                self._drop(name)
        while self._passing and self._size + wanted > self._most:
            self._drop(next(iter(self._passing)))

    async def remove(self, names: Sequence[bytes]) -> None:
        """Keep them no longer."""
        with self._alone:
            self._remove_all(names)

    def _remove_all(self, names: Sequence[bytes]) -> None:
        for name in names:
            self._drop(name)

    async def lease(self, name: bytes, seconds: float) -> int | None:
        """Take a lease."""
        with self._alone:
            now = self._clock()
            held = self._leases.get(name)
            if held and held[1] - SKEW <= now < held[2]:
                return None
            if len(self._leases) > self._many_leases:
                self._forget_leases(now)
            self._last_token = max(self._last_token + 1, int(now * 1e6))
            self._leases[name] = self._last_token, now, now + seconds
            return self._last_token

    def _forget_leases(self, now: float) -> None:
        self._leases = {one: it for one, it in self._leases.items() if it[1] - SKEW <= now < it[2]}
        self._many_leases = 2 * len(self._leases) + _FEW_LEASES

    def _holds(self, fence: Fence, now: float) -> bool:
        held = self._leases.get(fence.name)
        return bool(held and held[0] == fence.token and held[1] - SKEW <= now < held[2])

    async def renew(self, fence: Fence, seconds: float) -> bool:
        """Hold a lease longer."""
        with self._alone:
            now = self._clock()
            if not self._holds(fence, now):
                return False
            self._leases[fence.name] = fence.token, now, now + seconds
            return True

    async def release(self, fence: Fence) -> None:
        """Give a lease back."""
        with self._alone:
            if (held := self._leases.get(fence.name)) and held[0] == fence.token:
                del self._leases[fence.name]

    async def page(self, prefix: bytes, cursor: Any) -> tuple[Sequence[bytes], Any]:
        """All names that begin so, at once."""
        del cursor
        with self._alone:
            kept, passing, now = list(self._kept), list(self._passing.items()), self._clock()
        names = kept + [name for name, (_, ends) in passing if now < ends]
        return [name for name in names if name.startswith(prefix)], None

    async def close(self) -> None:
        """Nothing is to be given back."""


def _size_of(name: bytes, entry: bytes) -> int:
    return len(name) + len(entry) + _OVERHEAD
