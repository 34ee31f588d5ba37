"""Records and queries of Neurons for MDM. Pure.

Source: Ivanti Neurons for MDM customer integration API guide, "Devices".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mdmsdk.errors import InvalidIdentifierError
from mdmsdk.identifiers import Guid, Imei, Key, Mac, Serial, Udid
from mdmsdk_ivanti.records import Facts, flag, judge, newest, phone_number, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk_ivanti.records import Row

__all__ = ["NONCOMPLIANT", "condition", "read"]

_PROPERTIES: Final[dict[type[Key], str]] = {
    Mac: "wifiMacAddress",
    Guid: "guid",
    Udid: "udid",
    Serial: "serialNumber",
    Imei: "imei",
}
# Values stand in a query as they are. What has a meaning there, or could have one, has no other spelling.
_PLAIN: Final = re.compile(r"[\w.:@+*/~-]+", re.ASCII)

NONCOMPLIANT: Final = "registrationState=ACTIVE and (complianceState=false or quarantined=true)"


def condition(key: Key) -> str:
    """The query for one key.

    Raises:
        InvalidIdentifierError: the value cannot stand in a query.
    """
    if not _PLAIN.fullmatch(key.value):
        raise InvalidIdentifierError(
            f"this {key.kind} holds a character that cannot stand in a search of Neurons for MDM",
            hint="Blanks, brackets, quotation marks and comparisons have no spelling there: ask by GUID.",
        )
    name = _PROPERTIES[type(key)]
    if isinstance(key, Mac):
        # Kept with colons; whether in capitals, and whether the search cares, is not documented.
        return f"{name}={key.value} or {name}={key.value.lower()}"
    return f"{name}={key.value}"


# Customer integration API guide, device object. Epoch milliseconds; nullable booleans.
def read(row: Row) -> Facts:
    """What a device of a search says."""
    get = row.get
    state = (text(get("registrationState")) or "UNKNOWN STATE").upper()
    return Facts(
        {
            "guid": [text(get("guid"))],
            "udid": [text(get("udid"))],
            "serial": [text(get("serialNumber")), text(get("altSerialNumber"))],
            "imei": [text(get("imei"))],
            "meid": [text(get("meid"))],
            "mac": [text(get("wifiMacAddress")), text(get("wifiMacAddressForInventory"))],
        },
        {
            "id": text(get("id")),
            "name": text(get("deviceName")) or text(get("entityName")),
            "user": text(get("uid")) or text(get("emailAddress")),
            "phone_number": phone_number(get("phoneNumber")),
            "manufacturer": text(get("manufacturer")),
            "model": text(get("prettyModel")) or text(get("deviceModel")),
            "os": _system(row),
            "os_version": text(get("platformVersion")),
            "registered": state == "ACTIVE",
            "compliance": judge(
                get("complianceState"),
                quarantined=flag(get("quarantined")),
                blocked=flag(get("blocked")),
                distrust=None if state == "ACTIVE" else state,
                reasons=_policies(get("violatedPolicies")),
            ),
            "disk_encrypted": _encrypted(row),
            "jailbroken": flag(get("jailbroken")),
            "last_check_in": newest(get("lastCheckin"), get("clientLastCheckin")),
        },
    )


def _policies(value: object) -> Iterator[str]:
    return filter(None, map(text, value if isinstance(value, list) else []))


def _system(row: Row) -> str | None:
    # Windows 10 and 11 are called phones too.
    name = text(row.get("platformType"))
    return {"IOS": "iOS", "ANDROID": "Android", "OSX": "macOS", "WINDOWS_PHONE": "Windows"}.get(
        name or "", name
    )


def _encrypted(row: Row) -> bool | None:
    # Only in the record of one device, and there for computers; passcodeCompliant, by contrast, holds as well
    # for a device that needs no passcode and has none, so that it tells nothing about `passcode_set`.
    found = (flag(row.get(name)) for name in ("osxFdeEnabled", "windowsEncrypted"))
    return next((value for value in found if value is not None), None)
