"""What the classes of the SMS Provider say about the fleet; every device is a computer with Windows.

https://learn.microsoft.com/mem/configmgr/develop/reference/sms-wmi-classes
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_DNS, UUID, uuid5

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mdmsdk.simulator import Fleet, SimDevice
    from mdmsdk_configmgr.simulator.habits import ConfigMgrHabits

__all__ = ["BASELINES", "Table", "discovered_macs", "inventoried_macs", "is_blocked", "smbios_guid", "tables"]

_SCOPE: Final = "ScopeId_7A1E0C52-0000-4000-8000-000000000001"
_SECURITY, _ENCRYPTION, _FORMER = 16_780_001, 16_780_002, 16_779_001
BASELINES: Final = ("Windows security", "Disk encryption")
"""The names of the baselines that are assigned to every computer."""
_NAMES: Final = {0: "Unknown", 1: "Compliant", 2: "Non-Compliant", 4: "Error"}
_VIRTUAL: Final = "00:15:5D:00:00:01"


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a class.

    Attributes:
        rows: All of them, in no order.
        key: The property by which one of them is read; None where several are needed.
        lazy: Properties that only a row has that is read by its key.
    """

    rows: Sequence[Mapping[str, Any]]
    key: str | None = None
    lazy: frozenset[str] = frozenset()


@lru_cache(maxsize=10_000)
def _hardware(udid: str) -> UUID:
    return uuid5(NAMESPACE_DNS, udid)


def smbios_guid(device: SimDevice) -> UUID:
    """Give the hardware's own GUID, the same after another enrolment."""
    return _hardware(device.udid)


def discovered_macs(device: SimDevice) -> tuple[str, ...]:
    """Give the addresses that discovery knows: none of computers without a client, and no dock's."""
    if _is_bare(device):
        return ()
    return tuple(_coloned(mac) for mac in (device.wifi_mac, device.ethernet_mac) if mac)


def inventoried_macs(device: SimDevice) -> tuple[str, ...]:
    """Give the addresses in the hardware inventory; none before the first one."""
    return tuple(map(_coloned, device.mac_addresses)) if _has_inventory(device) else ()


def is_blocked(device: SimDevice, habits: ConfigMgrHabits) -> bool:
    """Tell whether the administrators have blocked a client."""
    return habits.blocks and device.id % 17 == 0


def tables(fleet: Fleet, habits: ConfigMgrHabits) -> dict[str, Table]:
    """Write all classes that are simulated."""
    site = {"SiteCode": "P01", "SiteName": "Example", "Version": "5.00.9132.1000", "Type": 2}
    inventoried = [device for device in fleet if _has_inventory(device)]
    judged = [row for device in fleet for row in _states(device, habits)]
    return {
        "SMS_Site": Table([site], "SiteCode"),
        "SMS_R_System": Table([_system(device, habits) for device in fleet], "ResourceId"),
        "SMS_CombinedDeviceResources": Table([_combined(device, habits) for device in fleet], "ResourceID"),
        "SMS_G_System_PC_BIOS": Table([_bios(device) for device in inventoried]),
        "SMS_G_System_NETWORK_ADAPTER_CONFIGURATION": Table(
            [row for device in inventoried for row in _adapters(device, habits)]
        ),
        "SMS_ConfigurationBaselineInfo": Table(list(_baselines(habits)), "CI_ID"),
        "SMS_CI_CurrentComplianceStatus": Table(judged, lazy=frozenset({"ComplianceStatusDetails"})),
        "SMS_DCMDeploymentNonCompliantAssetDetails": Table(
            [row for device in fleet for row in _failures(device)]
        ),
    }


def _has_inventory(device: SimDevice) -> bool:
    return device.last_check_in is not None


def _is_bare(device: SimDevice) -> bool:
    """Tell whether a computer is only discovered: its client is gone."""
    return not device.registered and device.id % 3 == 0


def _coloned(mac: str) -> str:
    return ":".join(mac[place : place + 2] for place in range(0, 12, 2))


def _time(moment: datetime | None, earlier: float = 0) -> str | None:
    return None if moment is None else f"{moment - timedelta(hours=earlier):%Y-%m-%dT%H:%M:%SZ}"


def _system(device: SimDevice, habits: ConfigMgrHabits) -> dict[str, Any]:
    guid = smbios_guid(device)
    if habits.swapped and device.id % 4 == 0:
        guid = UUID(bytes_le=guid.bytes)
    gone = not device.registered and not _is_bare(device)
    return {
        "ResourceId": device.id,
        "ResourceType": 5,
        "Name": device.hostname,
        "NetbiosName": device.hostname,
        "ResourceDomainORWorkgroup": "EXAMPLE",
        "MACAddresses": list(discovered_macs(device)) or None,
        "IPAddresses": [device.ip_address],
        "SMBIOSGUID": str(guid).upper(),
        "SMSUniqueIdentifier": f"GUID:{device.guid.upper()}",
        "Client": None if _is_bare(device) else 1,
        "ClientType": None if _is_bare(device) else 1,
        "Active": None if _is_bare(device) else int(device.registered),
        "Obsolete": int(gone and device.id % 2 == 0),
        "Decommissioned": int(gone and device.id % 2 == 1),
        "LastLogonUserName": device.username,
        "LastLogonUserDomain": "EXAMPLE",
        "OperatingSystemNameandVersion": "Microsoft Windows NT Workstation 10.0",
        "Build": "10.0.22631",
        "BuildExt": "10.0.22631.4602",
        "AADDeviceID": device.directory_id,
    }


def _combined(device: SimDevice, habits: ConfigMgrHabits) -> dict[str, Any]:
    seen = device.last_check_in
    return {
        "ResourceID": device.id,
        "Name": device.hostname,
        "IsClient": not _is_bare(device),
        "IsBlocked": is_blocked(device, habits),
        "IsApproved": 1,
        "IsObsolete": not device.registered,
        "ClientActiveStatus": int(device.registered),
        "ClientCheckPass": 1,
        "DeviceOwner": 2 if device.ownership == "personal" else 1,
        "LastActiveTime": _time(seen, 1),
        "LastPolicyRequest": _time(seen),
        "LastDDR": _time(seen, 20),
        "LastHardwareScan": _time(seen, 70),
        "LastStatusMessage": None,
        "UserName": device.username,
    }


def _bios(device: SimDevice) -> dict[str, Any]:
    return {
        "ResourceID": device.id,
        "SerialNumber": device.serial_number,
        "Manufacturer": device.manufacturer,
        "SMBIOSBIOSVersion": "N3AET80W",
    }


def _adapters(device: SimDevice, habits: ConfigMgrHabits) -> Iterable[dict[str, Any]]:
    # Windows has adapters without an address, and virtual ones with the same on every computer.
    for number, mac in enumerate((*map(_coloned, device.mac_addresses), _VIRTUAL, None)):
        text = mac.replace(":", "-") if mac and habits.hyphens and device.id % 5 == 0 else mac
        yield {"ResourceID": device.id, "Index": number, "MACAddress": text, "IPEnabled": int(bool(mac))}


def _baselines(habits: ConfigMgrHabits) -> Iterable[dict[str, Any]]:
    for number, (ci, name) in enumerate(
        ((16_779_999, "Old"), (_SECURITY, BASELINES[0]), (_ENCRYPTION, BASELINES[1]), (16_780_003, "Servers"))
    ):
        yield {
            "CI_ID": ci,
            "CI_UniqueID": f"{_SCOPE}/Baseline_{uuid5(NAMESPACE_DNS, name)}/{3 + number}",
            "LocalizedDisplayName": name,
            "IsAssigned": name in BASELINES and habits.assigned,
            "IsEnabled": name != "Old",
            "NonComplianceCount": 0,
            "FailureCount": 0,
        }


def _numbers(device: SimDevice) -> Sequence[int | None]:
    """Give the states of the two baselines; None where there is no row."""
    odd = device.id % 2
    if device.compliance == "compliant":
        return 1, 1
    if device.compliance == "noncompliant":
        return (2, 1 + odd) if device.id % 3 else (1, 2)
    if device.compliance == "grace":  # there is none: the evaluation failed
        return 1, 4
    return ((0, 1), (None, 1), (None, None), (1, 5))[device.id % 4]


def _state(device: SimDevice, ci: int, number: int, user: str = "") -> dict[str, Any]:
    return {
        "CI_ID": ci,
        "ResourceID": device.id,
        "UserName": user,
        "ComplianceState": number,
        "ComplianceStateName": _NAMES.get(number, "Not Detected"),
        "LastComplianceMessageTime": _time(device.last_check_in, 30),
        "MaxNoncomplianceCriticality": 3 if number == 2 else 0,  # noqa: PLR2004 - the state
        "ModelName": f"{_SCOPE}/Baseline_{ci}",
        "ComplianceStatusDetails": "<ConfigurationItemReport/>",
    }


def _states(device: SimDevice, habits: ConfigMgrHabits) -> Iterable[dict[str, Any]]:
    for ci, number in zip((_SECURITY, _ENCRYPTION), _numbers(device), strict=True):
        if number is not None:
            yield _state(device, ci, number)
    yield _state(device, 17_000_001, 1)  # an application, which is no baseline
    if habits.users and device.id % 7 == 0:
        yield _state(device, _SECURITY, 2 if device.id % 2 else 1, f"EXAMPLE\\{device.username}")
    if habits.revisions and device.id % 6 == 0:
        yield _state(device, _FORMER, 1)


def _failures(device: SimDevice) -> Iterable[dict[str, Any]]:
    failed = [
        name
        for name, number in zip(BASELINES, _numbers(device), strict=True)
        if number == 2  # noqa: PLR2004
    ]
    for name in failed:
        for text in device.failure_reasons:
            yield {
                "AssignmentID": 16_777_300,
                "AssetID": device.id,
                "AssetName": device.hostname,
                "AssetType": 1,
                "BLName": name,
                "CIName": f"{name} settings",
                "RuleName": text,
                "RuleDescription": f"{name}, as the company wants it",
                "RuleSeverity": 3,
                "RuleStateDisplay": "Non-compliant",
            }
