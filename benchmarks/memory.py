"""Peak memory of a noncompliant list, short and long: pages are not kept."""

from __future__ import annotations

import multiprocessing
import resource
import sys
from typing import TYPE_CHECKING, Any, Literal

import mdmsdk
from mdmsdk.simulator import Fleet, IseSimulator, serve

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

PAGE = 1000
SHORT, LONG = 10_000, 200_000
MIX: dict[Literal["compliant", "noncompliant", "grace", "unknown"], float] = {"noncompliant": 1.0}


def _server(size: int, pipe: Connection) -> None:
    fleet = Fleet.generate(size, mix=MIX, cases=False)
    with serve(IseSimulator(fleet, query_max_size=PAGE)) as running:
        pipe.send(running.settings)
        pipe.recv()


def _client(settings: dict[str, Any], pipe: Connection) -> None:
    with mdmsdk.connect(**settings, policy={"timeout": 120.0, "deadline": 120.0}) as mdm:
        count = sum(1 for _ in mdm.noncompliant())
    unit = 1 if sys.platform == "darwin" else 1024
    pipe.send((count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit))


def peak(size: int) -> int:
    """Peak memory in bytes of a client that walks a list of this length."""
    # Spawned, so that neither inherits the other's memory.
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    server = spawn.Process(target=_server, args=(size, there), daemon=True)
    server.start()
    settings = here.recv()
    ours, theirs = spawn.Pipe()
    client = spawn.Process(target=_client, args=(settings, theirs), daemon=True)
    client.start()
    count, most = ours.recv()
    client.join()
    here.send(None)
    server.join()
    assert count == size
    return int(most)


def main() -> None:
    """Print the difference a device."""
    short, long = peak(SHORT), peak(LONG)
    each = (long - short) / (LONG - SHORT)
    print(
        f"noncompliant(): {SHORT:,} devices {short / 1e6:.1f} MB, {LONG:,} devices {long / 1e6:.1f} MB peak, "
        f"{each:.0f} bytes a device"
    )


if __name__ == "__main__":
    main()
