"""The store in a file: whose it is, what may be wrong with it, and several processes."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import StoreError
from mdmsdk.store import Store, StoreSettings, health, sqlite
from tests.forks import in_child
from tests.store.conftest import Hand, read_then_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEY = "correct-horse-battery"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def make(path: Path) -> Iterator[Callable[..., Store]]:
    opened: list[Store] = []

    def make(where: Path = path) -> Store:
        settings: Any = {"url": f"sqlite://{where}", "key": KEY}
        opened.append(Store(StoreSettings(**settings)))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def test_files_are_their_owners_alone(make: Callable[..., Store], tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = make(tmp_path / "new" / "inner" / "store.db")
        store.set("a", b"1")
    finally:
        os.umask(before)
    assert modes(tmp_path / "new" / "inner") == {
        "store.db": 0o600,
        "store.db-wal": 0o600,
        "store.db-shm": 0o600,
    }
    assert modes(tmp_path) == {"new": 0o700}
    assert modes(tmp_path / "new") == {"inner": 0o700}


def damage(path: Path) -> None:
    path.write_bytes(b"This is no SQLite file. " * 1000)


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE entries (name BLOB PRIMARY KEY, entry BLOB, ends REAL)")
    file.close()


def newer(path: Path) -> None:
    settings: Any = {"url": f"sqlite://{path}", "key": KEY}
    with Store(StoreSettings(**settings)) as store:
        store.set("a", b"1")
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 2")
    file.close()


def readable(path: Path) -> None:
    path.chmod(0o640)


def linked(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("elsewhere"))


def open_folder(path: Path) -> None:
    path.parent.chmod(0o777)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (damage, ("damaged, or no store", "Move it away")),
        (foreign, ("another program", "move this one away")),
        (newer, ("another version", "move this one away")),
        (readable, ("other users may read", "chmod 600")),
        (linked, ("symbolic link", "Name a file")),
        (open_folder, ("write to its folder", "chmod go-w")),
        (a_folder, ("Is a directory", "Name a file")),
    ],
)
def test_what_is_wrong_is_told_once_and_nothing_is_believed(
    spoil: Callable[[Path], None],
    expected: tuple[str, str],
    make: Callable[..., Store],
    path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    told, advice = expected
    path.touch(0o600)
    spoil(path)
    before = path.read_bytes() if path.is_file() else b""
    store = make()
    for ask in (lambda: store.get("a"), lambda: store.set("a", b"1"), lambda: store.lease("a", 1)):
        with pytest.raises(StoreError, match=told) as caught:
            ask()
        assert advice in (caught.value.hint or "")
        assert str(path) in caught.value.message
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert (path.read_bytes() if path.is_file() else b"") == before
    assert not path.with_name("elsewhere").exists()


def test_it_goes_on_when_the_damaged_file_is_moved_away(
    make: Callable[..., Store], path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(health, "_REST", 0.0)
    store = make()
    store.set("a", b"1")
    store.close()
    damage(path)
    with pytest.raises(StoreError):
        store.get("a")
    path.rename(path.with_suffix(".broken"))
    assert store.get("a") is None
    store.set("a", b"2")
    assert "works again" in caplog.text
    path.unlink()  # while it is open
    assert store.get("a") is None
    store.set("a", b"3")
    assert make().get("a") == b"3"


def test_damage_in_the_middle_is_told(make: Callable[..., Store], path: Path) -> None:
    store = make()
    store.set_many({f"a/{number}": bytes(100) for number in range(1000)})
    store.close()
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        store.get("a/500")


def test_a_full_disk_is_told_and_reading_goes_on(make: Callable[..., Store]) -> None:
    store = make()
    store.set("a", b"1")
    connection = store._inner._back._connection  # type: ignore[attr-defined]
    connection.execute("PRAGMA max_page_count = 20")
    with pytest.raises(StoreError, match="full") as caught:
        store.set("b", bytes(200_000))
    assert "Make room" in (caught.value.hint or "")
    assert store.get_many(["a", "b"]) == [b"1", None]
    store.set("a", b"2")
    assert store.get("a") == b"2"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser writes everywhere")
def test_a_folder_that_cannot_be_written_to(make: Callable[..., Store], tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match="Permission denied"):
        make().get("a")
    tmp_path.chmod(0o700)


def test_a_file_that_others_hold_for_long_costs_a_moment_once(
    make: Callable[..., Store], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mdmsdk.store.sqlite._BUSY", 0.05)
    store = make()
    store.set("a", b"1")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    assert store.get("a") == b"1"  # readers do not wait
    with pytest.raises(StoreError, match="in use"):
        store.set("a", b"2")
    holder.execute("ROLLBACK")
    holder.close()
    with pytest.raises(StoreError, match="in use"):
        store.get("a")  # it is left alone for a while


def test_what_is_over_is_cleared_away(make: Callable[..., Store], path: Path, clock: Any) -> None:
    store = make()
    store.set_many({f"a/{number}": b"" for number in range(2500)}, expires=10)
    clock.forward(100)
    for _ in range(4):
        store.set("b", b"")
    with sqlite3.connect(path) as file:
        assert file.execute("SELECT count(*) FROM entries").fetchone() == (1,)
    file.close()


def test_parent_and_child_go_on_after_a_fork(make: Callable[..., Store]) -> None:
    store = make()
    store.set("a", b"1")
    assert in_child(lambda: read_then_write(store, "b")) == "b'1'"
    assert store.get("b") == b"2"


def test_a_fork_waits_for_other_threads(make: Callable[..., Store]) -> None:
    store, over = make(), threading.Event()
    values = {f"a/{number}": b"" for number in range(200)}

    def write() -> None:
        while not over.is_set():
            store.set_many(values)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            assert in_child(lambda: repr(store.get("never"))) == "None"
    finally:
        over.set()
        writer.join()
    assert store.get("a/1") == b""


def test_a_fork_that_python_did_not_make_is_told(
    make: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make()
    store.set("a", b"1")
    monkeypatch.setattr(store._inner._back, "_opened_in", -1)
    with pytest.raises(StoreError, match="during a fork"):
        store.get("a")


def test_a_file_that_another_process_makes_meanwhile_is_ours(
    make: Callable[..., Store], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = sqlite3.connect

    class Overtaken(sqlite3.Connection):
        def execute(self, statement: str, *parameters: Any) -> Any:
            if statement != "PRAGMA application_id":
                return super().execute(statement, *parameters)
            rows = super().execute(statement).fetchall()
            with (
                closing(original(path, timeout=0, isolation_level=None)) as other,
                suppress(sqlite3.OperationalError),  # it has to wait
                sqlite._transaction(other),
            ):
                sqlite._make_tables(other)
            return iter(rows)

    store = make()
    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", partial(original, factory=Overtaken))
        store.set("a", b"1")
    assert store.get("a") == b"1"


RACE = """
import os, sys, threading, time
from mdmsdk.store import Store, StoreSettings, sqlite
sqlite._BUSY = sqlite._PATIENCE = 40.0  # a busy machine is no bug
def work(store, process, thread):
    for step in range(3):
        store.set(f"{process}/{thread}/{step}", b"x" * 100, expires=600)
        while (token := store.lease("count", 30)) is None:
            time.sleep(0.02)
        count = int(store.get("count") or 0)
        if store.set_fenced("count", token, {"count": b"%d" % (count + 1)}):
            done.append(token)
        store.release("count", token)
children = []
for process in range(4):
    if not (child := os.fork()):
        done, store = [], Store(StoreSettings(url=sys.argv[1], key=sys.argv[2]))
        threads = [threading.Thread(target=work, args=(store, process, thread)) for thread in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        os._exit(len(done) != 12)
    children.append(child)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


def race(url: str) -> None:
    """Four processes with four threads each count together, and open the store at the same time."""
    subprocess.run([sys.executable, "-c", RACE, url, KEY], check=True)
    settings: Any = {"url": url, "key": KEY}
    with Store(StoreSettings(**settings)) as store:
        assert store.get("count") == b"48"
        assert sum(1 for _ in store.scan("")) == 49


def test_four_processes_with_four_threads_each(path: Path) -> None:
    race(f"sqlite://{path}")


def test_four_processes_on_redis(redis_server: Any) -> None:
    race(redis_server.url)


@pytest.mark.parametrize("restarted", [False, True])
def test_what_was_written_before_the_clock_was_put_back_does_not_come_back(
    clock: Hand, open_store: Callable[..., Any], tmp_path: Path, *, restarted: bool
) -> None:
    where = {"url": f"sqlite://{tmp_path}/store.db", "key": KEY}
    store = open_store(**where)
    clock.forward(3600)
    store.set("ahead", b"1", 60)
    store.set("kept", b"1")
    clock.put_back(3600)
    if restarted:
        store.close()
        store = open_store(**where)
    assert store.get("ahead") is None
    store.set("after", b"1", 60)
    assert store.get("after") == b"1"
    clock.forward(3601)  # an hour old by now, and not a second
    assert store.get("ahead") is None
    assert store.get("kept") == b"1"
