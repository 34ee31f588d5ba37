"""Lists: complete and true, while pages are small and devices come and go."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import IncompleteListError, UnsupportedOperationError
from mdmsdk.models import ComplianceState
from mdmsdk.provider import Capability
from mdmsdk.testing.contract.base import SAMPLES, Stand
from mdmsdk.testing.modes import open_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.models import Device
    from mdmsdk.simulator.fleet import Fleet
    from mdmsdk.simulator.server import RunningSimulator
    from mdmsdk.testing.modes import Modal

__all__ = ["Lists"]

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
_WITH_HABITS = {"test_noncompliant_list_is_the_truth", "test_inventory_is_the_whole_fleet_or_refused"}


class Lists(Stand):
    """Tests of lists, against the plugin's simulator."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run those of whole lists with each set of habits."""
        if metafunc.function.__name__ in _WITH_HABITS and len(self.habits) > 1:
            metafunc.parametrize("habit", list(self.habits))
        super().pytest_generate_tests(metafunc)

    def test_noncompliant_list_is_the_truth(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        expected = {device.id for device in fleet if self.is_listed(device, running)}
        costs = []
        for habits in ({}, self.paging):
            running.simulator.behave(**habits)
            running.simulator.requests.clear()
            listed = list(connect().noncompliant())
            costs.append(len(running.simulator.requests))
            assert {self.truth_of(found, fleet) for found in listed} == expected
            assert len(listed) == len(expected)
            assert all(found.compliance.state is ComplianceState.NONCOMPLIANT for found in listed)
            assert all(found.provider == self.provider and found.server == "contract" for found in listed)
        assert costs[1] > costs[0], "paging makes no pages: name switches that do"

    def test_no_device_is_lost_while_others_come_and_go(
        self, running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        if not self.keeps_place:
            pytest.xfail("the protocol does not say what a page's token stands for while devices leave")
        running.simulator.behave(**self.paging)
        bad = [device for device in fleet if self.is_listed(device, running)]
        with open_client(self.made(running), "sync", server="contract") as client:
            lists = [(client.noncompliant, bad)]
            if Capability.INVENTORY in client.provider.capabilities:
                known = [device for device in fleet if running.simulator.identifiers(device)]
                lists.append((client.devices, known))
            for method, truth in lists:
                for gone in (truth[0], truth[1], truth[len(truth) // 2]):
                    stayed = {device.id for device in truth} - {gone.id}
                    running.simulator.fleet = fleet
                    _assert_kept(self, method(), stayed, fleet, partial(_swap, running, fleet.without(gone)))
                    running.simulator.fleet = fleet.without(gone)
                    _assert_kept(self, method(), stayed, fleet, partial(_swap, running, fleet))
            running.simulator.fleet = fleet

    def test_inventory_is_the_whole_fleet_or_refused(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        client = connect()
        if Capability.INVENTORY in client.provider.capabilities:
            # A record that no key finds is one that the server no longer knows.
            assert {self.truth_of(found, fleet) for found in client.devices()} == {
                device.id for device in fleet if running.simulator.identifiers(device)
            }
        else:
            with pytest.raises(UnsupportedOperationError):
                list(client.devices())
            assert len(running.simulator.requests) == 0

    def test_changes_hold_what_checked_in_since(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        known = [device for device in fleet if running.simulator.identifiers(device)]
        times = sorted(device.last_check_in for device in known if device.last_check_in)
        since = times[len(times) // 2]
        client = connect()
        if Capability.CHANGES not in client.provider.capabilities:
            with pytest.raises(UnsupportedOperationError):
                list(client.devices(since=since))
            assert len(running.simulator.requests) == 0
            return
        lately = {one.id for one in known if one.last_check_in and one.last_check_in > since}
        listed: dict[Any, Device] = {}
        for habits in ({}, self.paging):
            running.simulator.behave(**habits)
            listed = {self.truth_of(found, fleet): found for found in client.devices(since=since)}
            assert lately <= listed.keys(), "devices are missing that checked in since"
            assert len(listed) < len(known), "the list leaves nothing out"
        running.simulator.behave(**self.paging)
        listing = client.devices(since=since)
        came = {self.truth_of(next(listing), fleet)}
        early = next(device for device in known if device.id not in listed)
        running.simulator.fleet = fleet.replace(early, last_check_in=times[-1])
        came |= {self.truth_of(found, fleet) for found in listing}
        running.simulator.fleet = fleet
        assert lately <= came, "who checks in meanwhile ends the list, or has others left out"

    def test_what_is_stated_as_listed_is_listed_in_full(self, connect: Callable[..., Modal]) -> None:
        client = connect()
        provider, capabilities = client.provider, client.provider.capabilities
        kinds = list(filter(provider.lists, provider.listed))
        assert not kinds or Capability.INVENTORY in capabilities, "no list shows what is stated as listed"
        # What a directory reads.
        since = {"since": _LONG_AGO} if Capability.CHANGES in capabilities else {}
        for found in list(client.devices(**since))[:SAMPLES] if kinds else ():
            record = client.lookup(found.shown(provider.record_key)[0])
            for kind in kinds:
                assert set(record.shown(kind)) <= set(found.shown(kind)), f"{kind.kind} is not listed in full"


def _assert_kept(
    suite: Stand, listing: Iterator[Device], stayed: set[int], fleet: Fleet, change: Callable[[], None]
) -> None:
    """Let the fleet change after the first device of a list: who stayed comes once, or the list fails."""
    came = [suite.truth_of(next(listing), fleet)]
    change()
    try:
        came += [suite.truth_of(found, fleet) for found in listing]
    except IncompleteListError:
        return
    assert stayed <= set(came), "devices are missing because another one left or came meanwhile"
    assert len(came) == len(set(came)), "a device came twice"


def _swap(running: RunningSimulator[Any], fleet: Fleet) -> None:
    running.simulator.fleet = fleet
