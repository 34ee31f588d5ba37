"""Records and queries of Neurons for MDM. Pure.

Source: Ivanti Neurons for MDM customer integration API guide, "Devices".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mdmsdk.errors import InvalidIdentifierError
from mdmsdk.identifiers import Guid, Hostname, Imei, Key, Mac, Meid, Serial, Udid, Username
from mdmsdk.models import Device
from mdmsdk_ivanti.records import IvantiRow, judge

if TYPE_CHECKING:
    from mdmsdk_ivanti.records import JsonObject, Names

__all__ = ["MAX_QUERY", "NAMES", "NONCOMPLIANT", "OR", "condition", "read"]

NAMES: Final[Names] = {
    Guid: ("guid",),
    Mac: ("wifiMacAddress", "wifiMacAddressForInventory"),
    Udid: ("udid",),
    Serial: ("serialNumber", "altSerialNumber"),
    Imei: ("imei", "imei2"),
    Meid: ("meid",),
    Username: ("uid", "emailAddress"),
    Hostname: ("deviceName", "entityName"),
}
# Values stand in a query as they are. What has a meaning there, or could have one, has no other spelling.
_PLAIN: Final = re.compile(r"[\w.:@+*/~-]+", re.ASCII)

MAX_QUERY: Final = 1500
"""Characters, so that addresses stay below the length that every HTTP server and proxy takes. The guide has
no limit."""
OR: Final = " or "
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
    # Addresses are kept with colons. Whether in capitals, and whether a search cares, is not documented.
    return OR.join(f"{NAMES[type(key)][0]}={text}" for text in key.cases)


# Customer integration API guide, device object, registrationState. The guide has no complete list; that a
# wiped device has left is inferred from its name.
_STATES: Final = frozenset({"ACTIVE", "RETIRED", "RETIRE_PENDING", "WIPED"})
# The system, the flags of its encryption, and where its version stands: Windows 10 and 11 are called phones
# too; their version is that of the build. Only the record of one device has flags, all of them for every
# system: a Windows record says `osxFdeEnabled: false`. `passcodeCompliant`, by contrast, holds as well for a
# device that needs no passcode and has none, so that it tells nothing about `passcode_set`.
_SYSTEMS: Final[dict[str, tuple[str, tuple[str, ...], str]]] = {
    "IOS": ("iOS", (), "platformVersion"),
    "ANDROID": ("Android", (), "platformVersion"),
    "OSX": ("macOS", ("osxFdeEnabled",), "platformVersion"),
    "WINDOWS_PHONE": ("Windows", ("windowsEncrypted",), "osBuildVersion"),
}


# Customer integration API guide, device object. Epoch milliseconds; nullable booleans.
def read(document: JsonObject) -> Device:
    """What a device of a search, or of its own address, says."""
    row = IvantiRow(document)
    state = row.state("registrationState", _STATES)
    said = row.said("complianceState")
    compromised = row.veto("jailbroken")
    doubts = {
        "blocked": row.veto("blocked"),
        "compromised": compromised and said is True,
        "in lost mode": row.veto("lostModeEnabled"),
        state: state != "ACTIVE",
    }
    system = row.text("platformType")
    name, encryption, version = _SYSTEMS.get(system or "", (system, (), "platformVersion"))
    return Device(
        id=row.text("id"),
        name=row.text(*NAMES[Hostname]),
        user=row.text(*NAMES[Username]),
        phone_number=row.phone_number("phoneNumber"),
        manufacturer=row.text("manufacturer"),
        model=row.text("prettyModel", "deviceModel"),
        os=name,
        os_version=row.text(version, "platformVersion"),
        registered=state == "ACTIVE",
        compliance=judge(
            said,
            quarantined=row.veto("quarantined"),
            doubts=[word for word, holds in doubts.items() if holds],
            reasons=_violations(row),
        ),
        disk_encrypted=row.flag(*encryption) if encryption else None,
        jailbroken=compromised,
        last_check_in=row.newest("lastCheckin", "clientLastCheckin"),
        **row.shown(NAMES),
        unreadable=row.unreadable,
    )


# The names stand in lists alone; the record of one device has the count.
def _violations(row: IvantiRow) -> list[str]:
    policies = row.words("violatedPolicies")
    count = row.number("policyViolationCount")
    if row.has("policyViolationCount"):
        row.doubt("policyViolationCount", count)
    return policies or ([f"{count:.0f} policies are violated"] if count else [])
