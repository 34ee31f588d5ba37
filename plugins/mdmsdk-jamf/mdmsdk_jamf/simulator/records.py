"""The fleet's devices in Jamf Pro's words: inventory records, filter values, groups, rows of the Classic API.

Sources: the description of the Jamf Pro API 11.30 and of the Classic API; see `mdmsdk_jamf.simulator`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.identifiers import Imei

if TYPE_CHECKING:
    from mdmsdk.simulator import SimDevice
    from mdmsdk_jamf.simulator.habits import JamfHabits

__all__ = [
    "APPLE",
    "COMPUTER_FIELDS",
    "COMPUTER_SECTIONS",
    "GROUPS",
    "MOBILE_FIELDS",
    "MOBILE_SECTIONS",
    "SEARCHES",
    "SORTED",
    "STATES",
    "classic_row",
    "computer",
    "filter_values",
    "group_rows",
    "groups_of",
    "is_computer",
    "listed",
    "mobile",
    "reported",
    "search_content",
    "second_imei",
    "states",
]

APPLE: Final = frozenset({"macOS", "iOS", "iPadOS"})
"""Jamf Pro manages no other systems."""

# id, name and description; the first two are what compliance is read from.
GROUPS: Final[Mapping[bool, Sequence[tuple[int, str, str]]]] = {
    True: (
        (10, "Compliant Macs", "Macs that fulfil the company's rules"),
        (11, "Noncompliant Macs", "This Mac does not fulfil the company's rules"),
        (12, "All Managed Clients", ""),
    ),
    False: (
        (20, "Compliant devices", "Devices that fulfil the company's rules"),
        (21, "Noncompliant devices", "This device does not fulfil the company's rules"),
        (22, "All Managed iPads", ""),
    ),
}

# Those of the description's filter and sort fields that the simulated records have.
_SORTED_TOO: Final = frozenset(
    {"id", "udid", "general.name", "general.jamfBinaryVersion", "general.lastContactTime"}
    | {"general.lastContact", "general.lastCheckIn", "general.lastEnrolledDate", "general.reportDate"}
    | {"general.platform", "hardware.make", "hardware.model", "operatingSystem.build", "operatingSystem.name"}
    | {"operatingSystem.version", "userAndLocation.realname"}
)
_MOBILE_TOO: Final = frozenset(
    {"mobileDeviceId", "udid", "displayName", "managementId", "managed", "wifiMacAddress", "serialNumber"}
    | {"username", "emailAddress", "imei", "imei2", "meid", "osVersion", "osBuild", "passcodePresent"}
    | {"passcodeCompliant", "ipAddress", "model", "modelIdentifier", "supervised", "lastContactDate"}
    | {"lastInventoryUpdateDate"}
)
COMPUTER_FIELDS: Final = _SORTED_TOO | {
    *("general.managementId", "general.remoteManagement.managed", "general.mdmCapable.capable"),
    *("general.supervised", "general.userApprovedMdm", "general.lastIpAddress", "hardware.macAddress"),
    *("hardware.serialNumber", "hardware.modelIdentifier", "hardware.appleSilicon"),
    *("operatingSystem.fileVault2Status", "diskEncryption.fileVault2Enabled", "security.firewallEnabled"),
    *("userAndLocation.username", "userAndLocation.email", "userAndLocation.phone"),
}
MOBILE_FIELDS: Final = _MOBILE_TOO | {"groupId", "groupName"}
SORTED: Final = {True: _SORTED_TOO, False: _MOBILE_TOO | {"lastEnrolledDate", "deviceOwnershipType"}}
"""The fields that a list can be sorted by, by whether it is of computers."""


COMPUTER_SECTIONS: Final = {
    name.upper(): re.sub("_(.)", lambda found: found[1].upper(), name)
    for name in (
        *("general", "disk_encryption", "purchasing", "applications", "storage", "user_and_location"),
        *(
            "configuration_profiles",
            "printers",
            "services",
            "hardware",
            "local_user_accounts",
            "certificates",
        ),
        *("attachments", "package_receipts", "security", "operating_system", "licensed_software", "ibeacons"),
        *("software_updates", "extension_attributes", "content_caching", "group_memberships"),
    )
}
MOBILE_SECTIONS: Final = {
    name.upper(): re.sub("_(.)", lambda found: found[1].upper(), name)
    for name in (
        *("general", "hardware", "user_and_location", "purchasing", "security", "applications", "ebooks"),
        *("network", "service_subscriptions", "certificates", "profiles", "user_profiles"),
        *("provisioning_profiles", "shared_users", "groups", "extension_attributes"),
    )
}

# Searches, as the groups: compliant ones and the others; (id, name) by whether they are of computers.
SEARCHES: Final = {
    True: ((30, "Macs for ISE: comply"), (31, "Macs for ISE: do not comply")),
    False: ((40, "Devices for ISE: comply"), (41, "Devices for ISE: do not comply")),
}
STATES: Final = {"compliant": "COMPLIANT", "grace": "COMPLIANT", "noncompliant": "NON_COMPLIANT"}

_ABSENT: Final = object()
_RENAMED: Final = 4  # the version of the inventory that has lastContact and lastCheckIn
_FILEVAULT: Final = {True: "ALL_ENCRYPTED", False: "NOT_ENCRYPTED", None: "NOT_APPLICABLE"}


def is_computer(device: "SimDevice") -> bool:
    """Whether the device stands in the inventory of computers."""
    return device.kind in {"laptop", "desktop"}


def groups_of(device: "SimDevice", habits: "JamfHabits") -> Sequence[tuple[int, str, str]]:
    """Give the smart groups of a device. One that was never evaluated is in neither of the first two."""
    compliant, noncompliant, everything = GROUPS[is_computer(device)]
    # A group has no grace: a device in grace still fulfils its criteria.
    verdict = {"compliant": compliant, "grace": compliant, "noncompliant": noncompliant}.get(
        device.compliance
    )
    nobody = habits.deleted_groups | habits.empty_groups
    return [group for group in (verdict, everything) if group and group[0] not in nobody]


def _time(moment: datetime | None) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")[:-4] + "Z" if moment else None


def _mac(mac: str | None, habits: "JamfHabits") -> str | None:
    if mac is None:
        return None
    colons = ":".join(re.findall("..", mac))
    return colons.lower() if habits.lower_case_macs else colons


def reported(device: "SimDevice") -> str | None:
    """When the inventory came: never from a device that was not evaluated yet."""
    if device.compliance == "unknown" or device.last_check_in is None:
        return None
    return _time(device.last_check_in - timedelta(minutes=3))


def alternative_mac(device: "SimDevice") -> str | None:
    """Give the second of the two addresses for which a computer's record has room."""
    return device.dock_mac or device.ethernet_mac


def second_imei(device: "SimDevice") -> str | None:
    """Give the number of the second line of a phone with a modem; no record of the fleet has one."""
    if device.imei is None or device.kind != "phone":
        return None
    return Imei(f"{device.imei[:8]}9{device.id:05}").spellings[0]


def computer(device: "SimDevice", habits: "JamfHabits", version: int) -> dict[str, Any]:
    """Give a computer's record, with all sections that the simulator knows."""
    contact = _time(device.last_check_in)
    contacts = dict.fromkeys(
        ("lastContact", "lastCheckIn") if version >= _RENAMED else ("lastContactTime",), contact
    )
    return {
        "id": str(device.id),
        "udid": device.udid,
        "general": {
            "name": device.hostname,
            "lastIpAddress": device.ip_address,
            "jamfBinaryVersion": "11.30.0",
            "platform": "Mac",
            "remoteManagement": {"managed": device.managed},
            "supervised": device.supervised,
            "mdmCapable": {"capable": device.managed, "userManagementInfo": []},
            "reportDate": reported(device),
            **contacts,
            "lastEnrolledDate": _time(device.enrolled_at),
            "site": {"id": "-1", "name": "None"},
            "userApprovedMdm": device.managed,
            "managementId": device.guid,
        },
        "hardware": {
            "make": device.manufacturer,
            "model": device.model,
            "modelIdentifier": device.model_identifier,
            "serialNumber": device.serial_number,
            "networkAdapterType": "IEEE80211",
            "macAddress": _mac(device.wifi_mac, habits),
            "altNetworkAdapterType": "Ethernet",
            "altMacAddress": _mac(alternative_mac(device), habits),
            "appleSilicon": True,
        },
        "operatingSystem": {
            "name": "macOS",
            "version": device.os_version,
            "build": device.os_build,
            "fileVault2Status": _FILEVAULT[device.disk_encrypted],
        },
        "diskEncryption": {"fileVault2Enabled": device.disk_encrypted, "fileVault2EnabledUserNames": []},
        "security": {"sipStatus": "ENABLED", "gatekeeperStatus": "APP_STORE", "firewallEnabled": True},
        "userAndLocation": {
            "username": device.username,
            "realname": device.full_name,
            "email": device.email,
            "phone": device.phone_number or "",
        },
        "groupMemberships": [
            {"groupId": str(number), "groupName": name, "groupDescription": text, "smartGroup": True}
            for number, name, text in groups_of(device, habits)
        ],
    }


def mobile(device: "SimDevice", habits: "JamfHabits") -> dict[str, Any]:
    """Give a mobile device's record, with all sections that the simulator knows."""
    imei, second = (
        number and f"{number[:2]} {number[2:8]} {number[8:14]} {number[14]}" if habits.spaced_imei else number
        for number in (device.imei, second_imei(device))
    )
    return {
        "mobileDeviceId": str(device.id),
        "deviceType": "iOS",
        "general": {
            "udid": device.udid,
            "displayName": device.name,
            "siteId": "-1",
            "lastInventoryUpdateDate": reported(device),
            "lastContactDate": _time(device.last_check_in),
            "osVersion": device.os_version,
            "osBuild": device.os_build,
            "ipAddress": device.ip_address,
            "managed": device.managed,
            "supervised": device.supervised,
            "deviceOwnershipType": "Institutional",
            "lastEnrolledDate": _time(device.enrolled_at),
            "managementId": device.guid,
        },
        "hardware": {
            "serialNumber": device.serial_number,
            "wifiMacAddress": _mac(device.wifi_mac, habits),
            "model": device.model,
            "modelIdentifier": device.model_identifier,
        },
        "security": {
            "dataProtected": device.passcode_set,
            "hardwareEncryption": 3,
            "passcodePresent": device.passcode_set,
            "passcodeCompliant": device.passcode_set,
            "jailBreakDetected": device.jailbroken,
        },
        "network": {"imei": imei, "meid": device.meid, "phoneNumber": device.phone_number},
        "serviceSubscriptions": [
            {
                "slot": f"CTSubscriptionSlot{slot}",
                "imei": number,
                "meid": device.meid if slot == "One" else "",
            }
            for slot, number in (("One", imei), ("Two", second))
            if number
        ],
        "userAndLocation": {
            "username": device.username,
            "realName": device.full_name,
            "emailAddress": device.email,
            "phoneNumber": "",
        },
        "groups": [
            {"groupId": str(number), "groupName": name, "groupDescription": text, "smart": True}
            for number, name, text in groups_of(device, habits)
        ],
    }


def filter_values(record: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """Give what the filter fields of a record hold, as texts."""
    if "mobileDeviceId" in record:
        flat = {
            **record,
            **record["general"],
            **record["hardware"],
            **record["security"],
            **record["network"],
        }
        flat |= record["userAndLocation"]
        flat["imei2"] = next((line["imei"] for line in record["serviceSubscriptions"][1:]), None)
        names = MOBILE_FIELDS | SORTED[False]
        found: dict[str, Sequence[str]] = {name: _texts(flat.get(name)) for name in names}
        for name in ("groupId", "groupName"):
            found[name] = [str(group[name]) for group in record["groups"]]
        return found
    values: dict[str, Sequence[str]] = {}
    for field in COMPUTER_FIELDS:
        value: Any = record
        for name in field.split("."):
            value = value.get(name, _ABSENT)
            if value is _ABSENT:  # a field of another version
                break
        else:
            values[field] = _texts(value)
    return values


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def classic_row(device: "SimDevice", habits: "JamfHabits") -> dict[str, Any]:
    """Give the short row of the Classic API's search for computers."""
    return {
        "id": device.id,
        "name": device.hostname,
        "udid": device.udid,
        "serial_number": device.serial_number,
        "mac_address": _mac(device.wifi_mac, habits) or "",
        "alt_mac_address": _mac(alternative_mac(device), habits) or "",
        "asset_tag": "",
        "username": device.username,
    }


def group_rows(
    fleet: Sequence["SimDevice"], habits: "JamfHabits", *, computers: bool
) -> list[dict[str, Any]]:
    """Give the list of smart groups."""
    rows: list[dict[str, Any]] = []
    for group in GROUPS[computers]:
        number, name, text = group
        name = habits.named.get(number, name)
        count = sum(group in groups_of(device, habits) for device in fleet)
        if number in habits.deleted_groups:
            continue
        if computers:
            rows.append({"id": str(number), "siteId": "-1", "name": name, "membershipCount": count})
        else:
            names = {"groupId": str(number), "groupName": name, "groupDescription": text}
            rows.append({**names, "siteId": "-1", "count": count})
    return rows


def states(device: "SimDevice", habits: "JamfHabits") -> list[dict[str, Any]]:
    """Give the states for conditional access: one vendor looks at the device, another does not."""
    if device.last_check_in is None or not habits.partner:
        return []
    state = {
        "deviceId": str(device.id),
        "applicable": True,
        "complianceState": STATES.get(device.compliance, "UNKNOWN"),
        "complianceVendor": "Entra",
        "complianceVendorDeviceInformation": {"deviceIds": [device.directory_id or ""]},
    }
    other = {"applicable": False, "complianceVendor": "Elsewhere", "complianceState": "UNKNOWN"}
    return [state, {**state, **other}]


def search_content(
    fleet: Sequence["SimDevice"], habits: "JamfHabits", number: int, *, computers: bool
) -> dict[str, Any]:
    """Give an advanced search with the devices in it: those of the group in the same place."""
    names = dict(SEARCHES[computers])
    group = GROUPS[computers][[*names].index(number)]
    rows = [
        {"id": device.id, "name": device.hostname, "udid": device.udid, "Last_Inventory_Update": ""}
        for device in fleet
        if is_computer(device) == computers and group in groups_of(device, habits)
    ]
    content = {
        "id": number,
        "name": names[number],
        "criteria": [],
        "display_fields": [{"name": "Last Inventory Update"}],
        "computers" if computers else "mobile_devices": listed(rows, habits),
        "site": {"id": -1, "name": "None"},
    }
    return {f"advanced_{'computer' if computers else 'mobile_device'}_search": content}


def listed(rows: list[dict[str, Any]], habits: "JamfHabits") -> Any:
    """Give a list as the Classic API writes it."""
    return rows[0] if habits.single_rows and len(rows) == 1 else rows
