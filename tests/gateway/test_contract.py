"""The contract of our own `ise` provider, over a gateway in front of another one: a part of it.

`nox -s gateway_contract` has all of it, over every provider.
"""

from __future__ import annotations

from typing import Any

from tests.gateway.over import OverGateway, over
from tests.vendors.jamf import test_jamf_contract as jamf

# What depends most on what is behind.
SAMPLE = {
    "test_a_fault_behind_is_never_a_verdict",
    "test_finds_each_device_by_each_key",
    "test_inventory_is_the_whole_fleet_or_refused",
    "test_no_device_is_lost_while_others_come_and_go",
    "test_noncompliant_list_is_the_truth",
    "test_unknown_devices_are_none_and_no_error",
}

TestSample: Any = over(
    jamf.TestJamf,
    **{name: None for name in dir(OverGateway) if name.startswith("test_") and name not in SAMPLE},
)
