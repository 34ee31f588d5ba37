"""The two inventories of Jamf Pro, computers and mobile devices: how to ask, and what a record says. Pure.

Source: the API's own description on each server, ``/api/doc``: computers-inventory and mobile-devices/detail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import Guid, Hostname, Imei, Key, Mac, Serial, Udid, Username
from mdmsdk.models import Device, clean_time, parse_macs
from mdmsdk_jamf.rsql import any_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from mdmsdk_jamf.paging import Row

__all__ = ["COMPUTERS", "MOBILE_DEVICES", "REALMS", "Realm", "Record", "identifiers", "part", "text"]


@dataclass(frozen=True, slots=True)
class Realm:
    """One of the inventories.

    Attributes:
        name: as the settings and `ServerInfo.extra` call it.
        path: of its list below ``/api``; ``{version}`` stands for the version in use.
        versions: which of them to try, the newest first.
        sections: the parts of a record that the answers need; others stay null.
        id_field: the record's id, in answers, filters and sort orders.
        fields: what to search for each kind of key.
        read: makes a device of a record.
        groups: where the record lists its groups.
        reported: section and field of the last inventory report.
        vendor_path: the name of the realm in the paths for conditional access.
    """

    name: str
    path: str
    versions: tuple[str, ...]
    sections: tuple[str, ...]
    id_field: str
    fields: Mapping[type[Key], tuple[str, ...]]
    read: Callable[[Row], Device]
    groups: str
    reported: tuple[str, str]
    vendor_path: str
    params: Mapping[str, str] = field(default_factory=dict)

    def id_of(self, row: Row) -> str:
        """The id of a record.

        Raises:
            MalformedResponseError: it has none.
        """
        found = text(row.get(self.id_field))
        if found is None:
            raise MalformedResponseError(f"Jamf Pro lists one of its {self.name} without an id")
        return found

    def search(self, keys: Sequence[Key]) -> str:
        """The filter for the records with one of these keys, all of one kind."""
        return any_of(self.fields[type(keys[0])], [key.value for key in keys])


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One record of an inventory, as it came.

    Attributes:
        answered: when the server answered, by its own clock.
    """

    realm: Realm
    id: str
    row: Row
    device: Device
    answered: datetime | None

    @classmethod
    def read(cls, realm: Realm, row: Row, answered: datetime | None) -> Record:
        """Read a row of an answer.

        Raises:
            MalformedResponseError: it has no id, or sections that are none.
        """
        return cls(realm, realm.id_of(row), row, realm.read(row), answered)

    @property
    def number(self) -> int | str:
        """The id by which lists are sorted; a text where it is no number, which sorts nothing."""
        return int(self.id) if self.id.isascii() and self.id.isdigit() else self.id

    @property
    def reported_at(self) -> datetime | None:
        """When the device last sent its inventory, by which alone Jamf Pro judges it; None for never."""
        section, name = self.realm.reported
        return clean_time(text(part(self.row, section).get(name)))


def part(row: Row, name: str) -> Mapping[str, Any]:
    """A section of a record; empty where the server left it null."""
    value = row.get(name)
    if value is not None and not isinstance(value, dict):
        raise MalformedResponseError(f"Jamf Pro answered with a record whose {name} is no section")
    return value or {}


def text(value: object) -> str | None:
    """A text or number as text; None where it says nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def identifiers(device: Device, kind: type[Key]) -> set[Key]:
    """The keys of one kind by which a record may be asked for."""
    if kind is Mac:
        return set(device.mac_addresses)
    # Which of the two stands in a certificate as GUID is the administrator's choice: $MANAGEMENTID or $UDID.
    values = (device.guid, device.udid) if kind is Guid else (getattr(device, kind.field),)
    return {key for key in map(kind.parse, values) if key}


# Stored as the device writes it, in the description's examples with spaces: so there is no searching by it.
def _digits(imei: str | None) -> str | None:
    key = Imei.parse(imei)
    return key.value if key else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _latest(*values: object) -> datetime | None:
    times = [moment for value in values if (moment := clean_time(text(value)))]
    return max(times, default=None)


def _first(values: Iterable[bool | None]) -> bool | None:
    return next((value for value in values if value is not None), None)


# Version 4 has lastContact and lastCheckIn where the earlier ones have lastContactTime.
def _read_computer(row: Row) -> Device:
    general, hardware, system = (part(row, name) for name in ("general", "hardware", "operatingSystem"))
    user = part(row, "userAndLocation")
    contact = _latest(*(general.get(name) for name in ("lastContact", "lastCheckIn", "lastContactTime")))
    return Device(
        id=text(row.get("id")),
        name=text(general.get("name")),
        guid=text(general.get("managementId")),
        udid=text(row.get("udid")),
        serial_number=text(hardware.get("serialNumber")),
        mac_addresses=parse_macs(text(hardware.get("macAddress")), text(hardware.get("altMacAddress"))),
        user=text(user.get("username")) or text(user.get("email")),
        phone_number=text(user.get("phone")),
        manufacturer=text(hardware.get("make")),
        model=text(hardware.get("model")),
        os=text(system.get("name")),
        os_version=text(system.get("version")),
        registered=part(general, "remoteManagement").get("managed") is True,
        disk_encrypted=_computer_encrypted(row),
        last_check_in=contact or _latest(general.get("reportDate")),
    )


_FILEVAULT: Final = {
    "ALL_ENCRYPTED": True,
    "BOOT_ENCRYPTED": True,
    "NOT_ENCRYPTED": False,
}
_PARTITION: Final = {"ENCRYPTED": True, "UNENCRYPTED": False, "DECRYPTED": False, "DECRYPTING": False}


def _computer_encrypted(row: Row) -> bool | None:
    disk = part(row, "diskEncryption")
    state = text(part(disk, "bootPartitionEncryptionDetails").get("partitionFileVault2State"))
    whole = text(part(row, "operatingSystem").get("fileVault2Status"))
    told = {_flag(disk.get("fileVault2Enabled")), _PARTITION.get(state or ""), _FILEVAULT.get(whole or "")}
    if told == {None}:
        return False if whole == "SOME_ENCRYPTED" else None  # others than the one that it starts from
    return False not in told


_BOTH_LAYERS: Final = (
    3  # of hardware encryption: block level and file level; that this means "on" is inferred
)


def _read_mobile(row: Row) -> Device:
    general, hardware, security = (part(row, name) for name in ("general", "hardware", "security"))
    network, user = part(row, "network"), part(row, "userAndLocation")
    encrypted = True if security.get("hardwareEncryption") == _BOTH_LAYERS else None
    return Device(
        id=text(row.get("mobileDeviceId")),
        name=text(general.get("displayName")),
        guid=text(general.get("managementId")),
        udid=text(general.get("udid")),
        serial_number=text(hardware.get("serialNumber")),
        imei=_digits(text(network.get("imei"))),
        meid=text(network.get("meid")),
        mac_addresses=parse_macs(text(hardware.get("wifiMacAddress"))),
        user=text(user.get("username")) or text(user.get("emailAddress")),
        phone_number=text(network.get("phoneNumber")) or text(user.get("phoneNumber")),
        manufacturer="Apple",  # Jamf Pro manages no other maker's mobile devices, and does not name it
        model=text(hardware.get("model")),
        os=text(row.get("deviceType")),
        os_version=text(general.get("osVersion")),
        registered=general.get("managed") is True,
        disk_encrypted=_first((_flag(security.get("dataProtected")), encrypted)),
        passcode_set=_flag(security.get("passcodePresent")),
        jailbroken=_flag(security.get("jailBreakDetected")),
        last_check_in=_latest(general.get("lastContactDate"))
        or _latest(general.get("lastInventoryUpdateDate")),
    )


# altMacAddress and the group memberships are in no version's list of filter fields.
COMPUTERS: Final = Realm(
    name="computers",
    path="/api/{version}/computers-inventory",
    versions=("v4", "v3", "v2", "v1"),
    sections=(
        *("GENERAL", "HARDWARE", "OPERATING_SYSTEM", "DISK_ENCRYPTION"),
        *("USER_AND_LOCATION", "GROUP_MEMBERSHIPS"),
    ),
    id_field="id",
    fields={
        Mac: ("hardware.macAddress",),
        Udid: ("udid",),
        Guid: ("general.managementId", "udid"),
        Serial: ("hardware.serialNumber",),
        Hostname: ("general.name",),
        Username: ("userAndLocation.username",),
    },
    read=_read_computer,
    groups="groupMemberships",
    reported=("general", "reportDate"),
    vendor_path="computer",
)
# In the STRICT default, one damaged record fails the whole page; versions before 11.29 have no other and
# ignore the parameter.
MOBILE_DEVICES: Final = Realm(
    name="mobile_devices",
    path="/api/{version}/mobile-devices/detail",
    versions=("v2",),
    sections=("GENERAL", "HARDWARE", "SECURITY", "NETWORK", "USER_AND_LOCATION", "GROUPS"),
    id_field="mobileDeviceId",
    fields={
        Mac: ("wifiMacAddress",),
        Udid: ("udid",),
        Guid: ("managementId", "udid"),
        Serial: ("serialNumber",),
        Hostname: ("displayName",),
        Username: ("username",),
    },
    read=_read_mobile,
    groups="groups",
    reported=("general", "lastInventoryUpdateDate"),
    vendor_path="mobile",
    params={"exception-handling": "LENIENT"},
)
REALMS: Final = {realm.name: realm for realm in (COMPUTERS, MOBILE_DEVICES)}
