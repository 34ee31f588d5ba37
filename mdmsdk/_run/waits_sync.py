"""The waiting that the sync runner does, over threads. The same names as in ``waits_aio.py``."""

from __future__ import annotations

import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

from mdmsdk._run.budget import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mdmsdk._run.budget import Budget

T = TypeVar("T")
_MOST_THREADS = 32  # of one `gather`; more requests than that no server of ours bears at once


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


class Slots:
    """At most so many holders at a time; with one, a lock."""

    def __init__(self, count: int = 1) -> None:
        self._semaphore = threading.Semaphore(count)

    def acquire(self, budget: Budget) -> None:
        """Get a place.

        Raises:
            DeadlineExceededError: none became free in time.
        """
        if not self.acquire_nowait() and not self._semaphore.acquire(timeout=budget.remaining()):
            raise budget.exceeded()

    def acquire_nowait(self) -> bool:
        """Get a place if one is free at once."""
        return self._semaphore.acquire(blocking=False)

    def release(self) -> None:
        """Give the place back."""
        self._semaphore.release()


def run_blocking(function: Callable[[], T], budget: Budget) -> T:
    """Call a blocking function right here."""
    budget.remaining()
    return function()


def gather(jobs: Sequence[Callable[[], T]], stop: Callable[[], None]) -> list[T]:
    """Run jobs side by side and give their results in order.

    The first failure calls `stop`; it is raised when the others have ended.
    """
    if len(jobs) <= 1:
        return [job() for job in jobs]

    def run(job: Callable[[], T]) -> T:
        try:
            return job()
        except BaseException:
            stop()
            raise

    with ThreadPoolExecutor(min(len(jobs), _MOST_THREADS), thread_name_prefix="mdmsdk") as pool:
        futures = [pool.submit(contextvars.copy_context().run, run, job) for job in jobs]
        try:
            wait(futures)
        except BaseException:  # an interrupt of the waiting thread
            stop()
            raise
    failures = [error for future in futures if (error := future.exception())]
    if failures:
        # Cancelled ones ended because of another failure, which is the one to tell.
        raise next((error for error in failures if not isinstance(error, Cancelled)), failures[0])
    return [future.result() for future in futures]
