"""CPU time of one lookup against the same request sent and parsed with the bare HTTP library."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING, Any

from lxml import etree

import mdmsdk
from benchmarks.server import static_server
from mdmsdk._run.library import lib

if TYPE_CHECKING:
    from collections.abc import Callable

QUERY = "/ciscoise/mdmapi/v3/devices/?paging=0&querycriteria=macaddress&value=001B44113AB7&filter=all"
ROUNDS, CALLS = 15, 300
AUTH = ("ise", "benchmark")


def parsed(body: bytes) -> str | None:
    """What a script without the SDK would do with the answer."""
    status: str | None = etree.fromstring(body).findtext(".//compliance/status")
    return status


def compare(bare: Callable[[], None], ours: Callable[[], None]) -> tuple[float, float, float]:
    """Microseconds of CPU a call, bare and ours, and the median of the ratios of neighbouring rounds."""
    bare()
    ours()
    pairs = []
    for _ in range(ROUNDS):
        times = []
        for work in (bare, ours):
            began = time.process_time()
            work()
            times.append((time.process_time() - began) / CALLS * 1e6)
        pairs.append(times)
    ratio = statistics.median(pair[1] / pair[0] for pair in pairs)
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs), ratio


def sync(origin: str) -> tuple[float, float, float]:
    """The sync clients."""
    with (
        lib.Client(auth=AUTH) as client,
        mdmsdk.connect("ise", base_url=origin, username=AUTH[0], password=AUTH[1]) as mdm,
    ):

        def bare() -> None:
            for _ in range(CALLS):
                response = client.get(origin + QUERY)
                response.raise_for_status()
                assert parsed(response.content) == "true"

        def ours() -> None:
            for _ in range(CALLS):
                device = mdm.lookup("00:1B:44:11:3A:B7")
                assert device is not None

        return compare(bare, ours)


def in_async(origin: str) -> tuple[float, float, float]:
    """The async clients, on asyncio."""
    with asyncio.Runner() as runner:
        client: Any = lib.AsyncClient(auth=AUTH)
        mdm = mdmsdk.connect_async("ise", base_url=origin, username=AUTH[0], password=AUTH[1])

        async def bare() -> None:
            for _ in range(CALLS):
                response = await client.get(origin + QUERY)
                response.raise_for_status()
                assert parsed(response.content) == "true"

        async def ours() -> None:
            for _ in range(CALLS):
                device = await mdm.lookup("00:1B:44:11:3A:B7")
                assert device is not None

        result = compare(lambda: runner.run(bare()), lambda: runner.run(ours()))
        runner.run(client.aclose())
        runner.run(mdm.aclose())
        return result


def main() -> None:
    """Print both comparisons."""
    with static_server() as origin:
        for name, measure in (("sync", sync), ("async", in_async)):
            bare, ours, ratio = measure(origin)
            print(
                f"lookup, {name}, {lib.__name__}: {bare:.0f} us CPU bare, {ours:.0f} here, ratio {ratio:.2f}"
            )


if __name__ == "__main__":
    main()
