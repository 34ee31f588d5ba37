"""Version 1 of EPMM's API, for servers without version 2. Pure; deprecated by the vendor since 2020.

Source: MobileIron Core Web Service API guide, "Device management". It searches by nothing but UUID and MAC
address, and cannot ask for noncompliant devices: their list is made from all managed ones.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mdmsdk.errors import MalformedResponseError, UnsupportedOperationError
from mdmsdk.identifiers import Guid, Key, Mac
from mdmsdk.paging import Slice
from mdmsdk_ivanti.core.records import REASONS
from mdmsdk_ivanti.records import IvantiRow, numbered, whole

if TYPE_CHECKING:
    from mdmsdk_ivanti.records import JsonObject

__all__ = ["PATH", "as_v2", "path", "read"]

PATH: Final = "/api/v1/dm/devices"
_HINT = (
    "Version 1 of EPMM's API knows only these two: ask by GUID or MAC address, or make version 2 reachable."
)
_MEMBERS: Final = {
    "@id": "common.id",
    "uuid": "common.uuid",
    "principal": "user.user_id",
    "status": "common.status",
    "currentPhoneNumber": "common.current_phone_number",
    "manufacturer": "common.manufacturer",
    "model": "common.model",
    "platform": "common.platform",
    "lastConnectedAt": "common.last_connected_at",
}
_BITS: Final = {
    "compliance": ("common.compliant", "common.noncompliance_reasons"),
    "quarantinedStatus": ("common.quarantined", "common.quarantined_reasons"),
    "blockReason": ("common.blocked", "common.blocked_reasons"),
}
_DETAILS: Final = {
    "ios.iPhone UDID": re.compile(r".*udid"),
    "common.SerialNumber": re.compile(r"(?!sim).*serial(?:number)?"),
    "common.imei": re.compile(r".*imei\d?"),
    "common.wifi_mac_address": re.compile(r"(?!bluetooth).*mac(?:addr(?:ess)?)?(?:en0)?"),
}


def path(key: Key) -> str:
    """Where a device is, behind `PATH`.

    Raises:
        UnsupportedOperationError: this version cannot search by that.
    """
    if isinstance(key, Mac):
        return f"/mac/{key.hex}"
    if isinstance(key, Guid):
        return f"/{quote(key.value, safe='')}"
    raise UnsupportedOperationError(f"version 1 of the API cannot look a device up by {key.kind}", hint=_HINT)


def read(answer: IvantiRow) -> Slice[JsonObject]:
    """The devices of an answer, as records of version 2: of one device, or of one page of a list."""
    if answer.has("device"):
        found = answer.objects("device", may_be_alone=True)
        total = len(found)
    else:
        total, devices = answer.count(), answer.row("devices")
        # Devices beside a count of none are looked at as well, so that the list fails by its count.
        found = devices.objects("device", may_be_alone=True) if total or devices.has("device") else []
    return Slice(numbered(map(as_v2, found), "common.id"), total)


def as_v2(document: JsonObject) -> JsonObject:
    """A record with what it says also as version 2 would say it.

    Raises:
        MalformedResponseError: the details cannot be read, or name one thing twice.
    """
    row = IvantiRow(document)
    found = {name: row.value(old) for old, name in _MEMBERS.items()}
    # EPMM API v1 guide, "Device management": sums of bits, and 0 is a pass.
    for old, (flag, reasons) in _BITS.items():
        bits = whole(row.text(old))
        if isinstance(bits, int):
            found |= {flag: bits == 0 if old == "compliance" else bits > 0, reasons: _reasons(bits)}
        else:
            found[flag] = ["unreadable"] if row.has(old) else None
    return document | found | _details(row.row("details"))


# That the bits are those of the reporting database is inferred.
def _reasons(bits: int) -> list[str]:
    known = [name for place, name in enumerate([*REASONS][:-1]) if bits >> place & 1]
    other = bits >> len(REASONS) - 1 << len(REASONS) - 1
    return known + [f"Reason {other:#x}"] * (other > 0)


def _details(details: IvantiRow) -> JsonObject:
    """The identifiers, as version 2 names them; several of a kind as a list."""
    found: dict[str, dict[str, Any]] = {}
    for entry in details.objects("entry", may_be_alone=True) if details.has("entry") else []:
        name, value = IvantiRow.normal(str(entry.get("key"))), entry.get("value")
        for member in (member for member, form in _DETAILS.items() if form.fullmatch(name)):
            if found.setdefault(member, {}).setdefault(name, value) != value:
                raise MalformedResponseError("the server sent a device with a detail twice")
    return {
        member: [*values.values()] if len(values) > 1 else next(iter(values.values()))
        for member, values in found.items()
    }
