"""Clients for the unit tests of applications: real ones, over a server that is nothing but a list of devices.

They have the signatures, the verdict rules and the errors of `mdmsdk.MdmClient` and its kin, and open no
connection. Nothing here needs pytest.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict, Unpack

from mdmsdk.client import AsyncMdmClient, MdmClient
from mdmsdk.client.verdict import as_key
from mdmsdk.federation import AsyncMdmFederation, MdmFederation
from mdmsdk.flow import Flow, done
from mdmsdk.identifiers import KEY_KINDS, Key
from mdmsdk.models import ComplianceState, Device, ServerInfo
from mdmsdk.provider import Capability, MdmProvider, Page, Token, basic_token
from mdmsdk.settings import ComplianceSettings, ProviderSettings, Rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mdmsdk.directory import DirectorySettings
    from mdmsdk.errors import MdmError
    from mdmsdk.federation import Merge
    from mdmsdk.store import AsyncStore, Store

__all__ = [
    "FakeAsyncMdmClient",
    "FakeAsyncMdmFederation",
    "FakeMdmClient",
    "FakeMdmFederation",
    "FakeServer",
]


@dataclass(eq=False)
class FakeServer:
    """What a server knows, and what is wrong with it. A test may change it between two calls.

    Attributes:
        devices: its records.
        down: what every call ends with, such as ``ConnectError("no route")``; None while the server is up.
        errors: what a lookup by one key ends with, by key or text.
        incomplete: whether its lists end before they are complete.
        keys: the kinds of keys that it can search by; default: all.
        judges: whether its word is needed for a complete answer (`ProviderSettings.judges`).
        rules: what decides about compliance in place of the records' own word.
        asked: the keys that it was asked for, in order.
    """

    devices: list[Device] = field(default_factory=list)
    down: MdmError | None = None
    errors: dict[Key | str, MdmError] = field(default_factory=dict)
    incomplete: bool = False
    keys: frozenset[type[Key]] = frozenset(KEY_KINDS.values())
    judges: bool = True
    rules: Rules | None = None
    asked: list[Key] = field(default_factory=list)

    def failure(self, key: Key | None = None) -> MdmError | None:
        """What a call ends with; None where it succeeds."""
        wrong = {as_key(given): error for given, error in self.errors.items()}
        error = self.down or (wrong.get(key) if key else None)
        return copy.copy(error)  # each call raises its own


class _FakeProvider(MdmProvider):
    name = "fake"
    vendor = "Fake"
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.INVENTORY, Capability.REASONS})
    listed: ClassVar[frozenset[type[Key]]] = frozenset(KEY_KINDS.values())

    def __init__(self, fake: FakeServer) -> None:
        compliance = ComplianceSettings(source="rules", rules=fake.rules) if fake.rules else None
        super().__init__(
            ProviderSettings(base_url="https://fake.example", judges=fake.judges, compliance=compliance)
        )
        self.keys = fake.keys  # type: ignore[misc]
        self._fake = fake

    def login(self, audience: str, previous: Token | None = None) -> Flow[Token]:
        del audience, previous
        return done(basic_token("fake", "fake"))

    def _up(self, key: Key | None = None) -> Flow[None]:
        if error := self._fake.failure(key):
            raise error
        yield from done(None)

    def heartbeat(self) -> Flow[ServerInfo]:
        yield from self._up()
        return ServerInfo(vendor=self.vendor, product="Fake MDM")

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        del info
        self._fake.asked.append(key)
        yield from self._up(key)
        return [device for device in self._fake.devices if device.matches(key)]

    def _page(self, devices: Iterable[Device]) -> Flow[Page[Device]]:
        yield from self._up()
        rows = list(devices)
        return Page(rows, total=len(rows) + self._fake.incomplete)

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        del info, cursor
        return self._page(self._fake.devices)

    def noncompliant_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        del info, cursor
        return self._page(
            device
            for device in self._fake.devices
            if device.registered and device.compliance.state is ComplianceState.NONCOMPLIANT
        )

    def reasons(self, info: ServerInfo, device: Device) -> Flow[Device]:
        del info
        yield from self._up()
        return device


def _server(given: FakeServer | Iterable[Device]) -> FakeServer:
    return given if isinstance(given, FakeServer) else FakeServer(list(given))


class FakeMdmClient(MdmClient):
    """An `MdmClient` over devices in memory.

    Args:
        knows: the devices that the server knows, or the server.
        server: its name.

    Attributes:
        fake: the server, to change what is true and what is wrong.
    """

    def __init__(self, knows: FakeServer | Iterable[Device] = (), *, server: str = "fake") -> None:
        self.fake: FakeServer = _server(knows)
        super().__init__(_FakeProvider(self.fake), server=server)


class FakeAsyncMdmClient(AsyncMdmClient):
    """The same for async.

    Args:
        knows: the devices that the server knows, or the server.
        server: its name.

    Attributes:
        fake: the server, to change what is true and what is wrong.
    """

    def __init__(self, knows: FakeServer | Iterable[Device] = (), *, server: str = "fake") -> None:
        self.fake: FakeServer = _server(knows)
        super().__init__(_FakeProvider(self.fake), server=server)


class _Options(TypedDict, total=False):
    """What federations take besides their servers."""

    merge: Merge
    rules: Rules | None
    patience: float
    chain_fallback: bool
    directory: DirectorySettings | None
    cache_ttl: float
    cache_negative_ttl: float
    cache_max_age: float | None


class _SyncOptions(_Options, total=False):
    store: Store | None


class _AsyncOptions(_Options, total=False):
    store: AsyncStore | None


class FakeMdmFederation(MdmFederation):
    """An `MdmFederation` over servers in memory.

    Args:
        servers: what each server knows, by its name, the preferred one first.
        options: as with the real one.

    Attributes:
        fakes: the servers by name, to change what is true and what is wrong.
    """

    def __init__(
        self, servers: Mapping[str, FakeServer | Iterable[Device]], **options: Unpack[_SyncOptions]
    ) -> None:
        self.fakes: dict[str, FakeServer] = {name: _server(knows) for name, knows in servers.items()}
        clients = [FakeMdmClient(fake, server=name) for name, fake in self.fakes.items()]
        super().__init__(clients, **options)


class FakeAsyncMdmFederation(AsyncMdmFederation):
    """The same for async.

    Args:
        servers: what each server knows, by its name, the preferred one first.
        options: as with the real one.

    Attributes:
        fakes: the servers by name, to change what is true and what is wrong.
    """

    def __init__(
        self, servers: Mapping[str, FakeServer | Iterable[Device]], **options: Unpack[_AsyncOptions]
    ) -> None:
        self.fakes: dict[str, FakeServer] = {name: _server(knows) for name, knows in servers.items()}
        clients = [FakeAsyncMdmClient(fake, server=name) for name, fake in self.fakes.items()]
        super().__init__(clients, **options)
