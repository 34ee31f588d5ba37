"""From a row of the device list to a `Device`. Pure.

The API describes the extra fields by name only; their types are inferred, so numbers and booleans are
accepted as text too, and what is neither is unreadable. Source: "List the devices enrolled in an SM network",
https://developer.cisco.com/meraki/api-v1/get-network-sm-devices/.
"""

from __future__ import annotations

import re

from mdmsdk.identifiers import Guid
from mdmsdk.models import Compliance, Device
from mdmsdk.rows import Row
from mdmsdk.rules import system_of

__all__ = ["FIELDS", "Record", "bare_id", "spelled_ids"]

FIELDS = (
    *("imei", "meid", "phoneNumber", "systemType", "lastConnected", "ownerEmail", "ownerUsername"),
    *("isManaged", "hasMdm", "hadMdm", "isRooted", "passCodeLock", "screenLockEnabled", "loginRequired"),
    *("diskEncryptionEnabled", "hardwareEncryptionCaps", "autoTags", "missingAppsCount", "quarantined"),
)
"""What to ask for beyond the twelve fields of every row."""

_SYSTEM = re.compile(r"(?P<name>.*\S)\s+v?(?P<version>\d[\w.()-]*)")
_APPLE = re.compile(r"(?:iphone|ipad|ipod|mac|imac|apple ?tv|apple ?watch)", re.IGNORECASE)
_NO_ENCRYPTION = frozenset({"none", "0", "false", "no", "null", "[]"})

# "Device ID for posture compliance tracking with Cisco ISE and SM", https://documentation.meraki.com/SM: the
# GUID is the SM device id, and stands in the SAN URI of the SCEP certificate in this form.
_IN_CERTIFICATE = "ID:MerakiSM:DeviceID:"


def bare_id(guid: str) -> str:
    """The SM device id in a GUID, which may be spelled as in a certificate."""
    return re.sub(f"^{_IN_CERTIFICATE}(?=.)", "", guid, flags=re.IGNORECASE)


def spelled_ids(guid: str | None) -> tuple[Guid, ...]:
    """The GUID of a record as it is, and as it stands in certificates; none where it is unreadable."""
    number = Guid.parse(guid and bare_id(guid))
    spelled = Guid.parse(number and f"{_IN_CERTIFICATE}{number.value}")
    return (number, spelled) if number and spelled else ()


class Record(Row):
    """One row of the device list."""

    def tags(self, name: str) -> list[str] | None:
        """The tags in a member; None where they cannot be read."""
        tags = self.texts(name)
        return None if tags is None or any(len(tag) > 256 for tag in tags) else tags  # noqa: PLR2004

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
        if system_of(self.text("osName")) not in {"iOS", "iPadOS", "tvOS", "watchOS", "visionOS"}:
            return None
        return (self.text("hardwareEncryptionCaps") or "none").lower() not in _NO_ENCRYPTION or None

    @property
    def locked(self) -> bool | None:
        """Whether the device asks for a passcode; on computers, for a login and after a pause (inferred)."""
        names = ("passCodeLock", "screenLockEnabled", "loginRequired")
        told = {name: self.flag(name) for name in names if self.has(name)}
        if None in told.values():
            return None
        passcode = told.pop("passCodeLock", None)
        session = all(told.values()) if told else None
        desktop = system_of(self.text("osName")) in {"macOS", "Windows", "Linux"}
        first, second = (session, passcode) if desktop else (passcode, session)
        return second if first is None else first

    def device(self, compliance: Compliance, *, place: str | None = None, keep_raw: bool = False) -> Device:
        """The device, with a verdict; `place` is its network.

        Raises:
            MalformedResponseError: the row has no id.
        """
        number = self.required("id")
        shown = self.identifiers(
            guid="id", udid="uuid", serial=("serialNumber", "serial"), imei="imei", meid="meid", mac="wifiMac"
        )
        shown["other_identifiers"] += spelled_ids(number)[1:]
        name, model = self.text("osName"), self.text("systemModel")
        system = _SYSTEM.fullmatch(name or "")
        return Device(
            id=number,
            place=place,
            name=self.text("name"),
            user=self.text("ownerUsername", "ownerEmail"),
            phone_number=self.text("phoneNumber"),
            manufacturer="Apple" if model and _APPLE.match(model) else None,
            model=model,
            os=system["name"] if system else name,
            os_version=system["version"] if system else None,
            registered=self.managed is True,
            compliance=compliance,
            disk_encrypted=self.encrypted,
            passcode_set=self.locked,
            jailbroken=self.veto("isRooted"),
            last_check_in=self.time("lastConnected"),
            raw=self.document if keep_raw else None,
            **shown,
            unreadable=self.unreadable,
        )
