"""The two inventories of Jamf Pro, computers and mobile devices: how to ask, and what a record says. Pure.

Source: the API's own description on each server, ``/api/doc``: computers-inventory and mobile-devices/detail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import Guid, Hostname, Imei, Key, Mac, Meid, Serial, Udid, Username
from mdmsdk.models import Device
from mdmsdk.rows import Row
from mdmsdk_jamf.rsql import any_of, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from mdmsdk_jamf.paging import Document

__all__ = ["COMPUTERS", "MOBILE_DEVICES", "REALMS", "Realm", "Record"]


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
    read: Callable[[Document], Device]
    groups: str
    reported: tuple[str, str]
    vendor_path: str
    params: Mapping[str, str] = field(default_factory=dict)

    def id_of(self, row: Document) -> str:
        """The id of a record.

        Raises:
            MalformedResponseError: it has none.
        """
        found = Row(row).text(self.id_field)
        if not found:
            raise MalformedResponseError(f"Jamf Pro lists one of its {self.name} without an id")
        return found

    def search(self, keys: Sequence[Key]) -> str:
        """The filter for the records with one of these keys, all of one kind, however they are written."""
        return any_of(self.fields[type(keys[0])], [text for key in keys for text in _spellings(key)])

    def cost(self, key: Key) -> int:
        """How many characters of a URL a key takes in the filter."""
        return sum(map(listed, _spellings(key))) * len(self.fields[type(key)])


# Stored as the device writes it: in the description's examples as "59 105109 176278 3".
def _spellings(key: Key) -> tuple[str, ...]:
    if not isinstance(key, Imei):
        return key.spellings
    whole = key.spellings[0]
    return (*key.spellings, f"{whole[:2]} {whole[2:8]} {whole[8:14]} {whole[14]}")


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One record of an inventory, as it came.

    Attributes:
        answered: when the server answered, by its own clock.
    """

    realm: Realm
    id: str
    row: Document
    device: Device
    answered: datetime | None

    @classmethod
    def read(cls, realm: Realm, row: Document, answered: datetime | None) -> Record:
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
    def site(self) -> str | None:
        """The id of the device's site; -1 for none."""
        general = Row(self.row).row("general")
        return general.text("siteId") or general.row("site").text("id")

    @property
    def reported_at(self) -> datetime | None:
        """When the device last sent its inventory, by which alone Jamf Pro judges it; None for never."""
        section, name = self.realm.reported
        return Row(self.row).row(section).time(name)

    @property
    def never_reported(self) -> bool:
        """Whether it readably says so: without a moment of the last report, or with a sentinel for one."""
        section, name = self.realm.reported
        row = Row(self.row).row(section)
        if not row.has(name):
            return True
        try:
            datetime.fromisoformat(row.text(name) or "")
        except ValueError:
            return False
        return row.time(name) is None


def _managed(row: Row) -> bool:
    # A record that does not say it readably says not that the device left, either.
    return row.doubt("managed", row.flag("managed")) is True


def _latest(row: Row, *names: str) -> datetime | None:
    return max((moment for name in names if (moment := row.time(name))), default=None)


# Version 4 has lastContact and lastCheckIn where the earlier ones have lastContactTime. Which of management
# id and UDID stands in a certificate as GUID is the administrator's choice: $MANAGEMENTID or $UDID.
def _read_computer(document: Document) -> Device:
    row = Row(document)
    general, hardware, system = (row.row(name) for name in ("general", "hardware", "operatingSystem"))
    user = row.row("userAndLocation")
    contact = _latest(general, "lastContact", "lastCheckIn", "lastContactTime")
    return Device(
        id=row.text("id"),
        name=general.key(Hostname, "name"),
        guid=general.key(Guid, "managementId"),
        udid=row.key(Udid, "udid"),
        serial_number=hardware.key(Serial, "serialNumber"),
        mac_addresses=hardware.macs("macAddress", "altMacAddress"),
        user=user.key(Username, "username", "email"),
        phone_number=user.text("phone"),
        manufacturer=hardware.text("make"),
        model=hardware.text("model"),
        os=system.text("name"),
        os_version=system.text("version"),
        registered=_managed(general.row("remoteManagement")),
        disk_encrypted=_computer_encrypted(row),
        last_check_in=contact or general.time("reportDate"),
        other_identifiers=tuple(row.keys(Guid, "udid")),
        unreadable=row.unreadable,
    )


_FILEVAULT: Final = {
    "ALL_ENCRYPTED": True,
    "BOOT_ENCRYPTED": True,
    "NOT_ENCRYPTED": False,
}
_PARTITION: Final = {"ENCRYPTED": True, "UNENCRYPTED": False, "DECRYPTED": False, "DECRYPTING": False}


def _computer_encrypted(row: Row) -> bool | None:
    disk, system = row.row("diskEncryption"), row.row("operatingSystem")
    boot = disk.row("bootPartitionEncryptionDetails")
    enabled = disk.flag("fileVault2Enabled")
    state, whole = boot.text("partitionFileVault2State"), system.text("fileVault2Status")
    told = {enabled, _PARTITION.get(state or ""), _FILEVAULT.get(whole or "")}
    if False in told:
        return False
    if True in told:
        # One that cannot be read may be the one that says no.
        doubtful = (
            (enabled is None and disk.has("fileVault2Enabled"))
            or (state is None and boot.has("partitionFileVault2State"))
            or (whole is None and system.has("fileVault2Status"))
        )
        return None if doubtful else True
    return False if whole == "SOME_ENCRYPTED" else None  # others than the one that it starts from


_BOTH_LAYERS: Final = (
    3  # of hardware encryption: block level and file level; that this means "on" is inferred
)


def _read_mobile(document: Document) -> Device:
    row = Row(document)
    general, hardware, security = (row.row(name) for name in ("general", "hardware", "security"))
    network, user = row.row("network"), row.row("userAndLocation")
    lines = [network, *row.rows("serviceSubscriptions")]
    imeis = _unique(key for line in lines for key in line.keys(Imei, "imei", "imei2"))
    meids = _unique(key for line in lines for key in line.keys(Meid, "meid"))
    encrypted = True if security.number("hardwareEncryption") == _BOTH_LAYERS else None
    return Device(
        id=row.text("mobileDeviceId"),
        name=general.key(Hostname, "displayName"),
        guid=general.key(Guid, "managementId"),
        udid=general.key(Udid, "udid"),
        serial_number=hardware.key(Serial, "serialNumber"),
        imei=imeis[0].value if imeis else None,
        meid=meids[0].value if meids else None,
        mac_addresses=hardware.macs("wifiMacAddress"),
        user=user.key(Username, "username", "emailAddress"),
        phone_number=network.text("phoneNumber") or user.text("phoneNumber"),
        manufacturer="Apple",  # Jamf Pro manages no other maker's mobile devices, and does not name it
        model=hardware.text("model"),
        os=row.text("deviceType"),
        os_version=general.text("osVersion"),
        registered=_managed(general),
        disk_encrypted=security.flag("dataProtected") if security.has("dataProtected") else encrypted,
        passcode_set=security.flag("passcodePresent"),
        jailbroken=security.flag("jailBreakDetected"),
        last_check_in=general.time("lastContactDate") or general.time("lastInventoryUpdateDate"),
        other_identifiers=(*general.keys(Guid, "udid"), *imeis[1:], *meids[1:]),
        unreadable=row.unreadable,
    )


def _unique(keys: Iterable[Key]) -> list[Key]:
    return list(dict.fromkeys(keys))


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
    # The IMEI of a second line stands among the service subscriptions alone.
    sections=(
        *("GENERAL", "HARDWARE", "SECURITY", "NETWORK", "SERVICE_SUBSCRIPTIONS"),
        *("USER_AND_LOCATION", "GROUPS"),
    ),
    id_field="mobileDeviceId",
    fields={
        Mac: ("wifiMacAddress",),
        Udid: ("udid",),
        Guid: ("managementId", "udid"),
        Serial: ("serialNumber",),
        Imei: ("imei", "imei2"),
        Meid: ("meid",),
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
