"""What a provider answers while all is well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import (
    MdmError,
    UnsupportedOperationError,
)
from mdmsdk.identifiers import KEY_KINDS, Key, Mac
from mdmsdk.models import ComplianceState, ServerInfo
from mdmsdk.provider import Capability
from mdmsdk.registry import load_provider
from mdmsdk.testing.cassettes import UNKNOWN
from mdmsdk.testing.contract.base import SAMPLES, Stand

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.simulator.fleet import Fleet
    from mdmsdk.simulator.server import RunningSimulator
    from mdmsdk.testing.modes import Modal

__all__ = ["Answers"]


class Answers(Stand):
    """Tests of lookups and lists, against the plugin's simulator."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each test of these with each set of habits."""
        if hasattr(Answers, metafunc.function.__name__) and len(self.habits) > 1:
            metafunc.parametrize("habit", list(self.habits))
        super().pytest_generate_tests(metafunc)

    def test_heartbeat_says_what_answers(self, connect: Callable[..., Modal]) -> None:
        info = connect().heartbeat()
        assert isinstance(info, ServerInfo)
        assert (info.server, info.provider) == ("contract", self.provider)
        assert info.vendor

    def test_finds_each_device_by_each_key(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        client = connect()
        for kind in sorted(load_provider(self.provider).keys, key=lambda kind: kind.kind):
            tried = 0
            for device in fleet:
                key = self.key(kind, device, running)
                if key is None or tried == SAMPLES or not self.alone(device, key, running):
                    continue
                tried += 1
                found = client.lookup(key)
                assert found is not None, f"{key!r} of record {device.id} was not found"
                assert self.is_record_of(found, device)
                assert found.registered == device.registered
                state = running.simulator.verdict(device)
                if self.is_silent(kind):
                    assert found.matches(key) is None
                    assert found.compliance.state == (state if state == "noncompliant" else "unknown")
                else:
                    assert found.compliance.state == state
            assert tried, f"the fleet has no device with a {kind.kind} of its own"

    def test_several_records_are_judged_by_the_strictest(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        client = connect()
        severity = ["compliant", "grace", "unknown", "noncompliant"]
        for device in fleet:
            key = self.key(Mac, device, running) if Mac in load_provider(self.provider).keys else None
            if key is None or self.alone(device, key, running):
                continue
            records = [other for other in fleet if self.key(Mac, other, running) == key and other.registered]
            found = client.lookup(key)
            if records and found:
                worst = max((running.simulator.verdict(record) for record in records), key=severity.index)
                assert severity.index(found.compliance.state) >= severity.index(worst)

    def test_unknown_devices_are_none_and_no_error(self, connect: Callable[..., Modal]) -> None:
        client = connect()
        for kind in load_provider(self.provider).keys:
            key = kind(UNKNOWN[kind.kind])
            assert client.lookup(key) is None
            assert client.find(key) == []

    def test_other_keys_are_refused_before_any_request(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any]
    ) -> None:
        client = connect()
        for kind in set(KEY_KINDS.values()) - load_provider(self.provider).keys:
            with pytest.raises(UnsupportedOperationError) as caught:
                client.lookup(kind(UNKNOWN[kind.kind]))
            assert kind.kind in str(caught.value)
        assert len(running.simulator.requests) == 0

    def test_many_lookups_answer_in_order(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        client = connect()
        kind = min(
            load_provider(self.provider).keys & {Mac, *KEY_KINDS.values()},
            key=lambda kind: kind.kind != "mac",
        )
        known = [key for device in fleet if (key := self.key(kind, device, running))][:20]
        keys: list[Key | str] = [*known, kind(UNKNOWN[kind.kind]), "not a key at all", known[0]]
        results = list(client.lookup_many(keys))
        assert [result.key for result in results] == keys
        assert all(result.device and not result.error for result in (*results[: len(known)], results[-1]))
        assert (results[-3].device, results[-3].error) == (None, None)
        assert isinstance(results[-2].error, MdmError)

    def test_noncompliant_list_is_the_truth(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        expected = {
            device.id
            for device in fleet
            if device.registered and running.simulator.verdict(device) == "noncompliant"
        }
        for habits in ({}, self.paging):
            running.simulator.behave(**habits)
            listed = list(connect().noncompliant())
            assert {self.truth_of(found, fleet) for found in listed} == expected
            assert len(listed) == len(expected)
            assert all(found.compliance.state is ComplianceState.NONCOMPLIANT for found in listed)
            assert all(found.provider == self.provider and found.server == "contract" for found in listed)

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

    def test_reasons_are_given_or_refused(self, connect: Callable[..., Modal]) -> None:
        client = connect()
        device = next(iter(client.noncompliant()))
        if Capability.REASONS in client.provider.capabilities:
            assert client.reasons(device).compliance.reasons
        else:
            with pytest.raises(UnsupportedOperationError):
                client.reasons(device)
