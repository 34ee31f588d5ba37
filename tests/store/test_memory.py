"""The store in memory has a size."""

from __future__ import annotations

from typing import Any

import pytest

from mdmsdk.errors import StoreError
from mdmsdk.store import Store, StoreSettings
from tests.forks import in_child
from tests.store.conftest import read_then_write

MIB = 1024 * 1024


@pytest.fixture
def small(clock: Any) -> Any:
    return Store(StoreSettings(max_size=MIB))


def test_what_was_unused_the_longest_goes_first(small: Any, clock: Any) -> None:
    for name in "abc":
        small.set(name, bytes(300_000), expires=60)
    assert small.get("a")
    small.set("d", bytes(300_000), expires=60)
    assert [small.get(name) is not None for name in "abcd"] == [True, False, True, True]


def test_what_is_over_goes_before(small: Any, clock: Any) -> None:
    small.set("lasting", bytes(300_000), expires=600)
    small.set("short", bytes(300_000), expires=5)
    small.set("lasting too", bytes(300_000), expires=600)
    clock.forward(6)
    small.set("new", bytes(300_000), expires=600)
    assert small.get("lasting")
    assert small.get("lasting too")


def test_what_has_no_end_is_never_dropped(small: Any) -> None:
    for name in "abc":
        small.set(name, bytes(300_000))
    with pytest.raises(StoreError, match="full") as caught:
        small.set("d", bytes(300_000))
    assert "max_size" in (caught.value.hint or "")
    assert all(small.get(name) for name in "abc")
    small.set("a", bytes(300_000))  # it is not counted twice
    small.delete("b")
    small.set("d", bytes(300_000))


def test_a_refused_entry_costs_no_other(small: Any) -> None:
    small.set("kept", bytes(600_000))
    small.set("passing", b"1", expires=60)
    with pytest.raises(StoreError, match="full"):
        small.set("kept too", bytes(600_000))
    with pytest.raises(StoreError, match="full"):
        small.set("passing too", bytes(600_000), expires=60)
    assert small.get("passing") == b"1"


def test_a_full_store_is_as_fast_as_another(small: Any) -> None:
    for number in range(8_000):  # 2,900 fit; with a look at all of them each time it takes very long
        small.set(f"{number:010}", bytes(50), expires=600)
    assert 2_000 < sum(1 for _ in small.scan("")) < 3_000


def test_what_is_set_anew_may_change_its_kind(small: Any, clock: Any) -> None:
    small.set("a", b"1", expires=60)
    small.set("a", b"2")
    clock.forward(100)
    assert small.get("a") == b"2"
    small.set("a", b"3", expires=60)
    clock.forward(100)
    assert small.get("a") is None
    assert small._inner._back._size == small._inner._back._kept_size == 0


def test_a_child_goes_its_own_way() -> None:
    store = Store()
    store.set("a", b"1")
    store._inner._back._lock.acquire()  # type: ignore[attr-defined]  # as another thread may have it then
    found = in_child(lambda: read_then_write(store, "a"))
    store._inner._back._lock.release()  # type: ignore[attr-defined]
    assert found == "b'1'"
    assert store.get("a") == b"1"
