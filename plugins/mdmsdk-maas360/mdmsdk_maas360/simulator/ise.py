"""MaaS360's endpoint for Cisco ISE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mdmsdk.simulator import IseHabits, IseSimulator
from mdmsdk.simulator._ise_xml import Writer

__all__ = ["Maas360IseHabits", "Maas360IseSimulator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Maas360IseHabits(IseHabits):
    """How the endpoint for Cisco ISE behaves; the other fields are those of `IseHabits`.

    Attributes:
        blank_before_mac: A blank stands before each MAC address, as in IBM's printed sample.
    """

    username: str = "ise@example.com"
    vendor: str = "IBM"
    product_name: str = "MaaS360"
    product_version: str = "10.91"
    query_max_size: int = 5000
    blank_before_mac: bool = False


class _Writer(Writer):
    def mac(self, mac: str) -> str:
        """Write an address, with a blank before it where that is the habit."""
        blank = isinstance(self._habits, Maas360IseHabits) and self._habits.blank_before_mac
        return f"{' ' if blank and mac else ''}{super().mac(mac)}"


class Maas360IseSimulator(IseSimulator):
    """A local server of MaaS360's endpoint for Cisco ISE: version 3 as a sample has it, 2 in the guides."""

    name: ClassVar[str] = "maas360-ise"
    habits_type: ClassVar[type[IseHabits]] = Maas360IseHabits
    writer_type: ClassVar[type[Writer]] = _Writer
