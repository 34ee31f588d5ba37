"""Pages, and what is done about one that holds a record at which the server fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.errors import IncompleteListError, MalformedResponseError, ServerError
from mdmsdk.flow import done
from mdmsdk.paging import Slice, numbered, walk
from mdmsdk.testing import play
from mdmsdk_jamf.paging import around_damage, read_page

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mdmsdk.flow import Flow


class Server:
    """A list of records, in pages, as the vendor gives them."""

    def __init__(self, ids: Sequence[int], *, cap: int = 2000, damaged: Iterable[int] = ()) -> None:
        self.ids = list(ids)
        self.cap = cap
        self.damaged = set(damaged)
        self.asked: list[tuple[int, int]] = []

    def ask(self, page: int, size: int) -> Flow[Slice[int]]:
        self.asked.append((page, size))
        size = min(size, self.cap)
        rows = self.ids[page * size : (page + 1) * size]
        if self.damaged & set(rows):
            raise ServerError("failed", status=500)
        return done(Slice([(number, number) for number in rows], len(self.ids)))


def read(server: Server, limit: int) -> tuple[list[int], IncompleteListError | None]:
    """A whole list, and how it broke off."""

    def search(_scope: str, offset: int, limit: int) -> Flow[Slice[int]]:
        return numbered(around_damage(server.ask), offset, limit)

    found: list[int] = []
    cursor = None
    while True:
        try:
            rows, cursor = play(walk(search, ["computers"], cursor, limit, ordered=True), [])
        except IncompleteListError as error:
            return found, error
        found += rows
        if cursor is None:
            return found, None


def test_a_sound_page_costs_one_request() -> None:
    server = Server(range(100))
    assert read(server, 1000) == (list(range(100)), None)
    assert server.asked == [(0, 1000)]


@pytest.mark.parametrize("damaged", [[0], [41], [99], [40, 41], [0, 99], [48, 49, 50, 51]])
@pytest.mark.parametrize("limit", [50, 64, 1000])
@pytest.mark.parametrize("cap", [20, 2000])
def test_a_damaged_record_loses_neither_its_page_nor_the_end_of_the_list(
    damaged: list[int], limit: int, cap: int
) -> None:
    found, failure = read(Server(range(100), damaged=damaged, cap=cap), limit)
    assert found == [number for number in range(100) if number not in damaged]
    assert f"{len(damaged)} of the records" in str(failure)
    assert failure is not None
    assert "server's own log" in (failure.hint or "")


@given(st.integers(1, 150), st.sets(st.integers(0, 149), max_size=4), st.integers(16, 200))
def test_damage_is_told_or_the_list_is_whole(count: int, damaged: set[int], limit: int) -> None:
    server = Server(range(count), damaged=damaged)
    try:
        found, failure = read(server, limit)
    except ServerError:
        assert len(damaged & set(range(count))) > 1  # several in the first pieces look like an outage
        return
    assert found == [number for number in range(count) if number not in damaged]
    assert (failure is None) == damaged.isdisjoint(range(count))


def test_a_damaged_record_costs_few_requests() -> None:
    server = Server(range(1000), damaged=[700])
    assert read(server, 1000)[1] is not None
    assert len(server.asked) <= 40


def test_an_outage_is_not_taken_for_a_damaged_record() -> None:
    server = Server(range(1000), damaged=range(1000))
    with pytest.raises(ServerError):
        read(server, 1000)
    assert len(server.asked) == 3


def test_a_page_of_one_record_has_no_smaller_ones() -> None:
    server = Server(range(9), damaged=[5])
    with pytest.raises(ServerError):
        play(around_damage(server.ask)(5, 1), [])
    assert server.asked == [(5, 1)]


@pytest.mark.parametrize(
    "payload",
    [None, [], {}, {"results": []}, {"results": {}, "totalCount": 0}, {"results": ["x"], "totalCount": 1}],
)
def test_what_is_no_page_is_refused(payload: Any) -> None:
    with pytest.raises(MalformedResponseError):
        read_page(payload)
