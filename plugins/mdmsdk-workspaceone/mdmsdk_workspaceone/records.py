"""From a record in any of the API's spellings to a `Device`. Pure.

The same facts come in PascalCase (v1, v2 search), camelCase (v2 by UUID) and snake_case (v3), by UUID partly
in objects of their own. Names are compared without case and underscores, so that one reader does for all.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import FilterIgnoredError
from mdmsdk.identifiers import DeviceId, Guid, Imei, Serial, Udid
from mdmsdk.models import Compliance, ComplianceState, Device, clean_time
from mdmsdk.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo

__all__ = ["Record", "failed", "select"]

_CONTAINERS: Final = ("enrollmentinfo", "platforminfo", "carrierinfo")
# What the record by GUID adds; an identifier in there would be no proof of the other record.
_ADDED: Final = frozenset({"LastSeenTimestamp", "LastSeen", "PasscodePresent", "DataEncrypted", "Compliant"})
_ENROLLED: Final = frozenset({"ENROLLED", "USERENROLLED"})
# Workspace ONE API help, mdm v1 to v3, enrollment_status: the words for devices that have left, or are not
# there yet. UNKNOWN is not among them: it does not say so.
_NOT_ENROLLED: Final = frozenset(
    {"DISCOVERED", "REGISTERED", "ENROLLMENTINPROGRESS", "PENDINGAGENT", "APPCATALOGONLY", "DEVICENOTFOUND"}
    | {"ENTERPRISEWIPEPENDING", "DEVICEWIPEPENDING", "WIPEINITIATED", "RELINQUISHOWNERSHIPPENDING"}
    | {"RETIRED", "UNENROLLED", "UNENROLLEDBYFEEDBACKSERVICE", "BLACKLISTED"}
)
# API help: Platform in v1 and v2, device_type and platform_name in v3, in any case and spelling.
_SYSTEMS: Final = (
    {"APPLE": "iOS", "IOS": "iOS", "IPADOS": "iPadOS", "APPLETV": "tvOS", "TVOS": "tvOS"}
    | {"APPLEOSX": "macOS", "MACOS": "macOS", "ANDROID": "Android", "CHROMEOS": "ChromeOS", "LINUX": "Linux"}
    | dict.fromkeys(("WINRT", "WINDOWS", "WINDOWSPC"), "Windows")
)
# Workspace ONE API help, mdm v3, compliance_status, and the words of v1 and v2 (NonCompliant). What is no
# verdict has its own reason; every word that is not here is unknown as well.
_PASS, _FAIL, _OPEN = ComplianceState.COMPLIANT, ComplianceState.NONCOMPLIANT, ComplianceState.UNKNOWN
_STATES: Final[dict[str, tuple[ComplianceState, str | None]]] = {
    "COMPLIANT": (_PASS, None),
    "ALLOWED": (_PASS, None),
    "NONCOMPLIANT": (_FAIL, None),
    "NOTCOMPLIANT": (_FAIL, None),
    "BLOCKED": (_FAIL, "The server blocks the device."),
    "QUARANTINED": (_FAIL, "The server quarantines the device."),
    "PENDINGCOMPLIANCECHECK": (_OPEN, "The compliance check is pending."),
    "PENDINGCOMPLIANCECHECKFORAPOLICY": (_OPEN, "The compliance check for a policy is pending."),
    "NOTAVAILABLE": (_OPEN, "The server has no compliance status for the device."),
    "NOTAPPLICABLE": (_OPEN, "No compliance policy applies to the device."),
    "REGISTRATIONACTIVE": (_OPEN, "The device is only registered and not evaluated."),
    "REGISTRATIONEXPIRED": (_OPEN, "The device's registration has expired."),
    "UNKNOWN": (_OPEN, None),
    "COMPLIANT:TRUE": (_PASS, None),
    "COMPLIANT:FALSE": (_FAIL, None),
}
_SEVERITY: Final = (_PASS, _OPEN, _FAIL).index
"""The worse, the higher."""


class Record(Row):
    """One device in the server's words, or an object inside it."""

    nothing = frozenset({"", "00000000-0000-0000-0000-000000000000"})

    def __init__(self, document: Any, what: str = "a device", unreadable: set[str] | None = None) -> None:
        super().__init__(document, what, unreadable)
        # Public recordings of tenants: absent data is an empty object, and a number stands in one of its own.
        self._members = {name: _bare(value) for name, value in self._members.items() if value != {}}
        self.levels = [self]
        self.own = [self, *(self.row(name) for name in _CONTAINERS if name in self._members)]
        self.levels = [*self.own]

    def add(self, more: Record) -> None:
        """Judge by another record of the same device as well, and read there what this one leaves out."""
        self.levels += Record(more.document, "a device", self._unreadable).levels

    def _find(self, names: tuple[str, ...]) -> tuple[str, Any]:
        """The first of these members that is there, here or in the objects that hold a part of the record."""
        if len(self.levels) == 1:
            return super()._find(names)
        places = ((name, level) for name in names for level in (self.levels if name in _ADDED else self.own))
        members = (super(Record, level)._find((name,)) for name, level in places)
        return next((member for member in members if member[1] is not None), (names[0], None))

    @staticmethod
    def normal(name: str) -> str:
        """The name without case and underscores."""
        return name.replace("_", "").lower()

    def order(self) -> int | str:
        """What tells the record from the others of a list, and sorts it; empty where nothing does."""
        return int(self.number("Id") or 0) or self.text("Uuid") or ""

    def seen(self, zone: tzinfo | None = None) -> datetime | None:
        """The last contact; None for a sentinel. `zone` is that of times without one."""
        for text in (self.text("LastSeenTimestamp"), self.text("LastSeen")):
            if text and "-" in text and clean_time(text):  # a bare number is no time
                seen = datetime.fromisoformat(text)
                return seen if seen.tzinfo else seen.replace(tzinfo=zone)
        return None

    def _is_enrolled(self) -> bool:
        name = "EnrollmentStatus"
        words = {_plain(level.text(name) or "") for level in self.levels if level.has(name)}
        if not words or not words <= _ENROLLED | _NOT_ENROLLED:
            self.doubt(name, None)
        return bool(words) and words <= _ENROLLED

    def device(self, zone: tzinfo, *, keep_raw: bool = False) -> Device:
        """What the record says; `zone` is that of times without one."""
        modems = self.rows("DeviceCellularNetworkInfo")
        imeis = dict.fromkeys(imei for row in (self, *modems) for imei in row.keys(Imei, "Imei"))
        macs = (mac for row in (self, *self.rows("DeviceNetworkInfo")) for mac in row.macs("MacAddress"))
        phones = (self.text("PhoneNumber"), *(modem.text("PhoneNumber") for modem in modems))
        model, number = self.text("Model", "ModelName"), self.key(DeviceId, "Id")
        return Device(
            id=None if number == "0" else number,
            name=self.text(
                "HostName", "ComputerName", "DeviceReportedName", "DeviceFriendlyName", "FriendlyName"
            ),
            guid=self.key(Guid, "Uuid"),
            udid=self.key(Udid, "Udid"),
            serial_number=self.key(Serial, "SerialNumber"),
            imei=next((imei.value for imei in imeis), None),
            mac_addresses=tuple(dict.fromkeys(macs)),
            user=self.text("UserName", "EnrollmentUserName"),
            phone_number=next(filter(None, phones), None),
            manufacturer=self.text("OEMInfo"),
            model=model,
            os=_system(self.text("Platform", "PlatformName", "DeviceType"), model),
            os_version=self.text("OperatingSystem", "OsVersion"),
            registered=self._is_enrolled(),
            compliance=self._compliance(),
            disk_encrypted=self.flag("DataEncryptionYN", "DataEncrypted"),
            passcode_set=self.flag("PasscodePresent"),
            jailbroken=self.veto("CompromisedStatus"),
            last_check_in=self.seen(zone),
            raw=self.document if keep_raw else None,
            other_identifiers=tuple(imeis)[1:],
            unreadable=self.unreadable,  # the last, when all was read
        )

    def _compliance(self) -> Compliance:
        """The verdict; a pass that another fact of the same record contradicts is none."""
        summary = self.row("ComplianceSummary")
        words = [level.word("ComplianceStatus") for level in self.levels]
        words.append(summary.word("OverallComplianceStatus"))
        # API help, mdm v2, devices/{uuid}: only yes or no, and what is pending reads as no.
        told = self._find(("Compliant",))[1]
        if told is not None and all(_state(word) is _PASS for word in words if word):
            words.append(f"compliant: {str(told).lower() if isinstance(told, bool) else '?'}")
        if any(_plain(word) not in _STATES for word in words if word):
            self.doubt("ComplianceStatus", None)
        said = _strictest(words)
        state, reason = _STATES.get(_plain(said or ""), (_OPEN, None))
        failing = list(dict.fromkeys(failed(summary.policies()).values()))
        reasons = [*failing, *([reason] if reason else ())]
        if state is _PASS and failing:
            reasons.append("The server calls the device compliant although a policy fails.")
        elif state is _PASS and any(policy.state() is not _PASS for policy in summary.policies()):
            reasons.append("The server calls the device compliant although a policy has no result.")
        if self.veto("CompromisedStatus"):
            reasons.append("The device is compromised (jailbroken or rooted).")
        return Compliance(
            state=_OPEN if state is _PASS and reasons else state,
            reasons=tuple(reasons),
            vendor_state=said,
            source=failing[0] if failing else None,
        )

    def policies(self) -> list[Record]:
        """The policies of a summary, or of an answer that lists them; none where none apply.

        API help: ComplianceSummary.DeviceCompliance[] {PolicyName, CompliantStatus} in v1 and v2,
        compliance_summary.compliance_policy_results[] {policy_name, compliance_status} in v3.
        """
        return [*self.rows("DeviceCompliance"), *self.rows("CompliancePolicyResults")]

    def state(self) -> ComplianceState:
        """How the device stands to this policy; unknown while its check is pending, or has no result."""
        flag = self.veto("CompliantStatus")
        said = _strictest([self.word("ComplianceStatus"), None if flag is None else f"compliant: {flag}"])
        return _OPEN if self.veto("CompliancePending") else _state(said)

    def total(self) -> int | None:
        """How many rows a list has, where the server counts them; 0 beside rows says that it does not."""
        return int(self.number("Total") or 0) or None


def failed(policies: Iterable[Record]) -> dict[str, str]:
    """Of the policies that a device fails, what each demands, with its name."""
    found = {}
    for policy in policies:
        if policy.state() is _FAIL:
            name = policy.text("PolicyName") or "a policy without a name"
            more = policy.text("PolicyDetail", "PolicyDescription")
            found[f"{name}: {more}" if more else name] = name
    return found


def _bare(value: Any) -> Any:
    return value["Value"] if isinstance(value, dict) and value.keys() == {"Value"} else value


@lru_cache(maxsize=256)
def _plain(word: str) -> str:
    # Letters beyond ASCII can turn into others in upper case.
    return re.sub(r"[_\s-]", "", word).upper() if word.isascii() else ""


def _system(word: str | None, model: str | None) -> str | None:
    """The operating system by its usual name; what is not known keeps the server's."""
    found = _SYSTEMS.get(_plain(word or ""), word)
    return "iPadOS" if found == "iOS" and (model or "").lower().startswith("ipad") else found


def _state(word: str | None) -> ComplianceState:
    return _STATES.get(_plain(word or ""), (_OPEN, None))[0]


def _strictest(words: Iterable[str | None]) -> str | None:
    """Of the server's words for one device, the strictest, the first of equals."""
    return max(filter(None, words), key=lambda word: _SEVERITY(_state(word)), default=None)


def select(devices: Sequence[Device], *, filtered: bool) -> list[Device]:
    """The noncompliant ones of a page, without those that have left.

    The search does not care for enrolment, and may count what is pending as not compliant. What the server
    found and the record does not explain stays in the list, with its state unknown.

    Args:
        devices: the page.
        filtered: whether the server was asked for noncompliant ones only.

    Raises:
        FilterIgnoredError: it was, and a device complies or does not show whether it does.
    """
    verdicts = [device.compliance for device in devices if filtered]
    if any(verdict.state is _PASS or verdict.vendor_state is None for verdict in verdicts):
        raise FilterIgnoredError("the server's noncompliant list holds a device that is not noncompliant")
    return [
        device
        for device, verdict in ((device, device.compliance) for device in devices)
        if (device.registered or "EnrollmentStatus" in device.unreadable)
        and (
            device.unreadable or _state(verdict.vendor_state) is not _OPEN
            if filtered
            else verdict.state is _FAIL
        )
    ]
