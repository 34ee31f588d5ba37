"""What a provider answers while all is well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import (
    MdmError,
    UnsupportedOperationError,
)
from mdmsdk.identifiers import KEY_KINDS, Hostname, Key, Mac, Username
from mdmsdk.models import ServerInfo
from mdmsdk.provider import Capability
from mdmsdk.registry import load_provider
from mdmsdk.testing.cassettes import UNKNOWN
from mdmsdk.testing.contract.base import SAMPLES, Stand
from mdmsdk.testing.modes import open_client

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.models import Device
    from mdmsdk.simulator.fleet import Fleet, SimDevice
    from mdmsdk.simulator.server import RunningSimulator
    from mdmsdk.testing.modes import Modal

__all__ = ["Answers"]

_FACTS = ("disk_encrypted", "passcode_set", "jailbroken")

HOSTILE = (
    "'",
    '"',
    ",",
    "%",
    "%27",
    "%2F",
    "&",
    "\\",
    "*",
    "/",
    "/../",
    "+",
    "#",
    "?",
    "=",
    ";",
    " x ",
    "(",
    "\u00e4",
    "${x}",
)
"""What languages of filters, addresses and paths give a meaning to."""


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
        agreed = dict.fromkeys(_FACTS, 0)
        for kind in sorted(self.kinds, key=lambda kind: kind.kind):
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
                assert found.compliance.state == self.state(kind, device, running)
                if self.is_silent(kind):
                    assert found.matches(key) is None
                self.check_in_of(found, device, running)
                for fact in _FACTS:
                    said, true = getattr(found, fact), getattr(device, fact)
                    agreed[fact] += 0 if None in {said, true} else 1 if said is true else -1
            assert tried, f"the fleet has no device with a {kind.kind} of its own"
        # A vendor may know it better in some cases; turned round, it is wrong in most.
        assert [fact for fact, balance in agreed.items() if balance < 0] == []

    def check_in_of(self, found: Device, device: SimDevice, running: RunningSimulator[Any]) -> None:
        """See that the last check-in is the one that the simulator tells."""
        seen = running.simulator.check_in(device)
        assert (found.last_check_in is None) == (seen is None), f"check-in of record {device.id}: {seen}"
        if seen is not None and found.last_check_in is not None:
            off = abs((found.last_check_in - seen).total_seconds())
            assert off < 1, f"the check-in of record {device.id} is off by {off} seconds"

    def test_several_records_are_judged_by_the_strictest(
        self, connect: Callable[..., Modal], running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        client = connect()
        severity = ["compliant", "grace", "unknown", "noncompliant"]
        for device in fleet:
            key = self.key(Mac, device, running) if Mac in self.kinds else None
            if key is None or self.alone(device, key, running):
                continue
            records = [other for other in fleet if self.key(Mac, other, running) == key and other.registered]
            found = client.lookup(key)
            if records and found:
                worst = max((running.simulator.verdict(record) for record in records), key=severity.index)
                assert severity.index(found.compliance.state) >= severity.index(worst)

    def test_unknown_devices_are_none_and_no_error(self, connect: Callable[..., Modal]) -> None:
        client = connect()
        for kind in self.kinds:
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
        kind = min(self.kinds, key=lambda kind: kind.kind != "mac")
        known = [key for device in fleet if (key := self.key(kind, device, running))][:20]
        # Not in the order in which a server would list them, and with gaps where it knows none.
        known.reverse()
        nobody = kind(UNKNOWN[kind.kind])
        keys: list[Key | str] = [nobody, *known, "not a key at all", known[0], nobody]
        results = list(client.lookup_many(keys))
        assert [result.key for result in results] == keys
        for result in results:
            if result.key == nobody:
                assert (result.device, result.error) == (None, None)
            elif result.key in known:
                assert result.error is None, f"{result.key!r} among others: {result.error!r}"
                assert result.device is not None
            else:
                assert isinstance(result.error, MdmError)
        told = {result.key: _told(result.device) for result in results}
        for key in known[:: max(1, len(known) // 5)]:
            found = client.find(key)
            assert told[key] == _told(client.lookup(key)), f"{key!r} among others"
            assert len(found) == len(set(map(_told, found))), f"{key!r} gives a record twice"

    def test_reasons_are_given_or_refused(self, connect: Callable[..., Modal]) -> None:
        client = connect()
        device = next(iter(client.noncompliant()))
        if Capability.REASONS in client.provider.capabilities:
            assert client.reasons(device).compliance.reasons
        else:
            with pytest.raises(UnsupportedOperationError):
                client.reasons(device)

    def test_any_character_of_a_name_finds_its_device_alone(
        self, running: RunningSimulator[Any], fleet: Fleet
    ) -> None:
        kinds = self.kinds & {Hostname, Username}
        device = next(device for device in fleet if device.registered and device.wifi_mac)
        with open_client(self.made(running), "sync", server="contract") as client:
            for sign in HOSTILE if kinds else ():
                named = fleet.replace(device, hostname=f"h{sign}t", username=f"u{sign}r")
                running.simulator.fleet = named
                changed = next(other for other in named if other.id == device.id)
                for kind in sorted(kinds, key=lambda kind: kind.kind):
                    key = self.key(kind, changed, running)
                    if key is None or sign not in key.value:
                        continue  # the vendor makes its names of something else
                    try:
                        found = client.find(key)
                    except MdmError:
                        continue  # refused, which is no answer
                    assert [self.truth_of(one, named) for one in found] == [device.id], f"{key!r}"


def _told(device: Device | None) -> Any:
    """Which record an answer is about, and how it is judged."""
    return device and (
        device.id,
        device.guid,
        device.serial_number,
        device.registered,
        device.compliance.state,
    )
