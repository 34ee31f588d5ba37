"""The contract of every provider, for both of this vendor's."""

from typing import Any, ClassVar

import pytest

from mdmsdk.models import Device
from mdmsdk.simulator import Fleet, SimDevice
from mdmsdk.testing import BaseProviderContract
from mdmsdk_maas360.simulator.records import number_of


class TestMaas360(BaseProviderContract):
    provider = "maas360"
    paging: ClassVar = {"page_cap": 25}
    habits: ClassVar = {
        "usual": {},
        "plain": {"numbers": False, "single_object": False, "refusal_status": 401, "mac_search": "as_held"},
    }

    @pytest.fixture
    def fleet(self) -> Fleet:
        """So many devices that do not comply that they do not fit on the smallest page that there is."""
        mix: dict[Any, float] = {"compliant": 0.4, "noncompliant": 0.52, "grace": 0.05, "unknown": 0.03}
        return Fleet.generate(self.fleet_size, seed=17, mix=mix)

    def is_record_of(self, found: Device, device: SimDevice) -> bool:
        # An older enrolment of an Apple device has the same serial number, and is no record of its own.
        return found.id == number_of(device) and found.last_check_in == device.last_check_in


class TestMaas360Ise(BaseProviderContract):
    provider = "maas360-ise"
    habits: ClassVar = {"with inventory": {"accepts": frozenset({"inventory"}), "blank_before_mac": True}}
    paging: ClassVar = {"page_size": 3, "query_max_size": 3}
