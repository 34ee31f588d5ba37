"""From a row of the search, version 2.0, to a `Device`. Pure.

Nothing is written as an empty text, numbers stand where texts were, and a single row stands without its list.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import MalformedResponseError
from mdmsdk.evidence import weigh
from mdmsdk.identifiers import DeviceId, Imei, Meid, Serial, Udid, Username
from mdmsdk.models import Device
from mdmsdk.rows import Row
from mdmsdk.rules import system_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from mdmsdk.models import Compliance

__all__ = ["FILTERS", "Record"]

# Web services guide, "Search": the states of a row, and the parameters that find the devices in which the
# server calls them out of compliance.
_STATES: Final = {
    "policy": "policyComplianceState",
    "rule": "ruleComplianceState",
    "app": "appComplianceState",
    "passcode": "passcodeCompliance",
}
_JUDGES: Final = ("policy", "rule", "app")
"""Those of which one has to be good for a pass: that a passcode is as it should be says little."""
FILTERS: Final = {
    "plcCompliance": _STATES["policy"],
    "ruleCompliance": _STATES["rule"],
    "appCompliance": _STATES["app"],
    "pswdCompliance": _STATES["passcode"],
}
# What is good is known from answers of real tenants. What is bad is inferred: no public answer shows it.
_GOOD: Final = frozenset({"in compliance", "compliant"})
_BAD: Final = re.compile(r"^out\b|\b(?:not|non)[ -]?(?:in )?compl")
# Web services guide, "Search", maas360ManagedStatus. That a device in the first three is managed is inferred.
_LEAVING: Final = "pending control removed"
_MANAGED: Final = frozenset({"enrolled", "activated", _LEAVING})
_LEFT: Final = frozenset({"control removed", "user removed control", "not enrolled", "inactive"})
# IBM's MaaS360 SDK, SelectiveWipeStatus: NOT_APPLIED, PENDING, APPLIED, REVOKED; real answers have "N/a".
_NOT_WIPED: Final = frozenset({"n/a", "not applied", "revoked"})
_JAILBROKEN: Final = {"yes": True, "no": False, "not available": None}
_IMEI_DIGITS: Final = 15


class Record(Row):
    """A row of the search, or another object of an answer."""

    # Public clients: the only row of a list stands there as an object, and with none the member is missing.
    def listed(self, name: str) -> list[Record]:
        """The rows under a name, each with an account of its own.

        Raises:
            MalformedResponseError: there is something else.
        """
        _, value = self._find((name,))
        rows = [value] if isinstance(value, dict) else [] if value is None else value
        if not isinstance(rows, list):
            raise MalformedResponseError(f"the server sent something that is not a list as {name}")
        return [Record(row) for row in rows]

    def _said(self, name: str) -> str | None:
        """The word in a member that every row has, in lower case; None where it is empty, or no text."""
        if name not in self.document:
            self.doubt(name, None)
        word = self.word(name)
        return word and " ".join(word.lower().split())

    def good(self, name: str) -> bool | None:
        """Whether a state is good; None where it is empty, or a word that is not known."""
        if (word := self._said(name)) is None:
            return None
        told = True if word in _GOOD else False if _BAD.search(word) else None
        self.doubt(name, told)
        return told

    def _is_managed(self) -> bool:
        word = self._said("maas360ManagedStatus")
        self.doubt("maas360ManagedStatus", word if word in _MANAGED | _LEFT else None)
        return word in _MANAGED

    def _is_wiped(self) -> bool:
        """Whether the company's data was taken off, or whether that is said in a word that is not known."""
        word = self.word("selectiveWipeStatus") or "n/a"
        return word.lower().replace("_", " ") not in _NOT_WIPED

    def _is_jailbroken(self) -> bool | None:
        word = self._said("jailbreakStatus")
        if word is not None and word not in _JAILBROKEN:
            self.doubt("jailbreakStatus", None)
        return _JAILBROKEN.get(word or "")

    def _compliance(self, required: Collection[str], *, jailbroken: bool | None) -> Compliance:
        """Bad if one state is; good if a judge and all required ones are, and nothing doubts it."""
        told = {name: self.good(member) for name, member in _STATES.items()}
        bad = [name for name, good in told.items() if good is False]
        words = {name: self.text(member) for name, member in _STATES.items()}
        passes = any(told[name] for name in _JUDGES)
        doubts = [f"not called good by its {name} state" for name in required if not told[name]]
        doubts += ["jailbroken or rooted"] if jailbroken else []
        doubts += ["wiped, or about to be"] if self._is_wiped() else []
        doubts += ["leaving the management"] if self._said("maas360ManagedStatus") == _LEAVING else []
        # Real answers: a device may be active that has left, but one that reports to nobody is not active.
        doubts += [] if self._said("deviceStatus") == "active" else ["not counted among the active ones"]
        verdict = weigh(
            self,
            False if bad else passes or None,
            (),
            word="; ".join(f"{name}: {word}" for name, word in words.items() if word) or None,
            doubts=doubts,
            reasons=[f"The {name} state is: {words[name]}" for name in bad],
        )
        return verdict.model_copy(update={"source": bad[0]}) if bad else verdict

    def _mobile_identity(self) -> dict[str, Any]:
        """IMEI or MEID, which share a member. A number has lost the zeros before it."""
        text = self.key(Imei, "imeiEsn")
        if text and not isinstance(self.document["imeiEsn"], str):
            text = text.zfill(_IMEI_DIGITS)
        kind = Meid if text and not Imei.parse(text) and Meid.parse(text) else Imei
        return {kind.field: text}

    def _users(self) -> dict[str, Any]:
        """User name and mail address, by both of which a user is found."""
        found = self.keys(Username, "username", "emailAddress")
        return {"user": found[0].value if found else None, "other_identifiers": tuple(found[1:])}

    def _version(self) -> str | None:
        number = self.number("osVersion")
        return self.text("osVersion") or (None if number is None else str(number))

    def device(self, required: Collection[str] = (), *, keep_raw: bool = False) -> Device:
        """What the record says; `required` are the states that have to be good for a pass.

        Raises:
            MalformedResponseError: it has no id, like an error in place of a row.
        """
        self.required("maas360DeviceID")
        jailbroken, system = self._is_jailbroken(), self.text("platformName", "osName")
        return Device(
            id=self.key(DeviceId, "maas360DeviceID"),
            name=self.text("deviceName"),
            udid=self.key(Udid, "udid"),
            serial_number=self.key(Serial, "platformSerialNumber"),
            mac_addresses=self.macs("wifiMacAddress"),
            phone_number=self.text("phoneNumber"),
            manufacturer=self.text("manufacturer"),
            model=self.text("model", "modelId"),
            os="macOS" if system == "Mac" else system_of(system) or system,
            os_version=self._version(),
            registered=self._is_managed(),
            compliance=self._compliance(required, jailbroken=jailbroken),
            # The other words of this member are not known.
            disk_encrypted=True if self.text("encryptionStatus") == "Encryption Complete" else None,
            jailbroken=jailbroken,
            last_check_in=self.time("lastReportedInEpochms", "lastReported"),
            raw=self.document if keep_raw else None,
            **self._mobile_identity(),
            **self._users(),
            unreadable=self.unreadable,  # the last, when all was read
        )
