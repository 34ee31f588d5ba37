"""Many servers, asked together, in sync."""

from __future__ import annotations
from typing import TYPE_CHECKING, Self, Unpack
from mdmsdk.client.sync import MdmClient
from mdmsdk.config import Config
from mdmsdk.directory.sync import Directory
from mdmsdk.federation.members import Broken
from mdmsdk.models import Device
from mdmsdk.store.sync import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Callable, Iterable
    from pathlib import Path
    from types import TracebackType
    from mdmsdk.directory.settings import DirectorySettings
    from mdmsdk.federation.merge import Answer, Heartbeat, Merge
    from mdmsdk.identifiers import Key
    from mdmsdk.settings import PolicyChanges, Rules
from mdmsdk._run import waits_sync
from mdmsdk._run.facade import Facade
from mdmsdk._run.waits_sync import drive, iterate
from mdmsdk.federation.aio import AsyncMdmFederation
from mdmsdk.client.sync import _Inner as _InnerMdmClient
from mdmsdk.store.sync import _Inner as _InnerStore
from mdmsdk.directory.sync import _Inner as _InnerDirectory


class _Inner(AsyncMdmFederation):
    _waits = waits_sync
    _client = _InnerMdmClient
    _store = _InnerStore
    _directory = _InnerDirectory


class MdmFederation(Facade):
    """Several MDM servers, asked as one: all at once, one outcome each, no failure hides an answer.

    Args:
        merge: which record stands for a device that several know (see `mdmsdk.config.FederationSettings`).
        rules: what a device has to fulfil besides, whatever its servers say of it, in lookups and lists;
            noncompliant lists need the inventory of every server then.
        patience: seconds that a lookup waits for further servers once one has answered.
        chain_fallback: whether a MAC address alone is enough after other identifiers were not found.
        cache_ttl: seconds for which the records of a server are used again without asking; 0: ask always.
        cache_negative_ttl: the same where a server does not know the device, at most `cache_ttl`.
        cache_max_age: seconds for which they are used where a server fails; default: `cache_ttl`, which is
            not at all.
        store: where answers and the directory are kept; default: in the memory of this process. Not closed
            with the federation.
        directory: how old a directory may be; None for lookups without one.

    Attributes:
        clients: the servers by name, in order of preference.
        broken: those of the configuration that cannot be asked at all, by name; each is one failed outcome.
        directory: which records show an identifier; None without one.
        store: where answers and the directory are kept; None where nothing is.
    """

    _inner: _Inner

    @property
    def clients(self) -> dict[str, MdmClient]:
        """The servers by name, in order of preference."""
        return {name: MdmClient._around(client) for name, client in self._inner.clients.items()}

    @property
    def broken(self) -> dict[str, Broken]:
        """Those of the configuration that cannot be asked at all, by name; each is one failed outcome."""
        return self._inner.broken

    @property
    def directory(self) -> Directory | None:
        """Which records show an identifier; None without one."""
        return None if self._inner.directory is None else Directory._around(self._inner.directory)

    @property
    def store(self) -> Store | None:
        """Where answers and the directory are kept; None where nothing is."""
        return None if self._inner.store is None else Store._around(self._inner.store)

    def __init__(
        self,
        clients: Iterable[MdmClient],
        *,
        merge: Merge = "strictest",
        rules: Rules | None = None,
        patience: float = 2.0,
        chain_fallback: bool = False,
        cache_ttl: float = 0.0,
        cache_negative_ttl: float = 10.0,
        cache_max_age: float | None = None,
        store: Store | None = None,
        directory: DirectorySettings | None = None,
    ) -> None:
        self._adopt(
            _Inner(
                [client._inner for client in clients],
                merge=merge,
                rules=rules,
                patience=patience,
                chain_fallback=chain_fallback,
                cache_ttl=cache_ttl,
                cache_negative_ttl=cache_negative_ttl,
                cache_max_age=cache_max_age,
                store=store._inner if store else None,
                directory=directory,
            )
        )

    @classmethod
    def from_config(
        cls, path: str | Path | Config | None = None, *, servers: Iterable[str] | None = None
    ) -> Self:
        """The servers of a configuration file (see `mdmsdk.config.find_config`). Nothing is sent yet.

        A server that cannot be asked, because its settings, its secret or its plugin is not usable, is in
        `broken`, and does not keep the others from being asked.

        Args:
            path: the file, or what was read from it; default: the one that is found.
            servers: only these, by name; None means all.

        Raises:
            ConfigurationError: the file is not usable, or none of the servers is; or `servers` is empty.
        """
        return cls._around(_Inner.from_config(path, servers=servers))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(self.clients)}>"

    def close(self) -> None:
        """Close all clients."""
        return drive(self._inner.aclose)

    def with_policy(self, **changes: Unpack[PolicyChanges]) -> MdmFederation:
        """The same servers and connections with another patience each; `changes` are fields of `Policy`.

        Raises:
            ConfigurationError: a name or value that `Policy` does not take.
        """
        return MdmFederation._around(self._inner.with_policy(**changes))

    def fingerprint(self, digest: Callable[[str], str]) -> str:
        """What everything that its answers and lists depend on comes to: one other setting, another text.

        Servers' names and their order, settings, secrets and versions count, and how their words are merged.

        Args:
            digest: turns a text into one that does not show it, such as `Store.digest`.
        """
        return self._inner.fingerprint(digest)

    def heartbeat(self) -> list[Heartbeat]:
        """Whether each server is there; never raises for one that is not."""
        return drive(self._inner.heartbeat)

    def refresh_secrets(self) -> None:
        """Read the secrets of all servers anew, as `MdmClient.refresh_secrets` does.

        Raises:
            ConfigurationError: those of a server cannot be read; it goes on with the old ones, and all others
                with new ones.
        """
        return drive(self._inner.refresh_secrets)

    def lookup(
        self,
        key: Key | str | Iterable[Key | str],
        *,
        servers: Iterable[str] | None = None,
        deadline: float | None = None,
        early: bool = False,
        fresh: bool = False,
        max_age: float | None = None,
    ) -> Answer:
        """What all servers together say about one device.

        Several keys are asked for in order, as Cisco ISE does: first what stands in the certificate, then
        the MAC address. The next one follows only if every server that could know the one before says that
        it does not; a MAC address that the device made up comes last. A record that shows another value for
        an earlier key, or that only a MAC address found after another kind, is no pass.

        Args:
            key: a key, or text whose kind is plain (see `mdmsdk.parse_key`), or several in order.
            servers: only these, by name.
            deadline: seconds for all of it; default: the ``policy.deadline`` of each server.
            early: do not wait for the others once a server says that the device does not comply, where the
                strictest verdict counts; the answer is not complete then.
            fresh: ask all servers now, and forget what the cache has under these keys, even if one fails.
            max_age: use nothing from the cache that is older, in seconds.

        Raises:
            InvalidIdentifierError: the text is no key, or could be of several kinds.
            ConfigurationError: there is no server of that name.
        """
        return drive(
            lambda: self._inner.lookup(
                key, servers=servers, deadline=deadline, early=early, fresh=fresh, max_age=max_age
            )
        )

    def find(
        self,
        key: Key | str,
        *,
        servers: Iterable[str] | None = None,
        deadline: float | None = None,
        fresh: bool = False,
        max_age: float | None = None,
    ) -> list[Device]:
        """Every record that the servers have for a key, those of the preferred servers first.

        Arguments are those of `lookup`.

        Raises:
            IncompleteListError: a server failed; `failures` holds what each of those ended with.
            UnsupportedOperationError: no server can search by this kind.
            InvalidIdentifierError: the text is no key, or could be of several kinds.
        """
        return drive(
            lambda: self._inner.find(key, servers=servers, deadline=deadline, fresh=fresh, max_age=max_age)
        )

    def lookup_many(
        self,
        keys: Iterable[Key | str],
        *,
        servers: Iterable[str] | None = None,
        deadline: float | None = None,
        fresh: bool = False,
        max_age: float | None = None,
    ) -> Iterator[Answer]:
        """One answer for each key, in the order given, as `lookup` gives it.

        A text that is no key gives an answer whose outcomes hold the error. However many keys there are,
        only so many are in memory as the servers take at once. With `deadline`, a key whose turn comes after
        so many seconds ends with `DeadlineExceededError`.
        """
        return iterate(
            self._inner.lookup_many(keys, servers=servers, deadline=deadline, fresh=fresh, max_age=max_age)
        )

    def noncompliant(self, *, servers: Iterable[str] | None = None) -> Iterator[Device]:
        """The devices that do not comply, of all servers at once, page by page, each device once.

        Records of two servers are one device if they show the same identifier of its hardware, and no
        different ones; the first that comes stands for it.

        Raises:
            IncompleteListError: after everything that the servers gave, if the list of at least one
                is not complete; `failures` holds what each of those ended with.
        """
        return iterate(self._inner.noncompliant(servers=servers))

    def devices(self, *, servers: Iterable[str] | None = None) -> Iterator[Device]:
        """All records of all servers at once, page by page; a device that several know comes several times.

        Raises:
            IncompleteListError: as `noncompliant`; also if a server offers no inventory.
        """
        return iterate(self._inner.devices(servers=servers))

    def invalidate(self, device: Device | Key | str) -> None:
        """Forget what the cache has of a device, on all servers, under every key that it was found by.

        What servers are being asked meanwhile is not kept either.

        Args:
            device: any record of it, or one of its identifiers.

        Raises:
            StoreError: the cache cannot be told, and may go on giving what it has.
            InvalidIdentifierError: the text is no key, or could be of several kinds.
        """
        return drive(lambda: self._inner.invalidate(device))

    def reasons(self, device: Device, *, deadline: float | None = None) -> Device:
        """The device with its failure reasons in detail, from the server whose record it is.

        Raises:
            ConfigurationError: that server is none of these.
            MdmError: as `MdmClient.reasons`.
        """
        return drive(lambda: self._inner.reasons(device, deadline=deadline))
