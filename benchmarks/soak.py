"""Very many lookups on a server with faults: memory, threads and descriptors stay flat.

``python -m benchmarks.soak [LOOKUPS]``: half of them by 200 threads, half by 2,000 tasks.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import mdmsdk
from benchmarks.server import Faulty, static_server

MAC = "00:1B:44:11:3A:B7"
THREADS, TASKS = 200, 2_000
SETTINGS: dict[str, Any] = {
    "username": "ise",
    "password": "benchmark",
    "policy": {"deadline": 60.0, "timeout": 5.0, "max_wait": 0.05, "breaker_failures": 0},
}


class Use(NamedTuple):
    """What this process uses."""

    megabytes: float
    threads: int
    descriptors: int

    def __str__(self) -> str:
        return f"{self.megabytes:.0f} MB, {self.threads} threads, {self.descriptors} descriptors"


def use() -> Use:
    """What it uses now; the descriptors and the memory as Linux tells them."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    return Use(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, threading.active_count(), descriptors)


class Tally:
    """Counts outcomes, and looks at what is used each time a tenth is done."""

    def __init__(self, lookups: int) -> None:
        self.lookups = lookups
        self.outcomes: Counter[str] = Counter()
        self.uses: list[Use] = []
        self._numbers = itertools.count()

    def wanted(self) -> bool:
        """Whether another lookup is to be made."""
        number = next(self._numbers)
        if number % max(1, self.lookups // 10) == 0 and number < self.lookups:
            self.uses.append(use())
        return number < self.lookups

    def note(self, outcome: mdmsdk.Device | mdmsdk.MdmError | None) -> None:
        """Count one."""
        self.outcomes[type(outcome).__name__] += 1


def by_threads(origin: str, lookups: int, threads: int = THREADS) -> Tally:
    """The sync client, used by many threads."""
    tally = Tally(lookups)
    with (
        mdmsdk.connect("ise", base_url=origin, **SETTINGS) as mdm,
        ThreadPoolExecutor(threads, thread_name_prefix="caller") as pool,
    ):

        def work(_: int) -> None:
            while tally.wanted():
                try:
                    tally.note(mdm.lookup(MAC))
                except mdmsdk.MdmError as error:
                    tally.note(error)

        list(pool.map(work, range(threads)))
        tally.uses.append(use())
    return tally


def by_tasks(origin: str, lookups: int, tasks: int = TASKS) -> Tally:
    """The async client, used by many tasks."""
    tally = Tally(lookups)

    async def main() -> None:
        async with mdmsdk.connect_async("ise", base_url=origin, **SETTINGS) as mdm:

            async def work() -> None:
                while tally.wanted():
                    try:
                        tally.note(await mdm.lookup(MAC))
                    except mdmsdk.MdmError as error:
                        tally.note(error)

            async with asyncio.TaskGroup() as group:
                for _ in range(tasks):
                    group.create_task(work())
            tally.uses.append(use())

    asyncio.run(main())
    return tally


def check(tally: Tally, before: Use, after: Use) -> None:
    """Fail where something grows."""
    assert sum(tally.outcomes.values()) == tally.lookups
    assert tally.outcomes["Device"] > tally.lookups * 0.9
    assert after.megabytes < tally.uses[len(tally.uses) // 2].megabytes + 30
    assert max(used.descriptors for used in tally.uses) < before.descriptors + 40
    assert after.descriptors <= before.descriptors + 3
    assert after.threads <= before.threads + 10


def main(lookups: int = 100_000) -> None:
    """Print both, and fail where something grows."""
    with static_server(Faulty) as origin:
        for name, work in (("200 threads", by_threads), ("2,000 tasks", by_tasks)):
            before = use()
            tally = work(origin, lookups // 2)
            after = use()
            print(f"{tally.lookups} lookups by {name}: {dict(tally.outcomes)}")
            uses = [before, tally.uses[1], tally.uses[5], tally.uses[-1], after]
            for when, used in zip(("before", "10 %", "50 %", "100 %", "closed"), uses, strict=True):
                print(f"  {when}: {used}")
            check(tally, before, after)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
