"""Two processes keep a directory on Redis: one walks, and the other one goes on when that is gone."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from mdmsdk import MdmClient, MdmFederation
from mdmsdk.store import Store, StoreSettings
from tests.directory.walkers import PAGES, ROWS, SETTINGS, Paged
from tests.store.conftest import KEY, RedisServer, _redis_server, redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["_redis_server", "redis_server"]

PROGRAM = "from tests.directory.walkers import main; main()"
PATIENCE = 60.0


class Walkers:
    """Processes that keep a directory, by what they write down."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.processes: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, mode: str, redis: RedisServer) -> None:
        command = [sys.executable, "-c", PROGRAM, mode, str(self.log), redis.url, KEY]
        process = subprocess.Popen(command)
        self.processes[process.pid] = process

    @property
    def pages(self) -> list[tuple[int, int]]:
        """The process and the page of each request, in order."""
        lines = self.log.read_text(encoding="ascii").splitlines() if self.log.exists() else []
        return [(int(process), int(page)) for process, page in map(str.split, lines)]

    def wait_for(self, what: Callable[[list[tuple[int, int]]], bool]) -> None:
        """Wait until that is true of the pages."""
        until = time.monotonic() + PATIENCE
        while not what(self.pages):
            assert time.monotonic() < until, self.pages
            assert None in {process.poll() for process in self.processes.values()}
            time.sleep(0.05)

    def end(self) -> None:
        """End them all."""
        for process in self.processes.values():
            process.kill()
            process.wait()


@pytest.fixture
def walkers(tmp_path: Path) -> Iterator[Walkers]:
    walkers = Walkers(tmp_path / "pages")
    yield walkers
    walkers.end()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_another_process_goes_on_where_one_is_gone(
    redis_server: RedisServer, walkers: Walkers, tmp_path: Path, end: signal.Signals
) -> None:
    for mode in ("sync", "asyncio"):
        walkers.start(mode, redis_server)
    walkers.wait_for(lambda pages: len(pages) > PAGES // 2)
    before = walkers.pages
    (gone,) = {process for process, _ in before}  # the other one only looked
    walkers.processes[gone].send_signal(end)
    walkers.wait_for(lambda pages: bool(pages) and pages[-1] == (other(walkers, gone), PAGES - 1))
    further = [page for process, page in walkers.pages if process != gone]
    assert further == list(range(further[0], PAGES)), "the walk goes on, each page once"
    assert 0 < further[0] <= before[-1][1] + 1
    if end == signal.SIGSTOP:
        walkers.processes[gone].send_signal(signal.SIGCONT)
    with ExitStack() as stack:
        store = stack.enter_context(
            Store(StoreSettings.model_validate({"url": redis_server.url, "key": KEY}))
        )
        client = MdmClient(Paged(tmp_path / "mine", 0.0), server="paged")
        federation = stack.enter_context(MdmFederation([client], store=store, directory=SETTINGS))
        assert federation.directory
        until = time.monotonic() + PATIENCE
        while not (status := federation.directory.status()[0]).complete:
            assert time.monotonic() < until, status
            time.sleep(0.05)
        time.sleep(0.5)  # for one that was stopped, and would write what is over
        (status,) = federation.directory.status()
        assert (status.complete, status.devices, status.walking) == (True, PAGES * ROWS, False)
        macs = [entry for entry in federation.directory.export() if entry.kind == "mac"]
        assert len(macs) == PAGES * ROWS
    assert len(walkers.pages) <= len(before) + len(further) + 1, "nobody walks again before that is due"


def other(walkers: Walkers, gone: int) -> int:
    return next(process for process in walkers.processes if process != gone)
