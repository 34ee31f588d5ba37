"""Records of EPMM: flat objects with dotted keys (V2), nested ones with numbers for states (V1). Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mdmsdk_ivanti.records import Facts, flag, judge, newest, phone_number, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk_ivanti.records import Row

__all__ = ["FIELDS", "MANAGED", "NEEDED", "OTHERS", "read_v1", "read_v2"]

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


def _reasons(*lists: object) -> Iterator[str]:
    for names in lists:
        given = names.split(",") if isinstance(names, str) else names if isinstance(names, list) else []
        for name in filter(None, map(text, given)):
            yield _REASONS[name.upper()][1] if name.upper() in _REASONS else name


def _standing(status: str | None) -> tuple[bool, str | None]:
    """Whether a device is managed, and the state in which nobody trusts it, if it is in one."""
    word = (status or "UNKNOWN STATUS").upper()
    return word in MANAGED, None if word == "ACTIVE" else word


def read_v2(row: Row) -> Facts:
    """What a row of the device search says."""
    get = row.get
    managed, distrust = _standing(text(get("common.status")))
    security = text(get("common.security_state"))
    encrypted = flag(get("common.device_encrypted"))
    mac_fields = ("common.wifi_mac_address", "ios.iPhone MAC_ADDRESS_EN0", "common.ethernet_mac")
    return Facts(
        {
            "guid": [text(get("common.uuid"))],
            "udid": [text(get("ios.iPhone UDID"))],
            "serial": [text(get("common.SerialNumber"))],
            "imei": [text(get("common.imei"))],
            "mac": [text(get(name)) for name in mac_fields],
        },
        {
            "id": text(get("common.id")),
            "user": text(get("user.user_id")),
            "phone_number": phone_number(get("common.current_phone_number")),
            "manufacturer": text(get("common.manufacturer")),
            "model": text(get("common.model")),
            "os": text(get("common.platform")),
            "os_version": text(get("common.os_version")),
            "registered": managed and flag(get("common.retired")) is not True,
            "compliance": judge(
                get("common.compliant"),
                quarantined=flag(get("common.quarantined")),
                blocked=flag(get("common.blocked")),
                alarm=security if security and security.casefold() != "ok" else None,
                distrust=distrust,
                reasons=_reasons(
                    get("common.noncompliance_reasons"),
                    get("common.quarantined_reasons"),
                    get("common.blocked_reasons"),
                ),
            ),
            # iOS encrypts as soon as its data protection is on, and has no other flag.
            "disk_encrypted": flag(get("common.data_protection_enabled")) if encrypted is None else encrypted,
            "jailbroken": flag(get("common.device_is_compromised")),
            "last_check_in": newest(
                get("common.last_connected_at"), get("common.miclient_last_connected_at")
            ),
        },
    )


# EPMM API v1 guide, "Device management": compliance, quarantinedStatus and blockReason are sums of the bits
# above, and 0 is a pass. That the bits are those of the reporting database is inferred.
def read_v1(row: Row) -> Facts:
    """What a device of the V1 API says; what has no field of its own stands in ``details``."""
    get = row.get
    details = dict(_details(row))
    managed, distrust = _standing(text(get("status")))
    broken, quarantine, blocked = (
        _bits(get(name)) for name in ("compliance", "quarantinedStatus", "blockReason")
    )
    return Facts(
        {
            "guid": [text(get("uuid"))],
            "udid": [value for name, value in details.items() if "udid" in name],
            "serial": [value for name, value in details.items() if "serial" in name],
            "imei": [value for name, value in details.items() if name.endswith("imei")],
            "mac": [value for name, value in details.items() if "mac" in name],
        },
        {
            "id": text(get("@id")),
            "user": text(get("principal")),
            "phone_number": phone_number(get("currentPhoneNumber")),
            "manufacturer": text(get("manufacturer")),
            "model": text(get("model")),
            "os": text(get("platform")),
            "registered": managed,
            "compliance": judge(
                None if broken is None else broken == 0,
                quarantined=None if quarantine is None else quarantine != 0,
                blocked=None if blocked is None else blocked != 0,
                distrust=distrust,
                reasons=_bit_reasons((broken or 0) | (quarantine or 0) | (blocked or 0)),
            ),
            "last_check_in": newest(get("lastConnectedAt")),
        },
    )


def _details(row: Row) -> Iterator[tuple[str, str]]:
    details = row.get("details")
    entries: Any = details.get("entry") if isinstance(details, dict) else None
    for entry in entries if isinstance(entries, list) else [entries]:
        if isinstance(entry, dict) and (value := text(entry.get("value"))):
            yield re.sub(r"[^a-z]", "", str(entry.get("key")).lower()), value


def _bits(value: object) -> int | None:
    given = text(value)
    return int(given) if given is not None and re.fullmatch(r"[0-9]{1,10}", given) else None


def _bit_reasons(bits: int) -> Iterator[str]:
    for bit, words in _REASONS.values():
        if bits & bit:
            yield words
            bits &= ~bit
    if bits:
        yield f"Reason {bits:#x}"
