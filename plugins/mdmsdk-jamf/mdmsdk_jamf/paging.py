"""Pages of Jamf Pro: what one holds, and what to do about one that holds a damaged record. Pure.

Source: "Jamf Pro API Overview", section on pagination, https://developer.jamf.com/jamf-pro/docs/jamf-pro-api-overview.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from mdmsdk.errors import MalformedResponseError, ServerError
from mdmsdk.flow import Flow
from mdmsdk.paging import Slice, numbered

__all__ = ["Ask", "Document", "around_damage", "read_page"]

T = TypeVar("T")
_SEVERAL = 2
"""Failures after which it is time to see whether the server gives anything at all."""
_FEW = 16
"""Rows that are asked for one by one where the server fails at all of them together."""
Document = Mapping[str, Any]
Ask = Callable[[int, int], Flow[Slice[T]]]
"""Asks for the page of a number, from 0 on, and a size."""


def read_page(payload: Any) -> tuple[Sequence[Document], int]:
    """The rows of an answer, and how many the whole list has.

    Raises:
        MalformedResponseError: it is no page of a list.
    """
    page = payload if isinstance(payload, dict) else {}
    rows, total = page.get("results"), page.get("totalCount")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MalformedResponseError("Jamf Pro answered with something else than a page of a list")
    if not isinstance(total, int) or isinstance(total, bool) or total < 0:
        raise MalformedResponseError("Jamf Pro does not say how many records a list has")
    return rows, total


# A single damaged record makes the server fail at the whole page (jamf/powerbi, issue 22).
def around_damage(ask: Ask[T], offset: int, limit: int) -> Flow[Slice[T]]:
    """The rows from a position on; where the server fails, fewer of them, down to one by one.

    What is given is a stretch without gaps but for the records at which the server fails, so that
    `mdmsdk.paging.walk` sees whether the list moved before it and after it.

    Raises:
        ServerError: it is not the records: the first two rows cannot be had alone, or none of many.
    """
    size, failures = limit, list[ServerError]()
    while True:
        try:
            part = yield from numbered(ask, offset, size)
        except ServerError as error:
            failures.append(error)
            if len(failures) == _SEVERAL:
                yield from _one_by_one(ask, range(offset, offset + 2), failures[0])
            if size <= _FEW:
                return (yield from _one_by_one(ask, range(offset, offset + _FEW), failures[0]))
            size = max(_FEW, size // 4)
        else:
            # Only the server's own limit is worth remembering.
            return replace(part, limit=limit) if part.limit == size else part


def _one_by_one(ask: Ask[T], wanted: range, failure: ServerError) -> Flow[Slice[T]]:
    """The rows at some positions, without those that cannot be had. They must not all be so."""
    rows: dict[int | str, T] = {}
    lost, total = set(), None
    # The last one first: rows that leave in between move to positions that are still to come.
    for position in reversed(wanted):
        try:
            part = yield from numbered(ask, position, 1)
        except ServerError:
            lost.add(position)
        else:
            rows, total = {**dict(part.rows), **rows}, part.total
    if len(lost) == len(wanted):
        raise failure
    return Slice(tuple(rows.items()), total, offset=wanted.start, lost=frozenset(lost))
