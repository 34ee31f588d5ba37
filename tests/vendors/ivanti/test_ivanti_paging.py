"""Lists that change while they are read: every row that was there all along comes, or there is an error."""

from collections.abc import Callable, Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdmsdk.errors import IncompleteListError
from mdmsdk.flow import done
from mdmsdk.testing import play
from mdmsdk_ivanti.paging import Slice, walk


class Server:
    """Lists of numbers, one for each scope; `change` is called after each answer with its count."""

    def __init__(
        self,
        lists: dict[str, list[int]],
        change: Callable[["Server", int], None] | None = None,
        *,
        cap: int = 1000,
        order: Callable[[int], Any] = int,
        says_more: bool = True,
    ) -> None:
        self.lists = lists
        self.change = change or (lambda _server, _count: None)
        self.cap = cap
        self.order = order
        self.says_more = says_more
        self.asked: list[tuple[str, int, int]] = []

    def search(self, scope: str, offset: int, limit: int) -> Generator[Any, Any, Slice]:
        self.asked.append((scope, offset, limit))
        rows = sorted(self.lists[scope], key=self.order)
        page = rows[offset : offset + min(limit, self.cap)]
        more = offset + len(page) < len(rows) if self.says_more else None
        part = Slice([(number, {"n": number}) for number in page], len(rows), more)
        self.change(self, len(self.asked))
        return done(part)


def read(server: Server, limit: int = 4, scopes: list[str] | None = None) -> list[int]:
    rows: list[int] = []
    cursor = None
    for _ in range(500):
        page, cursor = play(walk(server.search, scopes or list(server.lists), cursor, limit), [])
        rows += [row["n"] for row in page]
        if cursor is None:
            return rows
    raise AssertionError("the list has no end")


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 8, 9, 40])
@pytest.mark.parametrize("says_more", [True, False])
def test_all_rows_once(size: int, says_more: bool) -> None:
    server = Server({"a": list(range(size)), "b": [100], "c": []}, says_more=says_more)
    assert read(server) == [*range(size), 100]


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
    st.sampled_from([int, lambda number: -number]),
)
def test_rows_that_stay_are_listed_or_the_list_fails(
    first: set[int], second: set[int], changes: dict[int, list[Change]], limit: int, order: Any
) -> None:
    stayed = first | second

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

    server = Server({"a": sorted(first), "b": sorted(second)}, change, order=order)
    try:
        rows = read(server, limit)
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

    with pytest.raises(IncompleteListError, match="counts 3 devices now, but 2"):
        read(Server({"a": [1, 2], "b": [20, 21, 22]}, change))


def test_a_list_shorter_than_its_count_fails() -> None:
    class Short(Server):
        def search(self, scope: str, offset: int, limit: int) -> Generator[Any, Any, Slice]:
            part = yield from super().search(scope, offset, limit)
            return Slice([row for row in part.rows if row[0] < 6], part.total, part.more)

    with pytest.raises(IncompleteListError):
        read(Short({"a": list(range(10))}))
    with pytest.raises(IncompleteListError):
        read(Short({"a": list(range(10))}, says_more=False))


@pytest.mark.parametrize("size", [5, 6, 7, 8, 12])
@pytest.mark.parametrize("says_more", [True, False])
def test_a_server_that_ignores_the_offset_is_noticed(size: int, says_more: bool) -> None:
    class Stuck(Server):
        def search(self, scope: str, offset: int, limit: int) -> Generator[Any, Any, Slice]:
            part = yield from super().search(scope, 0, limit)
            more = offset + len(part.rows) < part.total if says_more else None
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

    def search(scope: str, offset: int, limit: int) -> Generator[Any, Any, Slice]:
        del scope, limit
        return done(Slice([(number, {"n": number}) for number in pages[offset]], 10))

    _, cursor = play(walk(search, ["a"], None, 4), [])
    with pytest.raises(IncompleteListError, match="changed while it was read"):
        play(walk(search, ["a"], cursor, 4), [])
