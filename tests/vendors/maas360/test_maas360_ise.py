"""MaaS360 as Cisco ISE sees it: version 2, and addresses as IBM prints them."""

from __future__ import annotations

import pytest

from mdmsdk.errors import UnsupportedOperationError
from mdmsdk.identifiers import Guid, Mac
from mdmsdk.simulator import Fleet, serve
from mdmsdk.testing import open_client
from mdmsdk_maas360.simulator import Maas360IseSimulator
from tests.vendors.relay import unlimited

FLEET = Fleet.generate(40, seed=3)


@pytest.mark.parametrize("mode", ["sync", "asyncio"])
def test_version_2_with_a_blank_before_addresses(mode: str) -> None:
    simulator = Maas360IseSimulator(FLEET, max_api_version=2, blank_before_mac=True)
    with serve(simulator) as running, open_client(unlimited(running), mode) as client:
        assert (client.heartbeat().api_version, client.heartbeat().query_max_size) == ("2", 5000)
        device = next(
            one for one in FLEET if one.wifi_mac and one.registered and one.compliance == "compliant"
        )
        found = client.lookup(Mac(device.wifi_mac or ""))
        assert found is not None
        assert (found.compliance.state, found.serial_number) == ("compliant", device.serial_number)
        listed = {one.serial_number for one in client.noncompliant()}
        assert listed == {one.serial_number for one in simulator.noncompliant()}
        with pytest.raises(UnsupportedOperationError):
            client.lookup(Guid(device.guid))
