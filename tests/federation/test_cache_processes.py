"""The cache on a Redis server: one question over processes, and what is left when the server is killed."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import StoreError
from mdmsdk.federation import decide
from mdmsdk.store import AsyncStore, Store, StoreSettings, health
from mdmsdk.testing import FakeAsyncMdmFederation, FakeMdmFederation, Modal
from tests.federation.test_cache import MAC, device
from tests.store.conftest import KEY, RedisServer, _redis_server, redis_server

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["_redis_server", "redis_server"]

EACH = 250
PROGRAM = """
import sys
from concurrent.futures import ThreadPoolExecutor
import anyio
from mdmsdk import AsyncMdmClient, AsyncMdmFederation, Device, MdmClient, MdmFederation, Mac
from mdmsdk.flow import pause
from mdmsdk.store import AsyncStore, Store, StoreSettings
from mdmsdk.testing.fakes import FakeServer, _FakeProvider

mode, url, key, mac, count, asked = sys.argv[1:]
settings = StoreSettings(url=url, key=key)
device = Device(registered=True, mac_addresses=(Mac(mac),), compliance={"state": "compliant"})

class Provider(_FakeProvider):
    def find(self, info, key):
        with open(asked, "a") as file:
            file.write("asked\\n")
        yield from pause(0.7)
        return (yield from super().find(info, key))

provider = Provider(FakeServer([device]))

def ready():
    print("ready", flush=True)
    sys.stdin.readline()

def told(answers):
    print(*sorted({answer.decision for answer in answers}), len(answers))

def in_threads():
    client = MdmClient(provider, server="a")
    with Store(settings) as store, MdmFederation([client], cache_ttl=60, store=store) as federation:
        with ThreadPoolExecutor(int(count)) as pool:
            ready()
            told(list(pool.map(federation.lookup, [mac] * int(count))))

async def in_tasks():
    client, answers = AsyncMdmClient(provider, server="a"), []
    async with (
        AsyncStore(settings) as store, AsyncMdmFederation([client], cache_ttl=60, store=store) as federation
    ):
        async def ask():
            answers.append(await federation.lookup(mac))
        ready()
        async with anyio.create_task_group() as group:
            for _ in range(int(count)):
                group.start_soon(ask)
        told(answers)

in_threads() if mode == "sync" else anyio.run(in_tasks, backend=mode)
"""


@pytest.mark.timeout(240)
def test_a_thousand_lookups_over_four_processes_are_one_question(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"
    arguments = [redis_server.url, KEY, MAC, str(EACH), str(asked)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, mode, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for mode in ("sync", "sync", "asyncio", "trio")
    ]
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=200)[0] for process in processes]
    assert said == [f"compliant {EACH}\n"] * len(processes)
    assert asked.read_text() == "asked\n"


@pytest.fixture
def own_redis(redis_server: RedisServer) -> Any:
    """A server that may be killed; the other one is everybody's."""
    server = RedisServer()
    server.start()
    yield server
    server.kill()


def test_a_server_that_is_killed_is_missed_and_told(
    own_redis: RedisServer, mdm_mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = StoreSettings.model_validate({"url": own_redis.url, "key": KEY})
    sync = mdm_mode == "sync"
    kind: Any = FakeMdmFederation if sync else FakeAsyncMdmFederation
    store: Any = (Store if sync else AsyncStore)(settings)
    with Modal(kind({"a": [device()], "b": []}, cache_ttl=60, store=store), mdm_mode) as federation:
        asked = [fake.asked for fake in federation.fakes.values()]
        assert [decide(federation.lookup(MAC)) for _ in range(5)] == ["compliant"] * 5
        assert list(map(len, asked)) == [1, 1]
        own_redis.kill()
        monkeypatch.setattr(health, "_REST", 0.2)
        federation.fakes["b"].devices.append(device("noncompliant"))
        answers = [federation.lookup(MAC) for _ in range(5)]
        answers += federation.lookup_many([MAC])
        assert {decide(one) for one in answers} == {"noncompliant"}
        assert all("is out of reach" in one.notes[0] for one in answers)
        assert list(map(len, asked)) == [7, 7]
        time.sleep(0.2)  # for so long it is left alone
        monkeypatch.setattr(health, "_REST", 0.0)
        with pytest.raises(StoreError, match="is out of reach"):
            federation.invalidate(MAC)
        own_redis.start()
        assert [federation.lookup(MAC).notes for _ in range(5)] == [()] * 5
        assert list(map(len, asked)) == [8, 8]
        federation.run(store.close if sync else store.aclose)
