"""Flows: vendor logic as generators that say what to do next and are told the outcome.

A flow yields steps and never performs them; a runner sends, waits and calls, in sync or in async.
Write ``response = yield from send(request)``; a failure is raised at that line as an `MdmError`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mdmsdk.errors import EndpointNotFoundError, MdmError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdmsdk.wire import Request, Response

__all__ = [
    "Call",
    "Flow",
    "Pause",
    "Send",
    "Step",
    "Together",
    "attempt",
    "bear",
    "call",
    "done",
    "joined",
    "newest",
    "or_none",
    "pause",
    "send",
    "together",
]


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request; the outcome is the checked `Response`."""

    request: Request


@dataclass(frozen=True, slots=True)
class Call:
    """Call a blocking function of a vendor's library; the outcome is what it returns."""

    function: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait; with `server_wide` or a `lane`, hold back later requests to this server, or in it, instead.

    One that is `optional` is left out where the operation has less time, with False as its outcome.
    """

    seconds: float
    server_wide: bool = False
    lane: str | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Together:
    """Run flows side by side; the outcome is the list of their results, in order."""

    flows: tuple[Generator[Step, Any, Any], ...]


Step = Send | Call | Pause | Together
T = TypeVar("T")
V = TypeVar("V")
Flow = Generator[Step, Any, T]
"""A generator of steps that returns a T."""


def send(request: Request) -> Flow[Response]:
    """Send a request and give the response, its status already checked by the provider.

    Raises:
        MdmError: whatever the runner or `MdmProvider.check` found wrong.
    """
    response: Response = yield Send(request)
    return response


def call(function: Callable[[], T]) -> Flow[T]:
    """Call a blocking function of a vendor's library: here in sync, in a worker thread in async.

    Raises:
        MdmError: as `function` raises it; nothing else may leave it.
    """
    result: T = yield Call(function)
    return result


def pause(seconds: float, *, server_wide: bool = False, lane: str | None = None) -> Flow[None]:
    """Wait for `seconds`; `server_wide` goes on at once and makes all later requests wait instead.

    With a `lane`, those in it wait, unless it is for more than a minute: that is a quota, and no pause.
    """
    yield Pause(seconds, server_wide, lane)


def bear(seconds: float) -> Flow[bool]:
    """Wait for `seconds` as the server asks, if the operation has the time for that; whether it had."""
    had: bool = yield Pause(seconds, optional=True)
    return had


def together(*flows: Flow[T]) -> Flow[list[T]]:
    """Run flows side by side and give their results in order; the first failure ends the others."""
    results: list[T] = yield Together(flows)
    return results


def joined(*flows: Flow[Sequence[T]]) -> Flow[list[T]]:
    """Run flows side by side and give the lists that they bring as one, in order."""
    lists = yield from together(*flows)
    return [one for part in lists for one in part]


def attempt(flow: Flow[T], *kinds: type[MdmError]) -> Flow[T | MdmError]:
    """What a flow ends with, its failure included: among flows side by side, it does not end the others.

    Args:
        flow: what to do.
        kinds: of failure, which are a result; default: all.
    """
    try:
        return (yield from flow)
    except MdmError as error:
        if kinds and not isinstance(error, kinds):
            raise
        return error


def or_none(flow: Flow[T], *absent: type[MdmError]) -> Flow[T | None]:
    """What a flow ends with; None where one of these errors says that there is no such record."""
    try:
        return (yield from flow)
    except absent:
        return None


def _is_missing(error: MdmError) -> bool:
    return isinstance(error, EndpointNotFoundError)


def newest(
    ask: Callable[[V], Flow[T]],
    versions: Sequence[V],
    lacks: Callable[[MdmError], bool] = _is_missing,
    *,
    otherwise: MdmError | None = None,
) -> Flow[tuple[V, T]]:
    """The newest version of an operation that a server has, and what that gives.

    Args:
        ask: asks in one version.
        versions: the newest first; at least one.
        lacks: whether a failure may only mean that the server lacks the version; default: whether there is
            no such address.
        otherwise: what to raise where it has none of them; default: the failure of the oldest.

    Raises:
        MdmError: another failure, or that the server has none of the versions.
    """
    version, *older = versions
    try:
        return version, (yield from ask(version))
    except MdmError as error:
        if not lacks(error) or not (older or otherwise):
            raise
        if otherwise and not older:
            raise otherwise from error
    return (yield from newest(ask, older, lacks, otherwise=otherwise))


def done(value: T) -> Flow[T]:
    """A flow that needs no step."""
    yield from ()
    return value
