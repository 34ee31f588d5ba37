"""Finding many keys at once: one bad key spoils its own answer alone. Pure.

A server that is asked for many keys in one request may refuse the whole request for one of them, or answer
one of them loosely. Then the keys are asked for in halves, as long as that costs few requests. A provider
states in a `Search` how its server is asked; `find_with` does the rest.
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
from mdmsdk.proof import assign, shows

if TYPE_CHECKING:
    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device
    from mdmsdk.provider import MdmProvider

__all__ = ["Ask", "Found", "Search", "changed", "find_with", "of_one", "one_by_one", "search", "spoils_one"]

Ask = Callable[[Sequence["Key"]], Flow[Sequence["Device"]]]
"""Asks for some keys of one kind at once, and gives all records of the answer."""
Found = Mapping["Key", "list[Device] | MdmError"]
"""For each key its records, or the error that concerns this key alone."""
Texts = Mapping["Key", Sequence[str]]
"""For each key the texts to ask for, under which the server may hold it."""

_MORE_REQUESTS = 24
"""What one batch may cost beyond its first request: one bad key of 500 takes 18 to find."""
_REFUSED = frozenset({400, 414, 422})


def spoils_one(error: MdmError) -> bool:
    """Whether a failure may be due to one key of the request, or to its length."""
    if isinstance(error, ResponseError):
        return error.status in _REFUSED
    return isinstance(error, FilterIgnoredError | MalformedResponseError | InvalidIdentifierError)


def _spellings(key: Key) -> Sequence[str]:
    return key.spellings


def _length(texts: Sequence[str]) -> int:
    return sum(map(len, texts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How a server is asked for keys of one kind.

    Attributes:
        ask: one request (or one for each place to look) for some keys in the texts given; gives all records
            of the answer.
        spellings: the texts under which the server may hold a key; none where it can hold no such key.
            May raise `InvalidIdentifierError` or `UnsupportedOperationError`, for this key alone.
        at_once: ask for all spellings of a key in the same request; else for one after the other, and only
            for the keys that were not found by then.
        most: keys in one request.
        longest: how much of `size` fits into one request; None for no limit.
        size: what the texts of one key take up in a request; default: their characters.
        splits: whether to ask for fewer keys at once after a failure.
        more_requests: what that may cost for each request.
    """

    ask: Callable[[Texts], Flow[Sequence[Device]]]
    spellings: Callable[[Key], Sequence[str]] = _spellings
    at_once: bool = False
    most: int | None = None
    longest: int | None = None
    size: Callable[[Sequence[str]], int] = _length
    splits: Callable[[MdmError], bool] = spoils_one
    more_requests: int = _MORE_REQUESTS

    def texts(self, key: Key) -> Sequence[str]:
        """The spellings of a key.

        Raises:
            InvalidIdentifierError: they fit into no request.
        """
        texts = self.spellings(key)
        if self.longest is not None and self.size(texts) > self.longest:
            raise InvalidIdentifierError(f"this {key.kind} is too long to be looked up on this server")
        return texts

    def groups(self, texts: Texts) -> list[dict[Key, Sequence[str]]]:
        """The keys in groups that fit into a request; the texts of a key stay together."""
        groups: list[dict[Key, Sequence[str]]] = []
        room = 0
        for key, own in texts.items():
            needed = self.size(own)
            full = not groups or len(groups[-1]) == self.most
            if full or (self.longest is not None and needed > room):
                groups.append({})
                room = self.longest or 0
            groups[-1][key] = own
            room -= needed
        return groups


def find_with(provider: MdmProvider, how: Search, keys: Sequence[Key]) -> Flow[Found]:
    """The answers to keys of one kind: in few requests, in every spelling, and each key for itself.

    Args:
        provider: whose rules tell which records belong to which key.
        how: how the server is asked.
        keys: what to ask for.

    Raises:
        MdmError: what `Search.ask` raises and no smaller question can mend.
    """
    found: dict[Key, list[Device] | MdmError] = {}
    open_: dict[Key, Sequence[str]] = {}
    for key in keys:
        try:
            open_[key], found[key] = how.texts(key), []
        except MdmError as error:
            found[key] = error
    rounds = 1 if how.at_once else max((len(own) for own in open_.values()), default=0)
    for turn in range(rounds):
        texts = {
            key: own if how.at_once else (own[turn],)
            for key, own in open_.items()
            if turn < len(own) and _is_open(provider, key, found[key])
        }
        answers = (yield from _find_texts(provider, how, texts)) if texts else {}
        found |= {key: answer for key, answer in answers.items() if answer != []}
    return found


def _is_open(provider: MdmProvider, key: Key, answer: list[Device] | MdmError) -> bool:
    """Whether another spelling may still find the device: all that was found are others."""
    return not isinstance(answer, MdmError) and all(shows(provider, key, one) is False for one in answer)


def _find_texts(provider: MdmProvider, how: Search, texts: Texts) -> Flow[Found]:
    def ask(some: Sequence[Key]) -> Flow[Sequence[Device]]:
        return how.ask({key: texts[key] for key in some})

    def find(group: Sequence[Key]) -> Flow[Found]:
        return search(provider, group, ask, splits=how.splits, more_requests=how.more_requests)

    groups = [[*group] for group in how.groups(texts)]
    if len(groups) == 1:
        return (yield from find(groups[0]))
    answers = yield from together(*(attempt(find(group)) for group in groups))
    found: dict[Key, list[Device] | MdmError] = {}
    for group, answer in zip(groups, answers, strict=True):
        found |= dict.fromkeys(group, answer) if isinstance(answer, MdmError) else answer
    return found


def changed(found: Found, change: Callable[[Device], Device]) -> Found:
    """The same with each record changed; an error in that concerns the keys of the record alone."""

    def answer(devices: Sequence[Device]) -> list[Device] | MdmError:
        try:
            return list(map(change, devices))
        except MdmError as error:
            return error

    return {key: one if isinstance(one, MdmError) else answer(one) for key, one in found.items()}


def of_one(found: Found, key: Key) -> list[Device]:
    """The records of one key.

    Raises:
        MdmError: the one that is the answer to this key.
    """
    answer = found[key]
    if isinstance(answer, MdmError):
        raise answer
    return answer


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
