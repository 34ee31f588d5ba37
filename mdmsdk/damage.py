"""Reading a list around records at which its server fails. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from mdmsdk.errors import ServerError
from mdmsdk.flow import Flow
from mdmsdk.paging import Slice, numbered

__all__ = ["around_damage"]

T = TypeVar("T")
_Ask = Callable[[int, int], Flow[Slice[T]]]
_SEVERAL = 2
"""Failures after which it is time to see whether the server gives anything at all."""
_FEW = 16
"""Rows that are asked for one by one where the server fails at all of them together."""


def around_damage(ask: _Ask[T], offset: int, limit: int) -> Flow[Slice[T]]:
    """The rows from a position on; where the server fails, fewer of them, down to one by one.

    Some servers fail at a whole page for a single record that is damaged. What is given is a stretch without
    gaps but for such records, so that `mdmsdk.paging.walk` sees whether the list moved before or after it.

    Args:
        ask: asks for the page of a number, from 0 on, and a size.
        offset: the position.
        limit: rows on one page, at the most.

    Raises:
        ServerError: it is not the records: the first two rows cannot be had alone, or none of many.
    """
    size, failures = limit, list[ServerError]()
    while True:
        try:
            part = yield from numbered(ask, offset, size)
        except ServerError as error:
            failures.append(error)
        else:
            # Only the server's own limit is worth remembering.
            return replace(part, limit=limit) if part.limit == size else part
        if len(failures) == _SEVERAL:
            yield from _one_by_one(ask, range(offset, offset + 2), failures[0])
        if size <= _FEW:
            return (yield from _one_by_one(ask, range(offset, offset + _FEW), failures[0]))
        size = max(_FEW, size // 4)


def _one_by_one(ask: _Ask[T], wanted: range, failure: ServerError) -> Flow[Slice[T]]:
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
