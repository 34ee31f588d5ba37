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

from benchmarks.cache import DAYS, DEVICE, MAC
from mdmsdk import AsyncStore, Store, StoreSettings
from mdmsdk.testing import FakeAsyncMdmFederation, FakeMdmFederation

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
    with (
        Store(_settings(f"redis://127.0.0.1:{port}/0")) as store,
        FakeMdmFederation({"a": [DEVICE]}, rules=DAYS, store=store, cache_ttl=600) as federation,
    ):
        inner: Any = federation._inner  # noqa: SLF001 - to measure what it saves

        def merged() -> None:
            inner._answers.remembered.clear()  # noqa: SLF001
            federation.lookup(MAC)

        assert federation.lookup(MAC).device
        _sync("cached lookup, rules anew, sync", lambda: client.get("bare"), lambda: federation.lookup(MAC))
        _sync("cached lookup, merged anew, sync", lambda: client.get("bare"), merged)
        assert federation.fakes["a"].asked == [MAC]


async def _cached_in_async(port: int) -> None:
    async with (
        redis.asyncio.Redis(port=port) as client,
        AsyncStore(_settings(f"redis://127.0.0.1:{port}/0", "another-correct-horse")) as store,
        FakeAsyncMdmFederation({"a": [DEVICE]}, rules=DAYS, store=store, cache_ttl=600) as federation,
    ):
        inner: Any = federation

        async def merged() -> None:
            inner._answers.remembered.clear()  # noqa: SLF001
            await federation.lookup(MAC)

        assert (await federation.lookup(MAC)).device
        await _async(
            *("cached lookup, rules anew, async", lambda: client.get("bare")), lambda: federation.lookup(MAC)
        )
        await _async("cached lookup, merged anew, async", lambda: client.get("bare"), merged)
        assert federation.fakes["a"].asked == [MAC]


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
        asyncio.run(_cached_in_async(port))
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
