"""From Graph's records to devices, and one verdict from two services. Pure.

Microsoft Graph, "managedDevice resource type", https://learn.microsoft.com/graph/api/resources/intune-devices-manageddevice
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import DeviceId, Guid, Hostname, Username
from mdmsdk.models import Compliance, ComplianceState, Device
from mdmsdk.rows import Row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from mdmsdk_intune.settings import IntuneSettings

__all__ = ["DETAILS", "FIELDS", "GraphRow", "is_leaving", "read_device", "read_failures", "read_id", "settle"]

FIELDS: Final = (
    "id,azureADDeviceId,deviceName,userPrincipalName,serialNumber,imei,meid,phoneNumber,wiFiMacAddress,operatingSystem,"
    "osVersion,manufacturer,model,complianceState,complianceGracePeriodExpirationDateTime,jailBroken,isEncrypted,"
    "lastSyncDateTime,managementState,deviceRegistrationState"
)
"""What a list has of a device."""
_MACS: Final = ("wiFiMacAddress", "ethernetMacAddress")
DETAILS: Final = "ethernetMacAddress,udid"
"""What only a request for the one device has, and only if it is selected."""

_STATES: Final[Mapping[str, ComplianceState]] = {
    "compliant": ComplianceState.COMPLIANT,
    "ingraceperiod": ComplianceState.GRACE,
    **dict.fromkeys(("noncompliant", "conflict", "error"), ComplianceState.NONCOMPLIANT),
    **dict.fromkeys(("unknown", "configmanager"), ComplianceState.UNKNOWN),
}
_REASONS: Final[Mapping[str, str]] = {
    "conflict": "compliance policies for this device contradict each other",
    "error": "a compliance policy could not be evaluated on this device",
    "unknown": "Intune has not evaluated this device yet",
    "configmanager": "Configuration Manager decides about this device, not Intune",
}
# Microsoft Graph, "managementState enum type",
# https://learn.microsoft.com/graph/api/resources/intune-devices-managementstate: whether Intune manages the
# device. That one on its way out is not under management any more is inferred from the words.
_STAYS: Final = ("managed", "unhealthy", "retirefailed", "retirecanceled", "wipefailed", "wipecanceled")
_LEAVES: Final = ("discovered", "retirepending", "retireissued", "wipepending", "wipeissued", "deletepending")
_MANAGED: Final = dict.fromkeys(_STAYS, True) | dict.fromkeys(_LEAVES, False)
_FAILED: Final = frozenset({"noncompliant", "error", "conflict"})

_NOT_KNOWN: Final = Compliance(vendor_state="unknown device")


class GraphRow(Row):
    """A managedDevice; an Entra device id of zeros says that there is none."""

    nothing: ClassVar[AbstractSet[str]] = frozenset({"", "00000000-0000-0000-0000-000000000000"})


def read_device(
    row: GraphRow, settings: IntuneSettings, now: datetime | None = None, portal: str | None = None
) -> Device:
    """Build the device of a record.

    Args:
        row: a managedDevice.
        settings: the provider's.
        now: the server's time, for how long ago the last check-in is.
        portal: where users learn what to do.

    Raises:
        MalformedResponseError: the record has no id.
    """
    guid = read_id(row)
    seen = row.time("lastSyncDateTime")
    # It is always asked for, so that a record without it says as little as one with an unknown word.
    managed = row.doubt("managementState", _managed(row))
    return Device(
        provider="intune",
        id=row.key(DeviceId, "azureADDeviceId"),
        name=row.key(Hostname, "deviceName"),
        guid=guid.value,
        **row.identifiers(udid="udid", serial="serialNumber", imei="imei", meid="meid", mac=_MACS),
        user=row.key(Username, "userPrincipalName"),
        phone_number=row.text("phoneNumber"),
        manufacturer=row.text("manufacturer"),
        model=row.text("model"),
        os=row.text("operatingSystem"),
        os_version=row.text("osVersion"),
        registered=managed is True,
        compliance=_compliance(row, _advice(seen, now, settings.stale_days), portal),
        # False is also what a device has that never said anything.
        disk_encrypted=row.flag("isEncrypted") if seen else None,
        jailbroken=row.flag("jailBroken"),
        last_check_in=seen,
        raw=row.document if settings.keep_raw else None,
        unreadable=row.unreadable,
    )


def read_id(row: GraphRow) -> Guid:
    """The Intune device id.

    Raises:
        MalformedResponseError: the record has none.
    """
    if (guid := Guid.parse(row.text("id"))) is None:
        raise MalformedResponseError("Graph lists a device without an id")
    return guid


def is_leaving(row: GraphRow) -> bool:
    """Whether the record says that Intune is about to let the device go, or has never managed it."""
    return _managed(row) is False


def _managed(row: GraphRow) -> bool | None:
    return _MANAGED.get((row.text("managementState") or "").lower())


# Microsoft Graph, "deviceRegistrationState enum type",
# https://learn.microsoft.com/graph/api/resources/intune-devices-deviceregistrationstate: how the device
# stands with Entra ID. It is no verdict, and does not say whether Intune manages the device.
def _compliance(row: GraphRow, advice: str | None, portal: str | None) -> Compliance:
    word, registration = row.word("complianceState"), row.word("deviceRegistrationState")
    plain = (word or "").lower()
    state = _STATES.get(plain, ComplianceState.UNKNOWN)
    if word:
        row.doubt("complianceState", _STATES.get(plain))
    reasons = [_REASONS[plain]] if plain in _REASONS else []
    if state is ComplianceState.GRACE and (until := row.time("complianceGracePeriodExpirationDateTime")):
        reasons.append(f"noncompliant, in the grace period until {until:%Y-%m-%d %H:%M} UTC")
    if advice is None and state is not ComplianceState.COMPLIANT and portal:
        advice = f"Open {portal} on the device, or sync it in the Company Portal app."
    if registration and registration.lower() != "registered":
        word = f"{word or 'no state'} (registration: {registration})"
    return Compliance(state=state, reasons=tuple(reasons), remediation=advice, vendor_state=word)


def _advice(seen: datetime | None, now: datetime | None, stale_days: int) -> str | None:
    """What to do about a device that does not check in; that is no verdict on it."""
    if seen is None:
        return "The device has never checked in: its user should sync it in the Company Portal app."
    if now is None or not stale_days or now - seen < timedelta(days=stale_days):
        return None
    return (
        f"The device has not checked in for {(now - seen).days} days: its user should sync it in the Company "
        "Portal app, and sign in there if asked."
    )


def settle(device: Device, retrieved: Sequence[Device]) -> Device:
    """The device of Graph with the stricter of both verdicts, saying so where they disagree.

    Args:
        device: as Graph has it.
        retrieved: what Compliance Retrieval says about its GUID; nothing if it does not know it.
    """
    other = max(
        (row.compliance for row in retrieved), key=lambda found: found.state.severity, default=_NOT_KNOWN
    )
    own = device.compliance
    chosen = own if own.state.severity >= other.state.severity else other
    macs = dict.fromkeys((*device.mac_addresses, *(mac for row in retrieved for mac in row.mac_addresses)))
    changes: dict[str, Any] = {
        "registered": device.registered and all(row.registered for row in retrieved),
        # Compliance Retrieval may name an address by which it knows the device and Graph does not.
        "mac_addresses": tuple(macs),
        "unreadable": device.unreadable.union(*(row.unreadable for row in retrieved)),
    }
    # A boolean has no word for grace, so that "compliant" does not contradict it.
    agreed = (own.state, other.state) == (ComplianceState.GRACE, ComplianceState.COMPLIANT)
    silent = other is _NOT_KNOWN and not own.reasons  # rules are not to fill that in
    if (own.state != other.state or silent) and not agreed:
        said = "that it does not know the device" if other is _NOT_KNOWN else other.state.value
        word = own.vendor_state or "nothing"
        note = f"Graph says {word}, Compliance Retrieval says {said}; the strictest counts"
        changes["compliance"] = chosen.model_copy(
            update={
                "reasons": (*chosen.reasons, note),
                "remediation": chosen.remediation or own.remediation,
                "source": "Microsoft Graph" if chosen is own else "Compliance Retrieval",
            }
        )
    return device.model_copy(update=changes)


# Microsoft Graph, "deviceCompliancePolicyState" and "deviceComplianceSettingState": another enumeration
# than the device's own; settingName is empty, setting has dots; there is a row for each user.
def read_failures(rows: Sequence[GraphRow]) -> list[GraphRow]:
    """Those states of policies or settings that are a failure."""
    return [row for row in rows if (row.text("state") or "").lower() in _FAILED]
