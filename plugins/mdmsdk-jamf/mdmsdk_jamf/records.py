"""The two inventories of Jamf Pro, computers and mobile devices: how to ask, and what a record says. Pure.

Source: the API's own description on each server, ``/api/doc``: computers-inventory and mobile-devices/detail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from mdmsdk.identifiers import Guid, Hostname, Imei, Key, Mac, Meid, Serial, Udid, Username
from mdmsdk.membership import Judged
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
        reported: the field of the last inventory report.
        changes: the filters of the times of reports and contacts, in older versions and in the newest.
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
    changes: tuple[tuple[str, ...], tuple[str, ...]]
    partner_path: str
    params: Mapping[str, str] = field(default_factory=dict)


# Stored as the device writes it: in the description's examples as "59 105109 176278 3".
def spellings(key: Key) -> Sequence[str]:
    """The texts under which the server may hold a key."""
    return (*key.spellings, key.grouped) if isinstance(key, Imei) else key.spellings


@dataclass(frozen=True, slots=True, eq=False)
class Record(Judged):
    """One record of an inventory, as it came.

    Attributes:
        answered: when the server answered, by its own clock.
    """

    realm: Realm
    row: Row
    answered: datetime | None

    @classmethod
    def read(cls, realm: Realm, row: Row, answered: datetime | None = None) -> Record:
        """Read a row of an answer.

        Raises:
            MalformedResponseError: it has no id, or sections that are none.
        """
        number, site = row.required(realm.id_field), row.text("general.siteId", "general.site.id")
        evaluated = _reported(row, realm.reported)
        return cls(realm.name, number, realm.read(row), evaluated, site, realm, row, answered)

    @property
    def number(self) -> int | str:
        """The id by which lists are sorted; a text where it is no number, which sorts nothing."""
        return int(self.id) if self.id.isascii() and self.id.isdigit() else self.id

    @property
    def reported_at(self) -> datetime | None:
        """When the device last sent its inventory; None for never."""
        return self.row.time(self.realm.reported)


def _reported(row: Row, name: str) -> bool | None:
    """Whether a device has sent its inventory, by which alone Jamf Pro judges it; None if unreadable."""
    if row.time(name) or not row.has(name):
        return row.has(name)
    try:
        datetime.fromisoformat(row.text(name) or "")
    except ValueError:
        return None
    return False  # a sentinel


def _managed(row: Row, name: str) -> bool:
    # A record that does not say it readably says not that the device left, either.
    return row.doubt("managed", row.flag(name)) is True


# Version 4 has lastContact and lastCheckIn where the earlier ones have lastContactTime. Which of management
# id and UDID stands in a certificate as GUID is the administrator's choice: $MANAGEMENTID or $UDID.
def _read_computer(row: Row) -> Device:
    contacts = map(row.time, ("general.lastContact", "general.lastCheckIn", "general.lastContactTime"))
    macs = ("hardware.macAddress", "hardware.altMacAddress")
    shown = row.identifiers(
        guid="general.managementId", udid="udid", serial="hardware.serialNumber", mac=macs
    )
    shown["other_identifiers"] += tuple(row.keys(Guid, "udid"))
    return Device(
        **shown,
        id=row.text("id"),
        name=row.key(Hostname, "general.name"),
        user=row.key(Username, "userAndLocation.username", "userAndLocation.email"),
        phone_number=row.text("userAndLocation.phone"),
        manufacturer=row.text("hardware.make"),
        model=row.text("hardware.model"),
        os=row.text("operatingSystem.name") or "macOS",  # Jamf Pro manages no other computers
        os_version=row.text("operatingSystem.version"),
        registered=_managed(row, "general.remoteManagement.managed"),
        disk_encrypted=_computer_encrypted(row),
        last_check_in=max(filter(None, contacts), default=row.time("general.reportDate")),
        unreadable=row.unreadable,
    )


_ENCRYPTED: Final = {
    **dict.fromkeys(("ENCRYPTED", "ALL_ENCRYPTED", "BOOT_ENCRYPTED"), True),
    **dict.fromkeys(("UNENCRYPTED", "DECRYPTED", "DECRYPTING", "NOT_ENCRYPTED"), False),
}


def _computer_encrypted(record: Row) -> bool | None:
    row = Row(record.document)  # with an account of its own: what cannot be read here leaves this open
    state = row.word("diskEncryption.bootPartitionEncryptionDetails.partitionFileVault2State") or ""
    whole = row.word("operatingSystem.fileVault2Status") or ""
    told = {row.veto("diskEncryption.fileVault2Enabled"), _ENCRYPTED.get(state), _ENCRYPTED.get(whole)}
    # Others than the partition that it starts from may be all that is encrypted.
    if False in told or (True not in told and whole == "SOME_ENCRYPTED"):
        return False
    # One that cannot be read may be the one that says no.
    return True if True in told and not row.unreadable else None


_BOTH_LAYERS: Final = 3
"""Of hardware encryption: block level and file level; that this means "on" is inferred."""


def _read_mobile(row: Row) -> Device:
    shown = row.identifiers(
        *row.rows("serviceSubscriptions"),
        guid="general.managementId",
        udid="general.udid",
        serial="hardware.serialNumber",
        imei=("network.imei", "network.imei2", "imei", "imei2"),
        meid=("network.meid", "meid"),
        mac="hardware.wifiMacAddress",
    )
    shown["other_identifiers"] += tuple(row.keys(Guid, "general.udid"))
    encrypted = True if row.number("security.hardwareEncryption") == _BOTH_LAYERS else None
    if row.has("security.dataProtected"):
        encrypted = row.flag("security.dataProtected")
    return Device(
        **shown,
        id=row.text("mobileDeviceId"),
        name=row.key(Hostname, "general.displayName"),
        user=row.key(Username, "userAndLocation.username", "userAndLocation.emailAddress"),
        phone_number=row.text("network.phoneNumber", "userAndLocation.phoneNumber"),
        manufacturer="Apple",  # Jamf Pro manages no other maker's mobile devices, and does not name it
        model=row.text("hardware.model"),
        os=row.text("deviceType"),
        os_version=row.text("general.osVersion"),
        registered=_managed(row, "general.managed"),
        disk_encrypted=encrypted,
        passcode_set=row.flag("security.passcodePresent"),
        jailbroken=row.flag("security.jailBreakDetected"),
        last_check_in=row.time("general.lastContactDate") or row.time("general.lastInventoryUpdateDate"),
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
    reported="general.reportDate",
    changes=(
        ("general.reportDate", "general.lastContactTime"),
        ("general.reportDate", "general.lastContact", "general.lastCheckIn"),
    ),
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
    reported="general.lastInventoryUpdateDate",
    changes=(("lastInventoryUpdateDate", "lastContactDate"), ("lastInventoryUpdateDate", "lastContactDate")),
    partner_path="mobile",
    params={"exception-handling": "LENIENT"},
)
REALMS: Final = {realm.name: realm for realm in (COMPUTERS, MOBILE_DEVICES)}
