"""From a record in any of the API's spellings to a `Device`. Pure.

The same facts come in PascalCase (v1, v2 search), camelCase (v2 by UUID) and snake_case (v3), by UUID partly
in objects of their own. Names are compared without case and underscores, so that one reader does for all.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import DeviceId, Guid, Imei, Serial, Udid
from mdmsdk.models import Compliance, ComplianceState, Device, clean_time
from mdmsdk.rows import Row

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["Record", "combine", "undecided"]

_CONTAINERS: Final = ("enrollmentinfo", "platforminfo", "carrierinfo")
_ENROLLED: Final = frozenset({"ENROLLED", "USERENROLLED"})
# Workspace ONE API help, mdm v1 to v3, enrollment_status: the words for devices that have left, or are not
# there yet. UNKNOWN is not among them: it does not say so.
_NOT_ENROLLED: Final = frozenset(
    {
        "DISCOVERED",
        "REGISTERED",
        "ENROLLMENTINPROGRESS",
        "ENTERPRISEWIPEPENDING",
        "DEVICEWIPEPENDING",
        "RETIRED",
        "UNENROLLED",
        "APPCATALOGONLY",
        "BLACKLISTED",
        "PENDINGAGENT",
        "UNENROLLEDBYFEEDBACKSERVICE",
        "WIPEINITIATED",
        "RELINQUISHOWNERSHIPPENDING",
        "DEVICENOTFOUND",
    }
)
_COMPROMISED: Final = "The device is compromised (jailbroken or rooted)."
# API help: Platform in v1 and v2, device_type and platform_name in v3, in any case and spelling.
_SYSTEMS: Final = {
    "APPLE": "iOS",
    "IOS": "iOS",
    "IPADOS": "iPadOS",
    "APPLEOSX": "macOS",
    "MACOS": "macOS",
    "APPLETV": "tvOS",
    "TVOS": "tvOS",
    "ANDROID": "Android",
    "WINRT": "Windows",
    "WINDOWS": "Windows",
    "WINDOWSPC": "Windows",
    "CHROMEOS": "ChromeOS",
    "LINUX": "Linux",
}
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
}
# The worse, the higher.
_SEVERITY: Final = (_PASS, _OPEN, _FAIL)
# What `/security` answers hold besides facts; no other answer should, and `raw` must not.
_SECRET: Final = re.compile(r"recoverykey|unlockpin|password|secret|token(?!source)|bypasscode|escrow")


class Record(Row):
    """One device in the server's words, or an object inside it."""

    nothing = frozenset({"", "00000000-0000-0000-0000-000000000000"})

    def __init__(self, document: Any, what: str = "a device", unreadable: set[str] | None = None) -> None:
        super().__init__(document, what, unreadable)
        self._document = document
        # Public recordings of tenants: absent data is an empty object, and a number stands in one of its own.
        self._members = {name: _bare(value) for name, value in self._members.items() if value != {}}
        self._levels = [self, *(self.row(name) for name in _CONTAINERS if name in self._members)]

    @staticmethod
    def normal(name: str) -> str:
        """The name without case and underscores."""
        return name.replace("_", "").lower()

    def said(self, *names: str) -> str | None:
        """The first text of these members, here or in the objects that hold a part of the record."""
        return next(filter(None, (level.text(*names) for level in self._levels)), None)

    def value(self, name: str) -> Any:
        """A member as it came, None where there is none."""
        return self._find((name,))[1]

    @property
    def id(self) -> str | None:
        """The record's number; 0 stands for none."""
        found = self.key(DeviceId, "Id")
        return None if found == "0" else found

    @property
    def order(self) -> int | str:
        """What tells the record from the others of a list, and sorts it.

        Raises:
            MalformedResponseError: it has neither number nor UUID.
        """
        found = self.id or self.key(Guid, "Uuid")
        if found is None:
            raise MalformedResponseError("the server lists a device without number and UUID")
        return int(found) if found.isascii() and found.isdigit() else found

    @property
    def enrolled(self) -> bool | None:
        """Whether the device is under management; None where the record does not say so readably."""
        name = "EnrollmentStatus"
        words = [_plain(level.text(name) or "") for level in self._levels if level.has(name)]
        clear = bool(words) and _ENROLLED.union(_NOT_ENROLLED).issuperset(words)
        self.doubt(name, clear or None)
        if not _NOT_ENROLLED.isdisjoint(words):
            return False
        return clear or None

    @property
    def last_seen(self) -> datetime | None:
        """The last contact, without a zone where the server gives none; None for a sentinel."""
        text = self.said("LastSeenTimestamp", "LastSeen")
        if text is None or "-" not in text or clean_time(text) is None:  # a bare number is no time
            return None
        return datetime.fromisoformat(text)

    def device(self, provider: str, zone: tzinfo, *, keep_raw: bool = False) -> Device:
        """What the record says; `zone` is that of times without one."""
        seen = self.last_seen
        if seen is not None and seen.tzinfo is None:
            seen = seen.replace(tzinfo=zone)
        modems = self.rows("DeviceCellularNetworkInfo")
        imeis = dict.fromkeys(imei for row in (self, *modems) for imei in row.keys(Imei, "Imei"))
        macs = (mac for row in (self, *self.rows("DeviceNetworkInfo")) for mac in row.macs("MacAddress"))
        phones = (self.said("PhoneNumber"), *(modem.text("PhoneNumber") for modem in modems))
        model = self.said("Model", "ModelName")
        return Device(
            provider=provider,
            id=self.id,
            name=self.text(
                "HostName", "ComputerName", "DeviceReportedName", "DeviceFriendlyName", "FriendlyName"
            ),
            guid=self.key(Guid, "Uuid"),
            udid=self.key(Udid, "Udid"),
            serial_number=self.key(Serial, "SerialNumber"),
            imei=next((imei.value for imei in imeis), None),
            mac_addresses=tuple(dict.fromkeys(macs)),
            user=self.said("UserName", "EnrollmentUserName"),
            phone_number=next(filter(None, phones), None),
            manufacturer=self.said("OEMInfo"),
            model=model,
            os=_system(self.said("Platform", "PlatformName", "DeviceType"), model),
            os_version=self.said("OperatingSystem", "OsVersion"),
            registered=self.enrolled is True,
            compliance=self._compliance(),
            disk_encrypted=self.flag("DataEncryptionYN", "DataEncrypted"),
            passcode_set=self.flag("PasscodePresent"),
            jailbroken=self.veto("CompromisedStatus"),
            last_check_in=seen,
            raw=_without_secrets(self._document) if keep_raw else None,
            other_identifiers=tuple(imeis)[1:],
            unreadable=self.unreadable,  # the last, when all was read
        )

    def _compliance(self) -> Compliance:
        """The verdict; a pass that another fact of the same record contradicts is none."""
        summary = self.row("ComplianceSummary")
        words = [level.word("ComplianceStatus") for level in self._levels]
        words.append(summary.word("OverallComplianceStatus"))
        verdicts = [_read_state(word) for word in words if word]
        if any(_plain(word) not in _STATES for word in words if word):
            self.doubt("ComplianceStatus", None)
        # API help, mdm v2, devices/{uuid}: only yes or no, and what is pending reads as no.
        for told in (level.value("Compliant") for level in self._levels):
            if isinstance(told, bool) and all(verdict.state is _PASS for verdict in verdicts):
                state = f"compliant: {str(told).lower()}"
                verdicts.append(Compliance(state=_PASS if told else _FAIL, vendor_state=state))
            elif told is not None and not isinstance(told, bool):
                self.doubt("Compliant", None)
        compliance = _strictest(*verdicts)
        failing = summary.failing()
        against = []
        if failing:
            against.append("The server calls the device compliant although a policy fails.")
        elif any(policy.state is not _PASS for policy in summary.policies):
            against.append("The server calls the device compliant although a policy has no result.")
        compromised = [_COMPROMISED] if self.veto("CompromisedStatus") else []
        taken_back = compliance.state is _PASS and bool(against or compromised)
        changes: dict[str, Any] = {"state": _OPEN} if taken_back else {}
        reasons = [*failing, *compliance.reasons, *(against if taken_back else ()), *compromised]
        source = failing[0] if failing else None
        return compliance.model_copy(update={**changes, "reasons": tuple(reasons), "source": source})

    @property
    def policies(self) -> list[Record]:
        """The policies of a summary, or of an answer that lists them; none where none apply.

        API help: ComplianceSummary.DeviceCompliance[] {PolicyName, CompliantStatus} in v1 and v2,
        compliance_summary.compliance_policy_results[] {policy_name, compliance_status} in v3.
        """
        return [*self.rows("DeviceCompliance"), *self.rows("CompliancePolicyResults")]

    @property
    def state(self) -> ComplianceState:
        """How the device stands to this policy; unknown while its check is pending, or has no result."""
        word, flag = self.word("ComplianceStatus"), self.veto("CompliantStatus")
        states = [_read_state(word).state] if word else []
        if flag is not None:
            states.append(_PASS if flag else _FAIL)
        return _OPEN if self.veto("CompliancePending") else max(states, key=_rank, default=_OPEN)

    def failing(self, *, detail: bool = False) -> list[str]:
        """The names of the policies that the device fails, with what they demand if `detail`."""
        texts = []
        for policy in self.policies:
            if policy.state is not _FAIL:
                continue
            name = policy.text("PolicyName") or "a policy without a name"
            more = policy.text("PolicyDetail", "PolicyDescription") if detail else None
            texts.append(f"{name}: {more}" if more else name)
        return list(dict.fromkeys(texts))


def _bare(value: Any) -> Any:
    return value["Value"] if isinstance(value, dict) and value.keys() == {"Value"} else value


def _plain(word: str) -> str:
    # Letters beyond ASCII can turn into others in upper case.
    return re.sub(r"[_\s-]", "", word).upper() if word.isascii() else ""


def _system(word: str | None, model: str | None) -> str | None:
    """The operating system by its usual name; what is not known keeps the server's."""
    found = _SYSTEMS.get(_plain(word or ""), word)
    return "iPadOS" if found == "iOS" and (model or "").lower().startswith("ipad") else found


@lru_cache(maxsize=256)
def _read_state(word: str) -> Compliance:
    state, reason = _STATES.get(_plain(word), (_OPEN, None))
    return Compliance(state=state, reasons=(reason,) if reason else (), vendor_state=word)


def undecided(word: str) -> bool:
    """Whether this is one of the server's words for "no verdict"."""
    return _STATES.get(_plain(word), (_PASS, None))[0] is _OPEN


def _strictest(*verdicts: Compliance) -> Compliance:
    """The strictest of several verdicts on one device, the first of equals; without any, unknown."""
    return max(verdicts, key=lambda verdict: _rank(verdict.state), default=Compliance())


def _rank(state: ComplianceState) -> int:
    return _SEVERITY.index(state) if state in _SEVERITY else 1


def combine(device: Device, more: Device) -> Device:
    """A device with what only the record by GUID tells: the exact time, the passcode.

    Of two verdicts the stricter counts. Version 2's boolean says "no" for what is pending, so that the word
    of the other record is kept.
    """
    verdict = _strictest(device.compliance, more.compliance)
    boolean = (more.compliance.vendor_state or "").startswith("compliant:")
    if boolean and device.compliance.state is _OPEN and undecided(device.compliance.vendor_state or ""):
        verdict = device.compliance
    encrypted = more.disk_encrypted if device.disk_encrypted is None else device.disk_encrypted
    return device.model_copy(
        update={
            "compliance": verdict,
            "registered": device.registered and more.registered,
            "last_check_in": more.last_check_in or device.last_check_in,
            "passcode_set": more.passcode_set,
            "disk_encrypted": encrypted,
            "unreadable": device.unreadable | more.unreadable,
        }
    )


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_secrets(inner)
            for name, inner in value.items()
            if not _SECRET.search(Record.normal(name))
        }
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value
