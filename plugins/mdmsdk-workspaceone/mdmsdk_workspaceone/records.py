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
from mdmsdk.identifiers import DeviceId
from mdmsdk.models import Compliance, ComplianceState, Device, clean_time
from mdmsdk.rows import Row
from mdmsdk.rules import system_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
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
# API help: Platform in v1 and v2, device_type and platform_name in v3; the words that are no system's name.
_SYSTEMS: Final = {"APPLE": "iOS", "APPLEOSX": "macOS", "WINRT": "Windows", "WINDOWSPC": "Windows"}
# Workspace ONE API help, mdm v3, compliance_status, and the words of v1 and v2 (NonCompliant). All others are
# unknown as well.
_PASS, _FAIL, _OPEN = ComplianceState.COMPLIANT, ComplianceState.NONCOMPLIANT, ComplianceState.UNKNOWN
_REASONS: Final = {
    "BLOCKED": "The server blocks the device.",
    "QUARANTINED": "The server quarantines the device.",
    "PENDINGCOMPLIANCECHECK": "The compliance check is pending.",
    "PENDINGCOMPLIANCECHECKFORAPOLICY": "The compliance check for a policy is pending.",
    "NOTAVAILABLE": "The server has no compliance status for the device.",
    "NOTAPPLICABLE": "No compliance policy applies to the device.",
    "REGISTRATIONACTIVE": "The device is only registered and not evaluated.",
    "REGISTRATIONEXPIRED": "The device's registration has expired.",
}
_STATES: Final[Mapping[str, ComplianceState]] = {
    **dict.fromkeys(("UNKNOWN", *_REASONS), _OPEN),
    **dict.fromkeys(("COMPLIANT", "ALLOWED", "COMPLIANT:TRUE"), _PASS),
    **dict.fromkeys(("NONCOMPLIANT", "NOTCOMPLIANT", "BLOCKED", "QUARANTINED", "COMPLIANT:FALSE"), _FAIL),
}


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
        known = bool(words) and words <= _ENROLLED | _NOT_ENROLLED
        self.doubt(name, known or None)
        return known and words <= _ENROLLED

    def device(self, zone: tzinfo, *, keep_raw: bool = False) -> Device:
        """What the record says; `zone` is that of times without one."""
        within = [*self.rows("DeviceCellularNetworkInfo"), *self.rows("DeviceNetworkInfo")]
        phones = (row.text("PhoneNumber") for row in (self, *within))
        model, number = self.text("Model", "ModelName"), self.key(DeviceId, "Id")
        return Device(
            id=None if number == "0" else number,
            name=self.text(
                "HostName", "ComputerName", "DeviceReportedName", "DeviceFriendlyName", "FriendlyName"
            ),
            **self.identifiers(
                *within, guid="Uuid", udid="Udid", serial="SerialNumber", imei=["Imei"], mac="MacAddress"
            ),
            user=self.text("UserName", "EnrollmentUserName"),
            phone_number=next(filter(None, phones), None),
            manufacturer=self.text("OEMInfo"),
            model=model,
            os=_system([self.text(name) for name in ("Platform", "PlatformName", "DeviceType")], model),
            os_version=self.text("OperatingSystem", "OsVersion"),
            registered=self._is_enrolled(),
            compliance=self._compliance(),
            disk_encrypted=self.flag("DataEncryptionYN", "DataEncrypted"),
            passcode_set=self.flag("PasscodePresent"),
            jailbroken=self._compromised(),
            last_check_in=self.seen(zone),
            raw=self.document if keep_raw else None,
            unreadable=self.unreadable,  # the last, when all was read
        )

    def _compliance(self) -> Compliance:
        """The verdict; a pass that another fact of the same record contradicts is none."""
        summaries = [level.row("ComplianceSummary") for level in self.levels]
        told = [level.word("ComplianceStatus") for level in self.levels]
        told += [summary.word("OverallComplianceStatus") for summary in summaries]
        words = [word for word in told if word]
        # API help, mdm v2, devices/{uuid}: only yes or no, and what is pending reads as no.
        if all(_state(word) is _PASS for word in words):
            flags = [level._find(("Compliant",))[1] for level in self.levels]  # noqa: SLF001
            words += [
                f"compliant: {str(flag).lower() if isinstance(flag, bool) else '?'}"
                for flag in flags
                if flag is not None
            ]
        if any(_plain(word) not in _STATES for word in words):
            self.doubt("ComplianceStatus", None)
        said = _strictest(words)
        state, reason = _state(said), _REASONS.get(_plain(said or ""))
        policies = [policy for summary in summaries for policy in summary.policies()]
        failing = list(dict.fromkeys(failed(policies).values()))
        reasons = [*failing, *([reason] if reason else ())]
        if state is _PASS and failing:
            reasons.append("The server calls the device compliant although a policy fails.")
        elif state is _PASS and any(policy.state() is not _PASS for policy in policies):
            reasons.append("The server calls the device compliant although a policy has no result.")
        if self._compromised():
            reasons.append("The device is compromised (jailbroken or rooted).")
        return Compliance(
            state=_OPEN if state is _PASS and reasons else state,
            reasons=tuple(reasons),
            vendor_state=said,
            source=failing[0] if failing else None,
        )

    def _compromised(self) -> bool | None:
        """Whether one of the records calls the device jailbroken or rooted; None where none says so."""
        told = [level.veto("CompromisedStatus") for level in self.levels]
        return max((flag for flag in told if flag is not None), default=None)

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


def _system(words: Iterable[str | None], model: str | None) -> str | None:
    """The operating system by its usual name; where no word is known, the server's first."""
    said = [word for word in words if word]
    known = filter(None, (_SYSTEMS.get(_plain(word)) or system_of(word) for word in said))
    found = next(known, said[0] if said else None)
    return "iPadOS" if found == "iOS" and (model or "").lower().startswith("ipad") else found


def _state(word: str | None) -> ComplianceState:
    return _STATES.get(_plain(word or ""), _OPEN)


def _strictest(words: Iterable[str | None]) -> str | None:
    """Of the server's words for one device, the strictest, the first of equals."""
    return max(filter(None, words), key=lambda word: _state(word).severity, default=None)


def select(devices: Sequence[Device]) -> list[Device]:
    """The noncompliant ones of a page of the server's noncompliant list, without those that have left.

    The search does not care for enrolment, and may count what is pending as not compliant. What the server
    found and the record does not explain stays in the list, with its state unknown.

    Raises:
        FilterIgnoredError: a device complies or does not show whether it does.
    """
    if any(one.compliance.state is _PASS or one.compliance.vendor_state is None for one in devices):
        raise FilterIgnoredError("the server's noncompliant list holds a device that is not noncompliant")
    there = [one for one in devices if one.registered or "EnrollmentStatus" in one.unreadable]
    return [one for one in there if one.unreadable or _state(one.compliance.vendor_state) is not _OPEN]
