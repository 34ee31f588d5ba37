"""Pages that hold a record at which the server fails: what is read around it, and what is told."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.damage import around_damage
from mdmsdk.errors import IncompleteListError, ServerError
from mdmsdk.flow import done
from mdmsdk.paging import Slice, walk
from mdmsdk.testing import play

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mdmsdk.flow import Flow


class Server:
    """A list of records, in pages, as the vendor gives them."""

    def __init__(
        self,
        ids: Sequence[int],
        *,
        cap: int = 2000,
        damaged: Iterable[int] = (),
        change: Callable[[Server], object] = lambda _server: None,
        most: int = 2000,
    ) -> None:
        self.ids = list(ids)
        self.change = change
        self.most = most
        self.cap = cap
        self.damaged = set(damaged)
        self.asked: list[tuple[int, int]] = []

    def ask(self, page: int, size: int) -> Flow[Slice[int]]:
        self.asked.append((page, size))
        size = min(size, self.cap)
        rows = self.ids[page * size : (page + 1) * size]
        total = len(self.ids)
        self.change(self)
        if self.damaged & set(rows) or size > self.most:
            raise ServerError("failed", status=500)
        return done(Slice([(number, number) for number in rows], total))


def read(server: Server, limit: int) -> tuple[list[int], IncompleteListError | None]:
    """A whole list, and how it broke off."""

    def search(_scope: str, offset: int, limit: int) -> Flow[Slice[int]]:
        return around_damage(server.ask, offset, limit)

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
        assert any(number + 1 in {*damaged, count} for number in damaged)  # two together look like an outage
        return
    assert found == [number for number in range(count) if number not in damaged]
    assert (failure is None) == damaged.isdisjoint(range(count))


def test_a_server_that_fails_at_large_pages_is_read_in_small_ones() -> None:
    server = Server(range(1000), most=200)
    assert read(server, 1000) == (list(range(1000)), None)


@given(st.integers(0, 10_000), st.sampled_from([0, 1, 3]))
def test_no_record_is_missed_in_silence_while_the_server_fails_and_others_leave(seed: int, harm: int) -> None:
    choose = random.Random(seed)  # noqa: S311 - nothing secret
    ids = sorted(choose.sample(range(900), choose.randrange(1, 300)))
    stayed = set(ids)

    def change(server: Server) -> None:
        if choose.random() < 0.3 and server.ids:
            gone = choose.choice(server.ids)
            server.ids.remove(gone)
            stayed.discard(gone)
            if choose.random() < 0.5:
                server.ids.append(max([*server.ids, 1000]) + 1)

    damaged = choose.sample(ids, min(harm, len(ids)))
    server = Server(ids, damaged=damaged, change=change, most=choose.choice([20, 70, 2000]))
    try:
        found, failure = read(server, choose.choice([40, 100, 1000]))
    except ServerError:
        return
    assert len(found) == len(set(found))
    assert failure or stayed <= set(found)


@pytest.mark.parametrize("damaged", [[700], [3, 130], [0, 999]])
def test_a_damaged_record_costs_few_requests(damaged: list[int]) -> None:
    server = Server(range(1000), damaged=damaged)
    found, failure = read(server, 1000)
    assert (len(found), failure is None) == (1000 - len(damaged), False)
    assert len(server.asked) <= 64 * len(damaged)


def test_an_outage_is_not_taken_for_a_damaged_record() -> None:
    server = Server(range(1000), damaged=range(1000))
    with pytest.raises(ServerError):
        read(server, 1000)
    assert server.asked == [(0, 1000), (0, 250), (1, 1), (0, 1)]
