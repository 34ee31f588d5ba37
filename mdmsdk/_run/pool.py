"""Threads for what blocks: a bounded number for a whole client, each of which may be left to itself."""

from __future__ import annotations

import threading
from contextvars import copy_context
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk._run.stop import Stop

# Seconds after which a thread without work ends.
_IDLE = 5.0


class Job:
    """A blocking function on its way through a pool.

    Attributes:
        result: what it returned.
        error: what it raised.
        over: whether it has ended.
    """

    def __init__(self, function: Callable[[], Any], finished: Callable[[], None]) -> None:
        self._function = function
        self._finished = finished
        self._context = copy_context()
        self._claim = [None]
        self.result: Any = None
        self.error: BaseException | None = None
        self.over: bool = False

    def claimed(self) -> bool:
        """Take the right to run the function or to drop it; whoever comes second gets False."""
        try:
            self._claim.pop()
        except IndexError:
            return False
        return True

    def run(self) -> None:
        """Call the function, if nobody dropped it, and then what was to be told in either case."""
        if self.claimed():
            try:
                self.result = self._context.run(self._function)
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                self.error = error
            self.over = True
        self._finished()


class Pool:
    """At most so many threads, started when they are needed; nothing that runs here waits for another job.

    They are daemons: a job whose deadline has passed is abandoned, and must not hold up the interpreter's
    end.
    """

    def __init__(self, most: int, stop: Stop) -> None:
        self.stop = stop
        self._most = most
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._idle = 0  # threads that wait, and that no job is on its way to
        self._waiting = 0  # jobs that no thread waits for

    def submit(self, job: Job) -> None:
        """Have a job done by the next thread that is free."""
        # Counted before it is there: an exception in between leaves a thread too many and not one too few.
        with self._lock:
            if self._idle:
                self._idle -= 1
            elif len(self._threads) < self._most:
                thread = threading.Thread(target=self._work, name="mdmsdk", daemon=True)
                thread.start()
                self._threads.add(thread)
            else:
                self._waiting += 1
            self._jobs.put(job)

    def _work(self) -> None:
        with self._lock:
            self._threads.add(threading.current_thread())  # whoever started it may not have come to this
        while (job := self._next()) is not None:
            job.run()
            del job  # its result is not ours to keep
            with self._lock:
                if self._waiting:
                    self._waiting -= 1
                else:
                    self._idle += 1

    def _next(self) -> Job | None:
        while True:
            try:
                return self._jobs.get(timeout=_IDLE)
            except Empty:
                with self._lock:
                    if self._jobs.empty():  # and none is on its way
                        self._idle -= bool(self._idle)
                        self._threads.discard(threading.current_thread())
                        return None
