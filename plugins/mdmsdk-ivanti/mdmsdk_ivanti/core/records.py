"""Records of EPMM: flat objects with dotted keys. Pure."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, ClassVar, Final

from mdmsdk.errors import MalformedResponseError
from mdmsdk.evidence import Fact
from mdmsdk.identifiers import Username
from mdmsdk.models import Device
from mdmsdk_ivanti.records import IvantiRecord

if TYPE_CHECKING:
    from mdmsdk_ivanti.records import Names

__all__ = ["FIELDS", "MANAGED", "NEEDED", "CoreRecord"]

# EPMM reporting database guide, "Array value enumerations": names such as OS_VERSION.
_REASONS: Final = ("common.noncompliance_reasons", "common.quarantined_reasons", "common.blocked_reasons")
_TIMES: Final = ("common.last_connected_at", "common.miclient_last_connected_at")
# iOS encrypts as soon as its data protection is on, and has no other flag.
_ENCRYPTION: Final = ("common.device_encrypted", "common.data_protection_enabled")
# EPMM API guides, device status. Devices in the first four are under management; that the last three of them
# are, though nobody should trust them, is inferred from their names. Others have left, or are not there yet.
MANAGED: Final = ("ACTIVE", "LOST", "INFECTED", "BLOCKED")
_OTHERS: Final = (
    *("IENROLL_VERIFIED", "IENROLL_INPROGRESS", "IENROLL_COMPLETE", "VERIFICATION_PENDING", "VERIFIED"),
    *("RETIRED", "RETIRE_PENDING", "WIPED", "EXPIRED"),
)


class CoreRecord(IvantiRecord):
    """A row of the device search."""

    names: ClassVar[Names] = {
        "guid": ("common.uuid",),
        "mac": ("common.wifi_mac_address", "common.ethernet_mac", "ios.iPhone MAC_ADDRESS_EN0"),
        "udid": ("ios.iPhone UDID",),
        "serial": ("common.SerialNumber",),
        "imei": ("common.imei",),
    }
    status = "common.status"
    states = frozenset(MANAGED + _OTHERS)
    said = "common.compliant"
    facts = (
        Fact("common.quarantined", "quarantined", decides="quarantine"),
        Fact("common.blocked", "blocked"),
        Fact("common.device_is_compromised", "compromised"),
        Fact("common.retired", "retired"),
    )

    def device(self) -> Device:
        """What the record says.

        Raises:
            MalformedResponseError: it has parts, so that it could say one thing in two ways.
        """
        # EPMM API v2 guide, "Devices: search": the objects are flat.
        if any(isinstance(value, dict) and "." not in name for name, value in self.document.items()):
            raise MalformedResponseError("the server sent a device with a member twice")
        security = self.word("common.security_state") or "Ok"
        alarm = None if security.lower() == "ok" else security
        reasons = (name.strip() for words in self.words(*_REASONS) for name in words.split(","))
        return Device(
            id=self.text("common.id"),
            user=self.key(Username, "user.user_id"),
            phone_number=self.text("common.current_phone_number"),
            manufacturer=self.text("common.manufacturer"),
            model=self.text("common.model"),
            os=self.text("common.platform"),
            os_version=self.text("common.os_version"),
            registered=self.state() in MANAGED and not self.veto("common.retired"),
            compliance=self.verdict(alarm=alarm, reasons=reasons),
            disk_encrypted=self.flag(*_ENCRYPTION),
            jailbroken=self.veto("common.device_is_compromised"),
            last_check_in=self.newest(*_TIMES),
            **self.identifiers(**self.names),
            unreadable=self.unreadable,
        )


NEEDED: Final = ("common.id", "common.status", "common.compliant")
"""Without these no row can be judged."""
# EPMM API v2 guide, "Devices: search": names of fields have to be given, and only those come back. To ask for
# all that there are is refused by some servers, so the ones wanted are listed.
FIELDS: Final = tuple(
    dict.fromkeys(
        (
            *NEEDED,
            *chain(*CoreRecord.names.values()),
            *(fact.name for fact in CoreRecord.facts),
            *("common.security_state", *_REASONS, *_ENCRYPTION, *_TIMES),
            *("common.platform", "common.os_version", "common.manufacturer", "common.model"),
            *("common.current_phone_number", "user.user_id"),
        )
    )
)
