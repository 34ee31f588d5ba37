"""The contract of every provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from mdmsdk.testing import BaseProviderContract
from mdmsdk_soti.simulator import SotiSimulator

if TYPE_CHECKING:
    from mdmsdk.models import Device
    from mdmsdk.simulator import Fleet


class TestSoti(BaseProviderContract):
    provider = "soti"
    habits: ClassVar = {"usual": {"any_spelling": True}}
    fleet_size = 40
    mutations = 100
    paging: ClassVar[dict[str, Any]] = {"page_cap": 12}

    def truth_of(self, found: Device, fleet: Fleet) -> int:
        """The record of the fleet that an answer is about; ids are MobiControl's own."""
        known = SotiSimulator(fleet)
        return next(device.id for device in fleet if known.device_id(device) == found.id)
