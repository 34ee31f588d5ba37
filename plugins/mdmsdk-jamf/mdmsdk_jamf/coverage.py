"""Whether the source of compliance says anything about the devices that there are. Pure.

A group that nobody is in, conditional access that knows nobody, a rule over a fact that nobody reports: each
gives a list of offenders that is empty and complete, and proves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdmsdk.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mdmsdk.models import Compliance
    from mdmsdk_jamf.inventory import Record
    from mdmsdk_jamf.membership import Membership
    from mdmsdk_jamf.sources import Source

__all__ = ["Counts", "check", "count", "counts"]

Counts = dict[str, list[int]]
"""By inventory: managed devices that have reported, those of them that the source covers, and those about
which it says something."""
_ALL, _COVERED, _TOLD = range(3)


def counts(record: Record) -> bool:
    """Whether a source has to know a device: it is managed, and has sent its inventory."""
    return record.device.registered and record.reported_at is not None


def count(
    seen: Mapping[str, list[int]], source: Source | Membership, verdicts: Iterable[tuple[Record, Compliance]]
) -> Counts:
    """The counts with some more verdicts."""
    found = {name: list(numbers) for name, numbers in seen.items()}
    for record, verdict in verdicts:
        if counts(record):
            numbers = found.setdefault(record.realm.name, [0, 0, 0])
            told = source.tells(verdict)
            numbers[_ALL] += 1
            numbers[_COVERED] += told is not None
            numbers[_TOLD] += told is True
    return found


def check(seen: Counts, what: str) -> None:
    """Whether the source means these devices, all of an inventory.

    Raises:
        ConfigurationError: it says nothing about any of them.
    """
    silent = {name: one[_COVERED] for name, one in seen.items() if one[_COVERED] and not one[_TOLD]}
    found = ", ".join(f"{one[_ALL]} managed {name}" for name, one in seen.items())
    if silent:
        names = " and ".join(f"any of the {number} managed {name}" for name, number in silent.items())
        raise ConfigurationError(
            f"{what} says nothing about {names}",
            hint=f"Looked at: {found}. A group or search in which nobody is who should be, an integration "
            "that knows no device, or a rule over a fact that no device reports, proves nothing about "
            "anybody: correct the setting compliance, or what it names.",
        )
    if seen and not any(one[_COVERED] for one in seen.values()):
        raise ConfigurationError(
            f"{what} is for none of the devices of this Jamf Pro server",
            hint=f"Looked at: {found}. Say in the setting compliance what decides about them.",
        )
