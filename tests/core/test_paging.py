"""Lists that change while they are read: every row that was there all along comes, or there is an error."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.changes import earliest
from mdmsdk.errors import IncompleteListError, MalformedResponseError
from mdmsdk.flow import done
from mdmsdk.paging import Slice, by_number, collect, numbered, walk
from mdmsdk.testing import play

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.flow import Flow

Row = dict[str, int]


class Server:
    """Lists of numbers, one for each scope; `change` is called after each answer with its count.

    It is asked by position, or with `pages` by page; `cap` is its own limit, of which it does not speak.
    """

    def __init__(
        self,
        lists: dict[str, list[int]],
        change: Callable[[Server, int], None] | None = None,
        *,
        cap: int = 1000,
        order: Callable[[int], Any] = int,
        says_more: bool = True,
        counts: bool = True,
        pages: bool = False,
        lost: frozenset[int] = frozenset(),
    ) -> None:
        self.lists = lists
        self.change = change or (lambda _server, _count: None)
        self.cap = cap
        self.order = order
        self.says_more = says_more
        self.counts = counts
        self.pages = pages
        self.lost = lost
        self.asked: list[tuple[str, int, int]] = []

    def search(self, scope: str, offset: int, limit: int) -> Flow[Slice[Row]]:
        if self.pages:
            return by_number(lambda page, size: self._answer(scope, page, size))(scope, offset, limit)
        return self._answer(scope, offset, limit)

    def _answer(self, scope: str, position: int, size: int) -> Flow[Slice[Row]]:
        self.asked.append((scope, position, size))
        size = min(size, self.cap)
        begin = position * size if self.pages else position
        rows = sorted(self.lists[scope], key=self.order)
        page = list(enumerate(rows))[begin : begin + size]
        more = begin + len(page) < len(rows) if self.says_more else None
        part = Slice(
            [(number, {"n": number}) for _, number in page if number not in self.lost],
            len(rows) if self.counts else None,
            more,
            lost=frozenset(place for place, number in page if number in self.lost),
        )
        self.change(self, len(self.asked))
        return done(part)


def read(server: Server, limit: int = 4, scopes: list[str] | None = None, **options: Any) -> list[int]:
    """Read a whole list, as the client does."""
    rows: list[int] = []
    cursor = None
    for _ in range(1000):
        page, cursor = play(walk(server.search, scopes or list(server.lists), cursor, limit, **options), [])
        rows += [row["n"] for row in page]
        if cursor is None:
            return rows
    raise AssertionError("the list has no end")


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 8, 9, 40])
@pytest.mark.parametrize("says_more", [True, False])
@pytest.mark.parametrize("pages", [True, False])
def test_all_rows_once(size: int, says_more: bool, pages: bool) -> None:
    server = Server({"a": list(range(size)), "b": [100], "c": []}, says_more=says_more, pages=pages)
    assert read(server, 16 if pages else 4) == [*range(size), 100]


def test_a_page_begins_with_the_last_row_of_the_one_before() -> None:
    server = Server({"a": list(range(10))})
    read(server)
    assert server.asked == [("a", 0, 4), ("a", 3, 4), ("a", 6, 4)]


def test_a_sorted_list_is_read_on_where_it_should_be() -> None:
    def change(server: Server, count: int) -> None:
        if count == 1:
            del server.lists["a"][2:5]

    server = Server({"a": list(range(20))}, change)
    assert read(server, limit=10) == list(range(20))
    # At offset 9 there is 12 now, three rows too late: half a page back, and from there on.
    assert [offset for _, offset, _ in server.asked] == [0, 9, 5, 14]


@pytest.mark.parametrize("says_more", [True, False])
@pytest.mark.parametrize("pages", [True, False])
def test_rows_that_come_in_among_those_read_end_no_list_of_changes(says_more: bool, pages: bool) -> None:
    def change(server: Server, count: int) -> None:
        if count == 1:
            server.lists["a"] += [1, 3, 59]

    def server(**options: Any) -> Server:
        return Server({"a": list(range(0, 60, 2))}, change, says_more=says_more, pages=pages, **options)

    with pytest.raises(IncompleteListError):
        read(server(), 16, ordered=True)
    assert read(server(), 16, ordered=True, growing=True) == [*range(0, 60, 2), 59]
    with pytest.raises(IncompleteListError):
        read(server(lost=frozenset({20})), 16, ordered=True, growing=True)


def test_a_few_rows_in_order_prove_nothing() -> None:
    # The list begins with 0 and 2; when 0 goes, 1 comes to stand where 2 was.
    order = {0: 0, 2: 1, 1: 2}

    def change(server: Server, count: int) -> None:
        if count == 1:
            server.lists["a"].remove(0)

    with pytest.raises(IncompleteListError):
        read(Server({"a": [0, 1, 2]}, change, order=order.__getitem__), limit=2)


def test_smaller_pages_than_asked_for_are_stepped_by_what_came() -> None:
    server = Server({"a": list(range(10))}, cap=3)
    assert read(server, limit=200) == list(range(10))


Change = tuple[str, str, int]
CHANGES = st.dictionaries(
    st.integers(1, 12),
    st.lists(
        st.tuples(st.sampled_from(["delete", "insert"]), st.sampled_from(["a", "b"]), st.integers(0, 60)),
        max_size=8,
    ),
    max_size=6,
)


@given(
    st.sets(st.integers(0, 60), max_size=40),
    st.sets(st.integers(100, 130), max_size=10),
    CHANGES,
    st.integers(2, 14),
    st.tuples(st.sampled_from([int, lambda number: -number]), st.booleans()),
)
def test_rows_that_stay_are_listed_or_the_list_fails(
    first: set[int], second: set[int], changes: dict[int, list[Change]], limit: int, how: tuple[Any, bool]
) -> None:
    stayed = first | second
    order, pages = how

    def change(server: Server, count: int) -> None:
        for what, scope, given_number in changes.get(count, []):
            rows = server.lists[scope]
            # A number is one of a single scope.
            number = given_number + 200 if (what, scope) == ("insert", "b") else given_number
            if what == "delete" and number < len(rows):
                gone = sorted(rows)[number]
                rows.remove(gone)
                stayed.discard(gone)
            elif what == "insert" and number not in {*rows, *first, *second}:
                rows.append(number)

    server = Server({"a": sorted(first), "b": sorted(second)}, change, order=order, pages=pages)
    try:
        rows = read(server, limit + 14 if pages else limit)
    except IncompleteListError:
        assert changes
    else:
        assert stayed <= set(rows)
        assert len(rows) == len(set(rows))


@given(st.sets(st.integers(0, 60), min_size=8, max_size=40), st.integers(8, 14), st.data())
def test_deletions_alone_never_spoil_a_sorted_list(
    numbers: set[int], limit: int, data: st.DataObject
) -> None:
    stayed = set(numbers)

    def change(server: Server, _count: int) -> None:
        if server.lists["a"] and len(server.asked) < 10:
            gone = data.draw(st.sets(st.sampled_from(sorted(server.lists["a"])), max_size=6))
            stayed.difference_update(gone)
            server.lists["a"] = [number for number in server.lists["a"] if number not in gone]

    rows = read(Server({"a": sorted(numbers)}, change), limit)
    assert stayed <= set(rows) <= numbers
    assert len(rows) == len(set(rows))


def test_a_device_that_moves_behind_the_reader_is_noticed() -> None:
    def change(server: Server, count: int) -> None:
        if count == 1:
            server.lists["b"].remove(21)
            server.lists["a"].append(21)

    lists = {"a": [1, 2], "b": [20, 21, 22]}
    with pytest.raises(IncompleteListError, match="space a counts 3 devices now, but 2"):
        read(Server({name: [*lists[name]] for name in lists}, change), noun="space", recount=True)
    assert read(Server(lists, change)) == [1, 2, 20, 22]


def test_a_list_shorter_than_its_count_fails() -> None:
    class Short(Server):
        def search(self, scope: str, offset: int, limit: int) -> Flow[Slice[Row]]:
            part = yield from super().search(scope, offset, limit)
            return Slice([row for row in part.rows if row[1]["n"] < 6], part.total, part.more)

    with pytest.raises(IncompleteListError):
        read(Short({"a": list(range(10))}))
    with pytest.raises(IncompleteListError):
        read(Short({"a": list(range(10))}, says_more=False))


@pytest.mark.parametrize("size", [5, 6, 7, 8, 12])
@pytest.mark.parametrize("says_more", [True, False])
def test_a_server_that_ignores_the_offset_is_noticed(size: int, says_more: bool) -> None:
    class Stuck(Server):
        def search(self, scope: str, offset: int, limit: int) -> Flow[Slice[Row]]:
            part = yield from super().search(scope, 0, limit)
            more = offset + len(part.rows) < len(self.lists[scope]) if says_more else None
            return Slice(part.rows, part.total, more)

    with pytest.raises(IncompleteListError):
        read(Stuck({"a": list(range(size))}))


def test_a_list_without_order_is_read_if_it_does_not_change() -> None:
    order = {number: place for place, number in enumerate([7, 3, 9, 1, 0, 8, 2, 5, 6, 4])}
    server = Server({"a": list(range(10))}, order=order.__getitem__)
    assert sorted(read(server)) == list(range(10))


def test_a_list_without_order_that_changes_is_given_up() -> None:
    order = {number: place for place, number in enumerate([7, 3, 9, 1, 0, 8, 2, 5, 6, 4])}
    for gone in range(10):

        def change(server: Server, count: int, gone: int = gone) -> None:
            if count == 1:
                server.lists["a"].remove(gone)

        with pytest.raises(IncompleteListError, match="changed while it was read"):
            read(Server({"a": list(range(10))}, change, order=order.__getitem__))


def test_a_list_that_repeats_rows_instead_of_others_is_given_up() -> None:
    # No order, the same count, and the row in place by which pages are joined; 9 comes twice, 6 never.
    pages = {0: [7, 3, 9, 1], 3: [1, 0, 9, 2]}

    def search(scope: str, offset: int, limit: int) -> Flow[Slice[Row]]:
        del scope, limit
        return done(Slice([(number, {"n": number}) for number in pages[offset]], 10))

    _, cursor = play(walk(search, ["a"], None, 4), [])
    with pytest.raises(IncompleteListError, match="changed while it was read"):
        play(walk(search, ["a"], cursor, 4), [])


@pytest.mark.parametrize("counts", [True, False])
def test_a_list_without_order_in_which_one_takes_the_place_of_another_is_given_up(counts: bool) -> None:
    order = {number: place for place, number in enumerate([7, 3, 9, 1, 0, 8, 2, 5, 6, 4, 55])}

    def change(server: Server, count: int) -> None:
        if count == 1:
            server.lists["a"].remove(3)
            server.lists["a"].append(55)

    server = Server({"a": list(range(10))}, change, order=order.__getitem__, says_more=False, counts=counts)
    with pytest.raises(IncompleteListError, match="changed while it was read"):
        read(server)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_row_that_comes_twice_on_one_page_is_no_order(ordered: bool) -> None:
    def search(scope: str, offset: int, limit: int) -> Flow[Slice[int]]:
        del scope, offset, limit
        return done(Slice([(number, number) for number in [1, 2, 2, 3, 4, 5, 6, 7, 8]], 9))

    with pytest.raises(IncompleteListError, match="changed while it was read"):
        play(walk(search, ["a"], None, 20, ordered=ordered), [])


def test_a_row_that_enters_behind_the_reader_is_noticed() -> None:
    def change(server: Server, count: int) -> None:
        if count == 2:
            server.lists["a"].append(3)

    with pytest.raises(IncompleteListError, match="counts 31 devices, but the list ended after 30"):
        read(Server({"a": list(range(0, 60, 2))}, change), limit=10)


def test_a_server_that_calls_the_end_too_early_is_noticed_even_if_many_rows_left() -> None:
    def search(scope: str, offset: int, limit: int) -> Flow[Slice[int]]:
        del scope, limit
        first = [(number, number) for number in range(10)]
        later = [(number, number) for number in range(10, 20)]
        if not asked:
            asked.append(offset)
            return done(Slice(first, 20, more=True))
        return done(Slice(later[offset : offset + 5], 10, more=False))  # the first ten have left

    asked: list[int] = []
    _, cursor = play(walk(search, ["a"], None, 10), [])
    with pytest.raises(IncompleteListError, match="counts 10 devices, but the list ended after 5"):
        play(walk(search, ["a"], cursor, 10), [])


# --- servers that count pages ---


@given(st.integers(0, 200), st.integers(16, 50), st.integers(12, 60), st.booleans())
def test_a_list_in_pages_is_read_in_full_whatever_their_size(
    count: int, limit: int, cap: int, counts: bool
) -> None:
    server = Server({"": list(range(count))}, cap=cap, pages=True, says_more=False, counts=counts)
    assert read(server, limit) == list(range(count))


@given(st.integers(0, 10**7), st.sampled_from([16, 17, 24, 60, 100, 500, 1000, 2000]))
def test_each_page_holds_the_row_before_it_and_many_behind(offset: int, limit: int) -> None:
    asked: list[tuple[int, int]] = []

    def ask(page: int, size: int) -> Flow[Slice[int]]:
        asked.append((page, size))
        return done(Slice([(row, row) for row in range(page * size, (page + 1) * size)], 10**9))

    part = play(numbered(ask, offset, limit), [])
    ((page, size),) = asked
    assert part.offset == page * size <= offset
    assert size <= limit
    assert (page + 1) * size - offset > limit // 4


def test_five_thousand_rows_take_six_pages() -> None:
    server = Server({"": list(range(5000))}, cap=2000, pages=True)
    assert read(server, 1000) == list(range(5000))
    assert len(server.asked) == 6


@pytest.mark.parametrize("cap", [16, 100, 300, 999])
@pytest.mark.parametrize("counts", [True, False])
def test_a_cap_that_the_server_does_not_mention_is_noticed(cap: int, counts: bool) -> None:
    server = Server({"": list(range(5000))}, cap=cap, pages=True, says_more=False, counts=counts)
    assert read(server, 1000) == list(range(5000))


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("cap", [1, 2, 3, 5])
def test_pages_too_small_to_overlap_are_no_end(cap: int, counts: bool) -> None:
    server = Server({"": list(range(500))}, cap=cap, pages=True, says_more=False, counts=counts)
    with pytest.raises(IncompleteListError, match="repeats rows"):
        read(server, 100)


@pytest.mark.parametrize("total", [1050, 5000])
def test_a_cap_that_comes_later_is_noticed(total: int) -> None:
    def change(server: Server, count: int) -> None:
        if count == 1:
            server.cap = 100

    server = Server({"": list(range(total))}, change, cap=2000, pages=True, says_more=False)
    assert read(server, 1000) == list(range(total))


def test_a_capped_first_page_that_does_not_reach_the_position_is_not_taken() -> None:
    server = Server({"": list(range(90))}, cap=16, pages=True)
    part = play(server.search("", 18, 40), [])
    assert part.offset is not None
    assert part.offset <= 18 < part.offset + len(part.rows)
    assert [number for number, _ in part.rows] == list(range(part.offset, part.offset + len(part.rows)))


@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([16, 20, 50]))
def test_no_row_that_stays_is_missed_while_others_leave_and_come(seed: int, pages: bool, limit: int) -> None:
    choose = random.Random(seed)  # noqa: S311 - nothing secret
    stayed = set(range(0, 300, 2))

    def change(server: Server, _count: int) -> None:
        rows = server.lists[""]
        for _ in range(choose.randrange(8)):
            if rows:
                stayed.discard(gone := choose.choice(rows))
                rows.remove(gone)
        if choose.random() < 0.3:
            rows.append(1000 + choose.randrange(10**6))

    found = read(Server({"": sorted(stayed)}, change, pages=pages), limit)
    assert stayed <= set(found)
    assert len(found) == len(set(found))


def test_most_of_a_list_may_go_while_it_is_read() -> None:
    def change(server: Server, count: int) -> None:
        if count == 1:
            server.lists[""] = list(range(150, 200))

    server = Server({"": list(range(200))}, change, pages=True)
    assert set(range(150, 200)) <= set(read(server, 100))


@pytest.mark.parametrize("pages", [True, False])
def test_the_way_back_is_short_where_the_server_counts(pages: bool) -> None:
    def change(server: Server, count: int) -> None:
        if count == 90:
            server.lists[""] = list(range(9990, 10_000))

    server = Server({"": list(range(10_000))}, change, pages=pages)
    assert set(range(9990, 10_000)) <= set(read(server, 100))
    assert len(server.asked) <= 100


def test_fewer_rows_than_the_server_counts_are_no_end() -> None:
    def search(scope: str, offset: int, limit: int) -> Flow[Slice[int]]:
        del scope
        return numbered(lambda _page, _size: done(Slice([], 7)), offset, limit)

    with pytest.raises(IncompleteListError, match="none where more follow"):
        play(walk(search, [""], None, 20), [])


@pytest.mark.parametrize("total", [0, 5, 99])
def test_a_count_below_the_rows_that_came_is_no_end(total: int) -> None:
    def search(scope: str, offset: int, limit: int) -> Flow[Slice[int]]:
        del scope
        rows = [(number, number) for number in range(offset, offset + limit)]
        return done(Slice(rows, total))

    with pytest.raises(IncompleteListError, match=f"counts {total} devices, but gave 100"):
        play(walk(search, [""], None, 100), [])


def test_a_server_that_stops_counting_does_not_end_the_list_before_its_count() -> None:
    def stop(server: Server, _count: int) -> None:
        server.counts = False
        server.lists["a"] = server.lists["a"][:60]

    server = Server({"a": list(range(1, 101))}, stop, says_more=False)
    with pytest.raises(IncompleteListError, match="counted 100 devices, but ended after 60 without a count"):
        read(server, 20, ordered=True)


def test_a_server_that_ignores_the_page_size_is_noticed() -> None:
    with pytest.raises(MalformedResponseError, match="page size"):
        play(numbered(lambda _page, _size: done(Slice([(n, n) for n in range(60)], 90)), 0, 50), [])


def test_an_order_that_was_asked_for_and_is_not_kept_is_no_order() -> None:
    pages = {0: [1, 2, 3], 2: [3, 5, 4]}

    def search(scope: str, offset: int, limit: int) -> Flow[Slice[int]]:
        del scope, limit
        return done(Slice([(n, n) for n in pages[offset]], 9))

    rows, cursor = play(walk(search, [""], None, 3, ordered=True), [])
    assert rows == [1, 2, 3]
    with pytest.raises(IncompleteListError, match="changed while it was read"):
        play(walk(search, [""], cursor, 3, ordered=True), [])


def test_rows_that_are_told_apart_by_texts_are_read_if_the_list_does_not_change() -> None:
    names = [f"id-{number * 7 % 50}" for number in range(50)]

    def search(scope: str, offset: int, limit: int) -> Flow[Slice[str]]:
        del scope
        rows = [(name, name) for name in names[offset : offset + limit]]
        return done(Slice(rows, len(names)))

    assert play(collect(search, [""], 20, max_pages=9), []) == names
    _, cursor = play(walk(search, [""], None, 20), [])
    del names[3]
    with pytest.raises(IncompleteListError, match="changed while it was read"):
        play(walk(search, [""], cursor, 20), [])


# --- rows that the server cannot give ---


@pytest.mark.parametrize("lost", [[0], [41], [99], [40, 41], [0, 99], [48, 49, 50], list(range(40, 70))])
@pytest.mark.parametrize("pages", [True, False])
def test_lost_rows_are_told_after_all_others_were_handed_out(lost: list[int], pages: bool) -> None:
    server = Server({"a": list(range(100)), "b": [500]}, pages=pages, lost=frozenset(lost))
    found: list[int] = []
    cursor = None

    def read_on() -> None:
        nonlocal cursor
        while True:
            rows, cursor = play(walk(server.search, ["a", "b"], cursor, 20, ordered=True), [])
            found.extend(row["n"] for row in rows)
            assert cursor is not None

    with pytest.raises(IncompleteListError, match=f"^{len(lost)} of the records"):
        read_on()
    assert found == [number for number in [*range(100), 500] if number not in lost]


@pytest.mark.parametrize("pages", [True, False])
def test_a_lost_row_that_moves_onto_the_page_before_is_told(pages: bool) -> None:
    def change(server: Server, count: int) -> None:
        if count == 1:
            server.lists["a"].remove(3)

    server = Server({"a": list(range(100))}, change, pages=pages, lost=frozenset({20}))
    with pytest.raises(IncompleteListError, match="of the records cannot be read"):
        read(server, 20)


@given(st.integers(0, 10_000), st.booleans())
def test_no_row_is_missed_in_silence_while_some_are_lost_and_others_leave(seed: int, pages: bool) -> None:
    choose = random.Random(seed)  # noqa: S311 - nothing secret
    rows = sorted(choose.sample(range(400), choose.randrange(1, 120)))
    lost = frozenset(choose.sample(rows, choose.randrange(min(4, len(rows)))))
    stayed = set(rows)

    def change(server: Server, _count: int) -> None:
        for _ in range(choose.randrange(3)):
            if server.lists["a"]:
                gone = choose.choice(server.lists["a"])
                stayed.discard(gone)
                server.lists["a"].remove(gone)

    found: list[int] = []
    server, cursor = Server({"a": rows}, change, pages=pages, lost=lost), None
    try:
        while True:
            page, cursor = play(walk(server.search, ["a"], cursor, 16, ordered=True), [])
            found += [row["n"] for row in page]
            if cursor is None:
                break
    except IncompleteListError:
        return
    assert stayed <= set(found)


# --- short lists ---


def test_all_pages_of_a_short_list_are_collected() -> None:
    server = Server({"a": list(range(30)), "b": [70]})
    found = play(collect(server.search, ["a", "b"], 8, max_pages=9), [])
    assert [row["n"] for row in found] == [*range(30), 70]
    with pytest.raises(IncompleteListError, match="do not come to an end") as caught:
        play(collect(server.search, ["a"], 8, max_pages=3), [])
    assert caught.value.collected == 22


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        # Etc/GMT+12 is the farthest behind UTC.
        (None, "2026-10-24T13:30:00"),
        ("Etc/GMT+12", "2026-10-24T12:30:00"),
        ("Asia/Tokyo", "2026-10-25T01:30:00"),
        # In Berlin it is half past two for the second time.
        ("Europe/Berlin", "2026-10-25T01:30:00"),
        ("America/New_York", "2026-10-24T20:30:00"),
    ],
)
def test_changes_are_asked_for_early_enough_in_every_zone_that_may_be_meant(
    zone: str | None, text: str
) -> None:
    since = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert earliest(since, ZoneInfo(zone) if zone else None).isoformat() == text
