"""Local servers for the presets of the Cisco ISE MDM API (see `mdmsdk.ise.presets`)."""

from dataclasses import dataclass
from typing import ClassVar

from mdmsdk.simulator.ise import IseHabits, IseSimulator

__all__ = ["SureMdmIseHabits", "SureMdmIseSimulator", "XenMobileIseHabits", "XenMobileIseSimulator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SureMdmIseHabits(IseHabits):
    """How SureMDM's endpoint behaves; the fields are those of `IseHabits`."""

    vendor: str = "42Gears"
    product_name: str = "SureMDM"
    # Sources name no messages, so none are promised.
    messaging_support: bool = False


class SureMdmIseSimulator(IseSimulator):
    """A local server of SureMDM's endpoint for Cisco ISE."""

    name: ClassVar[str] = "suremdm-ise"
    habits_type: ClassVar[type[IseHabits]] = SureMdmIseHabits


@dataclass(frozen=True, slots=True, kw_only=True)
class XenMobileIseHabits(IseHabits):
    """How XenMobile's endpoint behaves; it lies below the instance of older guides."""

    instance: str = "/zdm"
    vendor: str = "Citrix"
    product_name: str = "XenMobile Server"
    product_version: str = "10.15"
    messaging_support: bool = False


class XenMobileIseSimulator(IseSimulator):
    """A local server of XenMobile's endpoint for Cisco ISE."""

    name: ClassVar[str] = "xenmobile-ise"
    habits_type: ClassVar[type[IseHabits]] = XenMobileIseHabits
