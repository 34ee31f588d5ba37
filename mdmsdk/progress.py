"""Whether pages that follow one another lead anywhere, and pages that are too large to come in time. Pure.

A server may hand out ever new continuations and no new rows. What counts is what it sent, not what a provider
kept of it.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from typing import TYPE_CHECKING, TypeVar

from mdmsdk.errors import IncompleteListError, MdmError, MdmTimeoutError, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from mdmsdk.flow import Flow
    from mdmsdk.models import Device

__all__ = ["SMALLEST_PAGE", "Progress", "Seen", "row_identity", "shrinking"]

T = TypeVar("T")

_MOST_STALE = 10
"""Pages in a row without a new row. Lists that overlap, or a search that goes on, may have a few of them."""
_BUCKETS = 4096
_GATEWAY_TIMEOUT = 504
SMALLEST_PAGE = 16
"""Rows; fewer than these come in no less time."""


class Seen:
    """What came before, in little memory even for very many: small buckets of bare numbers, not a set."""

    def __init__(self) -> None:
        self._rows: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))

    def add(self, name: Hashable | None) -> bool:
        """Whether this did not come before. None is always new: nothing tells that row from others."""
        if name is None:
            return True
        identity = hash(name)
        bucket = self._rows[identity % _BUCKETS]
        if identity in bucket:
            return False
        bucket.append(identity)
        return True

    def add_all(self, names: Iterable[Hashable | None]) -> bool:
        """Whether one of these did not come before."""
        fresh = [self.add(name) for name in names]  # all of them are to be kept
        return any(fresh)


class Progress:
    """Watches the continuations of a list.

    Attributes:
        collected: how many rows were handed out, for errors.
    """

    def __init__(self, max_pages: int, *cursors: Hashable) -> None:
        """Begin with a list of at most `max_pages` pages, of which some cursors were used already."""
        self.collected: int = 0
        self._pages_left = max_pages
        self._cursors = set(map(hash, cursors))
        self._stale = 0

    def go_on(self, cursor: Hashable, *, fresh: bool) -> None:
        """Note that the page is read and another one follows.

        Args:
            cursor: where that one is.
            fresh: whether this one brought something new.

        Raises:
            IncompleteListError: the pages go in circles, bring nothing new, or have no end.
        """
        self._pages_left -= 1
        self._stale = 0 if fresh else self._stale + 1
        if (place := hash(cursor)) in self._cursors:
            raise self.incomplete("the server repeats a page")
        self._cursors.add(place)
        if self._stale >= _MOST_STALE:
            raise self.incomplete(f"the last {self._stale} pages brought nothing new")
        if self._pages_left <= 0:
            raise self.incomplete("the list has more pages than policy.max_pages allows")

    def incomplete(self, message: str) -> IncompleteListError:
        """The error for a list that cannot be had in full."""
        return IncompleteListError(message, collected=self.collected)


def row_identity(device: Device) -> int | None:
    """What tells a row of a list from the others; None where the record has nothing by which to tell it."""
    identity = (device.id, device.guid, device.udid, device.serial_number, device.mac_addresses)
    return hash(identity) if any(identity) else None


def shrinking(ask: Callable[[int], Flow[T]], size: int) -> Flow[tuple[T, int]]:
    """A page, and how many rows were asked for: fewer than `size` where so many do not come in time.

    Each try costs the whole patience for one request, so that sizes fall fast: to a quarter each time.

    Raises:
        MdmTimeoutError: not even a small page comes in time.
        ServerError: the same, told by a gateway before the server.
    """
    while True:
        try:
            return (yield from ask(size)), size
        except (MdmTimeoutError, ServerError) as error:
            if size <= SMALLEST_PAGE or not _is_late(error):
                raise
        size = max(SMALLEST_PAGE, size // 4)


def _is_late(error: MdmError) -> bool:
    return not isinstance(error, ServerError) or error.status == _GATEWAY_TIMEOUT
