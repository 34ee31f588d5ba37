"""The directory, in sync."""

from __future__ import annotations
from typing import TYPE_CHECKING
from mdmsdk.directory.state import DirectoryEntry, DirectoryStatus
from mdmsdk.directory.walking import WalkProgress

if TYPE_CHECKING:
    from collections.abc import Iterator, Callable, Iterable
    from mdmsdk.client.sync import MdmClient
    from mdmsdk.directory.settings import DirectorySettings
    from mdmsdk.store.sync import Store
from mdmsdk._run import waits_sync
from mdmsdk._run.facade import Facade
from mdmsdk._run.waits_sync import drive, iterate
from mdmsdk.directory.aio import AsyncDirectory


class _Inner(AsyncDirectory):
    _waits = waits_sync


class Directory(Facade):
    """Which records of each server show an identifier, from walks through their inventories and from lookups.

    It tells whom to ask, and never what to think of a device: the record is fetched by its name and has to
    show the identifier. `mdmsdk.MdmFederation.directory` is the one that its lookups use.
    """

    _inner: _Inner

    def __init__(self, clients: Iterable[MdmClient], store: Store, settings: DirectorySettings) -> None:
        self._adopt(_Inner([client._inner for client in clients], store._inner, settings))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def status(self, *, servers: Iterable[str] | None = None) -> list[DirectoryStatus]:
        """How far the directory of each server is that lists its devices.

        Raises:
            ConfigurationError: there is no server of that name that lists them.
            StoreError: the store does not work.
        """
        return drive(lambda: self._inner.status(servers=servers))

    def build(
        self,
        *,
        servers: Iterable[str] | None = None,
        full: bool = False,
        progress: Callable[[WalkProgress], None] | None = None,
    ) -> list[DirectoryStatus]:
        """Walk through the inventories of all servers at once, now; gives how far each directory is then.

        A walk that was broken off goes on. A server that can tell what changed is asked for that alone, if
        everything was read less than half of `max_age` ago. A failure of one is in its status, and does not
        end the others.

        Args:
            servers: only these, by name.
            full: read everything anew.
            progress: is told of each page; by several threads, in sync.

        Raises:
            ConfigurationError: there is no server of that name that lists its devices.
        """
        return drive(lambda: self._inner.build(servers=servers, full=full, progress=progress))

    def keep(self, *, progress: Callable[[WalkProgress], None] | None = None) -> None:
        """Walk whenever a walk is due, spread over the time until the next, until the servers are closed.

        In sync, give it a thread of its own. Several processes may keep the same directory: one of them
        walks.
        """
        return drive(lambda: self._inner.keep(progress=progress))

    def export(self, *, servers: Iterable[str] | None = None) -> Iterator[DirectoryEntry]:
        """All identifiers that walks found, with the names of the records that showed them.

        Raises:
            ConfigurationError: there is no server of that name that lists its devices.
            IncompleteListError: a server has no complete directory, or a part of it is lost; after all
                others.
        """
        return iterate(self._inner.export(servers=servers))
