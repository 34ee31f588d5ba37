"""Lookups by a directory: it says whom to ask, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mdmsdk._run.clock import Clock as ServerClock
from mdmsdk.directory.entries import Reference
from mdmsdk.errors import FilterIgnoredError, ServerError, UnsupportedOperationError
from mdmsdk.federation import Status, decide
from mdmsdk.identifiers import DeviceId, Mac, Serial
from tests.directory.conftest import DOCK, OTHER, Listing, ListingProvider, device

if TYPE_CHECKING:
    from mdmsdk.federation import Answer
    from tests.directory.conftest import Clock, Directories

SEARCHES = frozenset({Mac, Serial, DeviceId})


def status(answer: Answer) -> Status:
    (outcome,) = answer.outcomes
    return outcome.status


def test_a_mac_that_the_server_cannot_search_by_costs_one_request(directories: Directories) -> None:
    server = Listing([device(1), device(2, DOCK), device(3)])
    federation = directories.open(server)
    assert status(federation.lookup(DOCK)) is Status.UNSUPPORTED
    (built,) = federation.directory.build()
    assert built.complete
    answer = federation.lookup(DOCK)
    assert (decide(answer), answer.device.id, answer.complete) == ("compliant", "2", True)
    assert server.names == ["id 2"]
    assert [one.id for one in federation.find(DOCK)] == ["2"]


def test_many_keys_are_fetched_together_and_in_order(directories: Directories) -> None:
    server = Listing([device(number) for number in range(1, 8)])
    federation = directories.open(server)
    federation.directory.build()
    keys = [device(number).mac_addresses[0] for number in (5, 2, 7)]
    answers = list(federation.lookup_many([*keys, Mac(DOCK), "no key", Serial("SER1"), keys[0]]))
    found = [answer.device.id if answer.device else answer.outcomes[0].status for answer in answers]
    assert found == ["5", "2", "7", Status.NOT_FOUND, Status.ERROR, "1", "5"]


def test_unknown_needs_a_walk_that_was_complete_and_is_young(directories: Directories, clock: Clock) -> None:
    server = Listing([device(number) for number in range(1, 8)])
    federation = directories.open(server)
    server.breaks[2] = ServerError("busy", status=503)
    (built,) = federation.directory.build()
    assert not built.complete
    assert decide(federation.lookup(DOCK)) == "no_answer"
    federation.directory.build()
    assert decide(federation.lookup(DOCK)) == "not_registered"
    assert server.asked == []
    clock.now += 3601
    answer = federation.lookup(DOCK)
    assert (status(answer), decide(answer)) == (Status.UNSUPPORTED, "no_answer")
    assert "1.0 hours ago" in answer.outcomes[0].error.message


def test_a_clock_that_was_put_back_makes_no_walk_younger(
    directories: Directories, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = [datetime(2026, 1, 1, tzinfo=UTC)]
    monkeypatch.setattr(ServerClock, "told", lambda _: there[0], raising=False)
    monkeypatch.setattr(ServerClock, "now", lambda _: there[0])
    federation = directories.open(Listing([device(1, DOCK)]))
    federation.directory.build()
    assert decide(federation.lookup(DOCK)) == "compliant"
    clock.now += 100  # and an hour more went by, by which the clock here was put back
    there[0] += timedelta(seconds=3700)
    assert decide(federation.lookup(DOCK)) == "unknown"
    assert decide(federation.lookup(OTHER)) == "no_answer"
    (status_now,) = federation.directory.status()
    assert (status_now.complete, status_now.age) == (False, 3700.0)


def test_an_old_directory_gives_way_to_the_servers_own_search(directories: Directories, clock: Clock) -> None:
    server = Listing([device(1, DOCK)], keys=SEARCHES)
    federation = directories.open(server)
    federation.directory.build()
    clock.now += 3601
    server.devices = [device(2, DOCK), device(3, DOCK, state="noncompliant")]
    assert decide(federation.lookup(DOCK)) == "noncompliant"
    assert server.names == [f"mac {DOCK}"]
    assert decide(federation.lookup(OTHER)) == "not_registered"
    assert server.names[1:] == [f"mac {OTHER}"]


def test_what_an_old_directory_finds_alone_is_no_pass(directories: Directories, clock: Clock) -> None:
    server = Listing([device(1, DOCK), device(2, OTHER, state="noncompliant")])
    federation = directories.open(server)
    federation.directory.build()
    clock.now += 3601
    answer = federation.lookup(DOCK)
    assert (decide(answer), answer.device.id) == ("unknown", "1")
    assert "other records of a may show this mac" in answer.device.compliance.reasons[0]
    assert decide(federation.lookup(OTHER)) == "noncompliant"


def test_a_kind_that_lists_do_not_show_in_full_is_no_pass(
    directories: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ListingProvider, "listed", frozenset({Serial}))
    federation = directories.open(Listing([device(1, DOCK)]))
    federation.directory.build()
    assert decide(federation.lookup(DOCK)) == "unknown"
    assert decide(federation.lookup(OTHER)) == "no_answer"


def test_unreadable_identifiers_leave_the_unknown_open(directories: Directories) -> None:
    hidden = device(2, OTHER).model_copy(
        update={"mac_addresses": (), "unreadable": frozenset({"mac_addresses"})}
    )
    federation = directories.open(Listing([device(1, DOCK), hidden]))
    federation.directory.build()
    assert decide(federation.lookup(OTHER)) == "no_answer"
    assert decide(federation.lookup(DOCK)) == "unknown"


@pytest.mark.parametrize("searches", [False, True])
def test_a_record_that_moved_its_mac_is_no_match(directories: Directories, *, searches: bool) -> None:
    server = Listing([device(1, DOCK), device(2, OTHER)], keys=SEARCHES if searches else Listing.keys)
    federation = directories.open(server)
    federation.directory.build()
    server.devices = [device(1, OTHER), device(2, DOCK, state="noncompliant")]
    answer = federation.lookup(DOCK)
    if searches:
        assert (decide(answer), answer.device.id) == ("noncompliant", "2")
        assert server.names == ["id 1", f"mac {DOCK}"]
        server.asked.clear()
        assert federation.lookup(DOCK).device.id == "2"
        assert sorted(server.names) == ["id 1", "id 2"], "what the search found is remembered"
    else:
        assert (status(answer), decide(answer)) == (Status.UNSUPPORTED, "no_answer")
        with pytest.raises(UnsupportedOperationError, match="do not show it any more"):
            federation.find(DOCK)


@pytest.mark.parametrize("searches", [False, True])
def test_a_record_that_was_deleted_since(directories: Directories, *, searches: bool) -> None:
    server = Listing([device(1, DOCK), device(2)], keys=SEARCHES if searches else Listing.keys)
    federation = directories.open(server)
    federation.directory.build()
    server.devices = [device(2)]
    assert decide(federation.lookup(DOCK)) == ("not_registered" if searches else "no_answer")
    federation.directory.build(full=True)
    assert decide(federation.lookup(DOCK)) == "not_registered"
    assert status(federation.lookup(DOCK)) is Status.NOT_FOUND


def test_all_records_that_share_a_dock_are_fetched_and_the_strictest_counts(directories: Directories) -> None:
    server = Listing([device(1, DOCK), device(2), device(3, DOCK, OTHER, state="noncompliant")])
    federation = directories.open(server)
    federation.directory.build()
    assert decide(federation.lookup(DOCK)) == "noncompliant"
    assert sorted(server.names) == ["id 1", "id 3"]
    server.errors = {DeviceId("3"): ServerError("broken", status=500)}
    assert decide(federation.lookup(DOCK)) == "no_answer"
    server.errors = {DeviceId("3"): FilterIgnoredError("another record came")}
    assert decide(federation.lookup(DOCK)) == "unknown"


def test_an_identifier_that_very_many_records_show_tells_none(directories: Directories) -> None:
    server = Listing([device(number, DOCK) for number in range(1, 130)], page_size=200)
    federation = directories.open(server)
    federation.directory.build()
    assert decide(federation.lookup(DOCK)) == "no_answer"
    assert server.asked == []


@pytest.mark.parametrize("names", [["2"], ["77"], ["2", "77"], ["\ud800"], [" "], ["x" * 600]])
def test_a_poisoned_entry_never_gives_a_pass(directories: Directories, names: list[str]) -> None:
    server = Listing([device(1, DOCK, state="noncompliant"), device(2, OTHER)])
    federation = directories.open(server)
    inner = federation.wrapped.directory
    inner = getattr(inner, "_inner", inner)
    federation.directory.build()

    async def poison() -> None:
        ledger = inner._ledger["a"]
        state = await ledger.state()
        code = b"m001b44113ab7"
        await ledger.take()
        for number in range(state.volume.shards):
            await ledger._write({ledger._shard(state.volume, number): b"\n"})
        wrong = {name.encode("utf-8", "surrogatepass"): None for name in names}
        await ledger.put(state.volume, {code: wrong})
        await ledger.leave()

    directories.run(poison)
    answer = federation.lookup(DOCK)
    assert decide(answer) == "no_answer"
    assert answer.device is None


def test_entries_of_another_key_are_not_there(directories: Directories) -> None:
    server = Listing([device(1, DOCK)])
    federation = directories.open(server)
    federation.directory.build()
    directories.damage_entries()
    answer = federation.lookup(DOCK)
    assert (status(answer), decide(answer)) == (Status.UNSUPPORTED, "no_answer")
    assert "a part of the directory is lost" in answer.outcomes[0].error.message


def test_a_chain_goes_on_only_after_the_servers_own_word(directories: Directories) -> None:
    server = Listing([device(1, DOCK)], keys=SEARCHES)
    federation = directories.open(server)
    federation.directory.build()
    assert decide(federation.lookup([Serial("SER9"), Mac(DOCK)])) == "unknown"
    assert server.names == ["serial SER9", "id 1"]
    server.asked.clear()
    assert decide(federation.lookup([Serial("SER1"), Mac(DOCK)])) == "compliant"
    assert server.names == ["id 1"]


def test_other_settings_of_a_server_begin_anew(
    directories: Directories, monkeypatch: pytest.MonkeyPatch
) -> None:
    federation = directories.open(Listing([device(1)]))
    federation.directory.build()
    assert decide(federation.lookup(DOCK)) == "not_registered"
    monkeypatch.setattr(ListingProvider, "name", "listing-of-another-tenant")
    other = directories.open(Listing([device(1, DOCK)]))
    assert decide(other.lookup(DOCK)) == "no_answer"
    other.directory.build()
    assert decide(other.lookup(DOCK)) == "compliant"


def test_a_walk_with_other_secrets_proves_nothing(directories: Directories) -> None:
    server = Listing([device(1)])
    federation = directories.open(server)
    federation.directory.build()
    assert decide(federation.lookup(DOCK)) == "not_registered"
    provider = ListingProvider(server)
    provider.settings = provider.settings.model_copy(update={"base_url": "https://other.example"})
    clients = getattr(federation.wrapped, "_inner", federation.wrapped).clients
    clients["a"]._runner.plugin.provider = provider
    assert decide(federation.lookup(DOCK)) == "no_answer"
    federation.directory.build()
    assert decide(federation.lookup(DOCK)) == "not_registered"


def test_a_store_that_fails_costs_no_answer(directories: Directories) -> None:
    server = Listing([device(1, DOCK)], keys=SEARCHES)
    federation = directories.open(server)
    federation.directory.build()
    directories.break_store()
    assert decide(federation.lookup(DOCK)) == "compliant"
    assert server.names == [f"mac {DOCK}"]
    assert Reference("1").place is None
