"""Finding many keys at once: one bad key spoils its own answer alone. Pure.

A server that is asked for many keys in one request may refuse the whole request for one of them, or answer
one of them loosely. Then the keys are asked for in halves, as long as that costs few requests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdmsdk.errors import (
    FilterIgnoredError,
    InvalidIdentifierError,
    MalformedResponseError,
    MdmError,
    ResponseError,
)
from mdmsdk.flow import Flow, attempt, together
from mdmsdk.proof import assign

if TYPE_CHECKING:
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device
    from mdmsdk.provider import MdmProvider

__all__ = ["Ask", "Found", "one_by_one", "search", "spoils_one"]

Ask = Callable[[Sequence["Key"]], Flow[Sequence["Device"]]]
"""Asks for some keys of one kind at once, and gives all records of the answer."""
Found = Mapping["Key", "list[Device] | MdmError"]
"""For each key its records, or the error that concerns this key alone."""

_MORE_REQUESTS = 24
"""What one batch may cost beyond its first request: one bad key of 500 takes 18 to find."""
_REFUSED = frozenset({400, 414, 422})


def spoils_one(error: MdmError) -> bool:
    """Whether a failure may be due to one key of the request, or to its length."""
    if isinstance(error, ResponseError):
        return error.status in _REFUSED
    return isinstance(error, FilterIgnoredError | MalformedResponseError | InvalidIdentifierError)


@dataclass
class _Budget:
    left: int


def search(
    provider: MdmProvider,
    keys: Sequence[Key],
    ask: Ask,
    *,
    splits: Callable[[MdmError], bool] = spoils_one,
    more_requests: int = _MORE_REQUESTS,
) -> Flow[Found]:
    """The answers to keys of one kind that are asked for in one request.

    Args:
        provider: whose rules tell which records belong to which key.
        keys: what to ask for.
        ask: one request for some of them.
        splits: whether to ask for fewer keys at once after this failure.
        more_requests: how many requests that may cost.

    Raises:
        MdmError: what `ask` raises and no smaller question can mend.
    """
    return (yield from _search(provider, keys, ask, splits, _Budget(more_requests)))


def _search(
    provider: MdmProvider, keys: Sequence[Key], ask: Ask, splits: Callable[[MdmError], bool], budget: _Budget
) -> Flow[Found]:
    found: Found
    try:
        found = assign(provider, keys, (yield from ask(keys)))
    except MdmError as error:
        if not splits(error):
            raise
        found = dict.fromkeys(keys, error)
    doubtful = [key for key, answer in found.items() if isinstance(answer, MdmError)]
    parts = _parts(doubtful, keys)
    if parts and budget.left >= len(parts):
        budget.left -= len(parts)
        for more in (yield from together(*(_search(provider, part, ask, splits, budget) for part in parts))):
            found = {**found, **more}
    return found


def _parts(doubtful: Sequence[Key], asked: Sequence[Key]) -> list[Sequence[Key]]:
    """The keys that are still open in smaller groups than before; none where there is no smaller one."""
    if not doubtful or len(asked) == 1:
        return []
    if len(doubtful) == 1:
        return [doubtful]
    half = len(doubtful) // 2
    return [doubtful[:half], doubtful[half:]]


def one_by_one(keys: Sequence[Key], find: Callable[[Key], Flow[list[Device]]]) -> Flow[Found]:
    """The answers to keys each of which takes a question of its own, asked side by side."""
    answers = yield from together(*(attempt(find(key)) for key in keys))
    return dict(zip(keys, answers, strict=True))
