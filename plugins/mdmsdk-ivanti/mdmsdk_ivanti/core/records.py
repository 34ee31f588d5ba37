"""Records of EPMM: flat objects with dotted keys (V2), nested ones with numbers for states (V1). Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import Guid, Udid
from mdmsdk.models import Device
from mdmsdk_ivanti.answers import mapping, objects
from mdmsdk_ivanti.records import IvantiRow, judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk_ivanti.records import JsonObject, Masked

__all__ = ["FIELDS", "MANAGED", "MASKED", "NEEDED", "OTHERS", "flat_v1", "read_v1", "read_v2"]

NEEDED: Final = ("common.id", "common.uuid", "common.status", "common.compliant")
"""Without these no row can be judged."""
# EPMM API v2 guide, "Devices: search": names of fields have to be given, and only those come back. To ask for
# all that there are is refused by some servers, so the ones wanted are listed.
FIELDS: Final = (
    *NEEDED,
    "common.retired",
    "common.wifi_mac_address",
    "common.ethernet_mac",
    "ios.iPhone MAC_ADDRESS_EN0",
    "ios.iPhone UDID",
    "common.SerialNumber",
    "common.imei",
    "common.current_phone_number",
    "common.noncompliance_reasons",
    "common.quarantined",
    "common.quarantined_reasons",
    "common.blocked",
    "common.blocked_reasons",
    "common.security_state",
    "common.device_is_compromised",
    "common.device_encrypted",
    "common.data_protection_enabled",
    "common.platform",
    "common.os_version",
    "common.manufacturer",
    "common.model",
    "common.last_connected_at",
    "common.miclient_last_connected_at",
    "user.user_id",
)

MASKED: Final[Masked] = {
    "guid": ("common.uuid", "uuid"),
    "udid": ("ios.iPhone UDID", "details.udid"),
    "serial": ("common.SerialNumber", "details.serial"),
    "imei": ("common.imei", "details.imei"),
    "mac": (
        "common.wifi_mac_address",
        "ios.iPhone MAC_ADDRESS_EN0",
        "common.ethernet_mac",
        "details.mac",
    ),
    "username": ("user.user_id", "principal"),
    "phone": ("common.current_phone_number", "currentPhoneNumber"),
}
"""Of both versions."""

# EPMM reporting database guide, "Array value enumerations": the bit of each reason in V1, its name in V2.
_REASONS: Final = {
    "COMPROMISED": (0x000001, "The device is jailbroken or rooted"),
    "OS_VERSION": (0x000002, "The operating system is too old"),
    "HW_VERSION": (0x000004, "This hardware model is not allowed"),
    "DATA_PROTECTION": (0x000008, "Encryption is off"),
    "POLICY_OUT_OF_DATE": (0x000010, "The policy on the device is out of date"),
    "DEVICE_OUT_OF_CONTACT": (0x000020, "The device has not been in contact for too long"),
    "APP_CONTROL": (0x000040, "An app control rule is broken"),
    "PER_MAILBOX_LIMIT": (0x000080, "The user has too many devices for one mailbox"),
    "AUTO_BLOCK": (0x000100, "The device is not registered"),
    "MANUAL": (0x000200, "An administrator has blocked the device"),
    "EXCHANGE": (0x000400, "Exchange has reported the device"),
    "DEVICE_ADMIN_DEACTIVE": (0x000800, "The device administrator is off"),
    "DISALLOWED_APP_CONTROL": (0x001000, "A forbidden app is installed"),
    "REQUIRED_APP_CONTROL": (0x002000, "A required app is missing"),
    "ALLOWED_APP_CONTROL": (0x004000, "An app is installed that is not on the allowed list"),
    "LOGGED_OUT": (0x008000, "The user has logged out"),
    "UNKNOWN": (0x400000, "Another reason"),
}
# EPMM API v1 and v2 guides, device status. Devices in the first four are under management; that the last
# three of them are, though nobody should trust them, is inferred from their names. Others have left, or are
# not there yet.
MANAGED: Final = ("ACTIVE", "LOST", "INFECTED", "BLOCKED")
OTHERS: Final = (
    "IENROLL_VERIFIED",
    "IENROLL_INPROGRESS",
    "IENROLL_COMPLETE",
    "VERIFICATION_PENDING",
    "VERIFIED",
    "RETIRED",
    "RETIRE_PENDING",
    "WIPED",
    "EXPIRED",
)


def _names(row: IvantiRow, *lists: str) -> Iterator[str]:
    for name in (part.strip() for words in row.words(*lists) for part in words.split(",")):
        yield _REASONS[name.upper()][1] if name.upper() in _REASONS else name


def _standing(row: IvantiRow, name: str) -> tuple[bool, list[str]]:
    """Whether a device is managed, and the state in which nobody trusts it, if it is in one."""
    status = row.state(name, {*MANAGED, *OTHERS})
    return status in MANAGED, [] if status == "ACTIVE" else [status]


def read_v2(document: JsonObject, **more: Any) -> Device:
    """What a row of the device search says; `more` are fields of the device."""
    row = IvantiRow(_flat(document))
    managed, distrust = _standing(row, "common.status")
    security = row.word("common.security_state")
    said = row.said("common.compliant")
    compromised = row.veto("common.device_is_compromised")
    doubts = {
        "blocked": row.veto("common.blocked"),
        "compromised": compromised and said is True,
        "retired": row.veto("common.retired"),
    }
    return Device(
        id=row.text("common.id"),
        guid=row.key(Guid, "common.uuid"),
        udid=row.key(Udid, "ios.iPhone UDID"),
        mac_addresses=row.macs(*MASKED["mac"]),
        user=row.text("user.user_id"),
        phone_number=row.phone_number("common.current_phone_number"),
        manufacturer=row.text("common.manufacturer"),
        model=row.text("common.model"),
        os=row.text("common.platform"),
        os_version=row.text("common.os_version"),
        registered=managed and not doubts["retired"],
        compliance=judge(
            said,
            quarantined=row.veto("common.quarantined"),
            alarm=security if security and security.lower() != "ok" else None,
            doubts=[*(word for word, holds in doubts.items() if holds), *distrust],
            reasons=_names(
                row,
                "common.noncompliance_reasons",
                "common.quarantined_reasons",
                "common.blocked_reasons",
            ),
        ),
        # iOS encrypts as soon as its data protection is on, and has no other flag.
        disk_encrypted=row.flag("common.device_encrypted", "common.data_protection_enabled"),
        jailbroken=compromised,
        last_check_in=row.newest("common.last_connected_at", "common.miclient_last_connected_at"),
        **row.numbers(MASKED["serial"], MASKED["imei"]),
        unreadable=row.unreadable,
        **more,
    )


# EPMM API v2 guide, "Devices: search": the objects are flat. One with nested parts is read the same way, but
# must not say anything both ways.
def _flat(document: JsonObject) -> JsonObject:
    pairs = [
        pair
        for name, part in document.items()
        for pair in (
            [(f"{name}.{inner}", value) for inner, value in part.items()]
            if isinstance(part, dict) and "." not in name
            else [(name, part)]
        )
    ]
    if len(flat := dict(pairs)) < len(pairs):
        raise MalformedResponseError("the server sent a device with a member twice")
    return flat


# EPMM API v1 guide, "Device management": compliance, quarantinedStatus and blockReason are sums of the bits
# above, and 0 is a pass. That the bits are those of the reporting database is inferred.
def read_v1(document: JsonObject, **more: Any) -> Device:
    """What a device of the V1 API says, as `flat_v1` gives it; `more` are fields of the device."""
    row = IvantiRow(document)
    managed, distrust = _standing(row, "status")
    broken, quarantine, blocked = (
        _bits(row, name) for name in ("compliance", "quarantinedStatus", "blockReason")
    )
    return Device(
        id=row.text("@id"),
        guid=row.key(Guid, "uuid"),
        udid=row.key(Udid, "details.udid"),
        mac_addresses=row.macs("details.mac"),
        user=row.text("principal"),
        phone_number=row.phone_number("currentPhoneNumber"),
        manufacturer=row.text("manufacturer"),
        model=row.text("model"),
        os=row.text("platform"),
        registered=managed,
        compliance=judge(
            None if broken is None else broken == 0,
            quarantined=bool(quarantine),
            doubts=[*(["blocked"] * bool(blocked)), *distrust],
            reasons=_bit_reasons((broken or 0) | (quarantine or 0) | (blocked or 0)),
        ),
        last_check_in=row.newest("lastConnectedAt"),
        **row.numbers(["details.serial"], ["details.imei"]),
        unreadable=row.unreadable,
        **more,
    )


_DETAILS: Final = {
    "details.udid": re.compile(r".*udid"),
    "details.serial": re.compile(r"(?!sim).*serial(?:number)?"),
    "details.imei": re.compile(r".*imei\d?"),
    "details.mac": re.compile(r"(?!bluetooth).*mac(?:addr(?:ess)?)?(?:en0)?"),
}


def flat_v1(document: JsonObject) -> JsonObject:
    """A device of the V1 API with the identifiers among its ``details`` beside its own fields.

    Raises:
        MalformedResponseError: the details cannot be read, or name one thing twice.
    """
    found: dict[str, dict[str, Any]] = {}
    details = mapping(document.get("details") or {}, "object of details").get("entry") or []
    for entry in objects([details] if isinstance(details, dict) else details, "details"):
        name, value = IvantiRow.normal(str(entry.get("key"))), entry.get("value")
        for member in (member for member, form in _DETAILS.items() if form.fullmatch(name)):
            if found.setdefault(member, {}).setdefault(name, value) != value:
                raise MalformedResponseError("the server sent a device with a detail twice")
    plain = {
        member: [*values.values()] if len(values) > 1 else next(iter(values.values()))
        for member, values in found.items()
    }
    return {**document, **plain}


def _bits(row: IvantiRow, name: str) -> int | None:
    text = row.text(name) or ""
    bits = int(text) if re.fullmatch(r"[0-9]{1,10}", text) else None
    return row.doubt(name, bits) if row.has(name) else None


def _bit_reasons(bits: int) -> Iterator[str]:
    for bit, words in _REASONS.values():
        if bits & bit:
            yield words
            bits &= ~bit
    if bits:
        yield f"Reason {bits:#x}"
