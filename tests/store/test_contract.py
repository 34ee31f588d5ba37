"""What every store does, whatever it stands on."""

from __future__ import annotations

from typing import Any

import pytest


def test_what_was_kept_is_there(store: Any) -> None:
    assert store.get("cache/a") is None
    store.set("cache/a", b"1")
    store.set_many({"cache/b": b"", "cache/\udcff/ü": b"\0\xff"})
    assert store.get("cache/a") == b"1"
    names = ["cache/b", "nothing", "cache/\udcff/ü", "cache/a", "cache/a"]
    assert store.get_many(names) == [b"", None, b"\0\xff", b"1", b"1"]
    store.set("cache/a", b"2")
    assert store.get("cache/a") == b"2"


def test_nothing_is_asked_for(store: Any) -> None:
    store.set_many({})
    store.delete()
    assert store.get_many([]) == []


def test_what_was_deleted_is_gone(store: Any) -> None:
    store.set_many({"a": b"1", "b": b"2", "c": b"3"})
    store.delete("a", "b", "never")
    assert store.get_many(["a", "b", "c"]) == [None, None, b"3"]


def test_a_value_ends(store: Any, clock: Any) -> None:
    store.set("short", b"1", expires=100)
    store.set("kept", b"2")
    clock.forward(90)
    assert store.get("short") == b"1"
    clock.forward(11)
    assert store.get("short") is None
    assert list(store.scan("")) == ["kept"]
    store.set("short", b"3")
    clock.forward(10**9)
    assert store.get_many(["short", "kept"]) == [b"3", b"2"]


def test_a_value_from_the_future_is_not_there(store: Any, clock: Any) -> None:
    store.set("a", b"1", expires=60)
    clock.put_back(4)
    assert store.get("a") == b"1"
    clock.put_back(3600)  # somebody put the clock back: it would live an hour longer
    assert store.get("a") is None


def test_names_are_found_by_their_beginning(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mdmsdk.store.sqlite._AT_ONCE", 10)
    monkeypatch.setattr("mdmsdk.store.redis._AT_ONCE", 10)
    names = {f"walk/one/{number}" for number in range(30)}
    store.set_many(dict.fromkeys(names, b""))
    store.set_many({"walk/on": b"", "walk/one*": b"", "walk/[o]ne/": b"", "walk/onf": b"", "\udcff": b""})
    assert set(store.scan("walk/one/")) == names
    assert set(store.scan("walk/[o]")) == {"walk/[o]ne/"}
    assert set(store.scan("walk/one*")) == {"walk/one*"}
    assert set(store.scan("\udcff")) == {"\udcff"}
    assert len(set(store.scan(""))) == 35


def test_names_may_be_deleted_during_a_scan(store: Any) -> None:
    store.set_many({f"a/{number}": b"" for number in range(10)})
    for name in store.scan("a/"):
        store.delete(name)
    assert list(store.scan("a/")) == []


def test_one_has_the_lease(store: Any, clock: Any) -> None:
    first = store.lease("walk", 10)
    assert first > 0
    assert store.lease("walk", 10) is None
    assert store.get("walk") is None  # names of leases and values do not meet
    assert list(store.scan("")) == []
    other = store.lease("other", 10)
    assert other > first
    store.release("walk", first + 1)
    assert store.lease("walk", 10) is None
    store.release("walk", first)
    second = store.lease("walk", 10)
    assert second > other
    store.release("walk", first)  # somebody late gives nothing of others back
    assert store.lease("walk", 10) is None


def test_a_lease_ends_unless_it_is_renewed(store: Any, clock: Any) -> None:
    token = store.lease("walk", 100)
    clock.forward(90)
    assert store.renew("walk", token, 100)
    clock.forward(90)
    assert store.lease("walk", 100) is None
    clock.forward(20)
    assert not store.renew("walk", token, 100)
    newer = store.lease("walk", 100)
    assert newer > token
    assert not store.renew("walk", token, 100)
    assert store.renew("walk", newer, 100)
    clock.put_back(3600)
    if clock.server is None:  # whose clock was not put back
        assert store.lease("walk", 100) > newer  # it does not hold an hour longer


def test_only_who_has_the_lease_writes(store: Any, clock: Any) -> None:
    token = store.lease("walk", 100)
    assert store.set_fenced("walk", token, {"a": b"1", "b": b"1"})
    clock.forward(110)
    assert not store.set_fenced("walk", token, {"a": b"2", "b": b"2"})
    newer = store.lease("walk", 100)
    assert not store.set_fenced("walk", token, {"a": b"3"})
    assert store.set_fenced("walk", newer, {"a": b"4"}, expires=50)
    assert store.get_many(["a", "b"]) == [b"4", b"1"]


def test_many_take_a_lease_at_once(store: Any) -> None:
    taken = store.side_by_side([lambda one: one.lease("walk", 60)] * 8)
    assert sorted(token is None for token in taken) == [False] + [True] * 7


def test_an_end_that_never_comes_is_refused(store: Any) -> None:
    with pytest.raises(ValueError, match="no end"):
        store.set("a", b"1", expires=float("inf"))
    store.set("a", b"1", expires=0)
    assert store.get("a") is None
    assert store.lease("a", 0.0001)
