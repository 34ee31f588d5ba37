"""The Cisco ISE MDM API as Ivanti's products serve it."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from mdmsdk.simulator import IseHabits, IseSimulator, SimDevice

__all__ = [
    "IvantiCloudIseHabits",
    "IvantiCloudIseSimulator",
    "IvantiCoreIseHabits",
    "IvantiCoreIseSimulator",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class IvantiCloudIseHabits(IseHabits):
    """Neurons for MDM, as it describes itself in Cisco's example."""

    vendor: str = "MobileIron"
    product_name: str = "MobileIron Cloud"
    product_version: str = "76.0.0.22"


@dataclass(frozen=True, slots=True, kw_only=True)
class IvantiCoreIseHabits(IseHabits):
    """EPMM. What it says of itself and where its devices are is not published."""

    vendor: str = "MobileIron"
    product_name: str = "MobileIron Core"
    product_version: str = "11.3.0.0"


class IvantiCloudIseSimulator(IseSimulator):
    """The API of Neurons for MDM at ``/ciscoise/mdmapi/v3``."""

    name: ClassVar[str] = "ivanti-cloud-ise"
    habits_type: ClassVar[type[IseHabits]] = IvantiCloudIseHabits

    def rows(self, query: Any) -> Sequence[SimDevice]:
        """Give the records; a device without a telephone number has a stand-in that looks like one."""
        return [
            device
            if device.phone_number
            else dataclasses.replace(device, phone_number=f"PDA {device.id % 9 + 1}")
            for device in super().rows(query)
        ]


class IvantiCoreIseSimulator(IvantiCloudIseSimulator):
    """The API of EPMM; releases before 11.3.0.0 build 24 speak version 2 at most."""

    name: ClassVar[str] = "ivanti-core-ise"
    habits_type: ClassVar[type[IseHabits]] = IvantiCoreIseHabits
