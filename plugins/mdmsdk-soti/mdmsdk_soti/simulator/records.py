"""How MobiControl writes a device; part of the simulator.

From its description of the API (DeviceBase and the kinds of devices), and from recordings of version 13.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mdmsdk.simulator import SimDevice

__all__ = [
    "APPLE",
    "POLICED",
    "fails_default_check",
    "kind_of",
    "modem",
    "record",
    "seen",
    "serial_name",
    "spelled",
]

APPLE: Final = frozenset({"Ios", "Mac"})
POLICED: Final = frozenset({"AndroidForWork", *APPLE})
"""Kinds that compliance policies apply to."""
_OLD_WORDS: Final = {"Ios": "iOS", "AndroidForWork": "AndroidPlus"}
_FAMILIES: Final = {
    "Ios": ("Apple", "iOS"),
    "Mac": ("Apple", "macOS"),
    "AndroidForWork": ("AndroidPlus", "AndroidPlus"),
    "WindowsDesktop": ("WindowsDesktop", "WindowsTen64"),
    # All modern Windows devices are in this family.
    "WindowsPhone": ("WindowsPhone", "WindowsDesktop10"),
}
_POLICY_WORDS: Final[Mapping[str, str | None]] = {
    "compliant": "Compliant",
    "noncompliant": "NonCompliant",
    "grace": "Pending",  # MobiControl has no grace
    "unknown": None,  # a device without policy
}


def kind_of(device: SimDevice) -> str:
    """Give the kind of a device; one sort of Windows shows neither serial number nor check-ins."""
    if device.platform == "Windows":
        return "WindowsPhone" if device.kind == "desktop" else "WindowsDesktop"
    return {"Android": "AndroidForWork", "macOS": "Mac"}.get(device.platform, "Ios")


def serial_name(device: SimDevice) -> str | None:
    """Give the member that holds the serial number, if the kind has one."""
    kind = kind_of(device)
    if kind == "WindowsPhone":
        return None
    return "ManufacturerSerialNumber" if kind in APPLE else "HardwareSerialNumber"


def modem(device: SimDevice) -> str | None:
    """Give the one text for IMEI and MEID."""
    return device.meid or device.imei


def spelled(device: SimDevice, mac: str | None) -> str | None:
    """Give an address as its platform has it: Apple's in lower case with colons, others bare."""
    if mac is None or kind_of(device) not in APPLE:
        return mac
    return ":".join(mac[at : at + 2] for at in range(0, 12, 2)).lower()


def fails_default_check(device: SimDevice) -> bool | None:
    """Give whether the device fails the check that every kind knows; None where it was not made."""
    if not device.registered or device.jailbroken:
        return True
    if kind_of(device) in POLICED:
        return False
    return None if device.compliance == "unknown" else device.compliance != "compliant"


def record(
    device: SimDevice, device_id: str, *, types: bool = True, old_words: bool = False, policies: bool = True
) -> dict[str, Any]:
    """Give the record of a device.

    Args:
        device: Whose.
        device_id: Its id.
        types: With a `$type`.
        old_words: With the words of version 13.
        policies: With the result of compliance policies.
    """
    kind, fails = kind_of(device), fails_default_check(device)
    family, platform = _FAMILIES[kind]
    row: dict[str, Any] = {"$type": f"Device{kind}"} if types else {}
    row |= {
        "Kind": _OLD_WORDS.get(kind, kind) if old_words else kind,
        "DeviceId": device_id,
        "DeviceName": device.hostname,
        "Family": family,
        "Platform": platform,
        "Manufacturer": device.manufacturer,
        "Model": device.model,
        "OSVersion": device.os_version,
        "HostName": device.hostname if kind.startswith("Windows") else device.ip_address,
        "MACAddress": spelled(device, device.ethernet_mac or device.wifi_mac),
        "WifiMAC": spelled(device, device.wifi_mac),
        "BluetoothMAC": None,
        "Path": "\\\\Example\\Fleet",
        "ServerName": "DS1",
        "Mode": "Active" if device.registered else "UnenrolledByAdmin",
        "IsAgentOnline": False,
        "EnrollmentType": "User" if device.ownership == "personal" else "Device",
        "EnrollmentTime": _time(device.enrolled_at),
        "ComplianceStatus": None if fails is None else not fails,
        "ComplianceItems": _items(device),
        "CustomAttributes": [],
        "AzureDeviceId": device.directory_id,
        "AzureComplianceStatus": "NotApplicable",
        "DeviceUserInfo": _user(device),
    }
    if policies:
        # What Windows devices show there is not known; this says that no policy was checked.
        row["CompliancePolicyStatus"] = _POLICY_WORDS[device.compliance] if kind in POLICED else "Pending"
    elif kind in POLICED:
        # The only check of an older server has to say all.
        bad = bool(fails) or device.compliance in {"noncompliant", "grace"}
        row["ComplianceStatus"] = None if device.compliance == "unknown" and not bad else not bad
    row["IMEI_MEID_ESN"] = modem(device)
    if (name := serial_name(device)) is not None:
        row[name] = f"{device.serial_number} " if kind == "AndroidForWork" else device.serial_number
    return row | _details(device, kind)


def _details(device: SimDevice, kind: str) -> dict[str, Any]:
    """Give what only this kind has."""
    last = _time(seen(device))
    times = {"LastCheckInTime": last, "LastAgentConnectTime": last, "LastAgentDisconnectTime": None}
    passcode: dict[str, Any] = {
        "PasscodeEnabled": device.passcode_set,
        "PasscodeStatus": "Present" if device.passcode_set else "Unknown",
        "PhoneNumber": device.phone_number,
    }
    if kind == "WindowsPhone":
        return {"IMEI_MEID_ESN_SIM2": None, "HardwareEncryption": "None", **passcode}
    if kind == "WindowsDesktop":
        return {"HardwareEncryption": "None", "IsSMode": False, **times, **passcode}
    if kind == "Mac":
        return {
            "FDEEnabled": device.disk_encrypted,
            "IsPasswordExists": device.passcode_set,
            "ProductName": device.model_identifier,
            "LastStatusUpdate": last,
            **times,
        }
    secure = None if device.jailbroken is None else not device.jailbroken
    more: dict[str, Any] = {"IsEncrypted": device.disk_encrypted, "IsOSSecure": secure, **times, **passcode}
    more["Sims"] = [{"ImeiOrMeid": device.imei}] if device.imei else []
    if kind == "Ios":
        return more | {
            "IsEnrolled": False,  # a recording has it beside an active device
            "IsSupervised": device.supervised,
            "ActivationLockBypassCode": "SIMULATED-BYPASS-CODE",
            "ModelNumber": device.model_identifier,
            "LastStatusUpdate": last,
            "IsMDMLostModeEnabled": False,
        }
    return more | {
        "MobileSerialNumber": None,
        "LastLoggedOnUser": None,
        "SafetynetAttestationStatus": "Failed" if device.jailbroken else "Passed",
        "UserIdentities": [],
    }


def _items(device: SimDevice) -> list[dict[str, Any]]:
    secured = None if device.jailbroken is None or kind_of(device) == "Ios" else not device.jailbroken
    return [
        {"ComplianceType": name, "ComplianceValue": value}
        for name, value in (
            ("IsSecured", secured),
            ("NotWiped", True),
            ("IsEnabled", True),
            ("IsEnrolled", device.registered),
        )
    ]


def _user(device: SimDevice) -> dict[str, Any] | None:
    """Give the user; of some devices there is none, and of others an object full of nothing."""
    names = ("UserName", "UPN", "Email", "FirstName", "LastName", "DomainName", "PhoneNumber", "Identifier")
    if device.id % 5 == 0:
        return None
    empty: dict[str, Any] = dict.fromkeys(names)
    if device.id % 7 == 0:
        return empty
    return empty | {"UserName": device.username, "UPN": device.email, "Email": device.email}


def seen(device: SimDevice) -> datetime | None:
    """Give the last check-in as the record has it: some have a fraction, and one kind has none."""
    moment = device.last_check_in
    if moment is None or kind_of(device) == "WindowsPhone":
        return None
    return moment.replace(microsecond=550_000 if moment.second % 3 == 0 else 0)


def _time(moment: datetime | None) -> str | None:
    """Give a time, with a short fraction if it has one."""
    if moment is None:
        return None
    fraction = f".{moment.microsecond // 10_000}" if moment.microsecond else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"
