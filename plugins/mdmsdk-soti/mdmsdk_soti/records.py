"""From a record of any kind of device to a `Device`. Pure.

Names and words are those of MobiControl's description of its API (DeviceBase and the kinds of devices).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import MalformedResponseError
from mdmsdk.evidence import Fact, weigh
from mdmsdk.identifiers import DeviceId, Hostname, Imei, Meid, Serial
from mdmsdk.models import ComplianceState, Device
from mdmsdk.rows import Row
from mdmsdk.rules import system_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from mdmsdk.models import Compliance

__all__ = ["MACS", "MODEMS", "SERIALS", "Judging", "Record", "failing", "rows_of", "selected"]

MACS: Final = ("WifiMAC", "MACAddress", "EthernetMAC", "DockMAC")
SERIALS: Final = ("HardwareSerialNumber", "ManufacturerSerialNumber", "MobileSerialNumber")
MODEMS: Final = ("IMEI_MEID_ESN", "IMEI_MEID_ESN_SIM2")
# One text for three kinds of numbers. MEIDs begin with a letter (3GPP2 S.R0048); an ESN is no kind of ours.
_IMEI: Final = re.compile(r"[\d\s/.-]{14,22}", re.ASCII)
_MEID: Final = re.compile(r"[A-F][0-9A-F]{13}|[0-9]{18}", re.IGNORECASE | re.ASCII)
_UNREADABLE: Final = "of another type"
_ESN: Final = re.compile(r"[0-9A-F]{8}|[0-9]{11}", re.IGNORECASE | re.ASCII)
_UDID: Final = re.compile(
    r"[0-9a-f]{40}|[0-9a-f]{8}-(?:[0-9a-f]{16}|[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})",
    re.IGNORECASE,
)
# Recordings have recovery values in ordinary records.
_SECRET: Final = re.compile(
    r"bypass.*code|recovery.*(?:key|password)|unlock.*(?:token|code|pin)|escrow", re.IGNORECASE
)
_SYSTEMS: Final = {
    "ios": "iOS",
    "mac": "macOS",
    "chrome": "ChromeOS",
    "linux": "Linux",
    "linuxxthub": "Linux",
    "windowsce": "Windows CE",
}
# The kinds that the description names and no policies are for; a kind that it does not name may have some.
_CHECKED: Final = frozenset(
    {"windowsce", "windowsdesktop", "windowsdesktoplegacy", "windowsphone", "windowsruntime"}
    | {"windowshololens", "windowsxthub", "zebraprinter", "chrome"}
)
# Description, DeviceMode. A disabled device is still enrolled, but blocked.
_MODES: Final = {
    **dict.fromkeys(("active", "disabled"), True),
    **dict.fromkeys(("unenrollpendinguser", "unenrollpendingadmin"), False),
    **dict.fromkeys(("unenrolledbyuser", "unenrolledbyadmin"), False),
}
_VERDICTS: Final = {"compliant": True, "noncompliant": False, "pending": None}
# Description, ComplianceItemType, and what is wrong where the value is false.
_ITEMS: Final = {
    "issecured": "The device is rooted or jailbroken.",
    "isdeviceadmin": "The agent lacks the rights of a device administrator.",
    "notwiped": "The device is wiped.",
    "isenabled": "The device is disabled.",
    "isenrolled": "The device is not enrolled.",
}
# Description, DeviceEncryptionCap: the others are what the hardware can do, and not what is done.
_ENCRYPTION: Final = {"none": False, "dataprotectionenabled": True}
_PASSCODES: Final = {"present": True, "compliantwithprofiles": True}
# Description, SafetynetAttestationStatus and KnoxAttestationStatus.
_ATTESTED: Final = {
    **dict.fromkeys(("unknown", "notstarted", "pending", "passed", "passedhardwarebacked"), True),
    "failed": False,
}
_LOST: Final = Fact("IsMDMLostModeEnabled", "lost")


@dataclass(frozen=True, slots=True)
class Judging:
    """By what a record is judged.

    Attributes:
        policies: whether the server knows compliance policies; then a device without a result has no verdict.
        kinds: those that policies are for.
        azure: whether Entra's word counts.
        keep_raw: whether to keep the record.
    """

    policies: bool
    kinds: frozenset[str]
    azure: bool
    keep_raw: bool


class Record(Row):
    """One device in the server's words, or an object inside it."""

    @property
    def device_id(self) -> str:
        """What tells the record from all others.

        Raises:
            MalformedResponseError: it has none, like an error that comes with status 200.
        """
        return self.required("DeviceId")

    @property
    def kind(self) -> str:
        """The kind of the device in lower case, as versions write it differently; empty if it is not said."""
        return _plain(self.word("Kind"))

    def device(self, judging: Judging) -> Device:
        """What the record says."""
        kind, device_id = self.kind, self.device_id
        user = self.row("DeviceUserInfo")
        model = self.text("Model", "ProductName", "ModelNumber")
        names = [key for key in self.keys(Hostname, "HostName", "DeviceName") if not _is_address(key.value)]
        imeis, meids = self._modems()
        serials = self.keys(Serial, *SERIALS)
        firsts = (names, imeis, meids, serials)
        mode = self.word("Mode")
        registered = self.doubt("Mode", _MODES.get(_plain(mode)))
        udid = device_id if kind in {"ios", "mac"} and _UDID.fullmatch(device_id) else None
        items = self.rows("ComplianceItems")
        compliance = self._compliance(kind, judging, items, disabled=_plain(mode) == "disabled")
        return Device(
            id=self.key(DeviceId, "DeviceId"),
            **{type(keys[0]).field: keys[0].value for keys in firsts if keys},
            udid=udid,
            mac_addresses=self.macs(*MACS),
            other_identifiers=tuple(key for keys in firsts for key in keys[1:]),
            user=user.text("UserName", "UPN", "Email") or self.text("LastLoggedOnUser", "AnnotatedUser"),
            phone_number=self.text("PhoneNumber"),
            manufacturer=self.text("Manufacturer"),
            model=model,
            os=self._system(kind, model),
            os_version=self.text("OSVersion"),
            registered=registered is True,
            compliance=compliance,
            disk_encrypted=self._disk_encrypted(),
            passcode_set=self._passcode_set(),
            jailbroken=self._jailbroken(items),
            last_check_in=self._seen(),
            raw=_without_secrets(self.document) if judging.keep_raw else None,
            unreadable=self.unreadable,  # the last, when all was read
        )

    def _compliance(
        self, kind: str, judging: Judging, items: Sequence[Record], *, disabled: bool
    ) -> Compliance:
        """The verdict; whichever of the server's two checks a device fails counts."""
        check, word = self.veto("ComplianceStatus"), self.word("CompliancePolicyStatus")
        policy = _VERDICTS.get(_plain(word))
        told = word is not None and _plain(word) not in _VERDICTS  # a word that is not known
        policed = kind in judging.kinds
        said, reason = None, None
        if policed and (judging.policies or word is not None):
            said = policy
            reason = (
                "No compliance policy was checked for the device."
                if word is None
                else "The check is pending."
            )
        elif policed or kind in _CHECKED:
            said, reason = check, "The server has no result of its check of the device."
        else:
            reason = "The server does not say of a known kind what the device is (setting policy_kinds)."
        reasons = [*self._findings(items), *([reason] if said is None and not told else [])]
        if told:
            said, reasons = None, [*reasons, "The state of the device's policies is no known word."]
        if False in {check, policy}:
            said = False
        alarm, noted = self._azure(judging)
        return weigh(
            self,
            said,
            [_LOST],
            word=word if said is policy and (policed or told or policy is False) else None,
            alarm=alarm,
            doubts=["disabled"] if disabled else (),
            reasons=[one for one in (*reasons, noted) if one and (said is not False or one != reason)],
        )

    def _azure(self, judging: Judging) -> tuple[str | None, str | None]:
        """What Entra says against the device, and what cannot be told of it."""
        word = self.word("AzureComplianceStatus") if judging.azure else None
        if word is None or _plain(word) in {"compliant", "notapplicable"}:
            return None, None
        if _plain(word) == "noncompliant":
            return "Entra calls the device not compliant.", None
        return None, "Entra's word for the device is not known."

    def _findings(self, items: Sequence[Record]) -> list[str]:
        """What the default check and other members of the record find wrong."""
        found = [
            _ITEMS.get(_plain(name := item.text("ComplianceType")), f"The check {name} fails.")
            for item in items
            if item.veto("ComplianceValue") is False
        ]
        if self.veto("IsOSSecure") is False:
            found.append(_ITEMS["issecured"])
        for row, name, whose in (
            (self, "SafetynetAttestationStatus", "Google"),
            (self.row("Knox"), "KnoxAttestationStatus", "Samsung"),
        ):
            word = row.word(name)
            if word and self.doubt(name, _ATTESTED.get(_plain(word))) is False:
                found.append(f"The device fails {whose}'s attestation.")
        return list(dict.fromkeys(found))

    def _jailbroken(self, items: Sequence[Record]) -> bool | None:
        own = (item for item in items if _plain(item.text("ComplianceType")) == "issecured")
        told = [self.flag("IsOSSecure"), *(item.flag("ComplianceValue") for item in own)]
        return True if False in told else False if True in told else None

    def _modems(self) -> tuple[list[Imei], list[Meid]]:
        imeis: list[Imei | None] = []
        meids: list[Meid | None] = []
        for text in self._modem_texts():
            if text is None or text.strip() == "" or Imei.stands_for_nothing(text) or _ESN.fullmatch(text):
                continue
            if _MEID.fullmatch(text):
                meids.append(Meid.parse(text))
            elif _IMEI.fullmatch(text) and (imei := Imei.parse(text)):
                imeis.append(imei)
            else:
                self.doubt(Imei.field, None)
                self.doubt(Meid.field, None)
        return [*dict.fromkeys(filter(None, imeis))], [*dict.fromkeys(filter(None, meids))]

    def _modem_texts(self) -> Iterator[str | None]:
        for row, name in (
            *((self, name) for name in MODEMS),
            *((sim, "ImeiOrMeid") for sim in self.rows("Sims")),
        ):
            yield (row.text(name) or _UNREADABLE) if row.has(name) else None

    def _system(self, kind: str, model: str | None) -> str | None:
        if kind == "ios":
            pads = (self.text("Model"), self.text("ProductName"), self.text("ModelNumber"), model)
            return "iPadOS" if any((text or "").lower().startswith("ipad") for text in pads) else "iOS"
        if kind in _SYSTEMS:
            return _SYSTEMS[kind]
        known = next((name for name in ("Android", "Windows") if kind.startswith(name.lower())), None)
        platform = self.text("Platform", "Family")
        return known or system_of(platform) or platform

    def _disk_encrypted(self) -> bool | None:
        own = self.flag("IsEncrypted", "FDEEnabled")
        return own if own is not None else _ENCRYPTION.get(_plain(self.text("HardwareEncryption")))

    def _passcode_set(self) -> bool | None:
        own = self.flag("PasscodeEnabled", "IsPasswordExists")
        return own if own is not None else _PASSCODES.get(_plain(self.text("PasscodeStatus")))

    def _seen(self) -> datetime | None:
        names = ("LastCheckInTime", "LastAgentConnectTime", "LastStatusUpdate", "LastSyncTime")
        return max(filter(None, map(self.time, names)), default=None)


def rows_of(document: Any) -> list[Record]:
    """The records of a list, which stands there bare.

    Raises:
        MalformedResponseError: it is something else.
    """
    if not isinstance(document, list):
        raise MalformedResponseError("the server sent something that is not a list of devices")
    return [Record(one) for one in document]


# Description, DeviceCompliancePolicy {Name, Status, Description, NonComplianceDate, LastComplianceCheckDate}.
def failing(policies: Sequence[Record]) -> dict[str, str]:
    """Of the policies that a device fails, what each says, with its name.

    Raises:
        MalformedResponseError: one has no state.
    """
    found = {}
    for policy in policies:
        if _plain(policy.required("Status")) == "noncompliant":
            name, more = policy.text("Name") or "a policy without a name", policy.text("Description")
            found[f"{name}: {more}" if more else name] = name
    return found


def selected(devices: Sequence[Device]) -> list[Device]:
    """The noncompliant ones, without those that have left."""
    return [
        device
        for device in devices
        if device.compliance.state is ComplianceState.NONCOMPLIANT
        and (device.registered or "Mode" in device.unreadable)
    ]


def _plain(word: str | None) -> str:
    return (word or "").lower()


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _without_secrets(document: Any) -> Any:
    if isinstance(document, dict):
        return {
            name: _without_secrets(value) for name, value in document.items() if not _SECRET.search(str(name))
        }
    return [_without_secrets(one) for one in document] if isinstance(document, list) else document
