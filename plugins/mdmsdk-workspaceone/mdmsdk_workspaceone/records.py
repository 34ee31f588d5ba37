"""From a record in any of the API's spellings to a `Device`. Pure.

The same facts come in PascalCase (v1, v2 search), camelCase (v2 by UUID) and snake_case (v3). Names are
compared without case and underscores, and the parts of a record that are containers are laid flat, so that
one reader does for all.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import Imei
from mdmsdk.models import Compliance, ComplianceState, Device, clean_time, parse_macs

if TYPE_CHECKING:
    from datetime import tzinfo

__all__ = ["Record", "combine", "failing_policies"]

_NO_UUID: Final = "00000000-0000-0000-0000-000000000000"
_CONTAINERS: Final = ("enrollmentinfo", "platforminfo", "carrierinfo")
_ENROLLED: Final = frozenset({"ENROLLED", "USERENROLLED"})
_FLAGS: Final = {"Y": True, "YES": True, "TRUE": True, "N": False, "NO": False, "FALSE": False}
_COMPROMISED: Final = "The device is compromised (jailbroken or rooted)."

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


def _squash(name: str) -> str:
    return name.replace("_", "").lower()


class Record:
    """One device in the server's words.

    Args:
        row: the record as it came.

    Raises:
        MalformedResponseError: it is no object.
    """

    def __init__(self, row: Any) -> None:
        if not isinstance(row, dict):
            raise MalformedResponseError("the server lists something that is not a device")
        self._row = row
        flat = {_squash(name): value for name, value in row.items()}
        for container in _CONTAINERS:
            inner = flat.pop(container, None)
            for name, value in inner.items() if isinstance(inner, dict) else ():
                flat.setdefault(_squash(name), value)
        self._flat = flat

    def text(self, *names: str) -> str | None:
        """The first of these fields that says anything; numbers come as text."""
        for name in names:
            value = self._flat.get(name)
            if isinstance(value, str) and value.strip():
                return value.strip()
            if isinstance(value, int) and not isinstance(value, bool):
                return str(value)
        return None

    def flag(self, *names: str) -> bool | None:
        """The first of these fields that is a yes or a no, as boolean or word."""
        for name in names:
            value = self._flat.get(name)
            found = value if isinstance(value, bool) else _FLAGS.get(str(value).strip().upper())
            if found is not None:
                return found
        return None

    def _inner(self, name: str, field: str) -> list[str]:
        """One field of each entry of a list."""
        entries = self._flat.get(name)
        rows = (
            [Record(entry) for entry in entries if isinstance(entry, dict)]
            if entries.__class__ is list
            else []
        )
        return [text for row in rows if (text := row.text(field))]

    @property
    def id(self) -> str | None:
        """The record's number: a field, or an object around it."""
        value = self._flat.get("id")
        number = value.get("Value") if isinstance(value, dict) else value
        return str(number) if isinstance(number, int | str) and number not in {0, ""} else None

    @property
    def number(self) -> int | str:
        """What tells the record from the others of a list, and sorts it.

        Raises:
            MalformedResponseError: it has neither number nor UUID.
        """
        found = self.id or self.guid
        if found is None:
            raise MalformedResponseError("the server lists a device without number and UUID")
        return int(found) if found.isascii() and found.isdigit() else found

    @property
    def guid(self) -> str | None:
        """The record's UUID; all zeros stand for none."""
        found = self.text("uuid")
        return None if found == _NO_UUID else found

    @property
    def imeis(self) -> tuple[Imei, ...]:
        """One for each modem; Apple devices report digits in groups."""
        texts = [self.text("imei"), *self._inner("devicecellularnetworkinfo", "imei")]
        return tuple(dict.fromkeys(imei for imei in map(Imei.parse, texts) if imei))

    @property
    def last_seen(self) -> datetime | None:
        """The last contact, without a zone where the server gives none; None for a sentinel."""
        text = self.text("lastseentimestamp", "lastseen")
        if text is None or "-" not in text or clean_time(text) is None:  # a bare number is no time
            return None
        return datetime.fromisoformat(text)

    def device(self, provider: str, zone: tzinfo, *, keep_raw: bool = False) -> Device:
        """What the record says; `zone` is that of times without one."""
        seen, imeis = self.last_seen, self.imeis
        if seen is not None and seen.tzinfo is None:
            seen = seen.replace(tzinfo=zone)
        status = self.text("enrollmentstatus") or ""
        macs = [self.text("macaddress"), *self._inner("devicenetworkinfo", "macaddress")]
        phones = [self.text("phonenumber"), *self._inner("devicecellularnetworkinfo", "phonenumber")]
        return Device(
            provider=provider,
            id=self.id,
            name=self.text(
                "hostname", "computername", "devicereportedname", "devicefriendlyname", "friendlyname"
            ),
            guid=self.guid,
            udid=self.text("udid"),
            serial_number=self.text("serialnumber"),
            imei=imeis[0].value if imeis else None,
            mac_addresses=parse_macs(*macs),
            user=self.text("username", "enrollmentusername"),
            phone_number=next(filter(None, phones), None),
            manufacturer=self.text("oeminfo"),
            model=self.text("model", "modelname"),
            os=self.text("platform", "platformname"),
            os_version=self.text("operatingsystem", "osversion"),
            registered=_squash(status).upper() in _ENROLLED,
            compliance=self._compliance(),
            disk_encrypted=self.flag("dataencryptionyn", "dataencrypted"),
            passcode_set=self.flag("passcodepresent"),
            jailbroken=self.flag("compromisedstatus"),
            last_check_in=seen,
            raw=_without_secrets(self._row) if keep_raw else None,
        )

    def _compliance(self) -> Compliance:
        """The verdict; a word that a failing policy of the same record contradicts is none."""
        summary = self._flat.get("compliancesummary")
        overview = Record(summary) if isinstance(summary, dict) else Record({})
        words = [self.text("compliancestatus"), overview.text("overallcompliancestatus")]
        failing = failing_policies(summary)
        compliance = _strictest(*(_read_state(word) for word in words if word))
        boolean = self._flat.get("compliant")
        if not any(words) and isinstance(boolean, bool):
            # Workspace ONE API help, mdm v2, devices/{uuid}: only yes or no; what is pending reads as no.
            compliance = Compliance(
                state=_PASS if boolean else _FAIL, vendor_state=f"compliant: {str(boolean).lower()}"
            )
        changes: dict[str, Any] = {}
        reasons = [*failing, *compliance.reasons]
        if compliance.state is _PASS and failing:
            changes["state"] = _OPEN
            reasons.append("The server calls the device compliant although a policy fails.")
        if self.flag("compromisedstatus"):
            reasons.append(_COMPROMISED)
        source = failing[0] if failing else None
        return compliance.model_copy(update={**changes, "reasons": tuple(reasons), "source": source})


@lru_cache(maxsize=256)
def _read_state(word: str) -> Compliance:
    # Letters beyond ASCII can turn into others in upper case.
    plain = re.sub(r"[_\s-]", "", word).upper() if word.isascii() else ""
    state, reason = _STATES.get(plain, (_OPEN, None))
    return Compliance(state=state, reasons=(reason,) if reason else (), vendor_state=word)


def _strictest(*verdicts: Compliance) -> Compliance:
    """The strictest of several verdicts on one device, the first of equals; without any, unknown."""
    return max(verdicts, key=lambda verdict: _rank(verdict.state), default=Compliance())


def _rank(state: ComplianceState) -> int:
    return _SEVERITY.index(state) if state in _SEVERITY else 1


# Workspace ONE API help: ComplianceSummary.DeviceCompliance[] {PolicyName, CompliantStatus} in v1 and v2,
# compliance_summary.compliance_policy_results[] {policy_name, compliance_status} in v3. Without policies
# that apply, there is none.
def failing_policies(summary: Any, *, detail: bool = False) -> list[str]:
    """The names of the policies that a device fails, with what they demand if `detail`."""
    flat = {_squash(name): value for name, value in summary.items()} if isinstance(summary, dict) else {}
    entries = flat.get("devicecompliance") or flat.get("compliancepolicyresults")
    texts = []
    for entry in entries if isinstance(entries, list) else ():
        policy = Record(entry)
        word = policy.text("compliancestatus")
        failed = policy.flag("compliantstatus") is False or (word and _read_state(word).state is _FAIL)
        if not failed or policy.flag("compliancepending"):
            continue
        name = policy.text("policyname") or "a policy without a name"
        more = policy.text("policydetail", "policydescription") if detail else None
        texts.append(f"{name}: {more}" if more else name)
    return list(dict.fromkeys(texts))


def combine(device: Device, more: Device) -> Device:
    """A device with what only the record by GUID tells: the exact time, the passcode.

    Of two verdicts the stricter counts. Version 2's boolean says "no" for what is pending, so that the word
    of the other record is kept.
    """
    verdict = _strictest(device.compliance, more.compliance)
    boolean = (more.compliance.vendor_state or "").startswith("compliant:")
    if boolean and device.compliance.state is _OPEN and device.compliance.vendor_state:
        verdict = device.compliance
    encrypted = more.disk_encrypted if device.disk_encrypted is None else device.disk_encrypted
    return device.model_copy(
        update={
            "compliance": verdict,
            "registered": device.registered and more.registered,
            "last_check_in": more.last_check_in or device.last_check_in,
            "passcode_set": more.passcode_set,
            "disk_encrypted": encrypted,
        }
    )


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _without_secrets(inner)
            for name, inner in value.items()
            if not _SECRET.search(_squash(name))
        }
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value
