"""From Graph's records to devices, and one verdict from two services. Pure.

Microsoft Graph, "managedDevice resource type", https://learn.microsoft.com/graph/api/resources/intune-devices-manageddevice
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import MalformedResponseError
from mdmsdk.models import Compliance, ComplianceState, Device, clean_time, parse_macs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["DETAILS", "FIELDS", "read_device", "read_failures", "settle"]

FIELDS: Final = (
    "id,azureADDeviceId,deviceName,userPrincipalName,serialNumber,imei,meid,phoneNumber,wiFiMacAddress,operatingSystem,"
    "osVersion,manufacturer,model,complianceState,complianceGracePeriodExpirationDateTime,jailBroken,isEncrypted,"
    "lastSyncDateTime,managementState,managementAgent,deviceRegistrationState"
)
"""What a list has of a device."""
DETAILS: Final = "ethernetMacAddress,udid"
"""What only a request for the one device has, and only if it is selected."""

_STATES: Final[Mapping[str, ComplianceState]] = {
    "compliant": ComplianceState.COMPLIANT,
    "noncompliant": ComplianceState.NONCOMPLIANT,
    "conflict": ComplianceState.NONCOMPLIANT,
    "error": ComplianceState.NONCOMPLIANT,
    "ingraceperiod": ComplianceState.GRACE,
    "unknown": ComplianceState.UNKNOWN,
    "configmanager": ComplianceState.UNKNOWN,
}
_REASONS: Final[Mapping[str, str]] = {
    "conflict": "compliance policies for this device contradict each other",
    "error": "a compliance policy could not be evaluated on this device",
    "unknown": "Intune has not evaluated this device yet",
    "configmanager": "Configuration Manager decides about this device, not Intune",
}
# That a device on its way out is not under management any more is inferred from the words.
_LEAVING: Final = frozenset(
    {"discovered", "retirepending", "retireissued", "wipepending", "wipeissued", "deletepending"}
)
_NOT_REGISTERED: Final = frozenset({"notregistered", "notregisteredpendingenrollment", "revoked"})
_NO_ENTRA_ID: Final = "00000000-0000-0000-0000-000000000000"
_BOOLEANS: Final = {"true": True, "false": False}
_FAILED: Final = frozenset({"noncompliant", "error", "conflict"})

# The worse, the higher; unknown is worse than grace, since nobody vouches for the device.
_SEVERITY: Final = {
    ComplianceState.COMPLIANT: 0,
    ComplianceState.GRACE: 1,
    ComplianceState.UNKNOWN: 2,
    ComplianceState.NONCOMPLIANT: 3,
}
_NOT_KNOWN: Final = Compliance(vendor_state="unknown device")


def read_device(
    row: Mapping[str, Any],
    *,
    provider: str,
    now: datetime | None = None,
    stale_days: int = 0,
    portal: str | None = None,
    keep_raw: bool = False,
) -> Device:
    """Build the device of a record.

    Args:
        row: a managedDevice.
        provider: the name of the provider that asks.
        now: the server's time, for how long ago the last check-in is.
        stale_days: after how many days without a check-in there is a hint; 0 never.
        portal: where users learn what to do.
        keep_raw: keep the record in `Device.raw`.

    Raises:
        MalformedResponseError: the record has no id.
    """
    text = {
        name: value.strip() for name, value in row.items() if isinstance(value, str) and value.strip()
    }.get
    if (guid := text("id")) is None:
        raise MalformedResponseError("Graph lists a device without an id")
    entra_id, seen = text("azureADDeviceId"), clean_time(text("lastSyncDateTime"))
    encrypted = row.get("isEncrypted")
    return Device(
        provider=provider,
        id=None if entra_id == _NO_ENTRA_ID else entra_id,
        name=text("deviceName"),
        guid=guid,
        udid=text("udid"),
        serial_number=text("serialNumber") if text("serialNumber") != "0" else None,
        imei=text("imei"),
        meid=text("meid"),
        mac_addresses=parse_macs(text("wiFiMacAddress"), text("ethernetMacAddress")),
        user=text("userPrincipalName"),
        phone_number=text("phoneNumber"),
        manufacturer=text("manufacturer"),
        model=text("model"),
        os=text("operatingSystem"),
        os_version=text("osVersion"),
        registered=(text("managementState") or "").lower() not in _LEAVING
        and (text("deviceRegistrationState") or "").lower() not in _NOT_REGISTERED,
        compliance=_compliance(row, _advice(seen, now, stale_days), portal),
        # False is also what a device has that never said anything.
        disk_encrypted=encrypted if isinstance(encrypted, bool) and seen else None,
        jailbroken=_BOOLEANS.get((text("jailBroken") or "").lower()),
        last_check_in=seen,
        raw=dict(row) if keep_raw else None,
    )


def _compliance(row: Mapping[str, Any], advice: str | None, portal: str | None) -> Compliance:
    word = row.get("complianceState")
    word = word if isinstance(word, str) else None
    plain = (word or "").lower()
    state = _STATES.get(plain, ComplianceState.UNKNOWN)
    reasons = [_REASONS[plain]] if plain in _REASONS else []
    if state is ComplianceState.GRACE and (
        until := clean_time(row.get("complianceGracePeriodExpirationDateTime"))
    ):
        reasons.append(f"noncompliant, in the grace period until {until:%Y-%m-%d %H:%M} UTC")
    if advice is None and state is not ComplianceState.COMPLIANT and portal:
        advice = f"Open {portal} on the device, or sync it in the Company Portal app."
    return Compliance(state=state, reasons=tuple(reasons), remediation=advice, vendor_state=word)


def _advice(seen: datetime | None, now: datetime | None, stale_days: int) -> str | None:
    """What to do about a device that does not check in; that is no verdict on it."""
    if seen is None:
        return "The device has never checked in: its user should sync it in the Company Portal app."
    if now is None or not stale_days or now - seen < timedelta(days=stale_days):
        return None
    return (
        f"The device has not checked in for {(now - seen).days} days: its user should sync it in the "
        "Company Portal app, "
        "and sign in there if asked."
    )


def settle(device: Device, retrieved: Sequence[Device]) -> Device:
    """The device of Graph with the stricter of both verdicts, saying so where they disagree.

    Args:
        device: as Graph has it.
        retrieved: what Compliance Retrieval says about its GUID; nothing if it does not know it.
    """
    other = max(
        (row.compliance for row in retrieved), key=lambda found: _SEVERITY[found.state], default=_NOT_KNOWN
    )
    own = device.compliance
    chosen = own if _SEVERITY[own.state] >= _SEVERITY[other.state] else other
    changes: dict[str, Any] = {"registered": device.registered and all(row.registered for row in retrieved)}
    # A boolean has no word for grace, so that "compliant" does not contradict it.
    agreed = own.state == other.state or (own.state, other.state) == (
        ComplianceState.GRACE,
        ComplianceState.COMPLIANT,
    )
    if not agreed:
        note = (
            f"Graph says {own.vendor_state}, Compliance Retrieval says {_said(other)}; the strictest counts"
        )
        changes["compliance"] = chosen.model_copy(
            update={
                "reasons": (*chosen.reasons, note),
                "remediation": chosen.remediation or own.remediation,
                "source": "Microsoft Graph" if chosen is own else "Compliance Retrieval",
            }
        )
    return device.model_copy(update=changes)


def _said(compliance: Compliance) -> str:
    if compliance is _NOT_KNOWN:
        return "that it does not know the device"
    return compliance.state.value


# Microsoft Graph, "deviceCompliancePolicyState" and "deviceComplianceSettingState": another enumeration
# than the device's own; settingName is empty, setting has dots; there is a row for each user.
def read_failures(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those states of policies or settings that are a failure."""
    return [row for row in rows if str(row.get("state")).lower() in _FAILED]
