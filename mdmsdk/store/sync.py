"""The store, in sync."""

from __future__ import annotations
from typing import TYPE_CHECKING, Self
from mdmsdk.store.settings import StoreSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Iterable, Mapping
    from types import TracebackType
from mdmsdk._run import waits_sync
from mdmsdk._run.facade import Facade
from mdmsdk._run.waits_sync import drive, iterate
from mdmsdk.store.aio import AsyncStore


class _Inner(AsyncStore):
    _waits = waits_sync


class Store(Facade):
    """Values by name, and leases; for all threads or tasks, and with Redis or a file for many processes.

    Names are text with slashes between their parts. An entry that was not written with the key of the
    settings, under this very name, is not there. Every method but `close` raises `StoreError` where the
    store does not work; after a failure it is left alone for some seconds, and the error comes at once.

    Args:
        settings: where it is; default: in the memory of this process.
    """

    _inner: _Inner

    def __init__(self, settings: StoreSettings | None = None) -> None:
        self._adopt(_Inner(settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    @property
    def shared(self) -> bool:
        """Whether other processes may see what is in it."""
        return self._inner.shared

    @property
    def personal(self) -> bool:
        """Whether users' names and phone numbers may be in it."""
        return self._inner.personal

    @property
    def works(self) -> bool:
        """Whether it answered when it was asked last; one that was not asked yet counts as one that works."""
        return self._inner.works

    def digest(self, text: str) -> str:
        """A name for a text that must not stand in the store in clear; the same wherever the key is."""
        return self._inner.digest(text)

    def get(self, name: str) -> bytes | None:
        """The value; None if there is none, or it is over, or was not written with our key."""
        return drive(lambda: self._inner.get(name))

    def get_many(self, names: Iterable[str]) -> list[bytes | None]:
        """The values in the order of the names, None where there is none."""
        return drive(lambda: self._inner.get_many(names))

    def set(self, name: str, value: bytes, expires: float | None = None) -> None:
        """Keep a value, for so many seconds; None: until it is deleted."""
        return drive(lambda: self._inner.set(name, value, expires))

    def set_many(self, values: Mapping[str, bytes], expires: float | None = None) -> None:
        """Keep several values, all or none."""
        return drive(lambda: self._inner.set_many(values, expires))

    def set_fenced(
        self, lease: str, token: int, values: Mapping[str, bytes], expires: float | None = None
    ) -> bool:
        """Keep several values, all or none; none, and False, where the token no longer holds the lease."""
        return drive(lambda: self._inner.set_fenced(lease, token, values, expires))

    def delete(self, *names: str) -> None:
        """Keep these values no longer; those that are not there are no error."""
        return drive(lambda: self._inner.delete(*names))

    def lease(self, name: str, seconds: float) -> int | None:
        """Take a lease that ends after so many seconds, unless it is renewed; None if somebody else has it.

        Gives a fencing token, greater than those of all leases before it, after a restart of the store too.
        Names of leases and of values do not meet.
        """
        return drive(lambda: self._inner.lease(name, seconds))

    def renew(self, name: str, token: int, seconds: float) -> bool:
        """Hold a lease for so many seconds from now on; False if it is held no longer with this token."""
        return drive(lambda: self._inner.renew(name, token, seconds))

    def release(self, name: str, token: int) -> None:
        """Give a lease back; nothing happens if it is held no longer with this token."""
        return drive(lambda: self._inner.release(name, token))

    def scan(self, prefix: str) -> Iterator[str]:
        """The names of values that begin so, in any order, in batches.

        Those that come or go meanwhile may be among them, and a name may come twice. Anybody who can write to
        the store may have put names there: only what `get` gives was written with our key.
        """
        return iterate(self._inner.scan(prefix))

    def close(self) -> None:
        """Give files and connections back."""
        return drive(self._inner.aclose)
