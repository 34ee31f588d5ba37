"""Lists that are read by row offset while the server goes on working: complete, or an error.

An offset counts rows that others may delete meanwhile; what follows then moves up, and a page would begin too
late. So every page begins with the last row of the page before. Where the rows come in the order of their
numbers, that shows a shift, and where to go on. Where they do not, a list that changes is given up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from mdmsdk.errors import IncompleteListError
from mdmsdk.flow import together

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdmsdk.flow import Flow

__all__ = ["Row", "Search", "Slice", "walk"]

Row = dict[str, Any]

_PROOF = 8
"""Rows in order on the first page that show a sorted list; a few could stand in order by chance."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a list.

    Attributes:
        rows: the records with their numbers, in the server's order.
        total: how many the whole list has now.
        more: whether the server says that more follow; None where it does not say.
    """

    rows: Sequence[tuple[int, Row]]
    total: int
    more: bool | None = None


class Search(Protocol):
    """One query, to be asked in any scope for any part of its result."""

    def __call__(self, scope: str, offset: int, limit: int) -> Flow[Slice]:
        """Ask for `limit` rows from `offset` on, in one device space."""


@dataclass(frozen=True, slots=True)
class _Place:
    """How far a list has been read; travels in the cursor.

    Attributes:
        scopes: those that are still to be read; the first one is under way.
        end: the offset up to which the first one was read.
        seen: how many of its rows were handed out.
        last: the number of the last of them.
        total: how many rows it had at first; below zero before its first page.
        met: the numbers of all of them, if the list is not known to be sorted; None if it is.
        done: how many rows each scope had that was read.
    """

    scopes: tuple[str, ...]
    end: int = 0
    seen: int = 0
    last: int = 0
    total: int = -1
    met: tuple[int, ...] | None = None
    done: tuple[tuple[str, int], ...] = ()

    def cursor(self) -> str:
        values = [self.scopes, self.end, self.seen, self.last, self.total, self.met, self.done]
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def read(cls, cursor: str) -> _Place:
        scopes, end, seen, last, total, met, done = json.loads(cursor)
        counts = tuple((scope, count) for scope, count in done)
        return cls(tuple(scopes), end, seen, last, total, None if met is None else tuple(met), counts)


def walk(
    search: Search, scopes: Sequence[str], cursor: str | None, limit: int
) -> Flow[tuple[list[Row], str | None]]:
    """Read the next page of a list over several scopes.

    Returns:
        The records that did not come before, and the cursor of the page after.

    Raises:
        IncompleteListError: the list changed so that rows may be missing, or the server broke it off.
    """
    place = _Place.read(cursor) if cursor is not None else _Place(tuple(scopes))
    scope = place.scopes[0]
    offset, part = yield from _fetch(search, place, limit)
    numbers = [number for number, _ in part.rows]
    ascending = all(low < high for low, high in pairwise(numbers))
    met = place.met
    if place.total < 0:
        fresh = [row for _, row in part.rows]
        met = None if ascending and len(numbers) >= _PROOF else ()
    elif met is None and ascending:
        fresh = [row for number, row in part.rows if number > place.last]
    else:
        _check_unmoved(place, part)
        fresh = [row for _, row in part.rows[1:]]
    if met is not None:
        met = (*met, *numbers[len(numbers) - len(fresh) :])
        if len(set(met)) < len(met):
            raise _changed(place)
    end = offset + len(numbers)
    more = end < part.total if part.more is None else part.more
    seen = place.seen + len(fresh)
    if more:
        if not fresh:
            raise IncompleteListError(f"the server repeats rows of the list of device space {scope}")
        total = part.total if place.total < 0 else place.total
        following = replace(place, end=end, seen=seen, last=numbers[-1], total=total, met=met)
        return fresh, following.cursor()
    if end < part.total or seen < part.total:
        raise IncompleteListError(
            f"device space {scope} counts {part.total} devices, but the list ended after {min(end, seen)}"
        )
    rest = _Place(place.scopes[1:], done=(*place.done, (scope, seen)))
    if rest.scopes:
        return fresh, rest.cursor()
    if place.done:
        yield from _check_unchanged(search, dict(place.done))
    return fresh, None


def _fetch(search: Search, place: _Place, limit: int) -> Flow[tuple[int, Slice]]:
    """The slice that begins at or before the last row that was read, and its offset."""
    offset = max(0, place.end - 1)
    part = yield from search(place.scopes[0], offset, limit)
    # Rows before it are gone where it does not begin with a row that was seen: go back until it does.
    while offset and place.met is None and (not part.rows or part.rows[0][0] > place.last):
        offset = max(0, offset - max(1, (len(part.rows) or limit) // 2))
        part = yield from search(place.scopes[0], offset, limit)
    return offset, part


def _check_unmoved(place: _Place, part: Slice) -> None:
    """Make sure that a list without order still is what it was; one that had an order must keep it."""
    if place.met is None or part.total != place.total or not part.rows or part.rows[0][0] != place.last:
        raise _changed(place)


def _changed(place: _Place) -> IncompleteListError:
    return IncompleteListError(
        f"the list of device space {place.scopes[0]} changed while it was read",
        hint="The server does not sort it by number, so that no gap can be told from a change: ask again.",
    )


def _check_unchanged(search: Search, counts: Mapping[str, int]) -> Flow[None]:
    """Count once more: a device may have moved into a device space that was read already."""
    parts = yield from together(*(search(scope, 0, 1) for scope in counts))
    for (scope, seen), part in zip(counts.items(), parts, strict=True):
        if part.total > seen:
            raise IncompleteListError(
                f"device space {scope} counts {part.total} devices now, but {seen} when it was read"
            )
