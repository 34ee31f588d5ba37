"""Stores of each kind, in each mode, with a clock that a test moves."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.store import AsyncStore, Store, StoreSettings
from mdmsdk.testing import Modal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "correct-horse-battery"
MODES = ["sync", "asyncio", "trio"]


class Hand:
    """A clock that stands still until somebody moves it. A Redis server has its own, and is moved with it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.server: Any = None

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        for key in self.server.keys() if self.server else ():
            if (left := self.server.pttl(key)) >= 0:
                self.server.pexpire(key, max(0, round(left - seconds * 1000)))

    def put_back(self, seconds: float) -> None:
        """Put the clock of this machine back."""
        self.now -= seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Hand:
    hand = Hand()
    monkeypatch.setattr(AsyncStore, "_clock", hand)
    return hand


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class RedisServer:
    """The real server, on a port of its own, with nothing kept on disk."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *options: str) -> None:
        """Start it, again on the port that it had; the first time on another one if somebody was faster."""
        again = self.port
        for _ in range(5):
            if not again:
                with socket.create_server(("127.0.0.1", 0)) as listener:
                    self.port = listener.getsockname()[1]
            command = ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port)]
            command += ["--save", "", "--appendonly", "no", *options]
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            if self._answers(self._process):
                return
            self.kill()
        pytest.fail("redis-server does not answer")

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        import redis

        for _ in range(500):
            if process.poll() is not None:
                return False
            try:
                self.client.ping()
            except redis.RedisError:
                time.sleep(0.02)
            else:
                return process.poll() is None
        return False

    @property
    def client(self) -> Any:
        import redis

        return redis.Redis(port=self.port, socket_timeout=5)

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="session")
def _redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.kill()


@pytest.fixture
def redis_server(_redis_server: RedisServer) -> RedisServer:
    """One for all tests, empty."""
    pytest.importorskip("redis", reason="redis is not installed")
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    if _redis_server._process is None:
        _redis_server.start()
    with _redis_server.client as client:
        client.flushall()
    return _redis_server


@pytest.fixture(params=["memory", "sqlite", "redis"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, clock: Hand) -> Iterator[dict[str, Any]]:
    """Of a store of each kind, empty."""
    url = {"memory": "memory:", "sqlite": f"sqlite://{tmp_path}/store.db"}.get(request.param)
    if url is None:
        server = request.getfixturevalue("redis_server")
        url, clock.server = server.url, server.client
    yield {"url": url, "key": KEY}
    if clock.server:
        clock.server.close()


@pytest.fixture
def open_store(mode: str) -> Iterator[Callable[..., Any]]:
    """Opens stores of the mode, and closes them."""
    opened: list[Modal] = []

    def make(**settings: Any) -> Modal:
        kind: Any = Store if mode == "sync" else AsyncStore
        opened.append(Modal(kind(StoreSettings(**settings)), mode))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def store(clock: Hand, settings: dict[str, Any], open_store: Callable[..., Any]) -> Any:
    return open_store(**settings)


def read_then_write(store: Store, name: str) -> str:
    """What a store has as "a"; afterwards it has another value by a name."""
    found = store.get("a")
    store.set(name, b"2")
    return repr(found)
