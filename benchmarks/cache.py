"""Lookups in a second that the cache answers: in process, on Redis; a fan-out; a long list of keys."""

from __future__ import annotations

import resource
import shutil
import socket
import subprocess
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from mdmsdk import Compliance, ComplianceState, Device, Mac, MdmClient, MdmFederation, Rules
from mdmsdk.flow import pause
from mdmsdk.provider import Limits
from mdmsdk.store import Store, StoreSettings
from mdmsdk.testing import FakeMdmFederation, FakeServer, fakes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.flow import Flow
    from mdmsdk.identifiers import Key
    from mdmsdk.models import ServerInfo

ROUNDS, CALLS = 5, 2000
MAC = Mac("00:1B:44:11:3A:B7")
DEVICE = Device(
    id="1",
    registered=True,
    serial_number="C02XK0AAJG5H",
    mac_addresses=(MAC,),
    os="macOS",
    os_version="15.5",
    disk_encrypted=True,
    last_check_in=datetime.now(UTC),
    compliance=Compliance(state=ComplianceState.COMPLIANT),
)
RULES = Rules(minimum_os={"macOS": "14.7"}, disk_encrypted=True)
DAYS = RULES.model_copy(update={"max_days_since_check_in": 30.0})
"""The same, and one that may say something else with each day, so that all are applied at each lookup."""


def a_second(function: Callable[[], Any]) -> float:
    """Calls in a second of CPU time, and of the clock where that is what counts; the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            function()
        best = min(best, (time.process_time() - began) / CALLS)
    return 1 / best


def in_process(rules: Rules, *, servers: int, remembered: bool = True) -> float:
    """Answers in a second of one core; without what is remembered, the records are merged anew as well."""
    names = [f"server{number}" for number in range(servers)]
    with FakeMdmFederation({name: [DEVICE] for name in names}, rules=rules, cache_ttl=3600) as federation:
        federation.lookup(MAC)
        inner: Any = federation._inner  # noqa: SLF001 - to measure what it saves

        def ask() -> None:
            if not remembered:
                inner._answers.remembered.clear()  # noqa: SLF001
            federation.lookup(MAC)

        return a_second(ask)


def on_redis() -> tuple[float, float]:
    """Answers in a second of CPU time, and a bare client's GET of as many bytes in the same run."""
    import redis

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(port=port)
        _wait_for(client)
        client.set("bare", b"x" * 400)
        settings = StoreSettings.model_validate({"url": f"redis://127.0.0.1:{port}/0", "key": "k" * 16})
        with Store(settings) as store, FakeMdmFederation({"a": [DEVICE]}, cache_ttl=3600, store=store) as one:
            one.lookup(MAC)
            return a_second(lambda: one.lookup(MAC)), a_second(lambda: client.get("bare"))
    finally:
        process.kill()
        process.wait()


def _wait_for(client: Any) -> None:
    import redis

    for _ in range(100):
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.05)
        else:
            return


class _Slow(fakes._FakeProvider):  # noqa: SLF001 - a server in memory that takes its time
    limits: ClassVar = Limits(concurrency=4)

    def find(self, info: ServerInfo, key: Key) -> Flow[list[Device]]:
        yield from pause(0.1)
        return (yield from super().find(info, key))


def fan_out() -> float:
    """How much longer a lookup on ten servers takes than the slowest of them, which takes 100 ms."""
    clients = [MdmClient(_Slow(FakeServer([DEVICE])), server=f"server{number}") for number in range(10)]
    with MdmFederation(clients) as federation:
        federation.lookup(MAC)
        began = time.perf_counter()
        federation.lookup(MAC)
        return (time.perf_counter() - began) / 0.1


def long_list(count: int = 100_000) -> tuple[float, float, float]:
    """Seconds to the first answer of so many keys and to the last, and by how many MiB the process grows.

    It is looked at after the first tenth and at the end.
    """

    def keys() -> Iterator[Mac]:
        for number in range(count):
            yield Mac(f"00{number + 4096:010x}")

    with FakeMdmFederation({"a": [DEVICE], "b": []}, cache_ttl=60) as federation:
        began, first, early = time.perf_counter(), 0.0, 0
        for number, _ in enumerate(federation.lookup_many(keys())):
            first = first or time.perf_counter() - began
            for fake in federation.fakes.values():
                fake.asked.clear()
            if number == count // 10:
                early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - early
        return first, time.perf_counter() - began, grown / 1024


def main() -> None:
    """Print them."""
    for servers in (1, 5):
        known, ruled = (in_process(rules, servers=servers) for rules in (RULES, DAYS))
        merged = in_process(DAYS, servers=servers, remembered=False)
        print(
            f"cached, {servers} server(s): {known:,.0f}/s as before, {ruled:,.0f}/s with rules anew, "
            f"{merged:,.0f}/s merged anew as well"
        )
    if shutil.which("redis-server"):
        ours, bare = on_redis()
        print(f"cached on Redis: {ours:,.0f}/s, bare GET {bare:,.0f}/s: {ours / bare:.2f}")
    print(f"ten servers of 100 ms: {fan_out():.2f} times the slowest")
    first, last, grown = long_list()
    print(f"100,000 keys: first answer after {first:.2f} s, last after {last:.0f} s, memory {grown:+.1f} MiB")
