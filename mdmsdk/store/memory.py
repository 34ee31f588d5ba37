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


class MemoryBackEnd:
    """Entries in a dictionary, those used last at its end.

    A child process begins with what its parent had, and goes its own way.

    Args:
        clock: what time it is, in seconds.
        max_size: bytes that all may take together.
    """

    def __init__(self, clock: Callable[[], float], max_size: int) -> None:
        self._clock = clock
        self._most = max_size
        self._size = 0
        self._entries: OrderedDict[bytes, tuple[bytes, float | None]] = OrderedDict()
        self._leases: dict[bytes, tuple[int, float, float]] = {}
        self._many_leases = _FEW_LEASES
        self._last_token = 0
        self._lock = threading.Lock()
        self._process = os.getpid()

    @property
    def _alone(self) -> threading.Lock:
        if self._process != os.getpid():  # a thread that is not here any more may have held it
            self._lock, self._process = threading.Lock(), os.getpid()
            self._size = sum(map(_size_of, list(self._entries.items())))
        return self._lock

    async def read(self, names: Sequence[bytes]) -> list[bytes | None]:
        """The entries."""
        with self._alone:
            return self._read_all(names, self._clock())

    def _read_all(self, names: Sequence[bytes], now: float) -> list[bytes | None]:
        return [self._read(name, now) for name in names]

    def _read(self, name: bytes, now: float) -> bytes | None:
        found = self._entries.get(name)
        if found is None:
            return None
        entry, ends = found
        if ends is not None and ends <= now:
            self._drop(name)
            return None
        self._entries.move_to_end(name)
        return entry

    def _drop(self, name: bytes) -> None:
        if found := self._entries.pop(name, None):
            self._size -= _size_of((name, found))

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
            self._entries[name] = entry, ends
            self._size += _size_of((name, (entry, ends)))

    def _make_room(self, entries: Mapping[bytes, bytes], now: float) -> None:
        """Drop what is over, and then what has an end, if that is needed."""
        new = sum(_size_of((name, (entry, None))) for name, entry in entries.items())
        old = sum(_size_of((name, found)) for name in entries if (found := self._entries.get(name)))
        wanted = self._size + new - old - self._most
        if wanted <= 0:
            return
        passing = [
            name for name, (_, ends) in self._entries.items() if ends is not None and name not in entries
        ]
        for over in (True, False):
            for name in passing:
                if wanted <= 0:
                    return
                entry = self._entries.get(name)
                if entry and entry[1] is not None and (not over or entry[1] <= now):
                    wanted -= _size_of((name, entry))
                    self._drop(name)
        if wanted > 0:
            raise StoreError(
                f"the store is full: max_size is {self._most:,} bytes, and what is left has no end",
                hint="Raise max_size in the table store, or keep the store in a file.",
            )

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
            entries = list(self._entries.items())
        now = self._clock()
        return [
            name for name, (_, ends) in entries if name.startswith(prefix) and (ends is None or now < ends)
        ], None

    async def close(self) -> None:
        """Nothing is to be given back."""


def _size_of(item: tuple[bytes, tuple[bytes, float | None]]) -> int:
    name, (entry, _) = item
    return len(name) + len(entry) + _OVERHEAD
