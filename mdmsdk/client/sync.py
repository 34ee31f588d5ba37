"""The sync client."""

from __future__ import annotations
from typing import TYPE_CHECKING, Any, Self, Unpack
from mdmsdk.identifiers import Key

if TYPE_CHECKING:
    from collections.abc import Iterator, Callable, Iterable
    from datetime import datetime
    from types import TracebackType
    from pydantic import SecretStr
    from mdmsdk.models import Device, LookupResult, ServerInfo
    from mdmsdk.provider import MdmProvider
    from mdmsdk.settings import PolicyChanges, Rules
    from mdmsdk.store.sync import Store
    from mdmsdk.wire import Response
from mdmsdk._run import waits_sync
from mdmsdk._run.facade import Facade
from mdmsdk._run.waits_sync import drive, iterate
from mdmsdk.client.aio import AsyncMdmClient


class _Inner(AsyncMdmClient):
    _waits = waits_sync


class MdmClient(Facade):
    """One MDM server, as an application uses it; made by `mdmsdk.connect`.

    Use it as a context manager, or call `close`. It may be used by many threads at once.

    Args:
        renew: gives the provider with its secrets read anew, for `refresh_secrets`.

    Attributes:
        server: the name under which errors and devices mention the server.
    """

    _inner: _Inner

    @property
    def server(self) -> str:
        """The name under which errors and devices mention the server."""
        return self._inner.server

    def __init__(
        self,
        provider: MdmProvider,
        *,
        server: str | None = None,
        http: Any = None,
        renew: Callable[[], MdmProvider] | None = None,
    ) -> None:
        self._adopt(_Inner(provider, server=server, http=http, renew=renew))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.server} ({self.provider.name})>"

    @property
    def provider(self) -> MdmProvider:
        """The provider that describes its protocol."""
        return self._inner.provider

    @property
    def server_time(self) -> datetime:
        """What the server's clock says, as far as its last answer told; otherwise this machine's."""
        return self._inner.server_time

    @property
    def last_response(self) -> Response | None:
        """What the server answered last, but to a login; only with the setting ``keep_raw``. For debugging.

        Of calls side by side it is whichever was last. Credentials are hidden, cookies left out, and of JSON
        also the members whose names tell of passwords and keys.
        """
        return self._inner.last_response

    @property
    def window(self) -> int:
        """How many keys `lookup_many` has under way at once."""
        return self._inner.window

    def close(self) -> None:
        """Give the credential back, where the vendor has a way to, and close the connections."""
        return drive(self._inner.aclose)

    def refresh_secrets(self, **secrets: str | SecretStr) -> None:
        """Go on with new secrets: what comes next logs in anew. Sends nothing, and needs no restart.

        Args:
            secrets: new values of settings that are secrets, such as ``client_secret``; without any, those
                of the configuration are read again from where they are kept.

        Raises:
            ConfigurationError: they cannot be read or used, and the client goes on with the old ones.
        """
        return drive(lambda: self._inner.refresh_secrets(**secrets))

    def share_limits(self, store: Store, *, close: bool = False) -> None:
        """Count what is sent to the server over all processes that share a store on Redis; else do nothing.

        Together count those with the same ``base_url`` and account, whatever their names
        (`mdmsdk.settings.ProviderSettings.account`). Where Redis is away, each process counts for itself.

        Args:
            store: the store.
            close: whether it is closed with this client.
        """
        return self._inner.share_limits(store._inner, close=close)

    def with_policy(self, **changes: Unpack[PolicyChanges]) -> MdmClient:
        """The same server and connections with another patience; `changes` are fields of `Policy`.

        Raises:
            ConfigurationError: a name or value that `Policy` does not take.
        """
        return MdmClient._around(self._inner.with_policy(**changes))

    def heartbeat(self, *, deadline: float | None = None) -> ServerInfo:
        """Reach the server, log in where that takes a step of its own, and read what it is.

        Args:
            deadline: seconds for all of it; default: ``policy.deadline``.

        Raises:
            MdmError: it is not reachable, not trusted, or does not let us in.
            ConfigurationError: the rules of the settings say nothing about any of its devices, as far as
                one page of its inventory tells.
        """
        return drive(lambda: self._inner.heartbeat(deadline=deadline))

    def lookup(self, key: Key | str, *, deadline: float | None = None) -> Device | None:
        """The device with this key, or None if the server does not know it.

        Of several records for one key, the registered one with the newest check-in stands for
        all, and the strictest compliance state among them counts.

        Args:
            key: a key, or text whose kind is plain (see `mdmsdk.parse_key`).
            deadline: seconds for this call; default: ``policy.deadline``.

        Raises:
            InvalidIdentifierError: the text is no key, or could be of several kinds.
            UnsupportedOperationError: the provider cannot search by this kind.
            FilterIgnoredError: the server answered about another device.
            MdmError: there is no answer; never to be taken for a verdict.
        """
        return drive(lambda: self._inner.lookup(key, deadline=deadline))

    def find(self, key: Key | str, *, deadline: float | None = None) -> list[Device]:
        """Every record that the server has for this key; arguments and errors are those of `lookup`."""
        return drive(lambda: self._inner.find(key, deadline=deadline))

    def lookup_many(
        self, keys: Iterable[Key | str], *, deadline: float | None = None
    ) -> Iterator[LookupResult]:
        """One result for each key, in the order given; in batches where the provider can, or side by side.

        A failure is part of the result of its key, and does not end the others.

        Args:
            keys: what `lookup` takes.
            deadline: seconds for all of them, from the first on: a key whose turn comes later ends with
                `DeadlineExceededError`. Default: ``policy.deadline`` for each request.
        """
        return iterate(self._inner.lookup_many(keys, deadline=deadline))

    def noncompliant(self, *, rules: Rules | None = None) -> Iterator[Device]:
        """The devices that do not comply, as they arrive, page by page.

        Args:
            rules: what a device has to fulfil besides, whatever the server or the settings say. With these,
                or rules in the settings, all devices are read and judged.

        Raises:
            IncompleteListError: while iterating, rather than ending early; what came before is true,
                but a device that did not come may be noncompliant all the same.
            FilterIgnoredError: the server listed devices that comply.
            UnsupportedOperationError: there are rules, which need `Capability.INVENTORY`.
            ConfigurationError: the rules of the settings say nothing about any device of the server.
            MdmError: the first page already failed.
        """
        return iterate(self._inner.noncompliant(rules=rules))

    def devices(self, *, since: datetime | None = None) -> Iterator[Device]:
        """All devices, as they arrive; with `Capability.INVENTORY`. Raises as `noncompliant` does.

        Args:
            since: only those that changed since this time, by the server's own clock (`server_time`), and
                maybe others; with `Capability.CHANGES`. Those that were deleted show in no such list.
        """
        return iterate(self._inner.devices(since=since))

    def reasons(self, device: Device, *, deadline: float | None = None) -> Device:
        """The device with its failure reasons in detail; for providers with `Capability.REASONS`.

        May cost several requests, within `deadline` seconds or ``policy.deadline``.
        """
        return drive(lambda: self._inner.reasons(device, deadline=deadline))
