"""Waiting in sync: coroutines that the calling thread drives. The same names as in ``waits_aio.py``.

`drive` runs one coroutine to its end. As long as nothing in it waits, that is a plain call, and what blocks
is called right here. Where flows run side by side, the calling thread drives all of them in turn, and only
what blocks goes to the client's pool, which waits for nothing itself.

A coroutine is made where it is begun, by a function that makes it: Python looks for signals at every call,
and Ctrl-C between the two would leave one that "was never awaited".
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
import time
from functools import partial
from heapq import heappop, heappush
from itertools import count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from mdmsdk._run import http
from mdmsdk._run.connections import Line
from mdmsdk._run.pool import Job
from mdmsdk._run.quiet import exchanging
from mdmsdk._run.race import due
from mdmsdk._run.streams import perform

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Sequence

    from mdmsdk._run.budget import Budget
    from mdmsdk._run.gate import Turn
    from mdmsdk._run.pool import Pool
    from mdmsdk._run.race import Racer

T = TypeVar("T")
Http = http.Http
# A deadline is kept by the exchange itself; only past this much more is its thread left to itself.
_GRACE = 0.1
_numbers = count()


class _Here(threading.local):
    owner: Owner | None = None


_here = _Here()


class Park:
    """Where a task waits until it is woken, from any thread, or until some time has passed.

    A wake that comes before the wait ends it at once. One may come for nothing: look again after it.
    """

    __slots__ = ("_owner", "task", "until")

    def __init__(self) -> None:
        self._owner = current_owner()
        self.task: _Task | None = None
        self.until: float | None = None

    def wake(self) -> None:
        """Let the task go on."""
        self._owner.ready.put(self)

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until woken, or for so many seconds."""
        self.until = None if seconds is None else time.monotonic() + seconds
        await self

    def __await__(self) -> Generator[Park, None, None]:
        yield self


class _Task:
    """A coroutine, once it has begun, and where somebody waits for its end."""

    __slots__ = ("coroutine", "error", "job", "over", "parent", "park", "result")

    def __init__(self, job: Callable[[], Coroutine[Any, Any, Any]], parent: Park | None = None) -> None:
        self.job = job
        self.coroutine: Coroutine[Any, Any, Any] | None = None
        self.parent = parent
        self.park: Park | None = None
        self.over = False
        self.result: Any = None
        self.error: Exception | None = None

    def close(self) -> None:
        """End it, unless it has ended or never began."""
        if self.coroutine:
            self.coroutine.close()


class Owner:
    """One call of an application, and the tasks that the calling thread drives for it.

    Attributes:
        ready: what may go on, put there by any thread.
        busy: how many of the tasks do something else than waiting for others of them.
    """

    __slots__ = ("_main", "_timers", "busy", "ready")

    def __init__(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._main = _Task(main)
        self._timers: list[tuple[float, int, Park]] = []
        self.ready: SimpleQueue[Park | _Task] = SimpleQueue()
        self.busy = 1

    @property
    def over(self) -> bool:
        """Whether it has ended, in whatever way: also by an exception out of a signal handler."""
        main = self._main.coroutine
        return main is not None and inspect.getcoroutinestate(main) == inspect.CORO_CLOSED

    def run(self) -> Any:
        """Drive everything until the main coroutine has ended, and give its result."""
        main = self._main
        try:
            self._drive()
        finally:
            main.close()
            self._timers.clear()
            while not self.ready.empty():  # it would keep everything alive in a circle
                self.ready.get()
        return main.result

    def _drive(self) -> None:
        self._resume(self._main)
        while not self._main.over:
            self._turn()

    def _turn(self) -> None:
        """Wait for the next event, and let what waited for it go on."""
        timers = self._timers
        while timers and not (timers[0][2].task and timers[0][2].until == timers[0][0]):
            heappop(timers)  # it went on meanwhile
        try:
            if timers:
                event = self.ready.get(timeout=max(0.0, timers[0][0] - time.monotonic()))
            else:
                event = self.ready.get()
        except Empty:
            event = heappop(timers)[2]
        task = event if isinstance(event, _Task) else event.task
        if task and not task.over:
            self._resume(task)

    def _resume(self, task: _Task) -> None:
        if task.park:
            task.park.task, task.park = None, None
        try:
            if task.coroutine is None:
                task.coroutine = task.job()
            park = task.coroutine.send(None)
        except StopIteration as stop:
            task.result = stop.value
        except Exception as error:
            if task is self._main:
                raise
            task.error = error  # raised again where the task is waited for
        else:
            task.park, park.task = park, task
            if park.until is not None:
                heappush(self._timers, (park.until, next(_numbers), park))
            return
        self.end(task)

    def end(self, task: _Task) -> None:
        """Note that a task has ended, or end it."""
        if task.over:
            return
        task.over = True
        self.busy -= 1
        if task.park:
            task.park.task = None
        task.close()
        if task.parent:
            task.parent.wake()


def current_owner() -> Owner:
    """The call that this thread is in."""
    owner = _here.owner
    if owner is None:
        raise RuntimeError("this coroutine belongs to a sync client and has to be driven by it")
    return owner


def drive(job: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine of a sync client, which `job` makes, to its end, and give its result."""
    outer = _here.owner
    _here.owner = owner = Owner(job)
    try:
        result: T = owner.run()
        return result
    finally:
        _here.owner = outer


async def _next(iterator: AsyncIterator[T], end: object) -> T | object:
    async for item in iterator:
        return item
    return end


async def _close(iterator: Any) -> None:
    await iterator.aclose()


def iterate(iterator: AsyncIterator[T]) -> Iterator[T]:
    """The items of an async iterator of a sync client."""
    try:
        yield from _items(iterator)
    finally:
        # Left by an exception out of a signal handler, it still counts as running on Python 3.11 and cannot
        # be closed; the garbage collector ends it.
        if not getattr(iterator, "ag_running", False):
            drive(lambda: _close(iterator))


def _items(iterator: AsyncIterator[T]) -> Iterator[T]:
    end: Any = object()
    hooks = sys.get_asyncgen_hooks()
    # An event loop that happens to run in this thread must not take it for one of its own.
    sys.set_asyncgen_hooks(None, None)
    try:
        item: Any = drive(lambda: _next(iterator, end))
    finally:
        sys.set_asyncgen_hooks(*hooks)
    while item is not end:
        yield item
        item = drive(lambda: _next(iterator, end))


def era() -> object:
    """What locks, waiting lists and connections belong to: this process."""
    return os.getpid()


async def sleep(seconds: float) -> None:
    """Wait."""
    await Park().wait(seconds)


async def gather(jobs: Sequence[Callable[[], Coroutine[Any, Any, T]]]) -> list[T]:
    """Run jobs side by side and give their results in order.

    The first failure ends the others at once and is raised.
    """
    if len(jobs) <= 1:
        return [await job() for job in jobs]
    owner, park = current_owner(), Park()
    tasks = [_Task(job, park) for job in jobs]
    owner.busy += len(tasks) - 1  # this one only waits for them
    try:
        for task in tasks:
            owner.ready.put(task)
        await _all_over(tasks, park)
        return [task.result for task in tasks]
    finally:
        for task in tasks:
            owner.end(task)
            task.error = None
        owner.busy += 1


async def race(racers: Sequence[Racer]) -> None:
    """Run jobs side by side, and end those that are waited for no longer.

    The first failure ends the others at once and is raised.
    """
    owner, park = current_owner(), Park()
    tasks = [_Task(racer.run, park) for racer in racers]
    owner.busy += len(tasks)  # this one has to look at the clock, so that none of them may block
    try:
        for task in tasks:
            owner.ready.put(task)
        await _finish(owner, racers, tasks, park)
    finally:
        for task in tasks:
            owner.end(task)
            task.error = None


async def _finish(owner: Owner, racers: Sequence[Racer], tasks: Sequence[_Task], park: Park) -> None:
    while running := {index for index, task in enumerate(tasks) if not task.over}:
        late, wait = due(racers, running)
        for index in late:
            owner.end(tasks[index])
        if not late:
            await park.wait(wait)
        _raise_first(tasks)


async def _all_over(tasks: Sequence[_Task], park: Park) -> None:
    while not all(task.over for task in tasks):
        await park.wait()
        _raise_first(tasks)


def _raise_first(tasks: Sequence[_Task]) -> None:
    for task in tasks:
        if task.error:
            raise task.error


async def blocking(function: Callable[[], T], budget: Budget, pool: Pool, turn: Turn | None = None) -> T:
    """Call what blocks: right here if nothing else is to be done here, else in the pool.

    Past the deadline it is left to itself there, and keeps its turn as long as it goes on.

    Raises:
        DeadlineExceededError: it did not end in time.
    """
    budget.remaining()
    if current_owner().busy == 1:
        return function()
    park = Park()

    def finished() -> None:
        if turn:
            turn.done()
        park.wake()

    job = Job(function, finished)
    pool.submit(job)
    if turn:
        turn.lent = True
    try:
        pool.stop.add(park.wake)
        await park.wait(budget.left + _GRACE)
    finally:
        pool.stop.discard(park.wake)
        if job.claimed() and turn:
            turn.done()  # it never began; the thread that comes to it says so, too, should this be cut short
    if not job.over:
        pool.stop.check()
        raise budget.exceeded()
    if job.error:
        raise job.error
    result: T = job.result
    return result


async def exchange(function: Callable[[], T], budget: Budget, pool: Pool, turn: Turn, *, quiet: bool) -> T:
    """Exchange a request for a response; `quiet` drops what the HTTP library logs about it."""
    return await blocking(partial(_quietly, function) if quiet else function, budget, pool, turn)


def _quietly(function: Callable[[], T]) -> T:
    with exchanging():
        return function()


async def network(steps: Generator[Any, None, T], seconds: float) -> T:
    """What steps of `net` give, within `seconds`; nothing else is to be done meanwhile."""
    line = Line(None)
    line.until = time.monotonic() + seconds
    return perform(steps, line)


def detach(job: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a job that nobody waits for, in a thread of its own."""
    threading.Thread(target=partial(drive, job), name="mdmsdk", daemon=True).start()


async def close(opened: http.Http) -> None:
    """Close an HTTP client."""
    opened.close()
