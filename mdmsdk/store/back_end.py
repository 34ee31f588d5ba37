"""What a store stands on. Back ends see names and entries as bytes; what an entry holds is not theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Fence(NamedTuple):
    """A lease that has to be held, with the token that it gave, for something to be written."""

    name: bytes
    token: int


class BackEnd(Protocol):
    """One place to keep entries. Each method but `close` raises `StoreError` where that place fails."""

    @property
    def works(self) -> bool:
        """Whether that place answered when it was asked last."""
        ...

    async def read(self, names: Sequence[bytes]) -> list[bytes | None]:
        """The entries, None for each that is not there or over."""
        ...

    async def write(
        self, entries: Mapping[bytes, bytes], expires: float | None, fence: Fence | None = None
    ) -> bool:
        """Keep entries for so many seconds, all or none; False where the fence's lease is not held."""
        ...

    async def remove(self, names: Sequence[bytes]) -> None:
        """Keep them no longer."""
        ...

    async def lease(self, name: bytes, seconds: float) -> int | None:
        """Take a lease; gives a token greater than all before, or None if somebody has the lease."""
        ...

    async def renew(self, fence: Fence, seconds: float) -> bool:
        """Hold a lease from now on for so many seconds; False if it is held no longer."""
        ...

    async def release(self, fence: Fence) -> None:
        """Give a lease back, if it is still held."""
        ...

    async def page(self, prefix: bytes, cursor: Any) -> tuple[Sequence[bytes], Any]:
        """Some names that begin so, and the cursor for more, None after the last; the first one is None."""
        ...

    async def close(self) -> None:
        """Give files and connections back."""
        ...
