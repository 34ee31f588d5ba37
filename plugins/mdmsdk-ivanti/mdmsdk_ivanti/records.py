"""What the records of both products have in common: cleaning values, masks, and the verdict. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from mdmsdk.identifiers import Imei, Meid, Serial
from mdmsdk.models import Compliance, ComplianceState, clean_time
from mdmsdk.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from collections.abc import Set as AbstractSet
    from datetime import datetime

__all__ = ["IvantiRow", "JsonObject", "Masked", "judge", "unmasked"]

JsonObject = dict[str, Any]
Masked = dict[str, tuple[str, ...]]
"""The members of a record that an account's profile may disguise, by the kind of key that they hold."""


class IvantiRow(Row):
    """A record of either product. Names are compared without regard to case and separators."""

    # The word stands where a device has no such value. Other words for nothing are no identifiers either, see
    # `mdmsdk.identifiers`; but "unknown" says something about quarantine, if nothing that can be relied on.
    nothing: ClassVar[AbstractSet[str]] = frozenset({"", "null"})

    @staticmethod
    def normal(name: str) -> str:
        """Letters and digits alone, so that `common.compliant` is `Common.Compliant`, `common_compliant`."""
        return "".join(filter(str.isalnum, name)).lower()

    def said(self, name: str) -> bool | str | None:
        """What the product says about compliance; a text where that is neither yes nor no.

        Numbers are neither: in version 1 of EPMM's API such members hold sums of bits, where 1 is a fault.
        """
        _, value = self._find((name,))
        if isinstance(value, str):
            return {"true": True, "false": False}.get(value.strip().lower(), value.strip())
        return value if isinstance(value, bool) or value is None else str(value)

    def state(self, name: str, known: AbstractSet[str]) -> str:
        """The word in capitals that says whether the device is managed.

        The member is always asked for. A record without it, or with a word that is not known, does not say
        that its device has left.
        """
        word = (self.text(name) or "UNKNOWN STATE").upper()
        self.doubt(name, word if word in known else None)
        return word

    def words(self, *names: str) -> list[str]:
        """All texts of several lists of what is wrong; what is none of these cannot be read."""
        texts = (
            self.doubt(name, value if isinstance(value, str) else None)
            for name in names
            for value in self._all((name,))
        )
        return [text.strip() for text in texts if text]

    def phone_number(self, name: str) -> str | None:
        """A telephone number, None for Ivanti's stand-in."""
        # Cisco ISE MDM API v3, Ivanti's example answer: "PDA" and a count stand for no number.
        number = self.text(name)
        return None if number is None or re.match(r"PDA\b", number, re.IGNORECASE) else number

    def newest(self, *names: str) -> datetime | None:
        """The latest of several times: ISO 8601 texts, or milliseconds since 1970."""
        return max(filter(None, (self._moment(name) for name in names)), default=None)

    def _moment(self, name: str) -> datetime | None:
        _, value = self._find((name,))
        if isinstance(value, str):
            return clean_time(value)
        count = self.number(name)
        return None if count is None or count <= 0 else clean_time(count / 1000)

    def numbers(self, serial: Sequence[str], imei: Sequence[str], meid: Sequence[str] = ()) -> JsonObject:
        """The fields of a device that hold its maker's numbers; some devices have two of a kind."""
        kinds = ((Serial, serial), (Imei, imei), (Meid, meid))
        found = {kind: self.keys(kind, *names) for kind, names in kinds}
        fields: JsonObject = {kind.field: keys[0].value for kind, keys in found.items() if keys}
        return fields | {"other_identifiers": tuple(key for keys in found.values() for key in keys[1:])}


def unmasked(record: JsonObject, masked: Masked, masks: re.Pattern[str]) -> tuple[JsonObject, set[str]]:
    """A record without disguised values, which several devices share, and the kinds of key that they hide."""
    members = {name: kind for kind, names in masked.items() for name in names}
    hidden = {
        name
        for name in members.keys() & record.keys()
        if isinstance(value := record[name], str) and masks.fullmatch(value.strip())
    }
    if not hidden:
        return record, hidden
    clear = {name: value for name, value in record.items() if name not in hidden}
    return clear, {members[name] for name in hidden}


def judge(
    said: bool | str | None,
    *,
    quarantined: bool | None,
    alarm: str | None = None,
    doubts: Iterable[str] = (),
    reasons: Iterable[str] = (),
) -> Compliance:
    """The verdict of both products.

    Quarantine counts before the product's own "compliant": it is what the product does about a broken rule,
    and the flag may lag behind or concern other rules. A device that is called compliant, but is blocked or
    breaks a rule, is neither.

    Args:
        said: what the product says.
        quarantined: whether the product has locked it out of its resources.
        alarm: what else the product finds wrong with it.
        doubts: states in which nobody vouches for the device, such as lost.
        reasons: why it does not comply.
    """
    own = said if isinstance(said, bool) else None
    doubts, reasons = list(doubts), list(reasons)
    words = [{True: "compliant", False: "not compliant", None: said}[own]]
    words += ["quarantined" if quarantined else None, alarm, *doubts]
    notes = [alarm, "The device is quarantined" if quarantined else None]
    notes += [f"The device is {doubt.lower()}" for doubt in doubts]
    if own is False or quarantined or alarm:
        state = ComplianceState.NONCOMPLIANT
    elif own and not doubts and not reasons:
        state = ComplianceState.COMPLIANT
    else:
        state = ComplianceState.UNKNOWN
    return Compliance(
        state=state,
        reasons=tuple(dict.fromkeys(filter(None, [*reasons, *notes]))),
        vendor_state=", ".join(str(word)[:80] for word in words if word) or None,
        source="quarantine" if quarantined and own is not False else None,
    )
