"""One way to call both clients, so that each test is written once and runs in every mode."""

from __future__ import annotations

import importlib.util
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from anyio.from_thread import start_blocking_portal

from mdmsdk.client import AsyncMdmClient, MdmClient
from mdmsdk.directory import AsyncDirectory, Directory
from mdmsdk.federation import AsyncMdmFederation, MdmFederation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.provider import MdmProvider

__all__ = ["MODES", "Modal", "open_client", "open_federation"]

MODES = ("sync", "asyncio", "trio") if importlib.util.find_spec("trio") else ("sync", "asyncio")
"""How a client can be run: over threads, or async on one of the event loops installed."""


class Modal:
    """A client or federation of either kind, called as if it were the sync one.

    Coroutines run to their end on an event loop in another thread, async iterators come as iterators.

    Attributes:
        wrapped: the client or federation itself.
        mode: one of `MODES`.
    """

    def __init__(self, wrapped: Any, mode: str) -> None:
        self.wrapped = wrapped
        self.mode = mode
        self._stack = ExitStack()
        self._open = True
        if mode != "sync":
            self._portal = self._stack.enter_context(start_blocking_portal(mode))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is wrapped, and the event loop; a second call does nothing."""
        if not self._open:
            return
        self._open = False
        with self._stack:
            self.run(self.wrapped.close if self.mode == "sync" else self.wrapped.aclose)

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a function of the mode's kind: a plain one here, one that is awaited on the event loop."""
        return function(*args) if self.mode == "sync" else self._portal.call(function, *args)

    def __getattr__(self, name: str) -> Any:
        member = getattr(self.wrapped, name)
        if isinstance(member, Directory | AsyncDirectory):
            return self._of(member)
        return self._as_sync(member) if callable(member) and self.mode != "sync" else member

    def side_by_side(self, calls: list[Callable[[Self], Any]]) -> list[Any]:
        """Make calls at the same time, each on a thread of its own; errors come as results."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(len(calls)) as pool:
            futures = [pool.submit(call, self) for call in calls]
        return [future.exception() or future.result() for future in futures]

    def _as_sync(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            async def run() -> Any:
                result = method(*args, **kwargs)
                return await result if hasattr(result, "__await__") else result

            result = self._portal.call(run)
            if hasattr(result, "__anext__"):
                return self._iterate(result)
            return self._of(result) if isinstance(result, AsyncMdmClient | AsyncMdmFederation) else result

        return call

    def _of(self, wrapped: Any) -> Modal:
        """The same mode and event loop around another one that shares its connections."""
        twin = object.__new__(Modal)
        twin.__dict__.update(self.__dict__, wrapped=wrapped)
        return twin

    def _iterate(self, iterator: Any) -> Iterator[Any]:
        async def step() -> Any:
            try:
                return await anext(iterator), True
            except StopAsyncIteration:
                return None, False

        try:
            while True:
                item, more = self._portal.call(step)
                if not more:
                    return
                yield item
        finally:
            if self._open:  # the event loop has closed what was open at its end
                self._portal.call(iterator.aclose)


def open_client(provider: MdmProvider, mode: str, **options: Any) -> Modal:
    """A client of the mode's kind around a provider; `options` go to its constructor."""
    kind = MdmClient if mode == "sync" else AsyncMdmClient
    return Modal(kind(provider, **options), mode)


def open_federation(clients: list[Modal], mode: str, **options: Any) -> Modal:
    """A federation of the mode's kind over clients that were opened in that mode."""
    kind: Any = MdmFederation if mode == "sync" else AsyncMdmFederation
    return Modal(kind([client.wrapped for client in clients], **options), mode)
