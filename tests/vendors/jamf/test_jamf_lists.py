"""The noncompliant list: complete, from each source, or an error that says that it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import IncompleteListError, MalformedResponseError
from mdmsdk.identifiers import Mac
from mdmsdk.simulator import Fault, Fleet
from mdmsdk_jamf.simulator.records import is_computer

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.simulator import RunningSimulator
    from mdmsdk.testing import Modal
    from mdmsdk_jamf.simulator import JamfSimulator

    Start = Callable[..., RunningSimulator[JamfSimulator]]
    Ask = Callable[..., Modal]

SOURCES = ["smart-group", "advanced-search", "conditional-access", "rules"]


@pytest.fixture(scope="session")
def large() -> Fleet:
    """Five thousand devices."""
    mixed = Fleet.generate(11_500, seed=3)
    return Fleet(mixed.select(lambda device: device.platform in {"macOS", "iOS", "iPadOS"})[:5000])


def truth(running: RunningSimulator[JamfSimulator]) -> set[str]:
    simulator = running.simulator
    devices = simulator.fleet.select(lambda one: one.registered and simulator.verdict(one) == "noncompliant")
    return {str(device.id) for device in devices}


def read(client: Modal) -> tuple[set[str], IncompleteListError | None]:
    """What came of the list, and how it broke off."""
    found: set[str] = set()
    try:
        for device in client.noncompliant():
            found.add(str(device.id))
    except IncompleteListError as error:
        return found, error
    return found, None


def listed(client: Modal) -> list[str]:
    return [str(device.id) for device in client.noncompliant()]


@pytest.mark.parametrize(
    ("source", "mdm_mode"), list(zip(SOURCES, ("sync", "asyncio", "asyncio", "trio"), strict=True))
)
@pytest.mark.timeout(120)
def test_five_thousand_devices(start: Start, ask: Ask, large: Fleet, source: str) -> None:
    running = start(large, source=source)
    found = listed(ask(running))
    assert len(large) == 5000
    assert len(found) == len(set(found))
    assert set(found) == truth(running)
    if source == "conditional-access":  # one state at a time, there is no list of them
        assert running.simulator.requests.total > len(large)
    else:
        assert running.simulator.requests.total <= 22  # two of them see at the heartbeat what the source says
    if source == "advanced-search":  # for the heartbeat and for the list, but not anew for each page
        assert running.simulator.requests.count("searches/id/") == 4


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("habits", [{"members": "noncompliant"}, {"page_cap": 9}, {"version": "10.50.0"}])
def test_the_list_is_the_truth_whatever_the_server_is_like(
    start: Start, ask: Ask, source: str, habits: dict[str, Any]
) -> None:
    running = start(source=source, **habits)
    found = listed(ask(running, page_size=20))
    assert sorted(found) == sorted(truth(running))


def test_a_token_of_60_seconds_may_end_in_the_middle_of_a_list(start: Start, ask: Ask) -> None:
    running = start(token_lifetime=60, token_uses=4)
    assert set(listed(ask(running, page_size=16))) == truth(running)
    assert running.simulator.logins > 1


@pytest.mark.parametrize("mdm_mode", ["asyncio"])
def test_a_token_that_is_about_to_end_is_renewed_in_time(start: Start, ask: Ask) -> None:
    running = start(token_lifetime=1.0, latency=0.15)
    assert set(listed(ask(running, page_size=16))) == truth(running)
    assert running.simulator.logins > 1
    assert running.simulator.requests.count("computers-inventory") < 20


def test_records_that_leave_between_pages_hide_no_other(start: Start, ask: Ask, fleet: Fleet) -> None:
    running = start()
    client = ask(running, page_size=16)
    stays = truth(running)
    found: list[str] = []
    for device in client.noncompliant():
        found.append(str(device.id))
        gone = running.simulator.fleet[0]
        running.simulator.fleet = running.simulator.fleet.without(gone)
        stays.discard(str(gone.id))
    assert stays <= set(found)


@pytest.mark.parametrize("version", ["11.30.1", "11.28.0"])
@pytest.mark.parametrize("computer", [True, False])
def test_one_damaged_record_does_not_lose_the_page(
    start: Start, ask: Ask, fleet: Fleet, version: str, computer: bool
) -> None:
    bad = next(
        device for device in fleet if is_computer(device) == computer and device.compliance == "noncompliant"
    )
    running = start(version=version, damaged=frozenset({bad.id}))
    found, failure = read(ask(running, page_size=1000))
    if version == "11.30.1" and not computer:
        assert failure is None
        assert found == truth(running)
    else:
        # It is told when everything else was listed, mobile devices after a damaged computer too.
        assert failure is not None
        assert "server's own log" in (failure.hint or "")
        assert found == truth(running) - {str(bad.id)}


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_outage_in_the_middle_is_no_end(start: Start, ask: Ask, status: int) -> None:
    running = start()
    client = ask(running, page_size=16)
    client.heartbeat()
    late = Fault("status", match="/api/v2/mobile-devices", after=1, status=status)
    with running.simulator.faults.during(late):
        found, failure = read(client)
    assert found
    assert failure is not None
    assert failure.collected == len(found)


def test_records_without_the_groups_that_were_asked_for_are_no_empty_list(start: Start, ask: Ask) -> None:
    with pytest.raises(MalformedResponseError, match="groups"):
        listed(ask(start(ignores_sections=True)))


@pytest.mark.parametrize(
    ("which", "mdm_mode"),
    [("first", "sync"), ("second", "sync"), ("unknown", "sync"), ("mixed", "sync"), ("mixed", "asyncio")],
)
def test_a_thousand_addresses_take_at_most_sixty_requests(
    start: Start, ask: Ask, large: Fleet, which: str
) -> None:
    running = start(large)
    client = ask(running, policy={"timeout": 60.0, "deadline": 120.0})  # a batch is one operation
    client.heartbeat()
    macs: dict[str, list[str | None]] = {
        "first": [device.wifi_mac for device in large],
        "second": [mac for one in large if (mac := running.simulator.second_mac(one))],
        "unknown": [f"02DEAD{number:06X}" for number in range(1000)],
    }
    macs["mixed"] = [mac for three in zip(*macs.values(), strict=False) for mac in three]
    keys = list(dict.fromkeys(Mac(mac or "") for mac in macs[which]))[:1000]
    running.simulator.requests.clear()
    results = list(client.lookup_many(keys))
    assert len(running.simulator.requests) <= 60
    assert [result.key for result in results] == keys
    assert not [result.error for result in results if result.error]
    known = sum(result.device is not None for result in results)
    assert known == {"first": 1000, "second": 1000, "unknown": 0}.get(which, known)


def test_the_inventory_is_everything(start: Start, ask: Ask, fleet: Fleet) -> None:
    running = start(page_cap=7)
    assert sorted(str(one.id) for one in ask(running).devices()) == sorted(str(one.id) for one in fleet)
