"""Records of EPMM: flat objects with dotted keys. Pure."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import Guid, Imei, Mac, Serial, Udid, Username
from mdmsdk.models import Device
from mdmsdk_ivanti.records import IvantiRow, judge

if TYPE_CHECKING:
    from mdmsdk_ivanti.records import JsonObject, Names

__all__ = ["FIELDS", "MANAGED", "NAMES", "NEEDED", "read"]

NAMES: Final[Names] = {
    Guid: ("common.uuid",),
    Mac: ("common.wifi_mac_address", "common.ethernet_mac", "ios.iPhone MAC_ADDRESS_EN0"),
    Udid: ("ios.iPhone UDID",),
    Serial: ("common.SerialNumber",),
    Imei: ("common.imei",),
    Username: ("user.user_id",),
}
NEEDED: Final = ("common.id", "common.status", "common.compliant")
"""Without these no row can be judged."""
_REASONS: Final = ("common.noncompliance_reasons", "common.quarantined_reasons", "common.blocked_reasons")
_TIMES: Final = ("common.last_connected_at", "common.miclient_last_connected_at")
# iOS encrypts as soon as its data protection is on, and has no other flag.
_ENCRYPTION: Final = ("common.device_encrypted", "common.data_protection_enabled")
# EPMM API v2 guide, "Devices: search": names of fields have to be given, and only those come back. To ask for
# all that there are is refused by some servers, so the ones wanted are listed.
FIELDS: Final = (
    *NEEDED,
    *chain(*NAMES.values()),
    *("common.retired", "common.quarantined", "common.blocked", "common.device_is_compromised"),
    *("common.security_state", *_REASONS, *_ENCRYPTION, *_TIMES),
    *("common.platform", "common.os_version", "common.manufacturer", "common.model"),
    "common.current_phone_number",
)

# EPMM reporting database guide, "Array value enumerations".
_REASON_TEXTS: Final = {
    "COMPROMISED": "The device is jailbroken or rooted",
    "OS_VERSION": "The operating system is too old",
    "HW_VERSION": "This hardware model is not allowed",
    "DATA_PROTECTION": "Encryption is off",
    "POLICY_OUT_OF_DATE": "The policy on the device is out of date",
    "DEVICE_OUT_OF_CONTACT": "The device has not been in contact for too long",
    "APP_CONTROL": "An app control rule is broken",
    "PER_MAILBOX_LIMIT": "The user has too many devices for one mailbox",
    "AUTO_BLOCK": "The device is not registered",
    "MANUAL": "An administrator has blocked the device",
    "EXCHANGE": "Exchange has reported the device",
    "DEVICE_ADMIN_DEACTIVE": "The device administrator is off",
    "DISALLOWED_APP_CONTROL": "A forbidden app is installed",
    "REQUIRED_APP_CONTROL": "A required app is missing",
    "ALLOWED_APP_CONTROL": "An app is installed that is not on the allowed list",
    "LOGGED_OUT": "The user has logged out",
    "UNKNOWN": "Another reason",
}
# EPMM API guides, device status. Devices in the first four are under management; that the last
# three of them are, though nobody should trust them, is inferred from their names. Others have left, or are
# not there yet.
MANAGED: Final = ("ACTIVE", "LOST", "INFECTED", "BLOCKED")
_STATES: Final = (
    *MANAGED,
    *("IENROLL_VERIFIED", "IENROLL_INPROGRESS", "IENROLL_COMPLETE", "VERIFICATION_PENDING", "VERIFIED"),
    *("RETIRED", "RETIRE_PENDING", "WIPED", "EXPIRED"),
)


def read(document: JsonObject) -> Device:
    """What a row of the device search says."""
    row = IvantiRow(_flat(document))
    status = row.state("common.status", frozenset(_STATES))
    security = row.word("common.security_state")
    said = row.said("common.compliant")
    compromised = row.veto("common.device_is_compromised")
    retired = row.veto("common.retired")
    doubts = {
        "blocked": row.veto("common.blocked"),
        "compromised": compromised and said is True,
        "retired": retired,
        status: status != "ACTIVE",
    }
    return Device(
        id=row.text("common.id"),
        user=row.text(*NAMES[Username]),
        phone_number=row.phone_number("common.current_phone_number"),
        manufacturer=row.text("common.manufacturer"),
        model=row.text("common.model"),
        os=row.text("common.platform"),
        os_version=row.text("common.os_version"),
        registered=status in MANAGED and not retired,
        compliance=judge(
            said,
            quarantined=row.veto("common.quarantined"),
            alarm=security if security and security.lower() != "ok" else None,
            doubts=[word for word, holds in doubts.items() if holds],
            reasons=_reasons(row),
        ),
        disk_encrypted=row.flag(*_ENCRYPTION),
        jailbroken=compromised,
        last_check_in=row.newest(*_TIMES),
        **row.shown(NAMES),
        unreadable=row.unreadable,
    )


def _reasons(row: IvantiRow) -> list[str]:
    names = [name.strip() for words in row.words(*_REASONS) for name in words.split(",")]
    return [_REASON_TEXTS.get(name.upper(), name) for name in names]


# EPMM API v2 guide, "Devices: search": the objects are flat. One with nested parts is read the same way, but
# must not say anything both ways.
def _flat(document: JsonObject) -> JsonObject:
    nested = {
        f"{name}.{inner}": value
        for name, part in document.items()
        if isinstance(part, dict) and "." not in name
        for inner, value in part.items()
    }
    if nested.keys() & document.keys():
        raise MalformedResponseError("the server sent a device with a member twice")
    return document | nested
