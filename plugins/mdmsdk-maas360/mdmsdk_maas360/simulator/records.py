"""What the simulated server says about a device: rows of the search, and the attributes of compliance."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from datetime import datetime

    from mdmsdk.simulator import SimDevice
    from mdmsdk_maas360.simulator.habits import Maas360Habits

__all__ = ["FILTERS", "attributes", "failing", "fresh", "number_of", "row", "status_of"]

_APPLE: Final = frozenset({"iOS", "iPadOS", "macOS"})
_PLATFORMS: Final = {"iPadOS": "iOS", "macOS": "Mac"}
_OWNERS: Final = {
    "corporate": "Corporate Owned",
    "personal": "Employee Owned",
    "shared": "Corporate Shared",
}
# The parameter of the search that finds the devices out of compliance, and the state that it looks at.
FILTERS: Final = {
    "plcCompliance": "policyComplianceState",
    "ruleCompliance": "ruleComplianceState",
    "appCompliance": "appComplianceState",
    "pswdCompliance": "passcodeCompliance",
}
_NUMBER: Final = re.compile(r"\d{1,18}(?:\.\d{1,3})?", re.ASCII)
_GONE: Final = ("User Removed Control", "Control Removed", "Not Enrolled")


def number_of(device: SimDevice) -> str:
    """Give the server's name of a record: of Apple's devices made from the serial number."""
    if device.platform in _APPLE:
        return f"Appl{device.serial_number}"
    return f"{device.platform}{device.guid.replace('-', '')[:16]}"


def status_of(device: SimDevice) -> str:
    """Give whether a device is counted among the active ones; some of those that have left still are."""
    return "Active" if device.registered or device.id % 3 else "Inactive"


def fresh(device: SimDevice) -> bool:
    """Tell whether nothing is known of a device yet."""
    return device.compliance == "unknown"


def failing(device: SimDevice) -> frozenset[str]:
    """Give the parameters that find a device: most fail a rule, some another one."""
    if device.compliance not in {"noncompliant", "grace"}:
        return frozenset()
    others = ("plcCompliance", "appCompliance", "pswdCompliance")
    found = {"ruleCompliance"} if device.id % 8 else set()
    found |= {others[device.id % 3]} if device.id % 4 in {0, 1} else set()
    return frozenset(found)


def row(device: SimDevice, habits: Maas360Habits) -> dict[str, Any]:
    """Write a row of the search, version 2.0."""
    apple = device.platform in _APPLE
    managed = "Activated" if device.id % 5 == 0 else "Enrolled"
    if not device.registered:
        managed = _GONE[device.id % len(_GONE)]
    written: dict[str, Any] = {
        "maas360DeviceID": number_of(device),
        "customAssetNumber": "",
        "deviceOwner": "",
        "sourceID": 1,
        "deviceName": device.name,
        "deviceType": "Smartphone" if device.kind == "phone" else device.kind.capitalize(),
        "deviceStatus": status_of(device),
        "maas360ManagedStatus": managed,
        "enrollmentMode": "Manual",
        "testDevice": False,
        "isSupervisedDevice": device.supervised,
        "ownership": _OWNERS[device.ownership],
        "platformName": _PLATFORMS.get(device.platform, device.platform),
        "platformSerialNumber": device.serial_number,
        "imeiEsn": device.meid or device.imei or "",
        "wifiMacAddress": _colons(device.wifi_mac),
        "udid": device.udid,
        "osName": f"{device.platform} {device.os_version} ({device.os_build})",
        "osVersion": device.os_version,
        "manufacturer": device.manufacturer,
        "model": device.model,
        "modelId": device.model_identifier,
        "username": device.username,
        "userDomain": "",
        "emailAddress": device.email,
        "phoneNumber": (device.phone_number or "").removeprefix("+"),
        "mdmPolicy": "Default iOS MDM Policy(3)" if apple else "Default Policy(1)",
        "mailboxDeviceId": "",
        "unifiedTravelerDeviceId": "",
        "selectiveWipeStatus": "N/a",
        **_facts(device),
        **_states(device, habits),
        **_times(device),
    }
    if habits.numbers:
        keep = () if habits.loses_zeros else ("0",)
        written = {
            name: value if str(value).startswith(keep) else _as_number(value)
            for name, value in written.items()
        }
    return written


def _facts(device: SimDevice) -> dict[str, Any]:
    known = device.jailbroken is not None and not fresh(device)
    return {
        "jailbreakStatus": "Not Available" if not known else "Yes" if device.jailbroken else "No",
        "encryptionStatus": "Encryption Complete" if device.disk_encrypted else "",
    }


def _states(device: SimDevice, habits: Maas360Habits) -> dict[str, Any]:
    found, bad = failing(device), habits.bad_words
    states: dict[str, Any] = {}
    for parameter, name in FILTERS.items():
        passcode = parameter == "pswdCompliance"
        good = "Compliant" if passcode else "In Compliance"
        states[name] = bad[passcode] if parameter in found else "" if fresh(device) else good
    # No rule is assigned to some of the devices.
    if device.id % 7 == 0 and "ruleCompliance" not in found:
        states["ruleComplianceState"] = ""
    return states


def _times(device: SimDevice) -> dict[str, Any]:
    seen, enrolled = device.last_check_in, device.enrolled_at
    times: dict[str, Any] = {"lastReported": _naive(seen), "installedDate": _naive(enrolled)}
    for name, moment in (("lastReported", seen), ("firstRegistered", enrolled), ("lastRegistered", enrolled)):
        times[f"{name}InEpochms"] = "" if moment is None else int(moment.timestamp() * 1000)
    return times


def attributes(device: SimDevice, habits: Maas360Habits) -> dict[str, Any]:
    """Write what the server says about a device's security and compliance, version 1.0."""
    bad = habits.bad_words[0]
    listed = [
        {"name": "Device Rooted", "value": "Yes" if device.jailbroken else "No", "compliance": ""},
        {"name": "Failed Settings", "value": "", "compliance": ""},
    ]
    listed += [
        {"name": "Out-of-Compliance Reasons", "value": reason, "compliance": bad}
        for reason in device.failure_reasons
        if failing(device)
    ]
    named = {"maas360DeviceID": number_of(device)} if habits.names_device else {}
    return {"securityCompliance": {**named, "complianceAttributes": {"complianceAttribute": listed}}}


def _colons(mac: str | None) -> str:
    return ":".join(re.findall("..", (mac or "").lower()))


def _naive(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _as_number(value: Any) -> Any:
    if not (isinstance(value, str) and _NUMBER.fullmatch(value)):
        return value
    return float(value) if "." in value else int(value)
