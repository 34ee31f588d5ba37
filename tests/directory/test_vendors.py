"""What a directory saves at the vendors' servers, counted there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.client.build import make_provider
from mdmsdk.directory import DirectorySettings
from mdmsdk.federation import Status, decide
from mdmsdk.identifiers import Mac
from mdmsdk.registry import load_simulator
from mdmsdk.simulator import Fleet, serve
from mdmsdk.testing import open_client, open_federation
from mdmsdk_meraki import MerakiProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.simulator import RunningSimulator, SimDevice
    from mdmsdk.testing import Modal
    from tests.directory.conftest import Directories

    Open = Callable[..., tuple[Modal, RunningSimulator[Any]]]

FLEET = Fleet.generate(60, seed=7)
QUICK = {"timeout": 5.0, "deadline": 20.0, "breaker_failures": 0}


@pytest.fixture(name="open_vendor")
def _open_vendor(directories: Directories, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    limits = replace(MerakiProvider.limits, rate=None, total_rate=None)
    monkeypatch.setattr(MerakiProvider, "limits", limits)
    opened: list[Any] = []

    def start(name: str, habits: dict[str, Any] | None = None, **changes: Any) -> Any:
        context = serve(load_simulator(name)(FLEET, **(habits or {})))
        running = context.__enter__()
        settings = {**running.settings, "policy": QUICK, **changes}
        provider = make_provider(settings.pop("provider"), settings)
        client = open_client(provider, directories.mode, server="vendor")
        federation = open_federation(
            [client], directories.mode, store=directories.store, directory=DirectorySettings()
        )
        opened.extend((context, client, federation))
        return federation, running

    yield start
    for one in reversed(opened):
        one.__exit__(None, None, None)


def build(federation: Modal) -> None:
    (status,) = federation.directory.build(full=True)
    assert status.complete, status.reason


def alone(field: str) -> list[tuple[Mac, SimDevice]]:
    """Addresses of one kind that no other record has, and whose they are."""
    found = ((getattr(device, field), device) for device in FLEET)
    return [(Mac(mac), device) for mac, device in found if mac and len(FLEET.by_mac(mac)) == 1]


def test_a_mac_on_merakis_twelve_networks_costs_one_request(open_vendor: Open) -> None:
    federation, running = open_vendor("meraki", {"networks": 12})
    wanted = alone("wifi_mac")[:5]
    federation.heartbeat()
    running.simulator.requests.clear()
    federation.lookup(wanted[0][0])
    assert len(running.simulator.requests) == 12
    build(federation)
    for mac, device in wanted:
        running.simulator.requests.clear()
        answer = federation.lookup(mac)
        assert len(running.simulator.requests) == 1
        assert answer.device.serial_number == device.serial_number
        assert decide(answer) == (
            running.simulator.verdict(device) if device.registered else "not_registered"
        )
    running.simulator.requests.clear()
    assert decide(federation.lookup("00:1B:44:11:3A:99")) == "not_registered"
    assert len(running.simulator.requests) == 0


def test_an_ethernet_mac_on_graph_costs_one_request(open_vendor: Open) -> None:
    federation, running = open_vendor("intune", backends=["graph"])
    wanted = alone("ethernet_mac")[:5]
    (outcome,) = federation.lookup(wanted[0][0]).outcomes
    assert outcome.status is Status.UNSUPPORTED
    build(federation)
    for mac, device in wanted:
        running.simulator.requests.clear()
        answer = federation.lookup(mac)
        assert len(running.simulator.requests) == 1
        assert answer.device.guid == device.guid
        assert answer.complete
        if device.registered:
            assert decide(answer) == running.simulator.verdict(device)


def test_a_dock_that_two_laptops_used_is_judged_by_the_stricter_one(open_vendor: Open) -> None:
    dock = "00:1B:44:11:3A:99"
    good, bad = (
        next(one for one in FLEET if one.registered and one.compliance == state and one.ethernet_mac)
        for state in ("compliant", "noncompliant")
    )
    federation, running = open_vendor("intune", backends=["graph"])
    running.simulator.fleet = FLEET.replace(good, ethernet_mac=dock).replace(bad, ethernet_mac=dock)
    build(federation)
    running.simulator.requests.clear()
    answer = federation.lookup(dock)
    assert decide(answer) == "noncompliant"
    assert {one.guid for one in federation.find(dock)} == {good.guid, bad.guid}
    running.simulator.fleet = FLEET.replace(good, ethernet_mac=dock)
    assert decide(federation.lookup(dock)) == "compliant", "the other one does not show it any more"


@pytest.mark.parametrize("name", ["jamf", "ivanti-core", "workspaceone", "intune"])
def test_a_directory_finds_all_that_the_server_finds_and_passes_no_more(open_vendor: Open, name: str) -> None:
    federation, running = open_vendor(name)
    macs = [Mac(mac) for device in FLEET for mac in device.mac_addresses][:24]
    plain = {answer.key: answer for answer in federation.lookup_many(macs)}
    build(federation)
    for answer in federation.lookup_many(macs):
        assert answer.device or not plain[answer.key].device, f"{name} knows {answer.key}"
        if answer.decision == "compliant":
            owners = [one for one in FLEET if answer.key in map(Mac, one.mac_addresses)]
            states = {running.simulator.verdict(one) for one in owners if one.registered}
            assert states == {"compliant"}
