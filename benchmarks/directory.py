"""The directory in a file: size, memory, and the time of a look into it."""

from __future__ import annotations

import random
import resource
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from mdmsdk._run.waits_sync import drive
from mdmsdk.directory import DirectorySettings
from mdmsdk.directory.entries import Reference, add, code_of
from mdmsdk.directory.state import State, Volume
from mdmsdk.federation import MdmFederation
from mdmsdk.identifiers import Mac
from mdmsdk.store import Store, StoreSettings
from mdmsdk.testing import FakeMdmClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk.directory.ledger import Ledger

DEVICES = 1_000_000
PAGE = 20_000
LOOKS = 20_000


def macs(number: int) -> Iterator[Mac]:
    """The two addresses of a device."""
    yield Mac(f"{0x001B44000000 + number:012x}")
    yield Mac(f"{0x001C44000000 + number:012x}")


def peak() -> float:
    """The most memory that this process took so far, in MiB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024 if sys.platform != "darwin" else 1024 * 1024)


async def fill(ledger: Ledger, fingerprint: str) -> None:
    """Put all devices in, as a walk does."""
    volume, now = Volume(walk=await ledger.take()), time.time()
    await ledger.begin(volume)
    for start in range(0, DEVICES, PAGE):
        buffer: dict[bytes, dict[bytes, None]] = {}
        for number in range(start, start + PAGE):
            add(buffer, map(code_of, macs(number)), Reference(str(number)))
        before, volume = volume, await ledger.put(volume, buffer)
        if before.shards != volume.shards:
            await ledger.drop(before)
    await ledger.save(State(fingerprint=fingerprint, volume=volume, full_at=now, walked_at=now))
    await ledger.leave()


def main() -> None:
    """Print size, memory and times."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "store.db"
        settings = StoreSettings(url=f"sqlite:///{file}", key=SecretStr("a-key-for-benchmarks"))
        with (
            Store(settings) as store,
            MdmFederation([FakeMdmClient()], store=store, directory=DirectorySettings()) as federation,
        ):
            inner = federation.directory and federation.directory._inner  # noqa: SLF001
            assert inner
            client, began, before = federation.clients["fake"]._inner, time.monotonic(), peak()  # noqa: SLF001
            drive(partial(fill, inner._ledger["fake"], inner._known["fake"].fingerprint))  # noqa: SLF001
            print(f"{DEVICES:,} devices with 2 addresses each put in: {time.monotonic() - began:.0f} s")
            print(f"memory: {peak() - before:.0f} MiB more at the peak")
            times, chosen = [], random.Random(1)  # noqa: S311 - no secret
            for _ in range(LOOKS):
                number = chosen.randrange(DEVICES)
                (key, _) = macs(number)
                start = time.perf_counter()
                found = drive(partial(inner._look, client, [key]))  # noqa: SLF001
                times.append((time.perf_counter() - start) * 1e6)
                assert found[key].records == (Reference(str(number)),)
            print(
                f"a look: {statistics.median(times):.0f} µs in the median, "
                f"{statistics.mean(times):.0f} on average"
            )
        size = sum(one.stat().st_size for one in Path(folder).iterdir())
        print(f"on disk: {size / 1024 / 1024:.0f} MiB, {size / DEVICES / 2:.0f} bytes an identifier")
