"""Waiting in async, over anyio. The same names as in ``waits_sync.py``."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio.from_thread import run_sync
from anyio.lowlevel import current_token

from mdmsdk._run.connections import Line
from mdmsdk._run.http import AsyncHttp
from mdmsdk._run.pool import Job
from mdmsdk._run.quiet import exchanging
from mdmsdk._run.race import due
from mdmsdk._run.streams import perform_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
    from collections.abc import Set as AbstractSet

    from mdmsdk._run.budget import Budget
    from mdmsdk._run.gate import Turn
    from mdmsdk._run.pool import Pool
    from mdmsdk._run.race import Racer

T = TypeVar("T")
Http = AsyncHttp
_detached: set[asyncio.Task[None]] = set()


class Park:
    """Where a task waits until it is woken, or until some time has passed.

    A wake that comes before the wait ends it at once. One may come for nothing: look again after it.
    """

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = anyio.Event()

    def wake(self) -> None:
        """Let the task go on."""
        self._event.set()

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until woken, or for so many seconds."""
        with anyio.move_on_after(seconds):
            await self._event.wait()
        self._event = anyio.Event()


class Owner:
    """One call of an application. The event loop ends what it began, so nothing is left over."""

    over = False


_owner = Owner()


def current_owner() -> Owner:
    """The call that this task is in."""
    return _owner


def era() -> object:
    """What locks, waiting lists and connections belong to: this event loop."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return current_token().native_token


async def sleep(seconds: float) -> None:
    """Wait."""
    await anyio.sleep(seconds)


async def gather(jobs: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
    """Run jobs side by side and give their results in order.

    The first failure ends the others at once and is raised.
    """
    if len(jobs) <= 1:
        return [await job() for job in jobs]
    results: dict[int, T] = {}
    failures: list[Exception] = []

    async def run(index: int, job: Callable[[], Coroutine[Any, Any, T]]) -> None:
        try:
            results[index] = await job()
        except Exception as error:  # noqa: BLE001 - raised again below, alone and not in a group
            failures.append(error)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for index, job in enumerate(jobs):
            group.start_soon(run, index, job)
    if failures:
        raise failures[0]
    return [results[index] for index in range(len(jobs))]


async def race(racers: Sequence[Racer]) -> None:
    """Run jobs side by side, and end those that are waited for no longer.

    The first failure ends the others at once and is raised.
    """
    park, failures = Park(), list[Exception]()
    scopes = [anyio.CancelScope() for _ in racers]
    running = set(range(len(racers)))

    async def run(index: int) -> None:
        try:
            with scopes[index]:
                await racers[index].run()
        except Exception as error:  # noqa: BLE001 - raised again below, alone and not in a group
            failures.append(error)
        running.discard(index)
        park.wake()

    async with anyio.create_task_group() as group:
        for index in range(len(racers)):
            group.start_soon(run, index)
        await _finish(racers, running, failures, scopes, park)
        group.cancel_scope.cancel()
    if failures:
        raise failures[0]


async def _finish(
    racers: Sequence[Racer],
    running: AbstractSet[int],
    failures: Sequence[Exception],
    scopes: Sequence[anyio.CancelScope],
    park: Park,
) -> None:
    while running and not failures:
        late, wait = due(racers, running)
        for index in late:
            scopes[index].cancel()
        await park.wait(wait)


async def blocking(function: Callable[[], T], budget: Budget, pool: Pool) -> T:
    """Call what blocks in the pool; past the deadline it is left to itself there.

    Raises:
        DeadlineExceededError: it did not end in time.
    """
    event, token = anyio.Event(), current_token()

    def finished() -> None:
        if not job.over:
            return  # it was dropped
        try:
            run_sync(event.set, token=token)
        except anyio.RunFinishedError:
            return  # nobody waits any more

    job = Job(function, finished)
    pool.submit(job)
    try:
        pool.stop.add(event.set)
        with anyio.move_on_after(budget.remaining()):
            await event.wait()
    finally:
        pool.stop.discard(event.set)
        job.claimed()
    if not job.over:
        pool.stop.check()
        raise budget.exceeded()
    if job.error:
        raise job.error
    result: T = job.result
    return result


async def exchange(
    function: Callable[[], Awaitable[T]], budget: Budget, pool: Pool, turn: Turn, *, quiet: bool
) -> T:
    """Exchange a request for a response; `quiet` drops what the HTTP library logs about it."""
    del budget, turn
    with anyio.CancelScope() as scope, exchanging() if quiet else nullcontext():
        try:
            pool.stop.add(scope.cancel)
            return await function()
        finally:
            pool.stop.discard(scope.cancel)
    pool.stop.check()
    raise AssertionError("nobody else cancels this scope")


async def network(steps: Generator[Any, None, T], seconds: float) -> T:
    """What steps of `net` give, within `seconds`."""
    line = Line(None)
    line.until = time.monotonic() + seconds
    return await perform_async(steps, line)


def detach(job: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a job that nobody waits for, beside all others of the event loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio

        trio.lowlevel.spawn_system_task(job)
        return
    task = loop.create_task(job())
    _detached.add(task)  # the loop itself keeps no more than a weak reference
    task.add_done_callback(_detached.discard)


async def close(opened: AsyncHttp) -> None:
    """Close an HTTP client."""
    await opened.aclose()
