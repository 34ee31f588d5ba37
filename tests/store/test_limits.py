"""Limits of a server that several processes keep together, by way of Redis."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from starlette.responses import Response

from mdmsdk._run import quotas
from mdmsdk._run.quotas import Asked
from mdmsdk._run.waits_sync import drive
from mdmsdk.errors import AuthenticationError, DeadlineExceededError, RateLimitedError
from mdmsdk.federation import MdmFederation
from mdmsdk.ise import IseProvider
from mdmsdk.provider import Limits
from mdmsdk.settings import LowerLimits
from mdmsdk.simulator import Fleet
from mdmsdk.simulator.ise import IseSimulator
from mdmsdk.simulator.server import serve
from mdmsdk.store import AsyncStore, Store, StoreSettings
from mdmsdk.testing import open_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

KEY = "correct-horse-battery"
FLEET = Fleet.generate(20)
MAC = next(device.mac_addresses[0] for device in FLEET if device.registered and device.mac_addresses)


class Counted:
    """A server that notes when requests come, and how many are there at once."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._now = 0
        self.seconds = 0.0
        self.busy = ""
        self.times: list[float] = []
        self.most_at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        self.times.append(time.monotonic())
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        await anyio.sleep(self.seconds)
        self._now -= 1
        if self.busy:
            refusal = Response("", 429, {"Retry-After": self.busy})
            return await refusal(scope, receive, send)
        return await self._app(scope, receive, send)

    def most_within(self, seconds: float) -> int:
        """The most requests that came within any window of so many seconds."""
        return max(sum(begin <= one < begin + seconds for one in self.times) for begin in self.times)


@pytest.fixture
def counted() -> Iterator[tuple[Counted, dict[str, Any]]]:
    simulator = IseSimulator(FLEET)
    server = Counted(simulator.app)
    with serve(server) as running:
        yield server, simulator.settings(running.origin)


MANY = """
import os, sys, threading
import mdmsdk
import mdmsdk.store.limits, mdmsdk.store.redis  # once, and not in each process
mdmsdk.connect_server("phones", sys.argv[1]).close()
def work(client, failures):
    for _ in range(int(sys.argv[3])):
        try:
            assert client.lookup(sys.argv[2]) is not None
        except BaseException as error:
            failures.append(error)
            raise
children = []
for process in range(4):
    if not (child := os.fork()):
        failures = []
        with mdmsdk.connect_server("phones", sys.argv[1]) as client:
            threads = [threading.Thread(target=work, args=(client, failures)) for thread in range(4)]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
        os._exit(len(failures))
    children.append(child)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


def configuration(tmp_path: Path, settings: dict[str, Any], redis: str, *more: str) -> Path:
    lines = [f"{name} = {value!r}" for name, value in settings.items()]
    store = ["[store]", f"url = {redis!r}", f"key = {KEY!r}"]
    file = tmp_path / "mdm.toml"
    file.write_text("\n".join(["[servers.phones]", *lines, *more, *store]))
    file.chmod(0o600)
    return file


def run_four(tmp_path: Path, settings: dict[str, Any], limits: str, redis: str, each: int) -> None:
    policy = "policy = { deadline = 30, timeout = 10 }"
    file = configuration(tmp_path, settings, redis, f"limits = {limits}", policy)
    subprocess.run([sys.executable, "-c", MANY, file, MAC, str(each)], check=True)


def test_four_processes_keep_a_rate_together(
    counted: tuple[Counted, dict[str, Any]], redis_server: Any, tmp_path: Path
) -> None:
    server, settings = counted
    run_four(tmp_path, settings, "{ rate = 25, burst = 2 }", redis_server.url, each=3)
    assert len(server.times) >= 48
    # Rate and burst, and one that a busy machine may bring late into a window.
    assert server.most_within(1.0) <= 25 + 2 + 1
    assert server.most_within(0.4) <= 10 + 2 + 1


def test_four_processes_keep_to_the_places_together(
    counted: tuple[Counted, dict[str, Any]], redis_server: Any, tmp_path: Path
) -> None:
    server, settings = counted
    server.seconds = 0.05
    run_four(tmp_path, settings, "{ concurrency = 3 }", redis_server.url, each=1)
    assert len(server.times) >= 16
    assert server.most_at_once <= 3


@pytest.fixture
def limits(open_store: Callable[..., Any], redis_server: Any) -> Callable[..., Any]:
    """Makes what one process has; every call is another one."""

    def make() -> Any:
        store = open_store(url=redis_server.url, key=KEY)
        inner = store.wrapped._inner if store.mode == "sync" else store.wrapped
        one = inner._limits_of("a server", close=False)

        def ask(method: str, *arguments: Any, **named: Any) -> Any:
            job = partial(getattr(one, method), *arguments, **named)
            wait = store.run(job) if store.mode != "sync" else drive(job)
            call.asked = wait and wait.asked
            return wait and wait.seconds

        call: Any = ask
        call.forget = one.forget
        return call

    return make


def test_rates_count_for_each_lane_and_for_all(limits: Any) -> None:
    one, two = limits(), limits()
    slow = Limits(rate=0.1, burst=2, concurrency=100)
    assert one("admit", "1", "a", slow, 1.0) is None
    assert two("admit", "2", "a", slow, 1.0) is None
    assert 8 < one("admit", "3", "a", slow, 1.0) <= 10
    assert one.asked is None
    assert one("admit", "3", "b", slow, 1.0) is None
    both = Limits(rate=100.0, burst=2, total_rate=0.1, concurrency=100)
    assert one("admit", "4", "c", both, 1.0) is None
    assert 8 < two("admit", "5", "d", both, 1.0) <= 10


def test_a_list_leaves_a_turn_to_other_processes(limits: Any) -> None:
    one, two = limits(), limits()
    slow = Limits(rate=0.1, burst=3, concurrency=100)
    assert [one("admit", str(number), "", slow, 1.0, gives_way=True) for number in range(2)] == [None] * 2
    assert 8 < one("admit", "2", "", slow, 1.0, gives_way=True) <= 10
    assert two("admit", "3", "", slow, 1.0) is None
    assert 8 < two("admit", "4", "", slow, 1.0) <= 10


def test_who_is_asked_to_wait_holds_all_others(limits: Any) -> None:
    one, two = limits(), limits()
    fast = Limits(rate=100.0, burst=50, concurrency=100)
    one("hold", "a", 50.0)
    one("hold", "a", 1.0)
    assert 40 < two("admit", "1", "a", fast, 1.0) <= 50
    assert two.asked == Asked(50.0)
    assert two("admit", "1", "b", fast, 1.0) is None
    two("hold", None, 20.0)
    assert 15 < one("admit", "2", "b", fast, 1.0) <= 20
    assert one.asked == Asked(20.0)
    assert 40 < one("admit", "2", "a", fast, 1.0) <= 50


def test_a_process_does_not_ask_a_server_that_made_another_one_wait(
    counted: tuple[Counted, dict[str, Any]],
    redis_server: Any,
    mode: str,
) -> None:
    server, settings = counted
    settings = {name: value for name, value in settings.items() if name != "provider"}
    kept = StoreSettings.model_validate({"url": redis_server.url, "key": KEY})
    with ExitStack() as stack:
        clients = []
        for _ in range(2):
            client = stack.enter_context(
                open_client(IseProvider(IseProvider.settings_type(**settings)), mode)
            )
            store: Any = (Store if mode == "sync" else AsyncStore)(kept)
            stack.callback(client.run, store.close if mode == "sync" else store.aclose)
            client.share_limits(store)
            assert client.lookup(MAC).registered
            clients.append(client)
        server.busy = "50"
        asked = len(server.times)
        with pytest.raises(RateLimitedError):
            clients[0].lookup(MAC)
        for client in clients:
            with pytest.raises(DeadlineExceededError) as late:
                client.lookup(MAC)
            assert str(late.value).startswith(f"{client.server}: the server asked for a wait of 50 s (429), ")
            assert "policy.deadline" in (late.value.hint or "")
            assert "limits.rate" in (late.value.hint or "")
    assert len(server.times) == asked + 1


def test_who_is_another_customer_at_the_same_address_is_not_held_back(
    counted: tuple[Counted, dict[str, Any]],
    redis_server: Any,
    mode: str,
) -> None:
    server, settings = counted
    common = {"base_url": settings["base_url"], "password": settings["password"], "policy": {"deadline": 5.0}}
    kept = StoreSettings.model_validate({"url": redis_server.url, "key": KEY})
    with ExitStack() as stack:
        clients = []
        for username in (settings["username"], "another"):
            provider = IseProvider(IseProvider.settings_type(**common, username=username))
            client = stack.enter_context(open_client(provider, mode))
            store: Any = (Store if mode == "sync" else AsyncStore)(kept)
            stack.callback(client.run, store.close if mode == "sync" else store.aclose)
            client.share_limits(store)
            clients.append(client)
        server.busy = "50"
        with pytest.raises(RateLimitedError):
            clients[0].lookup(MAC)
        server.busy = ""
        with pytest.raises(AuthenticationError):  # it was asked
            clients[1].lookup(MAC)


def test_a_place_is_free_when_it_is_given_back_or_its_holder_died(
    limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = limits(), limits()
    few = Limits(concurrency=2)
    assert one("admit", "1", "", few, 60.0) is None
    assert two("admit", "2", "", few, 60.0) is None
    assert two("admit", "3", "", few, 60.0) == quotas.AGAIN
    one.forget("1", "")
    one("settle")
    assert two("admit", "3", "", few, 60.0) is None
    two.forget("2", "")
    two.forget("3", "")
    monkeypatch.setattr(quotas, "GRACE", 0.1)
    assert two("admit", "4", "", few, 0.0) is None  # and with it the two are given back
    assert two("admit", "5", "", few, 0.0) is None  # then the process dies
    assert one("admit", "6", "", few, 60.0) == quotas.AGAIN
    time.sleep(0.15)
    assert one("admit", "6", "", few, 60.0) is None


def test_one_lane_takes_no_places_of_another(limits: Any) -> None:
    one, two = limits(), limits()
    few = Limits(concurrency=1)
    assert one("admit", "1", "a", few, 60.0) is None
    assert two("admit", "2", "a", few, 60.0) == quotas.AGAIN
    assert two("admit", "2", "b", few, 60.0) is None
    one.forget("1", "a")
    assert one("admit", "3", "b", few, 60.0) == quotas.AGAIN
    one("settle")
    assert two("admit", "4", "a", few, 60.0) is None


def test_who_waits_for_a_place_has_the_next_one(limits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    busy, other, one = limits(), limits(), Limits(concurrency=1)
    monkeypatch.setattr(quotas, "WAITS", 60.0)
    assert busy("admit", "1", "", one, 60.0) is None
    assert other("admit", "2", "", one, 60.0) == quotas.AGAIN
    busy.forget("1", "")
    assert busy("admit", "3", "", one, 60.0) == quotas.AGAIN
    assert other("admit", "2", "", one, 60.0) is None
    other.forget("2", "")
    monkeypatch.setattr(quotas, "WAITS", 0.01)
    assert other("admit", "4", "", one, 60.0) == quotas.AGAIN
    assert busy("admit", "3", "", one, 60.0) is None
    busy.forget("3", "")
    time.sleep(0.05)
    assert busy("admit", "5", "", one, 60.0) is None  # the other one has given up


def test_who_waits_has_the_next_turn(limits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    busy, other = limits(), limits()
    monkeypatch.setattr(quotas, "WAITS", 60.0)
    assert busy("admit", "1", "", Limits(concurrency=1), 60.0) is None
    assert other("admit", "2", "", Limits(concurrency=1), 60.0) == quotas.AGAIN
    often = Limits(rate=0.1, burst=2, concurrency=9)
    assert busy("admit", "3", "", often, 60.0) is None
    assert 5 < busy("admit", "4", "", often, 60.0) <= 10  # there is one more, and that is the other's
    assert other("admit", "2", "", often, 60.0) is None


def test_a_clock_that_was_put_back_stops_nobody(limits: Any, redis_server: Any) -> None:
    one = limits()
    slow = Limits(rate=1.0, concurrency=1)
    assert one("admit", "0", "", slow, 1.0) is None
    with redis_server.client as client:
        ahead = (time.time() + 7200) * 1e6
        (lane,), (places,) = client.keys("mdmsdk:limits:*:lane:"), client.keys("mdmsdk:limits:*:places:")
        client.set(lane, f"{ahead:.0f}")
        client.delete(places)
        client.zadd(places, {"x": ahead})
    assert one("admit", "1", "", slow, 1.0) is None


def test_without_redis_each_counts_for_itself_and_says_so_once(
    counted: tuple[Counted, dict[str, Any]],
    redis_server: Any,
    open_store: Callable[..., Any],
    mode: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server, settings = counted
    own = type(redis_server)()
    own.start()
    settings = {name: value for name, value in settings.items() if name != "provider"}
    provider = IseProvider(IseProvider.settings_type(**settings, limits=LowerLimits(rate=50, burst=1)))
    store = open_store(url=own.url, key=KEY)
    with open_client(provider, mode) as client:
        client.share_limits(store.wrapped)
        assert client.lookup(MAC).registered
        assert own.client.keys("mdmsdk:limits:*:lane:")
        own.kill()
        for _ in range(10):
            assert client.lookup(MAC).registered
    assert caplog.text.count("limits are counted for this process alone") == 1
    assert server.most_within(0.1) <= 6 + 1


def test_who_leaves_frees_his_place(redis_server: Any, counted: tuple[Counted, dict[str, Any]]) -> None:
    from mdmsdk import AsyncMdmClient, AsyncStore, StoreSettings

    server, settings = counted
    provider = IseProvider(
        IseProvider.settings_type(
            **{name: value for name, value in settings.items() if name != "provider"},
            limits=LowerLimits(concurrency=1),
        )
    )

    async def main() -> None:
        kept: Any = {"url": redis_server.url, "key": KEY}
        async with AsyncStore(StoreSettings(**kept)) as store, AsyncMdmClient(provider) as client:
            client.share_limits(store)
            server.seconds = 5.0
            with anyio.move_on_after(0.2):
                await client.lookup(MAC)
            server.seconds = 0.0
            assert await client.lookup(MAC, deadline=2.0)

    anyio.run(main)


@pytest.mark.parametrize("cache", ["", "[federation]\ncache_ttl = 0"])
def test_a_federation_counts_too(
    counted: tuple[Counted, dict[str, Any]], redis_server: Any, tmp_path: Path, cache: str
) -> None:
    _, settings = counted
    file = configuration(tmp_path, settings, redis_server.url, "limits = { rate = 50 }", cache)
    with MdmFederation.from_config(file) as federation:
        assert federation.lookup(MAC).device
    with redis_server.client as client:
        (name,) = client.keys("mdmsdk:limits:*:lane:")
    # By whom the vendor counts may be a key, and no customer's name is anybody's business either.
    assert not any(str(settings[one]).encode() in name for one in ("base_url", "username", "password"))
