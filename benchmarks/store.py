"""A value from the store on Redis, against redis-py's bare GET of the same value, in turn in one run."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio

from mdmsdk import AsyncStore, MdmFederation, Store, StoreSettings, connect
from mdmsdk.simulator import Fleet
from mdmsdk.simulator.ise import IseSimulator
from mdmsdk.simulator.server import serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ROUNDS, EACH = 15, 200
VALUE = b"x" * 400
"""About as long as what is kept of a device."""


@contextlib.contextmanager
def server() -> Iterator[int]:
    """A Redis server of its own, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        _until_it_answers(port)
        yield port
    finally:
        process.kill()
        process.wait()


def _until_it_answers(port: int) -> None:
    with redis.Redis(port=port) as client:
        for _ in range(100):
            with contextlib.suppress(redis.ConnectionError):
                client.ping()
                return
            time.sleep(0.05)


def _settings(url: str, key: Any = "correct-horse-battery") -> StoreSettings:
    return StoreSettings(url=url, key=key)


def _told(what: str, bare: list[float], ours: list[float]) -> None:
    ratio = statistics.median(one / other for one, other in zip(bare, ours, strict=True))
    mine, theirs = statistics.median(ours) / EACH * 1e6, statistics.median(bare) / EACH * 1e6
    print(f"{what}: {mine:.0f} µs, bare GET {theirs:.0f} µs, {ratio:.2f} of its speed")


def _sync(what: str, bare: Callable[[], Any], ours: Callable[[], Any]) -> None:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for ask, taken in zip((bare, ours), times, strict=True):
            began = time.perf_counter()
            for _ in range(EACH):
                ask()
            taken.append(time.perf_counter() - began)
    _told(what, *times)


async def _async(what: str, bare: Callable[[], Awaitable[Any]], ours: Callable[[], Awaitable[Any]]) -> None:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for ask, taken in zip((bare, ours), times, strict=True):
            began = time.perf_counter()
            for _ in range(EACH):
                await ask()
            taken.append(time.perf_counter() - began)
    _told(what, *times)


async def _in_async(port: int) -> None:
    async with (
        redis.asyncio.Redis(port=port) as client,
        AsyncStore(_settings(f"redis://127.0.0.1:{port}/0")) as store,
    ):
        await _async("get, async", lambda: client.get("bare"), lambda: store.get("a"))


def _cached(port: int, client: redis.Redis) -> None:
    """A cached lookup with one server, which reads its answer from Redis each time."""
    simulator = IseSimulator(Fleet.generate(20))
    with serve(simulator) as running:
        settings = simulator.settings(running.origin)
        mac = next(one.mac_addresses[0] for one in simulator.fleet if one.mac_addresses and one.registered)
        with (
            Store(_settings(f"redis://127.0.0.1:{port}/0")) as store,
            MdmFederation(
                [connect(settings.pop("provider"), **settings)], store=store, cache_ttl=600
            ) as federation,
        ):
            assert federation.lookup(mac).device
            sent = len(simulator.requests)
            _sync("cached lookup, sync", lambda: client.get("bare"), lambda: federation.lookup(mac))
            assert len(simulator.requests) == sent


def main() -> None:
    """Print the figures."""
    if not shutil.which("redis-server"):
        print("redis-server is not installed: the store is not measured")
        return
    with server() as port, redis.Redis(port=port) as client:
        client.set("bare", VALUE)
        with Store(_settings(f"redis://127.0.0.1:{port}/0")) as store:
            store.set("a", VALUE)
            assert store.get("a") == VALUE
            _sync("get, sync", lambda: client.get("bare"), lambda: store.get("a"))
            names = [f"many/{number}" for number in range(1000)]
            store.set_many(dict.fromkeys(names, VALUE))
            began = time.perf_counter()
            assert store.get_many(names) == [VALUE] * 1000
            print(f"get_many of 1,000: {(time.perf_counter() - began) * 1000:.1f} ms")
        asyncio.run(_in_async(port))
        _cached(port, client)
        with (
            tempfile.TemporaryDirectory() as folder,
            Store(_settings(f"sqlite://{Path(folder) / 'store.db'}")) as store,
        ):
            store.set("a", VALUE)
            _sync("get from SQLite, sync", lambda: client.get("bare"), lambda: store.get("a"))
        with Store() as store:
            store.set("a", VALUE)
            _sync("get from memory, sync", lambda: client.get("bare"), lambda: store.get("a"))


if __name__ == "__main__":
    main()
