"""Records and queries of Neurons for MDM. Pure.

Source: Ivanti Neurons for MDM customer integration API guide, "Devices".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar, Final

from mdmsdk.errors import InvalidIdentifierError
from mdmsdk.evidence import Fact
from mdmsdk.identifiers import Username
from mdmsdk.models import Device
from mdmsdk_ivanti.records import IvantiRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdmsdk.identifiers import Key
    from mdmsdk_ivanti.records import Names

__all__ = ["MAX_QUERY", "NONCOMPLIANT", "OR", "CloudRecord", "condition"]

# Values stand in a query as they are. What has a meaning there, or could have one, has no other spelling.
_PLAIN: Final = re.compile(r"[\w.:@+*/~-]+", re.ASCII)

MAX_QUERY: Final = 1500
"""Characters, so that addresses stay below the length that every HTTP server and proxy takes. The guide has
no limit."""
OR: Final = " or "
NONCOMPLIANT: Final = "registrationState=ACTIVE and (complianceState=false or quarantined=true)"
_VIOLATIONS: Final = "policyViolationCount"
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
    return OR.join(f"{CloudRecord.names[key.kind][0]}={text}" for text in key.cases)


# Customer integration API guide, device object. Epoch milliseconds; nullable booleans.
class CloudRecord(IvantiRecord):
    """A device of a search, or of its own address."""

    names: ClassVar[Names] = {
        "guid": ("guid",),
        "mac": ("wifiMacAddress", "wifiMacAddressForInventory"),
        "udid": ("udid",),
        "serial": ("serialNumber", "altSerialNumber"),
        "imei": ("imei", "imei2"),
        "meid": ("meid",),
    }
    status = "registrationState"
    # Customer integration API guide, device object, registrationState. The guide has no complete list; that a
    # wiped device has left is inferred from its name.
    states = frozenset({"ACTIVE", "RETIRED", "RETIRE_PENDING", "WIPED"})
    said = "complianceState"
    facts = (
        Fact("quarantined", "quarantined", decides="quarantine"),
        Fact("blocked", "blocked"),
        Fact("jailbroken", "compromised"),
        Fact("lostModeEnabled", "in lost mode"),
    )

    def device(self) -> Device:
        """What the record says."""
        system = self.text("platformType")
        name, encryption, version = _SYSTEMS.get(system or "", (system, (), "platformVersion"))
        return Device(
            id=self.text("id"),
            name=self.text("deviceName", "entityName"),
            user=self.key(Username, "uid", "emailAddress"),
            phone_number=self.text("phoneNumber"),
            manufacturer=self.text("manufacturer"),
            model=self.text("prettyModel", "deviceModel"),
            os=name,
            os_version=self.text(version, "platformVersion"),
            registered=self.state() == "ACTIVE",
            compliance=self.verdict(reasons=self._violations()),
            disk_encrypted=self.flag(*encryption) if encryption else None,
            jailbroken=self.veto("jailbroken"),
            last_check_in=self.newest("lastCheckin", "clientLastCheckin"),
            **self.identifiers(**self.names),
            unreadable=self.unreadable,
        )

    # The names stand in lists alone; the record of one device has the count.
    def _violations(self) -> Sequence[str]:
        policies, count = self.words("violatedPolicies"), self.number(_VIOLATIONS)
        if self.has(_VIOLATIONS):
            self.doubt(_VIOLATIONS, count)
        return policies or ([f"{count:.0f} policies are violated"] if count else [])
