"""The waiting that the async runner does, over anyio. The same names as in ``waits_sync.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread

from mdmsdk._run.budget import Cancelled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mdmsdk._run.budget import Budget

T = TypeVar("T")


async def sleep(seconds: float) -> None:
    """Wait."""
    await anyio.sleep(seconds)


class Slots:
    """At most so many holders at a time; with one, a lock."""

    def __init__(self, count: int = 1) -> None:
        self._semaphore = anyio.Semaphore(count)

    async def acquire(self, budget: Budget) -> None:
        """Get a place.

        Raises:
            DeadlineExceededError: none became free in time.
        """
        if not self.acquire_nowait():
            with anyio.move_on_after(budget.remaining()) as scope:
                await self._semaphore.acquire()
            if scope.cancelled_caught:
                raise budget.exceeded()

    def acquire_nowait(self) -> bool:
        """Get a place if one is free at once."""
        try:
            self._semaphore.acquire_nowait()
        except anyio.WouldBlock:
            return False
        return True

    def release(self) -> None:
        """Give the place back."""
        self._semaphore.release()


async def run_blocking(function: Callable[[], T], budget: Budget) -> T:
    """Call a blocking function in a worker thread; past the deadline it is left to itself."""
    with anyio.move_on_after(budget.remaining()):
        return await anyio.to_thread.run_sync(function, abandon_on_cancel=True)
    raise budget.exceeded()


async def gather(jobs: Sequence[Callable[[], Awaitable[T]]], stop: Callable[[], None]) -> list[T]:
    """Run jobs side by side and give their results in order.

    The first failure calls `stop` and cancels the others; it is raised when they have ended.
    """
    if len(jobs) <= 1:
        return [await job() for job in jobs]
    results: dict[int, T] = {}
    failures: dict[int, Exception | Cancelled] = {}

    async def run(index: int, job: Callable[[], Awaitable[T]]) -> None:
        try:
            results[index] = await job()
        except (Exception, Cancelled) as error:  # noqa: BLE001 - raised again below, alone and not in a group
            failures[index] = error
            stop()
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for index, job in enumerate(jobs):
            group.start_soon(run, index, job)
    if failures:
        # Cancelled ones ended because of another failure, which is the one to tell.
        told = [index for index, error in failures.items() if not isinstance(error, Cancelled)]
        raise failures[min(told or failures)]
    return [results[index] for index in range(len(jobs))]
