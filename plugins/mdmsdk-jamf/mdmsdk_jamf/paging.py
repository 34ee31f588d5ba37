"""Pages of Jamf Pro: what one holds, and what to do about one that holds a damaged record. Pure.

Source: "Jamf Pro API Overview", section on pagination, https://developer.jamf.com/jamf-pro/docs/jamf-pro-api-overview.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from mdmsdk.errors import MalformedResponseError, ServerError
from mdmsdk.flow import Flow
from mdmsdk.paging import Slice

__all__ = ["Ask", "Row", "around_damage", "read_page"]

T = TypeVar("T")
_PIECES = 8
Row = Mapping[str, Any]
Ask = Callable[[int, int], Flow[Slice[T]]]
"""Asks for the page of a number, from 0 on, and a size."""


def read_page(payload: Any) -> tuple[Sequence[Row], int]:
    """The rows of an answer, and how many the whole list has.

    Raises:
        MalformedResponseError: it is no page of a list.
    """
    page = payload if isinstance(payload, dict) else {}
    rows, total = page.get("results"), page.get("totalCount")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MalformedResponseError("Jamf Pro answered with something else than a page of a list")
    if not isinstance(total, int):
        raise MalformedResponseError("Jamf Pro does not say how many records a list has")
    return rows, total


# A single damaged record makes the server fail at the whole page (jamf/powerbi, issue 22).
def around_damage(ask: Ask[T]) -> Ask[T]:
    """Ask for pages so that one at which the server fails is read in ever smaller ones.

    Raises:
        ServerError: the smaller ones fail as well, so it is not a record.
    """

    def ask_around(page: int, size: int) -> Flow[Slice[T]]:
        try:
            return (yield from ask(page, size))
        except ServerError as error:
            if size == 1:
                raise
            wanted = range(page * size, (page + 1) * size)
            return (yield from _in_pieces(ask, wanted, -(-size // _PIECES), error))

    return ask_around


def _in_pieces(ask: Ask[T], wanted: range, size: int, failure: ServerError) -> Flow[Slice[T]]:
    """The rows at some positions, without those at which the server fails when asked for them alone."""
    rows: dict[int, tuple[int | str, T]] = {}
    total, failing = None, [wanted]
    while failing and max(map(len, failing)) > 1:
        stretches, failing = failing, []
        for stretch in stretches:
            for page in range(stretch.start // size, -(-stretch.stop // size)):
                try:
                    part = yield from ask(page, size)
                except ServerError:
                    failing.append(range(page * size, (page + 1) * size))
                    if total is None and len(failing) > 1:
                        raise failure from None  # nothing works: an outage, and no single record
                    continue
                if 0 < len(part.rows) < size and page * size + len(part.rows) != part.total:
                    # The server's own limit moves all pages.
                    return (yield from _in_pieces(ask, wanted, len(part.rows), failure))
                rows.update(enumerate(part.rows, page * size))
                total = part.total
        size = -(-size // _PIECES)
    lost = {position for stretch in failing for position in stretch} & set(wanted)
    return Slice([rows[place] for place in sorted(rows) if place in wanted], total, lost=frozenset(lost))
