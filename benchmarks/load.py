"""Lookups under load: a cold burst on a slow server, and a federation of which one server is dead."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import mdmsdk
from benchmarks.server import Dead, static_server
from mdmsdk.federation import MdmFederation

MAC = "00:1B:44:11:3A:B7"
LOGIN: dict[str, Any] = {"username": "ise", "password": "benchmark"}
ROUNDS = 300


def burst(lookups: int = 500, rate: float = 10.0, deadline: float = 2.0) -> dict[str, float]:
    """A burst on a server that allows `rate` requests a second.

    Returns:
        How many lookups were answered and refused, the seconds until nine tenths of the refusals were
        told, and what a lookup three seconds later took.
    """
    limits = {"rate": rate, "burst": 1, "concurrency": 10}
    with (
        static_server() as origin,
        mdmsdk.connect("ise", base_url=origin, **LOGIN, limits=limits, policy={"deadline": deadline}) as mdm,
        ThreadPoolExecutor(lookups) as pool,
    ):
        mdm.heartbeat()

        def ask(_: int) -> tuple[bool, float]:
            began = time.monotonic()
            try:
                mdm.lookup(MAC)
            except mdmsdk.DeadlineExceededError:
                return False, time.monotonic() - began
            return True, time.monotonic() - began

        outcomes = list(pool.map(ask, range(lookups)))
        refused = sorted(spent for answered, spent in outcomes if not answered)
        time.sleep(3)
        answered, spent = ask(0)
        assert answered
    return {
        "answered": lookups - len(refused),
        "refused": len(refused),
        "refused_after": refused[len(refused) * 9 // 10],
        "later": spent,
    }


def federated(*, dead: bool, servers: int = 6, rounds: int = ROUNDS) -> tuple[float, float]:
    """Seconds, the 99th percentile of lookups in a federation: of all, and of those with the breaker open."""
    with ExitStack() as stack:
        origins = [stack.enter_context(static_server()) for _ in range(servers - dead)]
        if dead:
            origins.append(stack.enter_context(static_server(Dead)))
        policy = {"deadline": 0.2, "attempts": 1, "breaker_reset": 600}
        federation = stack.enter_context(
            MdmFederation(
                mdmsdk.connect("ise", base_url=origin, **LOGIN, server=f"server-{number}", policy=policy)
                for number, origin in enumerate(origins)
            )
        )
        times = []
        for _ in range(rounds):
            began = time.monotonic()
            federation.lookup(MAC)
            times.append(time.monotonic() - began)
    return statistics.quantiles(times, n=100)[98], statistics.quantiles(times[20:], n=100)[98]


def main() -> None:
    """Print both."""
    told = burst()
    print(
        f"burst of 500 at 10/s with 2 s: {told['answered']:.0f} answered, {told['refused']:.0f} refused, "
        f"90 % of them within {told['refused_after'] * 1000:.0f} ms; 3 s later {told['later'] * 1000:.0f} ms"
    )
    _, healthy = federated(dead=False)
    every, later = federated(dead=True)
    print(f"6 servers, deadline 200 ms: p99 {healthy * 1000:.1f} ms")
    print(
        f"1 of 6 dead: p99 {every * 1000:.1f} ms, with its breaker open {later * 1000:.1f} ms, "
        f"{later / healthy:.2f} times the healthy case"
    )


if __name__ == "__main__":
    main()
