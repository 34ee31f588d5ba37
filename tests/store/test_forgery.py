"""What somebody without the key can do to a store: take entries away, and nothing else."""

from __future__ import annotations

import hmac
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.store import Store, StoreSettings
from mdmsdk.store.envelope import Envelope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "correct-horse-battery"
BIT = 0x10


class File:
    """A store in a file, and a hand on what lies in it."""

    def __init__(self, path: Path) -> None:
        self.store = Store(StoreSettings(url=f"sqlite://{path}", key=KEY))  # type: ignore[arg-type]
        self._path = path

    def __getitem__(self, name: str) -> bytes:
        with sqlite3.connect(self._path) as file:
            row = file.execute("SELECT entry FROM entries WHERE name = ?", (name.encode(),)).fetchone()
        file.close()
        return bytes(row[0])

    def __setitem__(self, name: str, entry: Any) -> None:
        with sqlite3.connect(self._path) as file:
            file.execute("REPLACE INTO entries VALUES (?, ?, NULL)", (name.encode(), entry))
        file.close()


@pytest.fixture
def file(tmp_path: Path, clock: Any) -> Iterator[File]:
    one = File(tmp_path / "store.db")
    one.store.set("cache/macs/a", b"compliant", expires=60)
    one.store.set("cache/macs/b", b"noncompliant", expires=60)
    assert one.store.get("cache/macs/a") == b"compliant"
    yield one
    one.store.close()


def test_entries_cannot_be_swapped(file: File) -> None:
    file["cache/macs/a"], file["cache/macs/b"] = file["cache/macs/b"], file["cache/macs/a"]
    assert file.store.get_many(["cache/macs/a", "cache/macs/b"]) == [None, None]


def test_a_name_cannot_borrow_from_the_value(file: File) -> None:
    entry = file["cache/macs/a"]
    file["cache/macs/"] = entry[:-9] + b"a" + entry[-9:]
    assert file.store.get("cache/macs/") is None


@pytest.mark.parametrize("cut", [0, 1, 17, 32, 33, -1])
def test_what_was_cut_off_is_not_there(file: File, cut: int) -> None:
    file["cache/macs/a"] = file["cache/macs/a"][:cut]
    assert file.store.get("cache/macs/a") is None


def test_no_bit_may_differ(file: File) -> None:
    entry = file["cache/macs/a"]
    for place in range(len(entry)):
        file["cache/macs/a"] = entry[:place] + bytes([entry[place] ^ BIT]) + entry[place + 1 :]
        assert file.store.get("cache/macs/a") is None
    file["cache/macs/a"] = entry
    assert file.store.get("cache/macs/a") == b"compliant"


def test_an_old_entry_cannot_be_brought_back(file: File, clock: Any) -> None:
    entry = file["cache/macs/a"]
    clock.forward(61)
    file["cache/macs/a"] = entry  # with no end, as far as the table says
    assert file.store.get("cache/macs/a") is None
    assert list(file.store.scan("cache/macs/a")) == ["cache/macs/a"]


@pytest.mark.parametrize("entry", ["text", 5, 1.5, b"", b"\x01" * 100])
def test_what_is_no_entry_is_not_there(file: File, entry: Any) -> None:
    file["cache/macs/a"] = entry
    assert file.store.get("cache/macs/a") is None


def test_another_key_finds_nothing(file: File, tmp_path: Path) -> None:
    other: Any = StoreSettings(url=f"sqlite://{tmp_path}/store.db", key=KEY[::-1])  # type: ignore[arg-type]
    with Store(other) as store:
        assert store.get("cache/macs/a") is None


def test_the_key_is_not_in_the_file(file: File, tmp_path: Path) -> None:
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"cache/macs/a" in everything
    assert KEY.encode() not in everything
    assert KEY not in repr(vars(file.store._inner)) + repr(file.store)


def test_a_later_version_is_not_read(clock: Callable[[], float], monkeypatch: pytest.MonkeyPatch) -> None:
    envelope = Envelope(KEY.encode(), clock)
    monkeypatch.setattr("mdmsdk.store.envelope._VERSION", 2)
    entry = envelope.seal(b"a", b"1", None)
    assert envelope.open(b"a", entry) == b"1"
    monkeypatch.undo()
    assert envelope.open(b"a", entry) is None


@pytest.mark.parametrize("size", [0, 55, 56, 64, 5000])
def test_the_code_is_an_hmac(clock: Any, size: int) -> None:
    envelope, value = Envelope(KEY.encode(), clock), bytes(range(256)) * 20
    entry = envelope.seal(b"name", value[:size], 60)
    key = hmac.digest(KEY.encode(), b"mdmsdk store", "sha256")
    text = (4).to_bytes(4, "big") + b"name" + entry[:17] + value[:size]
    assert entry[17:33] == hmac.digest(key, text, "sha256")[:16]
    assert envelope.digest(value[:size]) == hmac.digest(key, b"digest" + value[:size], "sha256")[:16].hex()


def test_what_was_proven_once_proves_nothing_else(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mdmsdk.store.envelope._PROVEN", 1000)
    envelope = Envelope(KEY.encode(), clock)
    entries = {b"%d" % number: envelope.seal(b"%d" % number, b"1" * 100, 60) for number in range(50)}
    for name, entry in entries.items():
        assert [envelope.open(name, entry) for _ in range(2)] == [b"1" * 100] * 2
        assert envelope.open(name + b"0", entry) is None
        assert envelope.open(name, entry[:-1] + b"2") is None
        assert sum(map(len, envelope._proven.values())) <= 1000
    clock.forward(61)
    assert not any(envelope.open(name, entry) for name, entry in entries.items())
