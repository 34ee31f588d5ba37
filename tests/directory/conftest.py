"""Servers in memory whose lists have pages, and federations over them that keep a directory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import pytest

from mdmsdk._run.waits_sync import drive
from mdmsdk.directory import DirectorySettings
from mdmsdk.errors import StoreError
from mdmsdk.identifiers import DeviceId, Mac, Serial
from mdmsdk.models import Compliance, Device
from mdmsdk.provider import Capability, Page
from mdmsdk.store import AsyncStore, Store
from mdmsdk.testing import FakeServer, Modal, open_client, open_federation
from mdmsdk.testing.fakes import _FakeProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from mdmsdk.errors import MdmError
    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import ServerInfo

DOCK = "00:1B:44:11:3A:B7"
OTHER = "00:1B:44:11:3A:B8"


def device(number: int, *macs: str, state: str = "compliant", **facts: Any) -> Device:
    """A managed device's record; its serial number is its number."""
    addresses = tuple(map(Mac, macs)) or (Mac(f"{number + 0x001B45000000:012x}"),)
    verdict = Compliance.model_validate({"state": state})
    basic = {"id": str(number), "registered": True, "mac_addresses": addresses, "compliance": verdict}
    return Device(**{"serial_number": f"SER{number}", **basic, **facts})


@dataclass(eq=False)
class Listing(FakeServer):
    """A server that cannot search by MAC address, and lists its devices in pages.

    Attributes:
        page_size: devices on a page.
        breaks: what the page of a number ends with, once.
        pages: the pages that were read, by number.
        since: from when on changes were asked for.
        changed: the ids of the devices that changed lately; all others are left out of changes.
        at_page: called before each page.
    """

    keys: frozenset[type[Key]] = frozenset({Serial, DeviceId})
    page_size: int = 3
    breaks: dict[int, MdmError] = field(default_factory=dict)
    pages: list[int] = field(default_factory=list)
    since: list[datetime | None] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    at_page: Callable[[int], None] | None = None

    @property
    def names(self) -> list[str]:
        """What it was asked for, in order."""
        return [f"{key.kind} {key}" for key in self.asked]


class ListingProvider(_FakeProvider):
    name = "listing"
    _fake: Listing

    def _paged(self, rows: list[Device], cursor: int | None) -> Flow[Page[Device]]:
        fake, number = self._fake, cursor or 0
        if fake.at_page:
            fake.at_page(number)
        fake.pages.append(number)
        yield from self._up()
        if error := fake.breaks.pop(number, None):
            raise error
        start, end = number * fake.page_size, (number + 1) * fake.page_size
        more = number + 1 if end < len(rows) else None
        return Page(rows[start:end], more)

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        del info
        return self._paged(self._fake.devices, cursor)


class ChangingProvider(ListingProvider):
    name = "changing"
    capabilities: ClassVar[frozenset[Capability]] = ListingProvider.capabilities | {Capability.CHANGES}

    def devices_since(self, info: ServerInfo, since: datetime | None, cursor: Any) -> Flow[Page[Device]]:
        del info
        self._fake.since.append(since)
        rows = [row for row in self._fake.devices if since is None or row.id in self._fake.changed]
        return self._paged(rows, cursor)


class Clock:
    """The time, as a test says."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


class Directories:
    """Federations over listing servers that share a store and a clock."""

    def __init__(self, mode: str, clock: Clock) -> None:
        self.mode, self.clock = mode, clock
        self.store: Any = Store() if mode == "sync" else AsyncStore()
        self._opened: list[Modal] = []

    def open(
        self,
        *servers: Listing,
        provider: type[_FakeProvider] = ListingProvider,
        settings: DirectorySettings | None = None,
        **options: Any,
    ) -> Modal:
        """A federation; its servers are named a, b and so on."""
        clients = [
            open_client(provider(server), self.mode, server="abc"[number])
            for number, server in enumerate(servers)
        ]
        how = settings or DirectorySettings(max_age=3600, interval=600)
        federation = open_federation(clients, self.mode, store=self.store, directory=how, **options)
        self._opened += [federation, *clients]
        return federation

    def run(self, function: Callable[[], Any]) -> Any:
        """Run a coroutine of the inner classes in the test's mode."""
        if self.mode == "sync":
            return drive(function)
        return self._opened[0].run(function)

    def names(self) -> list[str]:
        """What the store holds of directories."""
        store = getattr(self.store, "_inner", self.store)

        async def scan() -> list[str]:
            return [name async for name in store.scan("directory/")]

        found: list[str] = self.run(scan)
        return found

    def damage_entries(self) -> None:
        """Let no part but the states be what was written."""
        back, names = getattr(self.store, "_inner", self.store)._back, self.names()

        async def damage() -> None:
            entries = {name.encode(): b"" for name in names if not name.endswith("/state")}
            for name, entry in zip(entries, await back.read(list(entries)), strict=True):
                entries[name] = entry[:-1] + bytes([entry[-1] ^ 1])
            await back.write(entries, None)

        self.run(damage)

    def break_store(self) -> None:
        """Let nothing be read any more."""

        async def fail(_names: Any) -> NoReturn:
            raise StoreError("out of reach")

        getattr(self.store, "_inner", self.store)._back.read = fail

    def close(self) -> None:
        """Close what was opened."""
        for one in self._opened:
            one.close()


@pytest.fixture(params=["sync", "asyncio"])
def mdm_mode(request: pytest.FixtureRequest) -> str:
    """Both modes; the runners' own tests see to trio."""
    return str(request.param)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for owner in ("mdmsdk.directory.aio.AsyncDirectory", "mdmsdk.store.aio.AsyncStore"):
        monkeypatch.setattr(f"{owner}._clock", staticmethod(clock))
    return clock


@pytest.fixture
def directories(mdm_mode: str, clock: Clock) -> Iterator[Directories]:
    directories = Directories(mdm_mode, clock)
    yield directories
    directories.close()


__all__ = ["DOCK", "OTHER", "ChangingProvider", "Directories", "Listing", "ListingProvider", "device"]
