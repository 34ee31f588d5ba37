"""Walks through inventories: complete or not, broken off and resumed, by one process at a time."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from mdmsdk import AsyncMdmClient
from mdmsdk.directory import DirectorySettings, WalkProgress
from mdmsdk.directory.aio import _due
from mdmsdk.directory.ledger import LEASE, Ledger
from mdmsdk.directory.state import Known, State, Volume
from mdmsdk.errors import (
    ConfigurationError,
    ConnectError,
    IncompleteListError,
    PermissionDeniedError,
    ServerError,
)
from mdmsdk.federation import decide
from mdmsdk.testing import FakeServer
from mdmsdk.testing.fakes import _FakeProvider
from tests.directory.conftest import DOCK, OTHER, ChangingProvider, Listing, device

if TYPE_CHECKING:
    from mdmsdk.errors import MdmError
    from tests.directory.conftest import Clock, Directories

FLEET = [device(number) for number in range(1, 41)]


class KilledError(Exception):
    """What ends a process."""


def test_a_walk_goes_on_after_a_process_was_killed(
    directories: Directories, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def keeps_the_lease(_: Ledger) -> None: ...

    def kill(progress: WalkProgress) -> None:
        if progress.pages == 9:
            raise KilledError

    server = Listing([*FLEET, device(99, DOCK)])
    with monkeypatch.context() as killed:
        killed.setattr(Ledger, "leave", keeps_the_lease)
        with pytest.raises(KilledError):
            directories.open(server).directory.build(progress=kill)
    assert server.pages == list(range(9))
    federation = directories.open(server)
    (status,) = federation.directory.build()
    assert status.reason == "another process walks through this server"
    assert status.walking
    assert 0 < status.pages < 9, "those that were kept"
    clock.now += LEASE + 1
    server.pages.clear()
    (built,) = federation.directory.build()
    assert built.complete
    assert built.devices == 41
    assert server.pages == list(range(status.pages, 14)), "it went on from the last page that was kept"
    for one in server.devices:
        assert federation.lookup(one.mac_addresses[0]).device.id == one.id


@pytest.mark.parametrize(
    ("error", "resumes"),
    [
        (ConnectError("no route"), True),
        (ServerError("busy", status=503), True),
        (PermissionDeniedError("no", status=403), False),
        (IncompleteListError("the list changed"), False),
    ],
)
def test_what_gets_well_by_itself_goes_on_and_the_rest_begins_anew(
    directories: Directories, error: MdmError, *, resumes: bool
) -> None:
    server = Listing(FLEET, breaks={7: error})
    federation = directories.open(server)
    (status,) = federation.directory.build()
    assert not status.complete
    assert error.message in (status.reason or "")
    server.pages.clear()
    (status,) = federation.directory.build()
    assert status.complete
    assert status.reason is None
    assert server.pages == list(range(7 if resumes else 0, 14))


def test_one_of_two_processes_walks(directories: Directories) -> None:
    server = Listing(FLEET)
    first, second = directories.open(server), directories.open(server)
    seen: list[str | None] = []

    def at_page(number: int) -> None:
        if number == 5:
            server.at_page = None
            inner = second.wrapped.directory
            inner = getattr(inner, "_inner", inner)

            async def build() -> None:
                (status,) = await inner.build()
                seen.append(status.reason)

            coroutine = build()
            with pytest.raises(StopIteration):
                coroutine.send(None)  # the store is in memory, and nothing waits

    server.at_page = at_page
    (status,) = first.directory.build()
    assert status.complete
    assert seen == ["another process walks through this server"]
    assert server.pages == list(range(14))


def test_progress_is_told_and_a_failed_server_does_not_end_the_others(directories: Directories) -> None:
    good, bad = Listing(FLEET), Listing(FLEET, down=ConnectError("no route"))
    federation = directories.open(good, bad)
    told: list[WalkProgress] = []
    statuses = federation.directory.build(progress=told.append)
    assert [one.complete for one in statuses] == [True, False]
    assert told[-1] == WalkProgress("a", full=True, pages=14, devices=40, expected=None)
    federation.directory.build(servers=["a"], full=True, progress=told.append)
    assert told[-1].expected == 40


def test_changes_are_added_and_deletions_show_in_the_next_full_walk(
    directories: Directories, clock: Clock
) -> None:
    server = Listing([*FLEET])
    federation = directories.open(server, provider=ChangingProvider)
    federation.directory.build()
    assert server.since == [None] * 14
    before = federation.clients["a"].server_time
    server.devices = [*FLEET[1:], device(77, DOCK)]
    server.changed = {"77"}
    server.since.clear()
    clock.now += 700
    (status,) = federation.directory.build()
    assert [one is not None for one in server.since] == [True]
    (since,) = server.since
    assert timedelta(minutes=9) < before - since < timedelta(minutes=11), "clocks may differ"
    assert status.complete
    assert status.built_at < status.walked_at
    assert decide(federation.lookup(DOCK)) == "compliant"
    gone = FLEET[0].mac_addresses[0]
    assert decide(federation.lookup(gone)) == "no_answer", "nobody walked since it was deleted"
    federation.directory.build(full=True)
    assert decide(federation.lookup(gone)) == "not_registered"


def test_the_age_that_counts_is_that_of_the_last_full_walk(directories: Directories, clock: Clock) -> None:
    server = Listing([*FLEET])
    federation = directories.open(server, provider=ChangingProvider)
    federation.directory.build()
    for _ in range(2):
        clock.now += 800
        federation.directory.build()
    clock.now += 2100
    (status,) = federation.directory.status()
    assert not status.complete, "changes do not show what they leave out"
    assert decide(federation.lookup(OTHER)) == "no_answer"


def test_a_record_without_a_name_leaves_the_directory_incomplete(directories: Directories) -> None:
    nameless = device(5, DOCK).model_copy(update={"id": None})
    federation = directories.open(Listing([*FLEET[:3], nameless]))
    (status,) = federation.directory.build()
    assert not status.complete
    assert "1 records have no name" in (status.reason or "")
    assert decide(federation.lookup(DOCK)) == "no_answer"


def test_a_directory_grows_and_leaves_nothing_behind(directories: Directories) -> None:
    server = Listing([device(number) for number in range(1, 1101)], page_size=500)
    federation = directories.open(server)
    federation.directory.build(full=True)
    (status,) = federation.directory.build(full=True)
    assert status.identifiers == 2200
    assert len(directories.names()) == 128 + 1, "shards for at most 32 identifiers each, and the state"
    for number in (1, 600, 1100):
        assert federation.lookup(device(number).mac_addresses[0]).device.id == str(number)
    entries = list(federation.directory.export())
    assert len(entries) == 2200
    assert {(one.kind, one.key, one.records) for one in entries} >= {
        ("mac", "00:1B:45:00:00:01", ("1",)),
        ("serial", "ser1", ("1",)),
    }


def test_an_export_says_what_is_missing(directories: Directories, clock: Clock) -> None:
    federation = directories.open(Listing(FLEET))
    with pytest.raises(IncompleteListError, match="no walk"):
        list(federation.directory.export())
    federation.directory.build()
    assert len(list(federation.directory.export())) == 80
    clock.now += 3601
    export = federation.directory.export()
    assert len([next(export) for _ in range(80)]) == 80
    with pytest.raises(IncompleteListError, match="hours ago"):
        next(export)


def test_servers_without_an_inventory_are_asked_as_before(directories: Directories) -> None:
    class NoList(_FakeProvider):
        capabilities = frozenset()

    fake = Listing([device(1, DOCK)], keys=FakeServer().keys)
    federation = directories.open(fake, provider=NoList)
    assert federation.directory.status() == []
    assert decide(federation.lookup(DOCK)) == "compliant"
    for name, words in {"a": "lists no devices", "zz": "no server zz"}.items():
        with pytest.raises(ConfigurationError, match=words):
            federation.directory.build(servers=[name])


@pytest.mark.parametrize("later", [1900, -7200])
def test_one_that_is_half_as_old_as_it_may_be_is_read_anew(
    directories: Directories, clock: Clock, later: int
) -> None:
    server = Listing([*FLEET])
    federation = directories.open(server, provider=ChangingProvider)
    federation.directory.build()
    server.since.clear()
    clock.now += later
    (status,) = federation.directory.build()
    assert set(server.since) == {None}
    assert (status.complete, status.age) == (True, 0.0)


def test_when_a_walk_is_due() -> None:
    known = Known(AsyncMdmClient(_FakeProvider(FakeServer()), server="a"), 36_000, str)
    settings = DirectorySettings(max_age=36_000, interval=3600)
    now = 1e9

    def due(full: float | None, walked: float | None = None, *, changes: bool = True) -> str | None:
        state = State(
            fingerprint=known.fingerprint,
            full_at=None if full is None else now - full,
            walked_at=None if walked is None else now - walked,
            volume=Volume(walk=1),
        )
        return _due(state, known, settings, now, changes=changes)

    assert _due(None, known, settings, now, changes=True) == "full"
    assert due(None) == "full"
    assert due(3000, 3000) is None
    assert due(10_000, 3700) == "changes"
    assert due(10_000, 60) is None
    assert due(18_100, 60) == "full"
    assert due(3700, changes=False) == "full"
    assert due(3000, changes=False) is None
    assert due(-1000) == "full", "a clock was put back"
    assert len({due(17_000, 60) for _ in range(200)}) == 2, "servers are not walked all at once"


def test_settings_leave_room_for_a_walk_that_fails() -> None:
    with pytest.raises(ValueError, match="more than half"):
        DirectorySettings(max_age=3600, interval=1801)


def test_keep_walks_when_that_is_due_and_ends_with_the_federation(
    directories: Directories, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Listing(FLEET, page_size=20)
    federation = directories.open(server)
    inner = federation.wrapped.directory
    inner = getattr(inner, "_inner", inner)
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        clock.now += seconds
        if len(server.pages) >= 6:
            inner._closed = True

    monkeypatch.setattr(inner, "_waits", SimpleNamespace(gather=inner._waits.gather, sleep=sleep))
    began = clock.now
    server.breaks[1] = ServerError("busy", status=503)
    federation.directory.keep()
    assert server.pages == [0, 1, 1, 0, 1, 0, 1], "one that failed goes on, and the next comes in time"
    assert 60 + 540 <= clock.now - began <= 2 * 600 + 600
    assert max(waited) <= LEASE / 3, "the lease is held while it waits"


def test_who_gets_the_lease_after_another_one_has_walked_does_not_walk_again(
    directories: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Listing(FLEET, page_size=20)
    inner, other = (
        getattr(one.wrapped.directory, "_inner", one.wrapped.directory)
        for one in (directories.open(server), directories.open(server))
    )
    take = Ledger.take

    async def sleep(_seconds: float) -> None:
        """Be soon at the next page."""

    async def late(ledger: Ledger) -> int:
        monkeypatch.setattr(Ledger, "take", take)
        await other.build()
        return await take(ledger)

    monkeypatch.setattr(inner, "_waits", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(Ledger, "take", late)
    directories.run(partial(inner._keep_once, "a", None))
    assert Ledger.take is take
    assert server.pages == [0, 1]
