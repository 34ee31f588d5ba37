"""Lists that change, that are capped, and that hold a record at which the server fails."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.errors import IncompleteListError, MalformedResponseError, ServerError
from mdmsdk.flow import done
from mdmsdk.testing import play
from mdmsdk_jamf.paging import Place, next_page, read_page, step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mdmsdk.flow import Flow

Rows = "tuple[Sequence[dict[str, Any]], int]"


class Server:
    """A list of records, in pages, as the vendor gives them."""

    def __init__(self, ids: Sequence[int], *, cap: int = 2000, damaged: Sequence[int] = ()) -> None:
        self.ids = list(ids)
        self.cap = cap
        self.damaged = set(damaged)
        self.asked: list[tuple[int, int]] = []

    def fetch(self, page: int, size: int) -> Flow[Any]:
        self.asked.append((page, size))
        size = min(size, self.cap)
        rows = self.ids[page * size : (page + 1) * size]
        if self.damaged & set(rows):
            raise ServerError("failed", status=500)
        return done(([{"id": str(number)} for number in rows], len(self.ids)))


def read(
    server: Server, size: int, between: Callable[[], object] = lambda: None, most: int = 500
) -> list[int]:
    """Read a whole list, as the client does: without the rows that came before."""
    found: dict[str, None] = {}
    place: Place | None = Place(size)
    for _ in range(most):
        assert place is not None
        place = Place.read(place.write())  # a cursor is text
        rows, place = play(step(server.fetch, place, lambda row: str(row["id"]), piecewise=True), [])
        found |= {str(row["id"]): None for row in rows}
        if place is None:
            return [int(number) for number in found]
        between()
    raise AssertionError("the list does not end")


@given(st.integers(0, 10**6), st.integers(1, 2000))
def test_each_page_begins_at_or_before_the_rows_to_come_and_brings_new_ones(position: int, size: int) -> None:
    page, asked = next_page(position, size)
    assert 1 <= asked <= size
    assert page * asked <= position < (page + 1) * asked


@pytest.mark.parametrize("position", [1000, 1999, 2500, 50_000, 400_000])
def test_pages_overlap(position: int) -> None:
    page, asked = next_page(position, 1000)
    assert page * asked < position


@given(st.integers(0, 200), st.integers(1, 50), st.integers(1, 60))
def test_a_list_that_does_not_change_is_read_in_full(count: int, size: int, cap: int) -> None:
    server = Server(range(count), cap=cap)
    assert read(server, size) == list(range(count))


def test_five_thousand_records_take_six_pages() -> None:
    server = Server(range(5000))
    assert read(server, 1000) == list(range(5000))
    assert len(server.asked) == 6


def test_a_cap_that_the_server_does_not_mention_is_noticed() -> None:
    server = Server(range(5000), cap=300)
    assert read(server, 1000) == list(range(5000))


@given(st.integers(0, 10_000))
def test_no_record_that_stays_is_missed_while_others_leave_and_come(seed: int) -> None:
    choose = random.Random(seed)  # noqa: S311 - nothing secret
    server = Server(range(0, 300, 2))
    stayed = set(server.ids)

    def change() -> None:
        for _ in range(choose.randrange(8)):
            if server.ids:
                stayed.discard(server.ids.pop(choose.randrange(len(server.ids))))
        if choose.random() < 0.3:
            server.ids.append(1000 + choose.randrange(10**6))
            server.ids.sort()

    assert stayed <= set(read(server, 20, change))


def test_a_record_that_leaves_moves_the_next_one_onto_the_page_that_was_read() -> None:
    server = Server(range(100))
    gone = iter([0])
    found = read(
        server, 10, lambda: server.ids.remove(number) if (number := next(gone, None)) is not None else None
    )
    assert set(range(100)) <= set(found)


def test_most_of_a_list_may_go_while_it_is_read() -> None:
    server = Server(range(200))

    def shrink() -> None:
        server.ids = list(range(150, 200))

    assert set(range(150, 200)) <= set(read(server, 100, shrink))


def test_fewer_rows_than_the_server_counts_are_no_end() -> None:
    def fetch(page: int, size: int) -> Flow[Any]:
        del page, size
        return done(([], 7))

    with pytest.raises(IncompleteListError, match="counts 7"):
        play(step(fetch, Place(10), lambda row: str(row["id"]), piecewise=True), [])


def test_a_server_that_ignores_the_page_size_is_noticed() -> None:
    with pytest.raises(MalformedResponseError, match="page size"):
        play(
            step(
                lambda *_: done(([{"id": "1"}] * 3, 9)), Place(2), lambda row: str(row["id"]), piecewise=True
            ),
            [],
        )


@pytest.mark.parametrize("damaged", [[0], [41], [99], [40, 41], [0, 99]])
def test_a_damaged_record_loses_neither_its_page_nor_the_end_of_the_list(damaged: list[int]) -> None:
    server = Server(range(100), damaged=damaged)
    found: set[int] = set()

    def read_on() -> None:
        place: Place | None = Place(50)
        while place:
            rows, place = play(step(server.fetch, place, lambda row: str(row["id"]), piecewise=True), [])
            found.update(int(row["id"]) for row in rows)

    with pytest.raises(IncompleteListError, match=f"{len(damaged)} of the records"):
        read_on()
    assert found == set(range(100)) - set(damaged)


def test_an_outage_is_not_taken_for_a_damaged_record() -> None:
    server = Server(range(1000), damaged=range(1000))
    with pytest.raises(ServerError):
        play(step(server.fetch, Place(1000), lambda row: str(row["id"]), piecewise=True), [])
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "payload",
    [None, [], {}, {"results": []}, {"results": {}, "totalCount": 0}, {"results": ["x"], "totalCount": 1}],
)
def test_what_is_no_page_is_refused(payload: Any) -> None:
    with pytest.raises(MalformedResponseError):
        read_page(payload)
