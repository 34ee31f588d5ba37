"""The two inventories of Jamf Pro, computers and mobile devices: how to ask, and what a record says. Pure.

Source: the API's own description on each server, ``/api/doc``: computers-inventory and mobile-devices/detail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from mdmsdk.identifiers import Guid, Hostname, Imei, Key, Mac, Meid, Serial, Udid, Username
from mdmsdk.models import Device
from mdmsdk.rows import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["COMPUTERS", "MOBILE_DEVICES", "REALMS", "VERSIONS", "Realm", "Record", "spellings"]


@dataclass(frozen=True, slots=True)
class Realm:
    """One of the inventories.

    Attributes:
        name: as the settings and `ServerInfo.extra` call it.
        path: of its list; ``{version}`` stands for the one of `VERSIONS` in use.
        sections: the parts of a record that the answers need; others stay null.
        id_field: the record's id, in answers, filters and sort orders.
        fields: what to search for each kind of key.
        read: makes a device of a record.
        groups: where the record lists its groups.
        reported: the field, in the section "general", of the last inventory report.
        partner_path: the name of the realm in the paths for conditional access.
        params: what every request for its records has besides.
    """

    name: str
    path: str
    sections: tuple[str, ...]
    id_field: str
    fields: Mapping[type[Key], tuple[str, ...]]
    read: Callable[[Row], Device]
    groups: str
    reported: str
    partner_path: str
    params: Mapping[str, str] = field(default_factory=dict)


# Stored as the device writes it: in the description's examples as "59 105109 176278 3".
def spellings(key: Key) -> Sequence[str]:
    """The texts under which the server may hold a key."""
    return (*key.spellings, key.grouped) if isinstance(key, Imei) else key.spellings


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
    def read(cls, realm: Realm, row: Row, answered: datetime | None = None) -> Record:
        """Read a row of an answer.

        Raises:
            MalformedResponseError: it has no id, or sections that are none.
        """
        return cls(realm, row.required(realm.id_field), row, realm.read(row), answered)

    @property
    def number(self) -> int | str:
        """The id by which lists are sorted; a text where it is no number, which sorts nothing."""
        return int(self.id) if self.id.isascii() and self.id.isdigit() else self.id

    @property
    def general(self) -> Row:
        """The section that every record has."""
        return self.row.row("general")

    @property
    def site(self) -> str | None:
        """The id of the device's site; -1 for none."""
        return self.general.text("siteId") or self.general.row("site").text("id")

    @property
    def reported_at(self) -> datetime | None:
        """When the device last sent its inventory, by which alone Jamf Pro judges it; None for never."""
        return self.general.time(self.realm.reported)

    @property
    def never_reported(self) -> bool:
        """Whether it readably says so: without a moment of the last report, or with a sentinel for one."""
        if not self.general.has(self.realm.reported):
            return True
        try:
            datetime.fromisoformat(self.general.text(self.realm.reported) or "")
        except ValueError:
            return False
        return self.reported_at is None


def _managed(row: Row) -> bool:
    # A record that does not say it readably says not that the device left, either.
    return row.doubt("managed", row.flag("managed")) is True


# Version 4 has lastContact and lastCheckIn where the earlier ones have lastContactTime. Which of management
# id and UDID stands in a certificate as GUID is the administrator's choice: $MANAGEMENTID or $UDID.
def _read_computer(row: Row) -> Device:
    general, hardware, system = (row.row(name) for name in ("general", "hardware", "operatingSystem"))
    user = row.row("userAndLocation")
    contacts = map(general.time, ("lastContact", "lastCheckIn", "lastContactTime"))
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
        os=system.text("name") or "macOS",  # Jamf Pro manages no other computers
        os_version=system.text("version"),
        registered=_managed(general.row("remoteManagement")),
        disk_encrypted=_computer_encrypted(row),
        last_check_in=max(filter(None, contacts), default=general.time("reportDate")),
        other_identifiers=tuple(row.keys(Guid, "udid")),
        unreadable=row.unreadable,
    )


_ENCRYPTED: Final = {
    **dict.fromkeys(("ENCRYPTED", "ALL_ENCRYPTED", "BOOT_ENCRYPTED"), True),
    **dict.fromkeys(("UNENCRYPTED", "DECRYPTED", "DECRYPTING", "NOT_ENCRYPTED"), False),
}


def _computer_encrypted(record: Row) -> bool | None:
    row = Row(record.document)  # with an account of its own: what cannot be read here leaves this open
    disk, system = row.row("diskEncryption"), row.row("operatingSystem")
    boot = disk.row("bootPartitionEncryptionDetails")
    state, whole = boot.word("partitionFileVault2State"), system.word("fileVault2Status")
    told = {disk.veto("fileVault2Enabled"), _ENCRYPTED.get(state or ""), _ENCRYPTED.get(whole or "")}
    # Others than the partition that it starts from may be all that is encrypted.
    if False in told or (True not in told and whole == "SOME_ENCRYPTED"):
        return False
    # One that cannot be read may be the one that says no.
    return True if True in told and not row.unreadable else None


_BOTH_LAYERS: Final = 3
"""Of hardware encryption: block level and file level; that this means "on" is inferred."""


def _read_mobile(row: Row) -> Device:
    general, hardware, security = (row.row(name) for name in ("general", "hardware", "security"))
    network, user = row.row("network"), row.row("userAndLocation")
    lines = [network, *row.rows("serviceSubscriptions")]
    imeis = list(dict.fromkeys(key for line in lines for key in line.keys(Imei, "imei", "imei2")))
    meids = list(dict.fromkeys(key for line in lines for key in line.keys(Meid, "meid")))
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


VERSIONS: Final = ("v4", "v3", "v2", "v1")
"""Of the inventory of computers, the newest first."""
# x-deprecation-date of each version in the API's own description, ``/api/doc`` of Jamf Pro 11.30.
DEPRECATED: Final = {"v1": "2025-06-30", "v2": "2025-11-06", "v3": "2026-07-14"}
# altMacAddress and the group memberships are in no version's list of filter fields.
COMPUTERS: Final = Realm(
    name="computers",
    path="/api/{version}/computers-inventory",
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
    reported="reportDate",
    partner_path="computer",
)
# In the STRICT default, one damaged record fails the whole page; versions before 11.29 have no other and
# ignore the parameter. The IMEI of a second line stands among the service subscriptions alone.
MOBILE_DEVICES: Final = Realm(
    name="mobile_devices",
    path="/api/v2/mobile-devices/detail",
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
    reported="lastInventoryUpdateDate",
    partner_path="mobile",
    params={"exception-handling": "LENIENT"},
)
REALMS: Final = {realm.name: realm for realm in (COMPUTERS, MOBILE_DEVICES)}
