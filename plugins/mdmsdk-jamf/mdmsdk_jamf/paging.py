"""Reading a list of Jamf Pro to its end while it changes. Written without I/O: `Fetch` asks for one page.

Source: "Jamf Pro API Overview", section on pagination, https://developer.jamf.com/jamf-pro/docs/jamf-pro-api-overview.
Pages are numbered from 0 and have no cursor; a record that is removed meanwhile moves all later ones
forward, and one of them from the page to come onto the page just read. So pages overlap, and one that begins
behind the last record read is followed by one that begins earlier.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import IncompleteListError, MalformedResponseError, ServerError

if TYPE_CHECKING:
    from mdmsdk.flow import Flow

__all__ = ["Fetch", "Place", "next_page", "read_page", "step"]

_AT_END: Final = -1
Row = Mapping[str, Any]
Rows = tuple[Sequence[Row], int]
"""The rows of a page, and how many the whole list has."""
Fetch = Callable[[int, int], "Flow[Rows]"]
"""Asks for the page of a number and a size."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a list has been read.

    Attributes:
        size: rows to ask for on one page.
        position: how many rows were read; `_AT_END` where all were, but for those that were lost.
        last: the id of the last of them.
        lost: how many rows the server could not give.
    """

    size: int
    position: int = 0
    last: str = ""
    lost: int = 0

    def write(self) -> str:
        """The place as text."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Place:
        """The place in a text that `write` made."""
        return cls(**json.loads(text))


def next_page(position: int, size: int) -> tuple[int, int]:
    """Number and size of the page to ask for after `position` rows.

    It begins at the last row read or a few before it, as far as a page of whole size allows: pages begin at
    multiples of their size, so each is a little smaller than the one before.
    """
    page = -(-(position - 1) // size)
    if page > 0:
        smaller = (position - 1) // page
        if (page + 1) * smaller >= position + max(1, size // 2):
            return page, smaller
    return position // size, size


def read_page(payload: Any) -> Rows:
    """The rows and the count of an answer.

    Raises:
        MalformedResponseError: it is no page of a list.
    """
    rows = payload.get("results") if isinstance(payload, dict) else None
    total = payload.get("totalCount") if isinstance(payload, dict) else None
    if (
        not isinstance(rows, list)
        or not isinstance(total, int)
        or not all(isinstance(row, dict) for row in rows)
    ):
        raise MalformedResponseError("Jamf Pro answered with something else than a page of a list")
    return rows, total


def step(
    fetch: Fetch, place: Place, id_of: Callable[[Row], str], *, piecewise: bool
) -> Flow[tuple[Sequence[Row], Place | None]]:
    """The rows at a place, and the place after them; None at the end of the list.

    Args:
        fetch: asks for a page.
        place: where to go on.
        id_of: what tells a row from the others; ids grow along the list.
        piecewise: read a page at which the server fails in smaller ones.

    Raises:
        IncompleteListError: the server gives fewer rows than it counts.
        ServerError: it gives none.
    """
    if place.position == _AT_END:
        raise IncompleteListError(
            f"{place.lost} of the records cannot be read: the server fails at them",
            hint="Jamf Pro's server log names the records; delete them or have their inventory updated. From "
            "version 11.29 on, damaged records of mobile devices are read past.",
        )
    page, size = next_page(place.position, place.size)
    offset = page * size
    rows, total, lost = yield from _whole_or_pieces(fetch, page, size, piecewise=piecewise)
    given = len(rows) + lost
    if given > size:
        raise MalformedResponseError("Jamf Pro gives more rows than were asked for: it ignores the page size")
    ids = [id_of(row) for row in rows]
    overlaps = offset < place.position and not lost
    if (overlaps and not _reaches_back(ids, place.last)) or (not ids and total < place.position):
        return rows, replace(place, position=max(0, offset - size))
    lost += place.lost
    if offset + given >= total:
        return rows, Place(size, _AT_END, lost=lost) if lost else None
    if not given:
        raise IncompleteListError(f"Jamf Pro counts {total} records, but gives none after the first {offset}")
    last = ids[-1] if ids else place.last
    if given < size:
        # The server's own limit, 2,000 rows as far as known, comes without a word and moves all later pages.
        return rows, Place(given, 0 if page else given, last)
    return rows, replace(place, position=offset + given, last=last, lost=lost)


def _reaches_back(ids: list[str], last: str) -> bool:
    """Whether a page follows the record `last` without a gap: it holds it, or begins before it."""
    if not ids or last in ids:
        return bool(ids)
    return ids[0].isdecimal() and last.isdecimal() and int(ids[0]) <= int(last)


def _whole_or_pieces(
    fetch: Fetch, page: int, size: int, *, piecewise: bool
) -> Flow[tuple[Sequence[Row], int, int]]:
    """The rows of a page, how many the whole list has, and how many of the page cannot be had.

    A single damaged record makes the server fail at the whole page (jamf/powerbi, issue 22). So the page is
    read in smaller ones; if those fail as well, it is not the records.
    """
    try:
        rows, total = yield from fetch(page, size)
    except ServerError as error:
        if not piecewise or size == 1:
            raise
        pieces = _Pieces(fetch, error)
        lost = yield from pieces.read(page * size, size)
        return pieces.within(page * size, size), pieces.total or 0, lost
    return rows, total, 0


@dataclass(slots=True)
class _Pieces:
    """Rows by their position in the list, read in ever smaller pages around those that fail."""

    fetch: Fetch
    error: ServerError
    total: int | None = None
    rows: dict[int, Row] = field(default_factory=dict)

    def read(self, offset: int, size: int) -> Flow[int]:
        """Read a stretch; gives how many of its rows cannot be had."""
        small = max(1, size // 8)
        broken = []
        for page in range(offset // small, -(-(offset + size) // small)):
            try:
                rows, self.total = yield from self.fetch(page, small)
            except ServerError:
                broken.append(page)
                if self.total is None and len(broken) > 1:
                    raise self.error from None  # nothing works: an outage, and no single record
            else:
                self.rows.update(enumerate(rows, page * small))
        if small == 1:
            return sum(offset <= page < offset + size for page in broken)
        lost = 0
        for page in broken:
            lost += yield from self.read(page * small, small)
        return lost

    def within(self, offset: int, size: int) -> list[Row]:
        """The rows of a stretch, in order."""
        return [self.rows[place] for place in sorted(self.rows) if offset <= place < offset + size]
