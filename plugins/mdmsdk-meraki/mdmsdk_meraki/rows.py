"""From a row of the device list to a `Device`. Pure.

The API describes the extra fields by name only; their types are inferred, so numbers and booleans are
accepted as text too, and what is neither is unknown. Source: "List the devices enrolled in an SM network",
https://developer.cisco.com/meraki/api-v1/get-network-sm-devices/.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from typing import TYPE_CHECKING, Any

from mdmsdk.errors import MalformedResponseError
from mdmsdk.models import UNKNOWN_COMPLIANCE, Compliance, Device, clean_time, parse_macs

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["FIELDS", "Row", "count", "encrypted", "flag", "locked", "moment", "read_device", "text"]

Row = Mapping[str, Any]

FIELDS = (
    *("imei", "meid", "phoneNumber", "systemType", "lastConnected", "ownerEmail", "ownerUsername"),
    *("isManaged", "hasMdm", "hadMdm", "isRooted", "passCodeLock", "screenLockEnabled", "loginRequired"),
    *("diskEncryptionEnabled", "hardwareEncryptionCaps", "autoTags", "missingAppsCount", "quarantined"),
)
"""What to ask for beyond the twelve fields of every row."""

_FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_MILLISECONDS_FROM = 100_000_000_000  # as seconds the year 5138, as milliseconds 1973
_PLAUSIBLE = range(2000, 2100)
_SYSTEM = re.compile(r"(?P<name>.*\S)\s+v?(?P<version>\d[\w.()-]*)")
_APPLE = re.compile(r"(?:iphone|ipad|ipod|mac|imac|apple ?tv|apple ?watch)", re.IGNORECASE)
_APPLE_MOBILE = re.compile(r"(?:iOS|iPadOS|tvOS|watchOS|visionOS)\b", re.IGNORECASE)
_DESKTOP = re.compile(r"(?:mac ?os|os x|windows|linux)", re.IGNORECASE)


def text(row: Row, name: str) -> str | None:
    """A field as text; None where it is empty, missing or of another kind."""
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value.strip() or None if isinstance(value, str) else None


def flag(row: Row, name: str) -> bool | None:
    """A field as a boolean; None where it is neither."""
    value = row.get(name)
    return value if isinstance(value, bool) else _FLAGS.get((text(row, name) or "").lower())


def count(row: Row, name: str) -> int | None:
    """A field as a whole number from 0 up; None where it is none."""
    value = text(row, name) or ""
    return int(value) if value.isascii() and value.isdecimal() else None


def moment(row: Row, name: str) -> datetime | None:
    """A field as a time in UTC: seconds since 1970; milliseconds and ISO 8601 texts are accepted too."""
    value = row.get(name)
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            value = clean_time(value)
    if isinstance(value, int | float):
        value = clean_time(value / 1000 if value >= _MILLISECONDS_FROM else value) if value > 0 else None
    value = value.astimezone(UTC) if value is not None and hasattr(value, "astimezone") else None
    return value if value is not None and value.year in _PLAUSIBLE else None


def encrypted(row: Row) -> bool | None:
    """Whether the storage is encrypted; on Apple's mobile devices the hardware says so (inferred)."""
    reported = flag(row, "diskEncryptionEnabled")
    if reported is None and _APPLE_MOBILE.match(text(row, "osName") or ""):
        capabilities = (text(row, "hardwareEncryptionCaps") or "none").lower()
        return True if capabilities not in {"none", "0", "false", "no", "null", "[]"} else None
    return reported


def locked(row: Row) -> bool | None:
    """Whether the device asks for a passcode; on computers, for a login and after a pause (inferred)."""
    passcode = flag(row, "passCodeLock")
    states = [flag(row, "screenLockEnabled"), flag(row, "loginRequired")]
    session = None if states == [None, None] else False not in states
    first, second = passcode, session
    if _DESKTOP.match(text(row, "osName") or ""):
        first, second = session, passcode
    return second if first is None else first


def _registered(row: Row) -> bool:
    """Whether it is enrolled: managed, or with a profile now; that it had one once is not enough."""
    now = [flag(row, "isManaged"), flag(row, "hasMdm")]
    if True in now:
        return True
    # The list is one of enrolled devices; a row that says nothing more is one of them.
    return now == [None, None] and flag(row, "hadMdm") is not True


def read_device(
    row: Row, *, provider: str = "", compliance: Compliance = UNKNOWN_COMPLIANCE, keep_raw: bool = False
) -> Device:
    """Build the device of a row.

    Raises:
        MalformedResponseError: the row has no id.
    """
    if (number := text(row, "id")) is None:
        raise MalformedResponseError("the server sent a device without an id")
    system = _SYSTEM.fullmatch(text(row, "osName") or "")
    model = text(row, "systemModel")
    return Device(
        provider=provider,
        id=number,
        name=text(row, "name"),
        # "Device ID for posture compliance tracking with Cisco ISE and SM",
        # https://documentation.meraki.com/SM: the GUID of the certificate is the SM device id.
        guid=number,
        udid=text(row, "uuid"),
        serial_number=text(row, "serialNumber") or text(row, "serial"),
        imei=text(row, "imei"),
        meid=text(row, "meid"),
        mac_addresses=parse_macs(text(row, "wifiMac")),
        user=text(row, "ownerUsername") or text(row, "ownerEmail"),
        phone_number=text(row, "phoneNumber"),
        manufacturer="Apple" if model and _APPLE.match(model) else None,
        model=model,
        os=system["name"] if system else text(row, "osName"),
        os_version=system["version"] if system else None,
        registered=_registered(row),
        compliance=compliance,
        disk_encrypted=encrypted(row),
        passcode_set=locked(row),
        jailbroken=flag(row, "isRooted"),
        last_check_in=moment(row, "lastConnected"),
        raw=dict(row) if keep_raw else None,
    )
