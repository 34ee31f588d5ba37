"""From a row of the device list to a `Device`. Pure.

The API describes the extra fields by name only; their types are inferred, so numbers and booleans are
accepted as text too, and what is neither is unreadable. Source: "List the devices enrolled in an SM network",
https://developer.cisco.com/meraki/api-v1/get-network-sm-devices/.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mdmsdk import rows
from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import Guid, Imei, Meid, Serial, Udid
from mdmsdk.models import UNKNOWN_COMPLIANCE, Compliance, Device, clean_time

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

__all__ = ["FIELDS", "Row", "bare_id", "read_device", "spelled_ids"]

FIELDS = (
    *("imei", "meid", "phoneNumber", "systemType", "lastConnected", "ownerEmail", "ownerUsername"),
    *("isManaged", "hasMdm", "hadMdm", "isRooted", "passCodeLock", "screenLockEnabled", "loginRequired"),
    *("diskEncryptionEnabled", "hardwareEncryptionCaps", "autoTags", "missingAppsCount", "quarantined"),
)
"""What to ask for beyond the twelve fields of every row."""

_MILLISECONDS_FROM = 100_000_000_000  # as seconds the year 5138, as milliseconds 1973
_PLAUSIBLE = range(2000, 2100)
_LONGEST_TAG = 256
_DIGITS = 10
_SYSTEM = re.compile(r"(?P<name>.*\S)\s+v?(?P<version>\d[\w.()-]*)")
_APPLE = re.compile(r"(?:iphone|ipad|ipod|mac|imac|apple ?tv|apple ?watch)", re.IGNORECASE)
_APPLE_MOBILE = re.compile(r"(?:iOS|iPadOS|tvOS|watchOS|visionOS)\b", re.IGNORECASE)
_DESKTOP = re.compile(r"(?:mac ?os|os x|windows|linux)", re.IGNORECASE)

# "Device ID for posture compliance tracking with Cisco ISE and SM", https://documentation.meraki.com/SM: the
# GUID is the SM device id, and stands in the SAN URI of the SCEP certificate in this form.
_CERTIFICATE_PREFIX = "ID:MerakiSM:DeviceID:"
_CERTIFICATE_FORM = re.compile(rf"{_CERTIFICATE_PREFIX}(.+)", re.IGNORECASE)


def bare_id(guid: str) -> str:
    """The SM device id in a GUID, which may be spelled as in a certificate."""
    found = _CERTIFICATE_FORM.fullmatch(guid)
    return found[1] if found else guid


def spelled_ids(guid: str | None) -> tuple[Guid, ...]:
    """The GUID of a record as it is, and as it stands in certificates; none where it is unreadable."""
    number = Guid.parse(guid and bare_id(guid))
    spelled = Guid.parse(number and f"{_CERTIFICATE_PREFIX}{number.value}")
    return (number, spelled) if number and spelled else ()


class Row(rows.Row):
    """One row, with what is particular to Meraki's."""

    @property
    def document(self) -> dict[str, Any]:
        """The row as the server sent it."""
        return dict(self._members)

    def sent(self, names: Iterable[str]) -> bool:
        """Whether one of the members stands there, with a value or without."""
        return not self._members.keys().isdisjoint(names)

    def texts(self, name: str) -> list[str] | None:
        """A list of short texts, such as tags; None where it is anything else, or not there."""
        value = self._find((name,))[1]
        return value if isinstance(value, list) and all(map(_is_tag, value)) else None

    def count(self, name: str) -> int | None:
        """A whole number from 0 up. If it cannot be read, the device is not compliant."""
        if (text := self.word(name)) is None:
            return None
        readable = text.isascii() and text.isdecimal() and len(text) < _DIGITS
        return self.doubt(name, int(text) if readable else None)  # type: ignore[no-any-return]

    def moment(self, name: str) -> datetime | None:
        """A time in UTC: seconds since 1970; milliseconds and ISO 8601 texts are accepted too."""
        number = self.number(name)
        if number is None:
            found = self.time(name)
        else:
            seconds = number / 1000 if number >= _MILLISECONDS_FROM else number
            found = clean_time(seconds) if seconds > 0 else None
        return found if found is not None and found.year in _PLAUSIBLE else None

    def flags(self, *names: str) -> list[bool | None] | None:
        """The flags in these members; None where one is there and cannot be read."""
        found = [self.flag(name) for name in names]
        unreadable = any(state is None and self.has(name) for name, state in zip(names, found, strict=True))
        return None if unreadable else found

    @property
    def managed(self) -> bool | None:
        """Whether it is enrolled now; None where the row does not say so readably, in both members."""
        now = {name: self.veto(name) for name in ("isManaged", "hasMdm")}
        if True in now.values():
            return True
        return False if None not in [self.doubt(*told) for told in now.items()] else None

    @property
    def encrypted(self) -> bool | None:
        """Whether the storage is encrypted; on Apple's mobile devices the hardware says so (inferred)."""
        if self.has("diskEncryptionEnabled"):
            return self.flag("diskEncryptionEnabled")
        if _APPLE_MOBILE.match(self.text("osName") or ""):
            capabilities = (self.text("hardwareEncryptionCaps") or "none").lower()
            return True if capabilities not in {"none", "0", "false", "no", "null", "[]"} else None
        return None

    @property
    def locked(self) -> bool | None:
        """Whether the device asks for a passcode; on computers, for a login and after a pause (inferred)."""
        if (states := self.flags("passCodeLock", "screenLockEnabled", "loginRequired")) is None:
            return None
        passcode, *states = states
        session = None if states == [None, None] else False not in states
        first, second = passcode, session
        if _DESKTOP.match(self.text("osName") or ""):
            first, second = session, passcode
        return second if first is None else first


def _is_tag(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TAG


def read_device(
    row: Row, *, provider: str = "", compliance: Compliance = UNKNOWN_COMPLIANCE, keep_raw: bool = False
) -> Device:
    """Build the device of a row.

    Raises:
        MalformedResponseError: the row has no id.
    """
    if (number := row.text("id")) is None:
        raise MalformedResponseError("the server sent a device without an id")
    name = row.text("osName")
    system = _SYSTEM.fullmatch(name or "")
    model = row.text("systemModel")
    serials = row.keys(Serial, "serialNumber", "serial")
    return Device(
        provider=provider,
        id=number,
        name=row.text("name"),
        guid=number,
        udid=row.key(Udid, "uuid"),
        serial_number=serials[0].value if serials else None,
        imei=row.key(Imei, "imei"),
        meid=row.key(Meid, "meid"),
        mac_addresses=row.macs("wifiMac"),
        user=row.text("ownerUsername") or row.text("ownerEmail"),
        phone_number=row.text("phoneNumber"),
        manufacturer="Apple" if model and _APPLE.match(model) else None,
        model=model,
        os=system["name"] if system else name,
        os_version=system["version"] if system else None,
        registered=row.managed is True,
        compliance=compliance,
        disk_encrypted=row.encrypted,
        passcode_set=row.locked,
        jailbroken=row.veto("isRooted"),
        last_check_in=row.moment("lastConnected"),
        raw=row.document if keep_raw else None,
        other_identifiers=(*spelled_ids(number)[1:], *serials[1:]),
        unreadable=row.unreadable,
    )
