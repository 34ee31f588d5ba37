"""The store, in async."""

from __future__ import annotations

import math
import secrets
import time
from typing import TYPE_CHECKING, NoReturn, Self, cast

from mdmsdk._run import waits_aio
from mdmsdk.store.back_end import Fence
from mdmsdk.store.envelope import Envelope
from mdmsdk.store.opening import open_back_end
from mdmsdk.store.settings import StoreSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping
    from types import ModuleType, TracebackType

    from mdmsdk._run.quotas import SharedLimits
    from mdmsdk.store.back_end import BackEnd
    from mdmsdk.store.redis import RedisBackEnd


class AsyncStore:
    """Values by name, and leases; for all threads or tasks, and with Redis or a file for many processes.

    Names are text with slashes between their parts. An entry that was not written with the key of the
    settings, under this very name, is not there. Every method but `aclose` raises `StoreError` where the
    store does not work; after a failure it is left alone for some seconds, and the error comes at once.

    Args:
        settings: where it is; default: in the memory of this process.
    """

    _waits: ModuleType = waits_aio
    _clock: Callable[[], float] = time.time

    def __init__(self, settings: StoreSettings | None = None) -> None:
        settings = settings or StoreSettings()
        self._kind = settings.kind
        self._personal = settings.personal or settings.kind == "memory"
        self._back: BackEnd = open_back_end(settings, self._waits, self._clock)
        key = settings.key.get_secret_value().encode() if settings.key else secrets.token_bytes()
        self._envelope = Envelope(key, self._clock)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a store belongs to its process: make one there instead of pickling it")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    @property
    def shared(self) -> bool:
        """Whether other processes may see what is in it."""
        return self._kind != "memory"

    @property
    def personal(self) -> bool:
        """Whether users' names and phone numbers may be in it."""
        return self._personal

    @property
    def works(self) -> bool:
        """Whether it answered when it was asked last; one that was not asked yet counts as one that works."""
        return self._back.works

    def digest(self, text: str) -> str:
        """A name for a text that must not stand in the store in clear; the same wherever the key is."""
        return self._envelope.digest(text.encode("utf-8", "surrogatepass"))

    async def get(self, name: str) -> bytes | None:
        """The value; None if there is none, or it is over, or was not written with our key."""
        wanted = _as_bytes(name)
        (entry,) = await self._back.read((wanted,))
        return None if entry is None else self._envelope.open(wanted, entry)

    async def get_many(self, names: Iterable[str]) -> list[bytes | None]:
        """The values in the order of the names, None where there is none."""
        wanted = list(map(_as_bytes, names))
        entries = await self._back.read(wanted)
        return [
            None if entry is None else self._envelope.open(name, entry)
            for name, entry in zip(wanted, entries, strict=True)
        ]

    async def set(self, name: str, value: bytes, expires: float | None = None) -> None:
        """Keep a value, for so many seconds; None: until it is deleted."""
        await self.set_many({name: value}, expires)

    async def set_many(self, values: Mapping[str, bytes], expires: float | None = None) -> None:
        """Keep several values, all or none."""
        await self._back.write(self._sealed(values, expires), expires)

    async def set_fenced(
        self, lease: str, token: int, values: Mapping[str, bytes], expires: float | None = None
    ) -> bool:
        """Keep several values, all or none; none, and False, where the token no longer holds the lease."""
        return await self._back.write(self._sealed(values, expires), expires, Fence(_as_bytes(lease), token))

    async def delete(self, *names: str) -> None:
        """Keep these values no longer; those that are not there are no error."""
        await self._back.remove(list(map(_as_bytes, names)))

    async def lease(self, name: str, seconds: float) -> int | None:
        """Take a lease that ends after so many seconds, unless it is renewed; None if somebody else has it.

        Gives a fencing token, greater than those of all leases before it, after a restart of the store too.
        Names of leases and of values do not meet.
        """
        return await self._back.lease(_as_bytes(name), seconds)

    async def renew(self, name: str, token: int, seconds: float) -> bool:
        """Hold a lease for so many seconds from now on; False if it is held no longer with this token."""
        return await self._back.renew(Fence(_as_bytes(name), token), seconds)

    async def release(self, name: str, token: int) -> None:
        """Give a lease back; nothing happens if it is held no longer with this token."""
        await self._back.release(Fence(_as_bytes(name), token))

    async def scan(self, prefix: str) -> AsyncIterator[str]:
        """The names of values that begin so, in any order, in batches.

        Those that come or go meanwhile may be among them, and a name may come twice. Anybody who can write to
        the store may have put names there: only what `get` gives was written with our key.
        """
        beginning, cursor = _as_bytes(prefix), None
        while True:
            names, cursor = await self._back.page(beginning, cursor)
            for name in names:
                yield name.decode("utf-8", "surrogatepass")
            if cursor is None:
                return

    async def aclose(self) -> None:
        """Give files and connections back."""
        await self._back.close()

    def _limits_of(self, quota: str, *, close: bool) -> SharedLimits | None:
        """Counts what all that share the store send on one quota; None where only Redis could."""
        if self._kind != "redis":
            return None
        from mdmsdk.store.limits import RedisLimits

        return RedisLimits(cast("RedisBackEnd", self._back), self.digest(quota), self if close else None)

    def _sealed(self, values: Mapping[str, bytes], expires: float | None) -> dict[bytes, bytes]:
        if expires is not None and not math.isfinite(expires):
            raise ValueError("expires is no number of seconds; None stands for no end")
        names = {_as_bytes(name): value for name, value in values.items()}
        return {name: self._envelope.seal(name, value, expires) for name, value in names.items()}


def _as_bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")
