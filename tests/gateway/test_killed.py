"""Replicas with one Redis, under load through both faces, while one or the other is killed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import threading
import time
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest

from mdmsdk import MdmFederation, connect
from mdmsdk.simulator import IseSimulator, serve
from tests.gateway.conftest import FLEET, KEY, LOGIN, Serve, configuration
from tests.gateway.test_workers import children
from tests.store.conftest import RedisServer

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks for children in /proc"),
    pytest.mark.timeout(300),
]
ANSWERS = int(os.environ.get("MDM_KILLED_LOOKUPS", "5"))
"""That each client gets between two events."""
CLIENTS = 3
MACS = [str(one.mac_addresses[0]) for one in FLEET if one.mac_addresses] + ["00:1B:44:00:00:01"]
DEVICES = "/ciscoise/mdmapi/v3/devices/"


class Load:
    """Clients with a connection each, that go to another gateway where theirs is broken.

    Attributes:
        origins: of the gateways.
        wrong: answers that are not the truth.
        broken: the gateway whose connection broke, what with, and when the request was sent.
    """

    def __init__(self, origins: list[str], truth: Mapping[str, str]) -> None:
        self.origins = origins
        self.wrong: list[str] = []
        self.broken: list[tuple[str, str, float]] = []
        self._truth = truth
        self._answers = [0] * CLIENTS
        self._changed = threading.Condition()
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(30)

    def wait(self) -> None:
        """Let each client get some more answers."""
        with self._changed:
            wanted = [had + ANSWERS for had in self._answers]
            enough = self._changed.wait_for(
                lambda: all(had >= want for had, want in zip(self._answers, wanted, strict=True)), 50
            )
        assert enough, (self.broken, self.wrong)

    def _ask(self, number: int) -> None:
        macs, place = cycle(MACS[number:] + MACS[:number]), number
        with httpx.Client(timeout=60) as client:
            while not self._end.is_set() and self.origins:
                origin, mac, sent = self.origins[place % len(self.origins)], next(macs), time.monotonic()
                try:
                    answer = (_rest if self._answers[number] % 2 else _ise)(client, origin, mac)
                except httpx.HTTPError as error:
                    self.broken.append((origin, type(error).__name__, sent))
                    place += 1
                    continue
                if answer.headers.get("connection") == "close":  # it is about to end
                    self.leave(origin)
                found = _said(answer)
                if found != self._truth[mac] and not (found == "kept out" and self._truth[mac] in KEPT_OUT):
                    self.wrong.append(f"{origin} {mac}: {found}, not {self._truth[mac]}")
                with self._changed:
                    self._answers[number] += 1
                    self._changed.notify_all()
                self._end.wait(0.01)  # so much that there is always somebody who asks, and no more

    def leave(self, origin: str) -> None:
        """Ask this one no more."""
        self.origins = [one for one in self.origins if one != origin]


KEPT_OUT = {"noncompliant", "grace", "unknown"}


def _rest(client: httpx.Client, origin: str, mac: str) -> httpx.Response:
    return client.get(f"{origin}/v1/devices/mac/{mac}", headers={"Authorization": f"Bearer {KEY}"})


def _ise(client: httpx.Client, origin: str, mac: str) -> httpx.Response:
    params = {"paging": "0", "querycriteria": "macaddress", "value": mac.replace(":", ""), "filter": "all"}
    return client.get(origin + DEVICES, params=params, auth=LOGIN)


def _said(answer: httpx.Response) -> str:
    if answer.status_code != 200:
        return f"status {answer.status_code}"
    if "json" in answer.headers["content-type"]:
        return str(answer.json()["decision"])
    if "<device>" not in answer.text:
        return "not_registered"
    return "compliant" if "<status>true</status>" in answer.text else "kept out"


def page(origin: str, paging: str) -> tuple[list[str], str]:
    """The serial numbers of a page of the noncompliant list, and what leads to the next."""
    params = {"paging": paging, "querycriteria": "compliance", "value": "false", "filter": "all"}
    answer = httpx.get(f"{origin}/ciscoise/mdmapi/v2/devices/", params=params, auth=LOGIN, timeout=60)
    assert answer.status_code == 200
    (following,) = re.findall("<paging_info>(.*?)<", answer.text)
    return re.findall("<serial_number>(.*?)<", answer.text), following


def stores(origin: str) -> Any:
    return httpx.get(f"{origin}/readyz", timeout=60).json()["store"]


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    pytest.importorskip("redis")
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    server = RedisServer()
    server.start()
    try:
        yield server
    finally:
        server.kill()


def test_whoever_is_killed_no_answer_is_wrong(served: Serve) -> None:
    with redis_server() as redis, serve(IseSimulator(FLEET)) as running:
        with MdmFederation([connect(**running.settings)]) as servers:
            truth = {mac: servers.lookup(mac).decision.value for mac in MACS}
            bad = sorted(str(one.serial_number) for one in servers.noncompliant())
        text = configuration(running, "rate = 100000\nworkers = 2" if ANSWERS > 5 else "rate = 100000")
        text += "page_size = 2\n"
        text += f'[store]\nurl = "{redis.url}"\nkey = "{"k" * 20}"\n[federation]\ncache_ttl = 1\n'
        replicas = [started(served, text), started(served, text)]
        (one, first), (other, second) = replicas
        with Load([first, second], truth) as load:
            load.wait()
            assert load.broken == []
            if ANSWERS > 5:
                # A rolling restart.
                (one, first), (other, second) = [
                    renewed(served, text, load, process) for process, _ in replicas
                ]
                load.broken.clear()

            listed, paging = page(first, "0")
            for pid in (one.pid, *children(one)):
                os.kill(pid, signal.SIGKILL)
            load.wait()
            broken = {error for _, error, _ in load.broken}
            assert {origin for origin, _, _ in load.broken} <= {first}
            assert len(load.broken) <= 2 * CLIENTS
            assert broken <= {"ReadError", "RemoteProtocolError", "ConnectError", "WriteError"}

            # The list goes on where it was begun elsewhere.
            while paging != "0":
                more, paging = page(second, paging)
                listed += more
            assert sorted(listed) == bad
            assert len(bad) > 2

            load.broken.clear()
            load.leave(first)
            assert stores(second) is True
            redis.kill()
            load.wait()
            assert stores(second) is False
            listed, paging = page(second, "0")
            while paging != "0":
                more, paging = page(second, paging)
                listed += more
            assert sorted(listed) == bad
            load.wait()
            redis.start()
            load.wait()
            assert load.broken == []

            ending(other, load)
        assert load.wrong == []
        assert {*truth.values()} >= {"compliant", "noncompliant", "not_registered"}


def started(served: Serve, text: str) -> tuple[subprocess.Popen[str], str]:
    """A gateway, of which somebody reads the log: it waits where nobody does."""
    process, origin = served(text)
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return process, origin


def ending(process: subprocess.Popen[str], load: Load) -> None:
    """Let a gateway end: whatever is sent within a second is answered; then nobody listens any longer."""
    until = time.monotonic() + 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert [error for _, error, sent in load.broken if error != "ConnectError" and sent < until] == []


def renewed(
    served: Serve, text: str, load: Load, before: subprocess.Popen[str]
) -> tuple[subprocess.Popen[str], str]:
    """Another gateway instead of one that ends under load."""
    process, origin = started(served, text)
    load.origins = [*load.origins, origin]
    ending(before, load)
    load.wait()
    return process, origin
