"""The contract suite over both providers."""

from typing import Any, ClassVar

import pytest

from mdmsdk.simulator import Fleet
from mdmsdk.testing import BaseProviderContract
from mdmsdk_jamf.simulator.records import APPLE


class AppleContract(BaseProviderContract):
    fleet_size = 60

    @pytest.fixture
    def fleet(self) -> Fleet:
        """Apple's devices: the others never enrolled in Jamf Pro."""
        mixed = Fleet.generate(3 * self.fleet_size, seed=7)
        return Fleet(mixed.select(lambda device: device.platform in APPLE)[: self.fleet_size])


class TestJamf(AppleContract):
    provider = "jamf"
    paging: ClassVar[dict[str, Any]] = {"page_cap": 12}
    wrong_login: ClassVar[dict[str, Any]] = {"client_secret": "wrong-secret"}


class TestJamfIse(AppleContract):
    provider = "jamf-ise"
    habits: ClassVar = {"with inventory": {"accepts": frozenset({"inventory"})}}
    paging: ClassVar[dict[str, Any]] = {"page_size": 3, "query_max_size": 3}
