"""Many servers, asked together, in sync."""

from __future__ import annotations
from typing import TYPE_CHECKING, Self
from mdmsdk.client.sync import MdmClient
from mdmsdk.federation.merge import Answer, Heartbeat, Merge

if TYPE_CHECKING:
    from collections.abc import Iterator, Iterable
    from pathlib import Path
    from types import TracebackType
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device
    from mdmsdk.settings import Rules
from mdmsdk._run import waits_sync
from mdmsdk._run.facade import Facade
from mdmsdk._run.waits_sync import drive, iterate
from mdmsdk.federation.aio import AsyncMdmFederation
from mdmsdk.client.sync import _Inner as _InnerClient


class _Inner(AsyncMdmFederation):
    _waits = waits_sync
    _client = _InnerClient


class MdmFederation(Facade):
    """Several MDM servers, asked as one: all at once, one outcome each, no failure hides an answer.

    Args:
        merge: which record stands for a device that several know (see `mdmsdk.config.FederationSettings`).
        rules: what a device has to fulfil besides, whatever its servers say of it. The record that stands
            for it is judged; noncompliant lists need the inventory of every server.

    Attributes:
        clients: the servers by name, in order of preference.
    """

    _inner: _Inner

    @property
    def clients(self) -> dict[str, MdmClient]:
        """The servers by name, in order of preference."""
        return {name: MdmClient._around(client) for name, client in self._inner.clients.items()}

    def __init__(
        self, clients: Iterable[MdmClient], *, merge: Merge = "strictest", rules: Rules | None = None
    ) -> None:
        self._adopt(_Inner([client._inner for client in clients], merge=merge, rules=rules))

    @classmethod
    def from_config(cls, path: str | Path | None = None, *, servers: Iterable[str] | None = None) -> Self:
        """The servers of a configuration file (see `mdmsdk.config.find_config`). Nothing is sent yet.

        Args:
            path: the file; default: the one that is found.
            servers: only these, by name; None means all.

        Raises:
            ConfigurationError: the file, a server's settings or a secret is not usable; or `servers` is
                empty.
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
        return drive(self._inner.aclose())

    def heartbeat(self) -> list[Heartbeat]:
        """Whether each server is there; never raises for one that is not."""
        return drive(self._inner.heartbeat())

    def refresh_secrets(self) -> None:
        """Read the secrets of all servers anew, as `MdmClient.refresh_secrets` does.

        Raises:
            ConfigurationError: those of a server cannot be read; it goes on with the old ones, and all others
                with new ones.
        """
        return drive(self._inner.refresh_secrets())

    def lookup(self, key: Key | str, *, deadline: float | None = None) -> Answer:
        """What all servers together say about one key.

        Args:
            key: as a client takes it.
            deadline: seconds for all of them; default: the ``policy.deadline`` of each.

        Raises:
            InvalidIdentifierError: the text is no key, or could be of several kinds.
        """
        return drive(self._inner.lookup(key, deadline=deadline))

    def lookup_many(self, keys: Iterable[Key | str], *, deadline: float | None = None) -> Iterator[Answer]:
        """One answer for each key, in the order given, as `lookup` gives it.

        A text that is no key gives an answer whose outcomes hold the error. With `deadline`, a key whose turn
        comes after so many seconds ends with `DeadlineExceededError`.
        """
        return iterate(self._inner.lookup_many(keys, deadline=deadline))

    def noncompliant(self) -> Iterator[Device]:
        """The devices that do not comply, server by server, as they arrive.

        Raises:
            IncompleteListError: after everything that the servers gave, if the list of at least one
                is not complete; `failures` holds what each of those ended with.
        """
        return iterate(self._inner.noncompliant())
