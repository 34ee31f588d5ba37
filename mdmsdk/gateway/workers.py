"""Several processes that serve on one address, and the one that looks after them.

The one that listens makes nothing but processes: clients, threads, stores and the event loop belong to each
worker. They take connections from one socket, so that a worker that ends loses only those that it took.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import signal
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from mdmsdk.config import Config, load_config
from mdmsdk.errors import ConfigurationError, MdmError
from mdmsdk.gateway.served import Served, origin_of, read_settings
from mdmsdk.gateway.together import forget

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess
    from pathlib import Path

__all__ = ["Workers"]

_log = logging.getLogger("mdmsdk.gateway")
_LONGEST = 60.0
"""Seconds for which a worker may make a configuration ready."""
_PAUSE = 1.0
"""Seconds from the start of a worker to that of the one that takes its place."""
_AFTER_DRAIN = 5.0
"""Seconds that a worker gets besides those for requests under way."""
_ENDING: set[int] = {signal.SIGINT, signal.SIGTERM}
_SIGNALS = _ENDING | {signal.SIGHUP}
# What a worker is told.
_PREPARE, _MOVE, _STAY = "prepare", "move", "stay"


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    line: Connection
    began: float


class Workers:
    """Keeps so many workers running.

    Args:
        path: of the configuration, to be read anew.
        config: what was read from it.
        count: how many.
        listener: where they take connections from.

    Raises:
        ConfigurationError: this system has no `fork`.
    """

    def __init__(self, path: Path | None, config: Config, count: int, listener: socket.socket) -> None:
        if "fork" not in multiprocessing.get_all_start_methods():
            raise ConfigurationError(
                "this system does not have what several workers need", hint="Start the gateway with one."
            )
        self._path = path
        self._config = _served_by(count, config)
        self._settings = read_settings(config)
        self._count = count
        self._listener = listener
        self._workers: list[_Worker] = []
        self._order = 0
        self._signals, self._signalled = socket.socketpair()
        _tell_what_is_apart(config, count)

    def run(self, ready: Callable[[str], None]) -> None:
        """Serve until SIGINT or SIGTERM.

        Args:
            ready: called with the origin once all workers serve.

        Raises:
            ConfigurationError: a worker cannot serve with the configuration.
        """
        self._signals.settimeout(0)
        self._signalled.settimeout(0)
        before = {one: signal.signal(one, _note) for one in _SIGNALS}
        waking = signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
        try:
            self._serve(ready)
        finally:
            self._end()
            signal.set_wakeup_fd(waking)
            list(map(signal.signal, before.keys(), before.values()))
            self._signals.close()
            self._signalled.close()

    def _serve(self, ready: Callable[[str], None]) -> None:
        self._workers = [self._start() for _ in range(self._count)]
        if error := self._answers():
            if self._wait([], 0.0) & _ENDING:
                return
            raise error
        ready(origin_of(self._listener, self._settings))
        while not (came := self._wait(living := self._living(), self._pause(living))) & _ENDING:
            if came:
                self._reload()
            self._replace()

    def _living(self) -> list[_Worker]:
        return [one for one in self._workers if one.process.is_alive()]

    def _pause(self, living: list[_Worker]) -> float | None:
        """Seconds until a worker is to be started, None where all run."""
        due = [one.began + _PAUSE for one in self._workers if one not in living]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _wait(self, living: list[_Worker], seconds: float | None) -> set[int]:
        """The signals that came, once one did, or one of these workers ended, or after so many seconds.

        They are those that the caller saw: whom a second look finds dead, nothing would tell of.
        """
        wait([self._signals, *(one.process.sentinel for one in living)], seconds)
        with suppress(BlockingIOError):
            return set(self._signals.recv(4096))
        return set()

    def _start(self) -> _Worker:
        line, end = multiprocessing.Pipe()
        lines = [*(one.line for one in self._workers), line]
        process = multiprocessing.get_context("fork").Process(target=partial(self._work, end, lines))
        # A signal that came while the handlers of this process are the worker's too would be lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        end.close()
        return _Worker(process, line, time.monotonic())

    def _replace(self) -> None:
        """Start a worker for each that ended."""
        for place, one in enumerate(self._workers):
            if one.process.is_alive() or time.monotonic() < one.began + _PAUSE:
                continue
            one.process.join()
            forget(one.process.pid or 0)
            _log.error("a worker ended%s; another one takes its place", self._why(one))
            one.line.close()
            self._workers[place] = self._start()

    def _why(self, worker: _Worker) -> str:
        with suppress(EOFError, OSError):
            if wrong := _last_words(worker):
                return f": {wrong}"
        return f" ({worker.process.exitcode})"

    def _reload(self) -> None:
        """Let all workers serve the configuration as it is now, or none."""
        try:
            config = load_config(self._path)
            settings = read_settings(config)
            self._order += 1
            config = _served_by(self._count, config)
            self._tell(_PREPARE, config)
            if error := self._answers():
                raise error
        except MdmError as error:
            self._tell(_STAY)
            _log.error("the configuration is not usable, so the old one stays: %s", error)
            return
        self._tell(_MOVE)
        if settings.workers != self._settings.workers:
            _log.warning("another number of workers needs another start of the gateway")
        self._config, self._settings = config, settings
        _log.info("the configuration was read anew")

    def _tell(self, order: str, config: Config | None = None) -> None:
        # It is never pickled itself, and goes no further than to our own workers.
        what = config.model_dump() if config else None
        for one in self._workers:
            with suppress(OSError):  # it ended
                one.line.send((self._order, order, what))

    def _answers(self) -> MdmError | None:
        """What is wrong according to a worker, once all have answered to the last order."""
        end = time.monotonic() + _LONGEST
        found = [self._answer(one.line, end) for one in self._workers]
        return next(filter(None, found), None)

    def _answer(self, line: Connection, end: float) -> MdmError | None:
        try:
            while line.poll(max(0.0, end - time.monotonic())):
                order, wrong = line.recv()
                if order == self._order:
                    return ConfigurationError(wrong[0], hint=wrong[1]) if wrong else None
        except (EOFError, OSError):
            return MdmError("a worker ended meanwhile")
        return MdmError("a worker does not answer")

    def _end(self) -> None:
        """Let all workers end, those by force that do not."""
        self._listener.close()
        for one in self._workers:
            one.process.terminate()
        end = time.monotonic() + self._settings.drain + _AFTER_DRAIN
        while (living := self._living()) and time.monotonic() < end:
            if signal.SIGINT in self._wait(living, end - time.monotonic()):
                break
        for one in living:
            one.process.kill()
        for one in self._workers:
            one.process.join()
            one.line.close()
        self._workers = []

    def _work(self, line: Connection, others: Iterable[Connection]) -> None:
        """Be a worker, in a process of its own."""
        signal.set_wakeup_fd(-1)
        for one in _ENDING:
            signal.signal(one, signal.SIG_DFL)
        # A terminal sends it to all; who looks after the workers decides for them.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        self._signals.close()
        self._signalled.close()
        for other in others:
            other.close()
        try:
            asyncio.run(_serve(self._path, self._config, self._listener, line))
        except MdmError as error:
            _say(line, 0, error)
            raise SystemExit(1) from None


async def _serve(path: Path | None, config: Config, listener: socket.socket, line: Connection) -> None:
    served = Served(path)
    await served.begin(config)
    loop = asyncio.get_running_loop()

    def hear() -> None:
        try:
            number, order, what = line.recv()
        except (EOFError, OSError):  # who looks after the workers is gone
            loop.remove_reader(line.fileno())
            served.end()
            return
        if order == _MOVE:
            served.move()
        else:
            served.start(_prepare(served, line, number, what) if order == _PREPARE else served.stay())

    def ready() -> None:
        loop.add_reader(line.fileno(), hear)
        _say(line, 0)

    await served.serve(listener, ready)


async def _prepare(served: Served, line: Connection, number: int, plain: dict[str, Any]) -> None:
    try:
        await served.prepare(Config(**plain))
    except MdmError as error:
        _say(line, number, error)
    else:
        _say(line, number)


def _say(line: Connection, number: int, wrong: MdmError | None = None) -> None:
    with suppress(OSError):
        line.send((number, (wrong.message, wrong.hint) if wrong else None))


def _last_words(worker: _Worker) -> str:
    """What a worker that ended said to be wrong."""
    while worker.line.poll():
        _, wrong = worker.line.recv()
        if wrong:
            return str(wrong[0])
    return ""


def _note(_signal: int, _frame: object) -> None:
    """Do nothing: the number of the signal is written to where the workers are looked after."""


def _served_by(count: int, config: Config) -> Config:
    """The configuration for so many workers, whatever it says: each lets its share of guesses pass."""
    return config.model_copy(update={"gateway": {**config.gateway, "workers": count}})


def _tell_what_is_apart(config: Config, count: int) -> None:
    """Say what workers do not share."""
    kind = str(config.store.get("url", "memory:")).partition(":")[0]
    if kind == "memory":
        _log.warning(
            "%d workers without a common store: each has its own cache, directory, noncompliant list, and "
            "count of what is sent to servers. Name a store in the table store, such as Redis",
            count,
        )
    elif kind == "sqlite":
        _log.warning(
            "%d workers with SQLite: each counts for itself what is sent to servers; Redis counts for all",
            count,
        )
