"""The store in a file, for the processes of one user on one machine, by way of SQLite."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from contextlib import contextmanager
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from mdmsdk._run.budget import Budget
from mdmsdk._run.pool import Pool
from mdmsdk._run.stop import Stop
from mdmsdk.errors import DeadlineExceededError, StoreError
from mdmsdk.store.envelope import SKEW, written_after
from mdmsdk.store.files import claim
from mdmsdk.store.health import Health

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from mdmsdk.store.back_end import Fence

T = TypeVar("T")

# https://www.sqlite.org/pragma.html#pragma_application_id: whose file it is stands in its header.
_APPLICATION = int.from_bytes(b"mdms", "big")
_VERSION = 1
# Entries are too long for WITHOUT ROWID, which keeps whole rows on the pages that lead to others:
# https://www.sqlite.org/withoutrowid.html, section 4.
_TABLES = """
CREATE TABLE entries (name BLOB PRIMARY KEY NOT NULL, entry BLOB NOT NULL, ends REAL);
CREATE INDEX ends ON entries (ends) WHERE ends IS NOT NULL;
CREATE TABLE leases (name BLOB PRIMARY KEY, token INTEGER NOT NULL, taken REAL, ends REAL) WITHOUT ROWID;
CREATE TABLE last_token (token INTEGER NOT NULL);
INSERT INTO last_token VALUES (0);
"""
_KEEP = """
INSERT INTO entries VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET entry = excluded.entry, ends = excluded.ends
"""
# Seconds to wait for other processes that write, and for all of one operation.
_BUSY, _PATIENCE = 2.0, 5.0
_AT_ONCE = 1000  # names of a page; entries that one write clears away
_CLEAR_EVERY = 60.0
_AT_A_TIME = 16  # names that one statement reads

_open: weakref.WeakSet[SqliteBackEnd] = weakref.WeakSet()


class SqliteBackEnd:
    """Entries in a table, behind one connection for each process.

    A connection must not be carried over a fork (https://www.sqlite.org/howtocorrupt.html, section 2.6), so
    it is closed before one and opened again when it is needed, in parent and child alike.

    Args:
        path: the file.
        waits: how to wait for what blocks.
        clock: what time it is, in seconds since 1970.
    """

    def __init__(self, path: Path, waits: ModuleType, clock: Callable[[], float]) -> None:
        self._path = path
        self._waits = waits
        self._clock = clock
        self._health = Health(f"the store {path}")
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._opened_in = 0
        self._clear_at = 0.0
        self.lock: threading.Lock = threading.Lock()
        self._begin()
        _open.add(self)

    def _begin(self) -> None:
        self._process = os.getpid()
        self._pool = Pool(4, Stop())

    async def _do(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        self._health.check()
        if self._process != os.getpid():
            self._begin()
        budget = Budget(_PATIENCE)
        try:
            result: T = await self._waits.blocking(partial(self._alone, operation), budget, self._pool)
        except DeadlineExceededError:
            raise self._health.fails(
                f"did not answer within {_PATIENCE:g} s", "Look at the disk that it is on."
            ) from None
        self._health.works()
        return result

    def _alone(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        if not self.lock.acquire(timeout=_PATIENCE):
            raise self._health.fails("is busy", "Look at the disk that it is on.")
        try:
            return operation(self._connected())
        except sqlite3.Error as error:
            if error.sqlite_errorcode not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL}:
                self.close_connection()  # it may be another file by the next time
            raise self._explained(error) from None
        finally:
            self.lock.release()

    def _explained(self, error: sqlite3.Error) -> StoreError:
        """Our error for one of SQLite's, whose own words may hold what was to be kept."""
        code = (error.sqlite_errorcode or 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:  # reading goes on
            return StoreError(f"the store {self._path} is full", hint="Make room on the disk that it is on.")
        if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
            return self._health.fails(
                "is damaged, or no store",
                "Move it away, with the files beside it that end in -wal and -shm; a new one is made.",
            )
        if code == sqlite3.SQLITE_BUSY:
            return self._health.fails(
                f"was in use by others for {_BUSY:g} s", "See which process holds it, or use a Redis server."
            )
        return self._health.fails(
            f"cannot be used ({error.sqlite_errorname})",
            "Look at the permissions of the file and its folder, and at the disk that they are on.",
        )

    def _connected(self) -> sqlite3.Connection:
        try:
            status = self._path.stat()
            there = (status.st_dev, status.st_ino)
        except OSError:
            there = None
        if self._connection and self._opened_in != os.getpid():
            raise self._health.fails(
                "was in use during a fork, or the fork was not made by Python",
                "Open the store in each worker; with uWSGI, set lazy-apps.",
            )
        if self._connection and there == self._file:
            return self._connection
        self.close_connection()
        try:
            claim(self._path)
        except StoreError as error:
            raise self._health.fails(
                error.message.removeprefix(f"the store {self._path} "), error.hint or ""
            ) from None
        # Opened by its path only when it is ours, and read and written by SQLite alone.
        self._connection = sqlite3.connect(
            self._path, timeout=_BUSY, isolation_level=None, check_same_thread=False
        )
        self._opened_in = os.getpid()
        self._prepare(self._connection)
        status = self._path.stat()
        self._file = (status.st_dev, status.st_ino)
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the tables of a new file; leave one that is not ours as it is."""
        with _transaction(connection, "BEGIN"):  # at one moment: others may be making the tables
            is_ours = _is_new(connection) is not None
        if not is_ours:
            self.close_connection()
            raise self._health.fails(
                "belongs to another program, or another version of this one",
                "Name another file as url in the table store, or move this one away.",
            )
        _patiently(connection, "PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA trusted_schema = OFF")
        with _transaction(connection):
            if _is_new(connection):  # and nobody was faster
                _make_tables(connection)

    def close_connection(self) -> None:
        """Close the file; it is opened again when it is needed."""
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    @property
    def works(self) -> bool:
        """Whether it answered when it was asked last."""
        return self._health.good

    async def read(self, names: Sequence[bytes]) -> list[bytes | None]:
        """The entries."""
        return await self._do(partial(self._read, names))

    def _read(self, names: Sequence[bytes], connection: sqlite3.Connection) -> list[bytes | None]:
        now = self._clock()
        found: list[Any] = []
        for start in range(0, len(names), _AT_A_TIME):
            some = names[start : start + _AT_A_TIME]
            given = [one for name in some for one in (name, now)]
            found += connection.execute(_query(len(some)), given).fetchone()
        return [entry if isinstance(entry, bytes) else None for entry in found]

    async def write(
        self, entries: Mapping[bytes, bytes], expires: float | None, fence: Fence | None = None
    ) -> bool:
        """Keep entries."""
        return await self._do(partial(self._write, entries, expires, fence))

    def _write(
        self,
        entries: Mapping[bytes, bytes],
        expires: float | None,
        fence: Fence | None,
        connection: sqlite3.Connection,
    ) -> bool:
        ends = None if expires is None else self._clock() + expires
        rows = [(name, entry, ends) for name, entry in entries.items()]
        with _transaction(connection):
            now = self._clock()
            if fence and not _holds(connection, fence, now):
                return False
            connection.executemany(_KEEP, rows)
            if not self._clear_at - _CLEAR_EVERY <= now < self._clear_at:
                self._clear(connection, now)
        return True

    def _clear(self, connection: sqlite3.Connection, now: float) -> None:
        """Delete what is over, some at a time, and what was written before the clock was put back.

        The latter is not there until the clock is where it was, and would be taken for fresh then.
        """
        if not 0 < self._clear_at <= now + _CLEAR_EVERY:
            later = "DELETE FROM entries WHERE ends IS NOT NULL AND substr(entry, ?, ?) > ?"
            connection.execute(later, written_after(now + SKEW))
        which = "SELECT name FROM entries WHERE ends <= ? LIMIT ?"
        gone = connection.execute(f"DELETE FROM entries WHERE name IN ({which})", (now, _AT_ONCE))  # noqa: S608
        if gone.rowcount < _AT_ONCE:
            connection.execute("DELETE FROM leases WHERE ends <= ?", (now,))
            self._clear_at = now + _CLEAR_EVERY

    async def remove(self, names: Sequence[bytes]) -> None:
        """Keep them no longer."""
        await self._do(partial(self._remove, names))

    def _remove(self, names: Sequence[bytes], connection: sqlite3.Connection) -> None:
        rows = [(name,) for name in names]
        with _transaction(connection):
            connection.executemany("DELETE FROM entries WHERE name = ?", rows)

    async def lease(self, name: bytes, seconds: float) -> int | None:
        """Take a lease."""
        return await self._do(partial(self._lease, name, seconds))

    def _lease(self, name: bytes, seconds: float, connection: sqlite3.Connection) -> int | None:
        with _transaction(connection):
            now = self._clock()  # and no earlier: others may have had their turn meanwhile
            query = "SELECT 1 FROM leases WHERE name = ? AND taken <= ? AND ends > ?"
            if connection.execute(query, (name, now + SKEW, now)).fetchone():
                return None
            # Greater than those of a file that was lost, too, as long as the clock was right.
            ((token,),) = connection.execute("SELECT max(token + 1, ?) FROM last_token", (int(now * 1e6),))
            connection.execute("UPDATE last_token SET token = ?", (token,))
            connection.execute("REPLACE INTO leases VALUES (?, ?, ?, ?)", (name, token, now, now + seconds))
        return int(token)

    async def renew(self, fence: Fence, seconds: float) -> bool:
        """Hold a lease longer."""
        return await self._do(partial(self._renew, fence, seconds))

    def _renew(self, fence: Fence, seconds: float, connection: sqlite3.Connection) -> bool:
        with _transaction(connection):
            now = self._clock()
            if not _holds(connection, fence, now):
                return False
            changed = (now, now + seconds, fence.name)
            connection.execute("UPDATE leases SET taken = ?, ends = ? WHERE name = ?", changed)
        return True

    async def release(self, fence: Fence) -> None:
        """Give a lease back."""
        await self._do(partial(self._release, fence))

    def _release(self, fence: Fence, connection: sqlite3.Connection) -> None:
        with _transaction(connection):
            connection.execute("DELETE FROM leases WHERE name = ? AND token = ?", fence)

    async def page(self, prefix: bytes, cursor: Any) -> tuple[Sequence[bytes], Any]:
        """The next names that begin so, in their order."""
        return await self._do(partial(self._page, prefix, cursor))

    def _page(
        self, prefix: bytes, cursor: Any, connection: sqlite3.Connection
    ) -> tuple[Sequence[bytes], Any]:
        where, least = (">=", prefix) if cursor is None else (">", cursor)
        query = (
            f"SELECT name FROM entries WHERE name {where} ? AND substr(name, 1, ?) = ?"  # noqa: S608
            " AND (ends IS NULL OR ends > ?) AND name < ? ORDER BY name LIMIT ?"
        )
        beyond = prefix + b"\xff" * 8  # UTF-8 has no such byte
        rows = connection.execute(query, (least, len(prefix), prefix, self._clock(), beyond, _AT_ONCE))
        names = [row[0] for row in rows]
        return names, names[-1] if len(names) == _AT_ONCE else None

    async def close(self) -> None:
        """Close the file."""
        await self._waits.blocking(self._shut, Budget(_PATIENCE), self._pool)

    def _shut(self) -> None:
        with self.lock:
            self.close_connection()


@cache
def _query(count: int) -> str:
    """Looks so many names up at once: each statement locks the file and unlocks it."""
    one = "(SELECT entry FROM entries WHERE name = ? AND (ends IS NULL OR ends > ?))"
    return f"SELECT {', '.join([one] * count)}"


@contextmanager
def _transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.rollback()
        raise
    connection.commit()


def _is_new(connection: sqlite3.Connection) -> bool | None:
    """Whether a file is empty; None where it is not ours."""
    ((application,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master")
    if not (application or version or tables):
        return True
    return False if (application, version) == (_APPLICATION, _VERSION) else None


def _make_tables(connection: sqlite3.Connection) -> None:
    for statement in (*_TABLES.split(";"), f"PRAGMA application_id = {_APPLICATION}"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {_VERSION}")


def _patiently(connection: sqlite3.Connection, statement: str) -> None:
    """Execute what fails at once where another process is at it too."""
    until = time.monotonic() + _BUSY
    while True:
        try:
            connection.execute(statement)
        except sqlite3.OperationalError as error:
            if (error.sqlite_errorcode or 0) & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)
        else:
            return


def _holds(connection: sqlite3.Connection, fence: Fence, now: float) -> bool:
    query = "SELECT 1 FROM leases WHERE name = ? AND token = ? AND taken <= ? AND ends > ?"
    return connection.execute(query, (*fence, now + SKEW, now)).fetchone() is not None


_held: list[threading.Lock] = []


def _before_fork() -> None:
    """Close all files, with nobody using them; where that is not to be had, the child has to do without."""
    for one in list(_open):
        if one.lock.acquire(timeout=_PATIENCE):
            _held.append(one.lock)
            one.close_connection()


def _after_fork() -> None:
    while _held:
        _held.pop().release()


def _after_fork_in_child() -> None:
    _held.clear()
    for one in list(_open):
        one.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
