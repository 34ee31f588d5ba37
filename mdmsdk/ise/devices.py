"""From a row of the device list to a `Device`, and the check that it is the device asked for. Pure."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import InvalidIdentifierError, MalformedResponseError
from mdmsdk.identifiers import KEY_KINDS, Guid, Imei, Key, Mac, Meid
from mdmsdk.ise.reader import Row, boolean
from mdmsdk.models import Compliance, ComplianceState, Device, clean_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["LIST_SOURCE", "MOST_MACS", "read_device", "row_verdict"]

LIST_SOURCE: Final = "noncompliant list"
MOST_MACS: Final = 5
"""Cisco ISE MDM API v3, device attributes: so many addresses of a device are shown at the most."""
_NO_ROW: Final[Row] = {}
_REGISTER: Final = "register_status"
_STATUS: Final = "compliance"
_TOLD: Final = frozenset(kind.field for kind in KEY_KINDS.values()) | {_REGISTER, _STATUS}
_SINGLE: Final[Mapping[str, str]] = {
    "guid": "guid",
    "udid": "udid",
    "serial_number": "serial_number",
    "imei": "imei",
    "meid": "meid",
    "guidhn": "name",
}
"""Members that hold one identifier, and its field in `Device`."""
_SEPARATORS = re.compile(r"[,;|\s]+")
_NOT_MANAGED = "The server calls this device compliant but no longer registered; nobody vouches for it."


# Cisco ISE MDM API v3, device attributes; v1 and v2 have a part of them.
def read_device(row: Row, *, provider: str = "", listed: bool = False, keep_raw: bool = False) -> Device:
    """Build the device of a row.

    Args:
        row: a ``device`` element, from `Answer.rows`.
        provider: the name of the provider that asks.
        keep_raw: keep the row in `Device.raw`.
        listed: it comes from the noncompliant list, which by itself says that it does not comply.

    Raises:
        MalformedResponseError: the row names two different devices.
    """
    inner = row.get("attributes")
    attributes: Row = inner if inner.__class__ is dict else _NO_ROW
    texts: dict[str, str] = {name: value for name, value in attributes.items() if value.__class__ is str}
    unreadable: set[str] = set()
    for name, value in row.items():
        if value.__class__ is str and texts.setdefault(name, value) != value:
            # Two places that contradict each other: neither is to be believed.
            texts[name] = f"{value},{texts[name]}"
            unreadable.add(_SINGLE.get(name, name))
    for name, field in _SINGLE.items():
        container = row.get(name).__class__ is dict or attributes.get(name).__class__ is dict
        # A container is no identifier, and of two that differ neither is one. Two GUIDs are looked at below.
        if container or (unreadable and field in unreadable and name != "guid"):
            unreadable.add(field)
            texts.pop(name, None)
    text = texts.get
    status, reason, remedy = _verdict(row, attributes)
    register = text(_REGISTER)
    registered, compliance = _standing(register, status, reason, remedy, listed=listed)
    if boolean(register) is None and (register or not listed):
        unreadable.add(_REGISTER)
    if boolean(status) is None and (_says_something(row) or _says_something(attributes)):
        unreadable.add(_STATUS)
    system, system_version = _split_system(text("os_version"))
    imei, more_imeis = _numbers(Imei, text("imei"))
    meid, more_meids = _numbers(Meid, text("meid"))
    return Device(
        provider=provider,
        name=text("guidhn"),
        guid=_guid(row.get("guid"), attributes.get("guid")) if "guid" in texts else None,
        udid=text("udid"),
        serial_number=text("serial_number"),
        imei=imei,
        meid=meid,
        mac_addresses=_macs(row, attributes, unreadable),
        phone_number=text("phone_number"),
        manufacturer=text("manufacturer"),
        model=text("model"),
        os=system,
        os_version=system_version,
        registered=registered,
        compliance=compliance,
        disk_encrypted=boolean(text("disk_encryption_on")),
        passcode_set=boolean(text("pin_lock_on")),
        jailbroken=boolean(text("jail_broken")),
        last_check_in=_check_in(text("lastcheckintimestamp")),
        raw=row if keep_raw else None,
        other_identifiers=(*more_imeis, *more_meids),
        unreadable=frozenset(unreadable & _TOLD),
    )


def row_verdict(row: Row) -> bool | None:
    """What a row says about compliance: True, False, or None where it says neither."""
    inner = row.get("attributes")
    return boolean(_verdict(row, inner if isinstance(inner, dict) else _NO_ROW)[0])


def _verdict(row: Row, attributes: Row) -> tuple[str | None, str | None, str | None]:
    """The texts of status, failure_reason and remediation."""
    inner, outer = attributes.get("compliance"), row.get("compliance")
    status, reason, remedy = _texts_of(inner or outer)
    if inner and outer and inner != outer:
        # Two places that contradict each other: neither is to be believed.
        status = f"{_texts_of(outer)[0]},{status}"
    return status, reason, remedy


def _says_something(row: Row) -> bool:
    """Whether there is something where the verdict should stand."""
    verdict = row.get(_STATUS)
    return any(verdict.values()) if isinstance(verdict, dict) else bool(verdict)


def _texts_of(verdict: Any) -> tuple[str | None, str | None, str | None]:
    if isinstance(verdict, dict):
        find = verdict.get
        return _text(find("status")), _text(find("failure_reason")), _text(find("remediation"))
    return _text(verdict), None, None


# Cisco ISE MDM API v3, device attributes: a device that is not enrolled gives an empty deviceList, and
# register_status is required. A row without it does not say that the device is managed, unless it stands in
# the list of managed devices that do not comply.
@lru_cache(maxsize=1024)  # most devices of a server share their verdict, reason and remedy with many others
def _standing(
    register: str | None, status: str | None, reason: str | None, remedy: str | None, *, listed: bool
) -> tuple[bool, Compliance]:
    """Whether a device is registered, and what is said about its compliance."""
    compliant = boolean(status)
    registered = boolean(register) is True if register else listed
    if compliant:
        if registered:
            return True, Compliance(state=ComplianceState.COMPLIANT, vendor_state=status)
        return False, Compliance(reasons=(_NOT_MANAGED,), vendor_state=status)
    by_list = listed and status is None
    compliance = Compliance(
        state=ComplianceState.NONCOMPLIANT if compliant is False or by_list else ComplianceState.UNKNOWN,
        reasons=(reason,) if reason else (),
        remediation=remedy,
        vendor_state=status,
        source=LIST_SOURCE if by_list else None,
    )
    return registered, compliance


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _guid(outer: object, inner: object) -> str | None:
    """The GUID of the row; Cisco ISE MDM API v3 gives it twice, beside the attributes and among them."""
    texts = [value for value in (outer, inner) if isinstance(value, str)]
    if len(set(texts)) > 1 and len(set(map(Guid.parse, texts))) > 1:
        raise MalformedResponseError("the server names two different GUIDs for one device")
    return texts[0] if texts else None


def _macs(row: Row, attributes: Row, unreadable: set[str]) -> tuple[Mac, ...]:
    found: list[str] = []
    for value in (row.get("macaddress"), attributes.get("macaddress"), attributes.get("macaddresses")):
        if value.__class__ is str:
            found += _SEPARATORS.split(value)
        elif value is not None:
            unreadable.add("mac_addresses")
    if len(found) > 1:
        # An address stands in two places in most answers: compare texts before making keys of them.
        found = list(dict.fromkeys(found))
    macs: dict[Mac, None] = {}
    for text in found:
        try:
            if mac := Mac.read(text):
                macs[mac] = None
        except InvalidIdentifierError:
            unreadable.add("mac_addresses")
    return tuple(macs)


def _numbers(kind: type[Key], text: str | None) -> tuple[str | None, tuple[Key, ...]]:
    """The first and the other numbers of a phone: one for two SIM cards has two."""
    if text is None or kind.parse(text):
        return text, ()
    found = [key for part in _SEPARATORS.split(text) if (key := kind.parse(part))]
    return (found[0].value, tuple(found[1:])) if found else (text, ())


_SYSTEM = re.compile(
    r"(?P<name>iOS|iPadOS|tvOS|watchOS|visionOS|macOS|Mac ?OS X|OS X|Android|ChromeOS|Chrome OS|Linux"
    r"|Windows(?: Phone| Mobile)?)[\s,/-]+(?P<version>\d\S*)",
    re.IGNORECASE,
)


# Cisco ISE MDM API, device attributes, os_version: any text, "iOS 14.4", "Android,2.3.2", "10.0.19043.2006".
@lru_cache(maxsize=1024)
def _split_system(text: str | None) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    found = _SYSTEM.fullmatch(text)
    return (found["name"], found["version"]) if found else (None, text)


_MILLISECONDS_FROM = 100_000_000_000  # as seconds the year 5138, as milliseconds 1973
_PLAUSIBLE = range(2000, 2100)


# Cisco ISE MDM API v3, device attributes: lastCheckinTimeStamp counts milliseconds since 1970. Seconds and
# ISO 8601 texts are accepted beside it, by inference.
def _check_in(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        count = float(text)
    except ValueError:
        moment = clean_time(text)
    else:
        if not math.isfinite(count) or count <= 0:
            return None
        moment = clean_time(count / 1000 if count >= _MILLISECONDS_FROM else count)
    return moment if moment and moment.year in _PLAUSIBLE else None
