"""Lists that are read while the server goes on working: complete, or an error.

A provider describes one request, `read_page`, and walks: `walk` where a server counts rows (with `numbered`
where it counts pages), `walk_links` where it names the next page by an address or a token. Both go through
several scopes, one after the other, such as device spaces or networks. Their cursors are values that travel
in `mdmsdk.provider.Page`. Nothing here does I/O.

A position counts rows that others may delete meanwhile; what follows then moves up, and a page would begin
too late. So every page begins with the last row of the page before, or a little earlier. Where the rows come
in the order of their numbers, that shows a shift, and where to go on. Where they do not, a list that changes
is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mdmsdk.errors import IncompleteListError, MalformedResponseError
from mdmsdk.flow import Flow, send, together
from mdmsdk.models import Device
from mdmsdk.progress import Progress, Seen, row_identity, shrinking
from mdmsdk.provider import Page

if TYPE_CHECKING:
    from mdmsdk.wire import Request, Response

__all__ = [
    "Link",
    "Place",
    "ReadLinked",
    "ReadPage",
    "Slice",
    "by_number",
    "collect",
    "collect_links",
    "linked_page",
    "numbered",
    "page_of",
    "walk",
    "walk_links",
    "walk_pages",
]

T = TypeVar("T")

_PROOF = 8
"""Rows in order on the first page that show a sorted list; a few could stand in order by chance."""
_LEAST = 16
"""Rows on a page from which on one of the sizes fits any position, as far as lists go."""
_UNSORTED_HINT = "The server does not sort it by number, so that no gap can be told from a change: ask again."
_LOST_HINT = "The server's own log names the records; delete them, or have their inventory updated."


@dataclass(frozen=True)  # without slots, as `mdmsdk.provider.Page`
class Slice(Generic[T]):
    """A part of a list, as an answer holds it.

    Attributes:
        rows: the records in the server's order, each with what tells it from the others: a number, which
            grows along a list that is sorted by it, or a text.
        total: how many the whole list has now; None where the server does not say.
        more: whether the server says that more follow; None where it does not say.
        offset: the position of the first row; None where that is the one asked for.
        limit: rows that the server puts into one answer; None for as many as were asked for.
        lost: the positions of rows that it cannot give.
    """

    rows: Sequence[tuple[int | str, T]]
    total: int | None
    more: bool | None = None
    offset: int | None = None
    limit: int | None = None
    lost: frozenset[int] = frozenset()


ReadPage = Callable[[str, int, int], Flow[Slice[T]]]
"""One query, which asks in a scope, from a position on, for a number of rows."""


@dataclass(frozen=True, slots=True)
class Place:
    """The cursor of `walk`: how far a list has been read.

    Attributes:
        scopes: those that are still to be read; the first one is under way.
        limit: rows to ask for at once.
        end: the position up to which the first scope was read.
        seen: how many of its rows were handed out.
        last: what tells the last of them.
        total: how many rows it had at first, where the server says so.
        met: what tells all of them, if the list is not known to be sorted; None if it is.
        gone: how many of its rows the server could not give.
        done: how many rows each scope had that was read.
        lost: how many rows could not be had in all of those.
    """

    scopes: tuple[str, ...]
    limit: int
    end: int = 0
    seen: int = 0
    last: int | str = 0
    total: int | None = None
    met: tuple[int | str, ...] | None = None
    gone: int = 0
    done: tuple[tuple[str, int], ...] = ()
    lost: int = 0


def walk(
    read_page: ReadPage[T],
    scopes: Sequence[str],
    cursor: Place | None,
    limit: int,
    *,
    noun: str = "list",
    ordered: bool = False,
    recount: bool = False,
    growing: bool = False,
) -> Flow[tuple[list[T], Place | None]]:
    """Read the next page of a list that lies in one scope or in several, one after the other.

    Args:
        read_page: asks for a part of the list.
        scopes: where to look; at least one.
        cursor: where to go on, from the page before; None at the beginning.
        limit: rows to ask for at once.
        noun: what a scope is, for messages.
        ordered: the query asks for the rows in the order of their numbers, so a short page in order shows
            that they are.
        recount: count once more at the end, because rows may move from one scope to another. Where one moves
            into a scope that was read while another one leaves that, the counts cannot tell.
        growing: rows that come in meanwhile may be left out: it is a list of changes, and what changes after
            it began is in the next one.

    Returns:
        The records that did not come before, and the cursor of the page after.

    Raises:
        IncompleteListError: the list changed so that rows may be missing, the server broke it off, or it
            could not give some of the rows. That is told after all others were handed out.
    """
    place = cursor or Place(tuple(scopes), limit)
    if not place.scopes:
        raise IncompleteListError(
            f"{place.lost} of the records cannot be read: the server fails at them", hint=_LOST_HINT
        )
    scope, where = place.scopes[0], f"{noun} {place.scopes[0]}".rstrip()
    offset, part, size = yield from _fetch(read_page, place)
    fresh, met = _unseen(place, offset, part, where, ordered=ordered)
    end = offset + len(part.rows) + len(part.lost)
    gone = place.gone + sum(position >= place.end for position in part.lost)
    gone = max(gone, min(1, len(part.lost)))  # one that moved back among the rows that were read
    seen = place.seen + len(fresh)
    more = part.more
    if part.total is None:
        more = more or bool(fresh)  # nobody counts, so the end is where nothing new comes
    elif more is None:
        more = end < part.total
    rows = [row for _, row in fresh]
    if more:
        if not fresh and gone == place.gone:
            raise IncompleteListError(f"the server repeats rows of {where}, or gives none where more follow")
        total = place.total if place.end else part.total
        last = fresh[-1][0] if fresh else place.last
        following = replace(place, end=end, seen=seen, last=last, total=total, met=met, gone=gone)
        return rows, replace(following, limit=part.limit or size)
    if part.total is not None and part.more is None and part.total < end:
        raise IncompleteListError(f"{where} counts {part.total} devices, but gave {end}")
    if part.total is not None and (end if growing else min(end, seen + gone)) < part.total:
        raise IncompleteListError(
            f"{where} counts {part.total} devices, but the list ended after {min(end, seen)}"
        )
    if part.total is None and place.total is not None and seen + gone < place.total:
        raise IncompleteListError(
            f"{where} counted {place.total} devices, but ended after {seen} without a count"
        )
    rest = Place(place.scopes[1:], limit, done=(*place.done, (scope, seen)), lost=place.lost + gone)
    if not rest.scopes and recount and place.done:
        yield from _check_unmoved(read_page, dict(place.done), noun)
    return rows, rest if rest.scopes or rest.lost else None


def page_of(items: Sequence[T], cursor: Any) -> Page[T]:
    """A page of what `walk` gave, its cursor included, without the rows that a provider leaves out."""
    # That every page brings something new, or ends a scope, is seen to by `walk`.
    return Page(items, cursor, moved=True)


def collect(
    read_page: ReadPage[T],
    scopes: Sequence[str],
    limit: int,
    *,
    max_pages: int,
    ordered: bool = False,
    keep: Callable[[T], bool] = lambda _row: True,
) -> Flow[list[T]]:
    """All records of a list that is expected to be short, as far as they are to be kept.

    Args:
        read_page: as for `walk`, like scopes, limit and ordered.
        scopes: where to look.
        limit: rows to ask for at once.
        ordered: the query asks for the rows in the order of their numbers.
        max_pages: pages after which the list is taken to have no end.
        keep: which records to keep; what it raises ends the list at once.

    Raises:
        IncompleteListError: as `walk`, and where the list has more pages than that.
    """
    found: list[T] = []
    cursor = None
    for _ in range(max_pages):
        rows, cursor = yield from walk(read_page, scopes, cursor, limit, ordered=ordered)
        found += filter(keep, rows)
        if cursor is None:
            return found
    raise IncompleteListError(
        f"the server's pages do not come to an end: there are more than {max_pages}", collected=len(found)
    )


def numbered(ask: Callable[[int, int], Flow[Slice[T]]], offset: int, limit: int) -> Flow[Slice[T]]:
    """Ask a server that counts pages for the rows from a position on.

    Pages begin at multiples of their size. So one of a smaller size is taken that begins at the position or a
    little before it.

    Args:
        ask: asks for the page of a number, from 0 on, and a size.
        offset: the position.
        limit: rows on one page, at the most. From 16 on, some size fits every position; where none does, the
            slice ends with the position, and `walk` gives the list up.

    Raises:
        MalformedResponseError: the server ignores the size.
    """
    while True:
        size = limit  # the first page of a list, and the only one of most lookups
        if offset:
            size = max(range(max(1, limit // 2), limit + 1), key=lambda size: size - offset % size)
        page = offset // size
        part = yield from ask(page, size)
        given = len(part.rows) + len(part.lost)
        if given > size:
            raise MalformedResponseError("the server gives too many rows: it ignores the page size")
        if given in {0, size} or (yield from _is_last(ask, part, page, size)):
            more = given == size if part.total is None else part.more
            return replace(part, more=more, offset=page * size, limit=limit)
        # The server's own limit comes without a word, and moves all pages but the first.
        if not page and offset < given:
            return replace(part, offset=0, limit=given)
        limit = given


def by_number(ask: Callable[[int, int], Flow[Slice[T]]]) -> ReadPage[T]:
    """How `walk` and `collect` read one list of a server that counts pages; `ask` is as for `numbered`."""
    return lambda _scope, offset, limit: numbered(ask, offset, limit)


def _is_last(ask: Callable[[int, int], Flow[Slice[T]]], part: Slice[T], page: int, size: int) -> Flow[bool]:
    """Whether a page has fewer rows because the list ends there, and not by the server's own limit."""
    given = len(part.rows) + len(part.lost)
    if part.total is not None:
        return page * size + given == part.total
    # Where the server does not count, its limit shows on the first page already. After a few rows, the rest
    # is asked for: pages that small hardly ever overlap.
    return page > 0 or (given < _LEAST and not (yield from ask(1, given)).rows)


def _fetch(read_page: ReadPage[T], place: Place) -> Flow[tuple[int, Slice[T], int]]:
    """The slice that begins at or before the last row that was read, its position, and the size asked for.

    Where a page does not come in time, a smaller one is asked for.
    """
    asked, size = max(0, place.end - 1), place.limit
    while True:
        part, size = yield from shrinking(partial(read_page, place.scopes[0], asked), size)
        offset = asked if part.offset is None else part.offset
        # Rows before it are gone where it does not begin with a row that was seen: go back until it does.
        if not offset or place.met is not None or offset in part.lost or _reaches_back(part, place.last):
            return offset, part, size
        back = offset - max(1, (len(part.rows) or size) // 2)
        asked = max(0, back if part.total is None else min(back, part.total - 1))


def _reaches_back(part: Slice[Any], last: int | str) -> bool:
    """Whether a slice follows the row `last` without a gap: it begins with it or before it."""
    return bool(part.rows) and not _is_behind(part.rows[0][0], last)


def _unseen(
    place: Place, offset: int, part: Slice[T], where: str, *, ordered: bool
) -> tuple[Sequence[tuple[int | str, T]], tuple[int | str, ...] | None]:
    """The rows that did not come before, and what tells all that did, for a list that is not sorted."""
    names = [name for name, _ in part.rows]
    numbers = [name for name in names if isinstance(name, int)]
    ascending = numbers == names and all(low < high for low, high in pairwise(numbers))
    met = place.met
    if not place.end:
        fresh = part.rows
        met = None if ascending and (ordered or len(names) >= _PROOF) else ()
    elif met is None and ascending:
        return [row for row in part.rows if _is_behind(row[0], place.last)], None
    else:
        overlap = place.end - offset
        # A list without order still has to be what it was; one that had an order must keep it.
        if met is None or part.total != place.total or tuple(names[:overlap]) != met[offset:]:
            raise _changed(where)
        fresh = part.rows[overlap:]
    if met is not None:
        met = (*met, *(name for name, _ in fresh))
        if len(set(met)) < len(met):
            raise _changed(where)
    return fresh, met


def _is_behind(name: int | str, last: int | str) -> bool:
    return isinstance(name, int) and isinstance(last, int) and name > last


def _changed(where: str) -> IncompleteListError:
    return IncompleteListError(f"{where} changed while it was read", hint=_UNSORTED_HINT)


def _check_unmoved(read_page: ReadPage[T], counts: Mapping[str, int], noun: str) -> Flow[None]:
    """Count once more: a row may have moved into a scope that was read already."""
    parts = yield from together(*(read_page(scope, 0, 1) for scope in counts))
    for (scope, seen), part in zip(counts.items(), parts, strict=True):
        if part.total is not None and part.total > seen:
            raise IncompleteListError(
                f"{noun} {scope} counts {part.total} devices now, but {seen} when it was read"
            )


ReadLinked = Callable[[Any, str | None], Flow[tuple[T, str | None]]]
"""One request, in a scope, for its first page (None) or for the one that an answer named, by an address or a
token. Gives what was read, and what names the page after; None on the last page of the scope. A name that
cannot be read is an error there."""


@dataclass(frozen=True, slots=True)
class Link:
    """The cursor of `walk_links`.

    Attributes:
        scopes: those that are still to be read, values of any frozen kind; the first one is under way.
        name: what names the next page; None for the first page of the scope.
        done: those that were read.
    """

    scopes: tuple[Hashable, ...]
    name: str | None = None
    done: tuple[Hashable, ...] = ()


def linked_page(request: Request, url: str | None, size_name: str, size: int) -> Flow[Response]:
    """Ask for the page that an answer named, as it stands, or for the first one.

    A first page that does not come in time is asked for with fewer rows; its links make the others as small.

    Args:
        request: for the first page.
        url: the address of a further one; None for the first.
        size_name: the parameter for the number of rows.
        size: rows to ask for.
    """

    def ask(rows: int) -> Flow[Response]:
        return send(replace(request, params={**request.params, size_name: rows}))

    if url is not None:
        return (yield from send(replace(request, url=url, params={})))
    return (yield from shrinking(ask, size))[0]


def walk_links(
    read_page: ReadLinked[T], scopes: Sequence[Hashable], cursor: Link | None, *, noun: str = "list"
) -> Flow[tuple[T, Link | None]]:
    """Read the next page of a list whose pages name the next one, in one scope or in several.

    Args:
        read_page: asks for one page.
        scopes: where to look; at least one.
        cursor: where to go on, from the page before; None at the beginning.
        noun: what a scope is, for messages.

    Returns:
        What was read, and the cursor of the page after.

    Raises:
        IncompleteListError: the scopes are no longer what they were when the list began.
    """
    place = cursor or Link(tuple(scopes))
    if (*place.done, *place.scopes) != tuple(scopes):
        raise IncompleteListError(f"the {noun}s to look into changed while the list was being read")
    part, name = yield from read_page(place.scopes[0], place.name)
    if name is not None:
        return part, replace(place, name=name)
    first, *rest = place.scopes
    return part, Link(tuple(rest), done=(*place.done, first)) if rest else None


def walk_pages(
    read_page: ReadLinked[Page[T]], scopes: Sequence[Hashable], cursor: Link | None, *, noun: str = "list"
) -> Flow[Page[T]]:
    """The next page of a list as `walk_links` reads it, with the cursor of the page after."""
    page, following = yield from walk_links(read_page, scopes, cursor, noun=noun)
    return replace(page, next_cursor=following, moved=following is None or following.name is None)


def _name_of(row: object) -> int | None:
    return row_identity(row) if isinstance(row, Device) else hash(row)


def collect_links(
    read_page: ReadLinked[Sequence[T]],
    scope: str = "",
    *,
    max_pages: int,
    name_of: Callable[[T], Hashable | None] = _name_of,
) -> Flow[list[T]]:
    """The rows on all pages of one scope, where a list is expected to be short.

    Args:
        read_page: asks for the rows of one page; what it raises ends the list at once.
        scope: where to look.
        max_pages: pages after which the list is taken to have no end.
        name_of: what tells a row from others, and None where nothing does; default: its identifiers if it is
            a device, and otherwise all that it is.

    Raises:
        IncompleteListError: the pages go in circles, bring nothing new, or have no end.
    """
    found: list[T] = []
    progress, seen = Progress(max_pages), Seen()
    name: str | None = None
    while True:
        part, name = yield from read_page(scope, name)
        found += part
        if name is None:
            return found
        progress.collected = len(found)
        progress.go_on(name, fresh=seen.add_all(map(name_of, part)))
