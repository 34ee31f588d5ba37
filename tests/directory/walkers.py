"""A process that keeps the directory of a server, of which each page takes a while."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import anyio

from mdmsdk import AsyncMdmClient, AsyncMdmFederation, MdmClient, MdmFederation
from mdmsdk.directory import DirectorySettings, aio, ledger, walking
from mdmsdk.flow import pause
from mdmsdk.identifiers import Mac
from mdmsdk.models import Device
from mdmsdk.provider import Page
from mdmsdk.store import AsyncStore, Store, StoreSettings
from mdmsdk.testing.fakes import FakeServer, _FakeProvider

if TYPE_CHECKING:
    from mdmsdk.flow import Flow
    from mdmsdk.models import ServerInfo

PAGES, ROWS = 8, 20
SETTINGS = DirectorySettings(max_age=3600, interval=600)
LEASE = 5.0  # seconds; a minute in truth


class Paged(_FakeProvider):
    """Notes in a file which process asks for which page."""

    def __init__(self, log: Path, wait: float) -> None:
        super().__init__(FakeServer())
        self._log, self._wait = log, wait

    def devices_page(self, info: ServerInfo, cursor: Any) -> Flow[Page[Device]]:
        del info
        number = cursor or 0
        with self._log.open("a", encoding="ascii") as file:
            file.write(f"{os.getpid()} {number}\n")
        yield from pause(self._wait)
        first = number * ROWS
        rows = [
            Device(id=str(one + 1), registered=True, mac_addresses=(Mac(f"00005E00{one:04X}"),))
            for one in range(first, first + ROWS)
        ]
        return Page(rows, number + 1 if number + 1 < PAGES else None)


def in_threads(provider: Paged, settings: StoreSettings) -> None:
    client = MdmClient(provider, server="paged")
    with Store(settings) as store, MdmFederation([client], store=store, directory=SETTINGS) as federation:
        assert federation.directory
        federation.directory.keep()


async def in_tasks(provider: Paged, settings: StoreSettings) -> None:
    client = AsyncMdmClient(provider, server="paged")
    async with (
        AsyncStore(settings) as store,
        AsyncMdmFederation([client], store=store, directory=SETTINGS) as federation,
    ):
        assert federation.directory
        await federation.directory.keep()


def main() -> None:
    """Keep it: by threads or tasks, in the store at a URL with a key."""
    mode, log, url, key = sys.argv[1:]
    provider, settings = Paged(Path(log), 0.25), StoreSettings.model_validate({"url": url, "key": key})
    with (
        mock.patch.object(ledger, "LEASE", LEASE),
        mock.patch.object(walking, "LEASE", LEASE),
        mock.patch.object(aio, "_LOOK_AGAIN", 0.1),
        mock.patch.object(aio, "_AFTER_FAILURE", 0.2),
    ):
        if mode == "sync":
            in_threads(provider, settings)
        else:
            anyio.run(in_tasks, provider, settings, backend=mode)
