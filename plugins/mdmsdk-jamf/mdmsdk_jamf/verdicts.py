"""From what Jamf Pro says about a device to its compliance. Pure.

Jamf Pro has no verdict of its own: an administrator says which group, search, state or rules decide. Whatever
they leave open is unknown, and never compliant.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import FilterIgnoredError, MalformedResponseError
from mdmsdk.models import Compliance, ComplianceState, seen_within
from mdmsdk.rows import Row
from mdmsdk_jamf.inventory import COMPUTERS

if TYPE_CHECKING:
    from mdmsdk.models import Device
    from mdmsdk_jamf.inventory import Record
    from mdmsdk_jamf.settings import Rules

__all__ = [
    "GONE",
    "NO_RULE",
    "UNCONFIGURED",
    "by_membership",
    "by_rules",
    "by_vendors",
    "group_of",
    "not_covered",
    "other_site",
]

UNCONFIGURED: Final = Compliance(
    reasons=("No source of compliance is configured for this Jamf Pro server: see the setting compliance.",)
)
GONE: Final = Compliance(reasons=("The device was deleted while its state was asked for.",))
NO_RULE: Final = Compliance(reasons=("No rule applies to this kind of device.",), source="rules")
_MOBILE_SYSTEMS: Final = frozenset({"ios", "ipados", "tvos", "watchos", "visionos"})
_NOT_EVALUATED: Final = "The device has not sent its inventory yet, so Jamf Pro has not evaluated it."


def not_covered(record: Record) -> Compliance:
    """The verdict on a device of a kind for which the settings name nothing."""
    kind = record.realm.name
    return Compliance(reasons=(f"No source of compliance is configured for {kind}: see compliance.{kind}.",))


def other_site(source: str) -> Compliance:
    """The verdict on a device that a group of offenders could not hold."""
    return Compliance(reasons=(f"The {source} is limited to a site to which the device does not belong.",))


def group_of(record: Record, group_id: str) -> Row | None:
    """The group among those that the record lists; None where the device is no member.

    Raises:
        MalformedResponseError: the record does not list its groups by id, which proves nothing.
    """
    given = record.row.get(record.realm.groups)
    groups = [Row(group, "a group") for group in given] if isinstance(given, list) else None
    if groups is None or not all(group.text("groupId") for group in groups):
        raise MalformedResponseError(
            f"Jamf Pro left the groups out of a record of {record.realm.name} ({record.id})",
            hint="Have its inventory updated; if all records lack them, check the account's privileges.",
        )
    return next((group for group in groups if group.text("groupId") == group_id), None)


# In the vendor's own integration with Entra, a member of the compliance group complies, and a device that
# leaves it does not: "Integrating with Microsoft Intune", https://docs.jamf.com. The setting turns it round.
def by_membership(
    record: Record, *, member: bool, means_compliant: bool, source: str, description: str | None = None
) -> Compliance:
    """The verdict of a smart group or an advanced search.

    Args:
        record: the device's record.
        member: whether it is in the group or search.
        means_compliant: what being in it means.
        source: the group or search, as in ``smart group 'Compliant'``.
        description: what the group's own description says.
    """
    vendor_state = f"{'in' if member else 'not in'} {source}"
    # Of one whose moment is damaged nobody knows, and that makes no pass, and takes no offender away.
    if record.never_reported or (record.reported_at is None and member == means_compliant):
        return Compliance(reasons=(_NOT_EVALUATED,), vendor_state=vendor_state, source=source)
    if member == means_compliant:
        return Compliance(state=ComplianceState.COMPLIANT, vendor_state=vendor_state, source=source)
    reason = (description if member else None) or f"The device is {vendor_state}."
    return Compliance(
        state=ComplianceState.NONCOMPLIANT, reasons=(reason,), vendor_state=vendor_state, source=source
    )


# "Return basic compliance information for the given device": one state for each vendor that is told about it;
# none at all is possible. That all vendors to which it applies must agree is inferred.
def by_vendors(record: Record, answer: Any) -> Compliance:
    """The verdict of the states that Jamf Pro keeps for conditional access.

    Raises:
        MalformedResponseError: this is no list of states.
        FilterIgnoredError: they belong to another device.
    """
    if not isinstance(answer, list):
        raise MalformedResponseError("Jamf Pro answered with something else than compliance information")
    states = [Row(state, "compliance information") for state in answer]
    if any(state.text("deviceId") not in {record.id, None} for state in states):
        raise FilterIgnoredError("Jamf Pro answered with the compliance information of another device")
    applying = [state for state in states if state.flag("applicable") is not False]
    words = [state.text("complianceState") or "no state" for state in applying]
    failed = [state for state, word in zip(applying, words, strict=True) if word == "NON_COMPLIANT"]
    reasons = tuple(f"NON_COMPLIANT ({state.text('complianceVendor') or 'unnamed'})" for state in failed)
    sure = all(state.flag("applicable") and state.text("deviceId") for state in applying)
    verdict = ComplianceState.UNKNOWN
    if failed:
        verdict = ComplianceState.NONCOMPLIANT
    elif set(words) == {"COMPLIANT"} and sure:
        verdict = ComplianceState.COMPLIANT
    return Compliance(
        state=verdict,
        reasons=reasons,
        vendor_state=", ".join(dict.fromkeys(words)) or None,
        source="conditional access",
    )


def by_rules(record: Record, rules: Rules) -> Compliance:
    """The verdict of rules over the inventory: compliant if some apply and all of those are fulfilled."""
    outcomes = dict(_outcomes(record, rules))
    broken = tuple(reason for reason, fulfilled in outcomes.items() if fulfilled is False)
    if broken:
        return Compliance(state=ComplianceState.NONCOMPLIANT, reasons=broken, source="rules")
    open_points = tuple(f"Not known: {reason}" for reason, fulfilled in outcomes.items() if fulfilled is None)
    if not outcomes:
        return NO_RULE
    if open_points:
        return Compliance(reasons=open_points, source="rules")
    return Compliance(state=ComplianceState.COMPLIANT, source="rules")


def _outcomes(record: Record, rules: Rules) -> list[tuple[str, bool | None]]:
    """What each rule that applies says: the reason if it is broken, and whether it is fulfilled."""
    device, computer = record.device, record.realm is COMPUTERS
    found: list[tuple[str, bool | None]] = []
    if rules.filevault and computer:
        found.append(("FileVault is not on.", device.disk_encrypted))
    if rules.passcode and not computer:
        found.append(("No passcode is set.", device.passcode_set))
    if rules.no_jailbreak and not computer:
        found.append(
            ("A jailbreak was detected.", None if device.jailbroken is None else not device.jailbroken)
        )
    if (days := rules.max_days_since_contact) is not None:
        reason = f"The device has had no contact for more than {days} days."
        found.append((reason, seen_within(days, device.last_check_in, record.answered)))
    if rules.minimum_os:
        minimum = _minimum(record, rules)
        if minimum is None:
            found.append(("The operating system is too old.", None))
        elif minimum:
            system = device.os or ("macOS" if computer else "The system")
            found.append((f"{system} is older than {minimum}.", _is_at_least(device, minimum)))
    return found


def _minimum(record: Record, rules: Rules) -> str | None:
    """The lowest version for a device; empty if the rules name none, None if its system is not known."""
    minimums = rules.minimum_os
    if record.realm is COMPUTERS:
        return minimums.get("macos", "")
    system = (record.device.os or "").casefold()
    if system not in _MOBILE_SYSTEMS:
        return None
    # Jamf Pro calls the system of an iPad iOS, too.
    pad = system == "ios" and (record.device.model or "").casefold().startswith("ipad")
    return (pad and minimums.get("ipados")) or minimums.get(system, "")


def _is_at_least(device: Device, minimum: str) -> bool | None:
    found = re.match(r"\d+(?:\.\d+)*", device.os_version or "")
    return _parts(found[0]) >= _parts(minimum) if found else None


def _parts(version: str) -> list[int]:
    """The numbers of a version, without the zeros at its end: 14.0 is 14."""
    numbers = [int(number) for number in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers
