"""How Workspace ONE UEM writes a device in each version of its API; part of the simulator.

From UEM's API help (mdm v1, v2, v3), and from public recordings where those differ from it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdmsdk.simulator import SimDevice

__all__ = ["RecordWriter", "fails", "vendor_word"]

_NEVER: Final = "0001-01-01T00:00:00.000"
_NO_UUID: Final = "00000000-0000-0000-0000-000000000000"
_GROUP_ID: Final = 570
_GROUP_NAME: Final = "Example Corporation"
_GROUP_UUID: Final = "6b1f2a0c-5d3e-4f70-9a81-0b2c3d4e5f60"
# Platform in v1 and v2, device_type in v3.
_PLATFORMS: Final = {
    "iOS": ("Apple", "APPLE"),
    "iPadOS": ("Apple", "APPLE"),
    "Android": ("Android", "ANDROID"),
    "macOS": ("AppleOsX", "APPLE_OS_X"),
    "Windows": ("WinRT", "WIN_RT"),
}
_OWNERSHIP: Final = {
    "corporate": ("C", "CORPORATE"),
    "personal": ("E", "EMPLOYEE"),
    "shared": ("S", "SHARED"),
}
# The words for each state of the fleet, v3's first; v1 and v2 write them without underscores.
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "compliant": ("COMPLIANT", "COMPLIANT", "COMPLIANT", "COMPLIANT", "ALLOWED"),
    "noncompliant": ("NOT_COMPLIANT", "NOT_COMPLIANT", "NOT_COMPLIANT", "QUARANTINED", "BLOCKED"),
    # UEM has no grace: a device that may still mend itself waits for the next check.
    "grace": ("PENDING_COMPLIANCE_CHECK_FOR_A_POLICY", "PENDING_COMPLIANCE_CHECK"),
    "unknown": ("NOT_AVAILABLE", "UNKNOWN", "NOT_APPLICABLE", "REGISTRATION_ACTIVE", "REGISTRATION_EXPIRED"),
}
_OLD_WORDS: Final = {"NOT_COMPLIANT": "NonCompliant"}


def vendor_word(device: SimDevice, version: int, *, varied: bool) -> str:
    """The compliance status of a device in the words of a version; always the same for a device."""
    words = _WORDS[device.compliance]
    word = words[device.id % len(words)] if varied else words[0]
    if version > 2:  # noqa: PLR2004 - the version with words in capitals
        return word
    return _OLD_WORDS.get(word, word.title().replace("_", ""))


def fails(device: SimDevice) -> bool:
    """Whether the server counts a device among the noncompliant ones."""
    return device.compliance == "noncompliant"


@dataclass(frozen=True)
class RecordWriter:
    """Writes records.

    Attributes:
        zone: of the server, whose times in v1 and v2 searches carry none.
        varied: use all words for the compliance status, not the usual two.
        integers: write enumerations as numbers where recordings have them.
        network: list all network interfaces.
    """

    zone: str
    varied: bool
    integers: bool
    network: bool

    def extended(self, device: SimDevice) -> dict[str, Any]:
        """A row of v1 and v2 searches, and the answer to v1 lookups."""
        row: dict[str, Any] = {
            "EasIds": {},
            "TimeZone": "",
            "Udid": device.udid,
            "SerialNumber": device.serial_number,
            "MacAddress": device.mac_addresses[0] if device.mac_addresses else "",
            "Imei": device.imei or "",
            "EasId": "",
            "AssetNumber": f"ASSET-{device.id}",
            "DeviceFriendlyName": f"{device.username} {device.model}",
            "DeviceReportedName": device.name,
            "HostName": device.hostname,
            "LocationGroupId": {"Id": {"Value": _GROUP_ID}, "Name": _GROUP_NAME, "Uuid": _GROUP_UUID},
            "LocationGroupName": _GROUP_NAME,
            "UserId": {"Id": {"Value": 1 + device.id // 2}, "Name": device.full_name, "Uuid": _NO_UUID},
            "UserName": device.username,
            "UserEmailAddress": device.email,
            "EnrollmentUserUuid": _NO_UUID,
            "DataProtectionStatus": 0,
            "Ownership": _OWNERSHIP[device.ownership][0],
            "PlatformId": {"Id": {"Value": 2}, "Name": _PLATFORMS[device.platform][0]},
            "Platform": _PLATFORMS[device.platform][0],
            "ModelId": {"Id": {"Value": 1}, "Name": device.model},
            "Model": device.model,
            "OEMInfo": device.manufacturer,
            "OperatingSystem": device.os_version,
            "OSBuildVersion": device.os_build,
            "PhoneNumber": device.phone_number or "",
            "LastSeen": self.naive(device.last_check_in),
            "EnrollmentStatus": "Enrolled" if device.registered else "Unenrolled",
            "ComplianceStatus": vendor_word(device, 1, varied=self.varied),
            "LastComplianceCheckOn": self.naive(device.last_check_in),
            "LastCompromisedCheckOn": self.naive(device.last_check_in),
            "LastEnrolledOn": self.naive(device.enrolled_at),
            "ManagedBy": 1 if self.integers else "MDM",
            "IsSupervised": device.supervised,
            "DataEncryptionYN": _yes_no(device.disk_encrypted),
            "AcLineStatus": 0,
            "VirtualMemory": 0,
            "BatteryLevel": "81%",
            "Id": {"Value": device.id},
            "Uuid": device.guid,
        }
        if device.jailbroken is not None:
            row["CompromisedStatus"] = device.jailbroken
        if policies := self.policies(device):
            row["ComplianceSummary"] = {"DeviceCompliance": policies}
        if self.network:
            row["DeviceNetworkInfo"] = [
                {
                    "ConnectionType": kind,
                    "IPAddress": device.ip_address,
                    "MACAddress": mac,
                    "Name": kind,
                    "Vendor": "",
                }
                for kind, mac in _interfaces(device)
            ]
        if device.imei:
            row["DeviceCellularNetworkInfo"] = [
                {
                    "CardId": "1",
                    "Imei": device.imei,
                    "PhoneNumber": device.phone_number or "",
                    "IsRoaming": False,
                }
            ]
        return row

    def by_uuid_v2(self, device: SimDevice) -> dict[str, Any]:
        """The answer of v2 by UUID."""
        return {
            "uuid": device.guid,
            "udid": device.udid,
            "serialNumber": device.serial_number,
            "macAddress": device.mac_addresses[0] if device.mac_addresses else "",
            "imei": device.imei or "",
            "friendlyName": f"{device.username} {device.model}",
            "computerName": device.hostname,
            "organizationGroupName": _GROUP_NAME,
            "supervised": device.supervised,
            "dataEncrypted": bool(device.disk_encrypted),
            "platformInfo": {
                "deviceType": _PLATFORMS[device.platform][0],
                "platformName": device.platform,
                "modelName": device.model,
                "osVersion": device.os_version,
            },
            "carrierInfo": {"phoneNumber": device.phone_number or "", "roamingEnabled": False},
            "enrollmentInfo": {
                "enrollmentStatus": "ENROLLED" if device.registered else "UNENROLLED",
                "compliant": device.compliance == "compliant",
                "enrollmentTimestamp": zoned(device.enrolled_at),
                "lastSeenTimestamp": zoned(device.last_check_in),
                "ownership": _OWNERSHIP[device.ownership][1],
                "organizationGroupId": _GROUP_UUID,
                "organizationGroupName": _GROUP_NAME,
                "userName": device.username,
                "userEmailAddress": device.email,
                "enrollmentUserUuid": _NO_UUID,
                "managedBy": 1 if self.integers else "MDM",
            },
        }

    def by_uuid_v3(self, device: SimDevice) -> dict[str, Any]:
        """The answer of v3 by UUID."""
        passcode = {None: "UNKNOWN", True: "YES", False: "NO"}[device.passcode_set]
        return {
            "id": device.id,
            "uuid": device.guid,
            "udid": device.udid,
            "serial_number": device.serial_number,
            "mac_address": device.mac_addresses[0] if device.mac_addresses else "",
            "imei": device.imei or "",
            "friendly_name": f"{device.username} {device.model}",
            "device_reported_name": device.name,
            "computer_name": device.hostname,
            "organization_group_name": _GROUP_NAME,
            "data_encrypted": bool(device.disk_encrypted),
            "supervised": device.supervised,
            "passcode_present": passcode,
            "passcode_compliant": passcode,
            "battery_level_percentage": "81",
            "platform_info": {
                "device_type": _PLATFORMS[device.platform][1],
                "platform_name": device.platform,
                "model": device.model,
                "model_identifier": device.model_identifier,
                "os_version": device.os_version,
                "oem_info": device.manufacturer,
            },
            "carrier_info": {"phone_number": device.phone_number or "", "roaming_enabled": False},
            "enrollment_info": {
                "enrollment_status": "ENROLLED" if device.registered else "UNENROLLED",
                "compliance_status": vendor_word(device, 3, varied=self.varied),
                "enrollment_timestamp": zoned(device.enrolled_at),
                "last_seen_timestamp": zoned(device.last_check_in),
                "last_checkin_timestamp": zoned(device.last_check_in),
                "ownership": _OWNERSHIP[device.ownership][1],
                "managed_by": "MDM",
                "organization_group_uuid": _GROUP_UUID,
                "organization_group_name": _GROUP_NAME,
                "enrollment_user_name": device.username,
                "enrollment_user_email_address": device.email,
                "enrollment_user_uuid": _NO_UUID,
            },
        }

    def row_v3(self, device: SimDevice) -> dict[str, Any]:
        """A row of v3 searches."""
        row: dict[str, Any] = {
            "Id": {"Value": device.id},
            "Uuid": device.guid,
            "udid": device.udid,
            "serial_number": device.serial_number,
            "mac_address": device.mac_addresses[0] if device.mac_addresses else "",
            "imei": device.imei or "",
            "eas_ids": {},
            "device_friendly_name": f"{device.username} {device.model}",
            "device_reported_name": device.name,
            "device_type": _PLATFORMS[device.platform][1],
            "platform_name": device.platform,
            "model": device.model,
            "model_identifier": device.model_identifier,
            "oem_info": device.manufacturer,
            "operating_system": device.os_version,
            "os_build_version": device.os_build,
            "ownership": _OWNERSHIP[device.ownership][1],
            "organization_group_name": _GROUP_NAME,
            "organization_group_uuid": _GROUP_UUID,
            "enrollment_user_name": device.username,
            "enrollment_user_email_address": device.email,
            "enrollment_user_uuid": _NO_UUID,
            "enrollment_status": "ENROLLED" if device.registered else "UNENROLLED",
            "managed_by": "MDM",
            "compliance_status": vendor_word(device, 3, varied=self.varied),
            "data_encryption_yn": _yes_no(device.disk_encrypted),
            "last_seen": self.naive(device.last_check_in),
            "last_enrolled_on": self.naive(device.enrolled_at),
            "last_compliance_check_on": self.naive(device.last_check_in),
        }
        if device.jailbroken is not None:
            row["compromised_status"] = device.jailbroken
        if device.failure_reasons:
            row["compliance_summary"] = {
                "overall_compliance_status": row["compliance_status"],
                "compliance_policy_results": [
                    {
                        "policy_name": reason,
                        "policy_description": device.remediation or "",
                        "compliance_status": "NON_COMPLIANT" if fails(device) else "PENDING",
                        "last_compliance_check": zoned(device.last_check_in),
                        "uuid": _policy_uuid(reason),
                    }
                    for reason in device.failure_reasons
                ],
                "page": 0,
                "page_size": 500,
                "total": len(device.failure_reasons),
            }
        if self.network:
            row["device_network_info"] = [
                {"connection_type": kind, "ip_address": device.ip_address, "mac_address": mac, "name": kind}
                for kind, mac in _interfaces(device)
            ]
        return row

    def policies(self, device: SimDevice, *, detail: bool = False) -> list[dict[str, Any]]:
        """The compliance policies of a device in v1; with `detail` as its own list gives them."""
        rows: list[dict[str, Any]] = []
        for reason in device.failure_reasons:
            row = {
                "CompliantStatus": not fails(device),
                "PolicyName": reason,
                "PolicyDetail": device.remediation or "",
                "LastComplianceCheck": self.naive(device.last_check_in),
                "NextComplianceCheck": _NEVER,
                "ActionTaken": [{"ActionType": 1 if self.integers else "SendEmail"}],
                "Id": {"Value": 1 + zlib.crc32(reason.encode()) % 1000},
                "Uuid": _policy_uuid(reason),
            }
            rows.append(row | {"CompliancePending": not fails(device)} if detail else row)
        return rows

    def naive(self, moment: datetime | None) -> str:
        """A time as v1 and v2 write it: the server's own, without saying so."""
        if moment is None:
            return _NEVER
        return moment.astimezone(ZoneInfo(self.zone)).replace(tzinfo=None).isoformat(timespec="milliseconds")


def zoned(moment: datetime | None) -> str:
    """A time as the records by UUID have it."""
    if moment is None:
        return f"{_NEVER}Z"
    return (moment + timedelta(0)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def security(device: SimDevice) -> dict[str, Any]:
    """The answer of `/security`, whose secrets are made up like the rest."""
    return {
        "Id": {"Value": device.id},
        "Udid": device.udid,
        "IsCompromised": bool(device.jailbroken),
        "IsEncrypted": bool(device.disk_encrypted),
        "IsPasscodePresent": bool(device.passcode_set),
        "PersonalRecoveryKey": f"SIMULATED-RECOVERY-KEY-{device.id}",
        "UnlockPin": f"SIMULATED-PIN-{device.id}",
    }


def _interfaces(device: SimDevice) -> list[tuple[str, str]]:
    found = (("WiFi", device.wifi_mac), ("Ethernet", device.ethernet_mac), ("Dock", device.dock_mac))
    return [(kind, mac) for kind, mac in found if mac]


def _policy_uuid(name: str) -> str:
    return f"00000000-0000-4000-8000-{zlib.crc32(name.encode()):012x}"


def _yes_no(value: bool | None) -> str:
    return {None: "", True: "Y", False: "N"}[value]
