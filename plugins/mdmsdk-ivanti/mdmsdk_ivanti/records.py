"""What records and answers of both products have in common: reading, masks, and the verdict. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import Guid, Hostname, Key, Udid, Username
from mdmsdk.models import Compliance, ComplianceState, clean_time
from mdmsdk.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet
    from datetime import datetime

__all__ = ["IvantiRow", "JsonObject", "Names", "judge", "numbered", "unmasked", "whole"]

JsonObject = dict[str, Any]
Names = Mapping[type[Key], Sequence[str]]
"""The members of a record that hold identifiers; a search by a kind looks into the first of them."""


class IvantiRow(Row):
    """A record or an answer of either product. Names are compared without regard to case and separators."""

    # The word stands where a device has no such value. Other words for nothing are no identifiers either, see
    # `mdmsdk.identifiers`; but "unknown" says something about quarantine, if nothing that can be relied on.
    nothing: ClassVar[AbstractSet[str]] = frozenset({"", "null"})

    @staticmethod
    def normal(name: str) -> str:
        """Letters and digits alone, so that `common.compliant` is `Common.Compliant`, `common_compliant`."""
        return "".join(filter(str.isalnum, name)).lower()

    def value(self, name: str) -> Any:
        """A member as it is; None where it is not there."""
        return self._find((name,))[1]

    def objects(self, name: str, *, may_be_alone: bool = False) -> list[JsonObject]:
        """The objects, as they are, of a list that has to be there; one alone may stand without the list.

        Raises:
            MalformedResponseError: it is something else.
        """
        value = self.value(name)
        found = [value] if may_be_alone and isinstance(value, dict) else value
        if isinstance(found, list) and all(isinstance(one, dict) for one in found):
            return found
        raise MalformedResponseError(f"the answer holds no list of objects as {name}")

    def count(self) -> int:
        """How many records there are in all.

        Raises:
            MalformedResponseError: the answer does not say.
        """
        if isinstance(count := whole(self.text("totalCount")), int):
            return count
        raise MalformedResponseError("the answer holds no count of devices")

    def said(self, name: str) -> bool | str | None:
        """What the product says about compliance; a text, noted as unreadable, if that is no yes or no."""
        value = self.value(name)
        if isinstance(value, str):
            value = {"true": True, "false": False}.get(value.strip().lower(), value.strip())
        if isinstance(value, bool) or value is None:
            return value
        self.doubt(name, None)
        return str(value)

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
        found = [(name, value) for name in names for value in self._all((name,))]
        texts = [self.doubt(name, value if isinstance(value, str) else None) for name, value in found]
        return [text.strip() for text in texts if text]

    def phone_number(self, name: str) -> str | None:
        """A telephone number; None for a disguised one, and for Ivanti's stand-in."""
        # Cisco ISE MDM API v3, Ivanti's example answer: "PDA" and a count stand for no number.
        number = self.text(name) or ""
        return number if re.fullmatch(r"\+?[\d ()./-]+", number) else None

    def newest(self, *names: str) -> datetime | None:
        """The latest of several times: ISO 8601 texts, or milliseconds since 1970."""
        return max(filter(None, map(self._moment, names)), default=None)

    def _moment(self, name: str) -> datetime | None:
        count = self.number(name)
        return self.time(name) if count is None else clean_time(count / 1000)

    def shown(self, names: Names) -> JsonObject:
        """The fields of a device for its identifiers, but for the names of device and user."""
        lists = {kind.kind: members for kind, members in names.items() if kind not in {Hostname, Username}}
        return self.identifiers(**{**lists, "guid": names[Guid][0], "udid": names[Udid][0]})


def whole(value: object) -> int | str:
    """A whole number that is not negative, also where it is written as text; "" for anything else."""
    text = str(value)
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text, re.ASCII) else ""


def numbered(records: Iterable[JsonObject], name: str) -> list[tuple[int | str, JsonObject]]:
    """Records with their numbers, for `mdmsdk.paging.Slice`."""
    return [(whole(record.get(name)), record) for record in records]


def unmasked(record: JsonObject, names: Names, masks: re.Pattern[str]) -> tuple[JsonObject, set[str]]:
    """A record without disguised values, which several devices share, and the kinds of key that they hide."""
    masked = re.compile(masks.pattern, re.IGNORECASE | re.DOTALL).fullmatch
    hidden = {
        name: kind.kind
        for kind, members in names.items()
        for name in members
        if isinstance(value := record.get(name), str) and masked(value.strip())
    }
    clear = {name: value for name, value in record.items() if name not in hidden}
    return clear, set(hidden.values())


def judge(
    said: bool | str | None,
    *,
    quarantined: bool | None,
    alarm: str | None = None,
    doubts: Sequence[str] = (),
    reasons: Sequence[str] = (),
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
    own = said if not isinstance(said, bool) else "compliant" if said else "not compliant"
    notes = [alarm, "The device is quarantined" if quarantined else None]
    notes += [f"The device is {doubt.lower()}" for doubt in doubts]
    if said is False or quarantined or alarm:
        state = ComplianceState.NONCOMPLIANT
    elif said is True and not doubts and not reasons:
        state = ComplianceState.COMPLIANT
    else:
        state = ComplianceState.UNKNOWN
    words = (own, "quarantined" if quarantined else None, alarm, *doubts)
    return Compliance(
        state=state,
        reasons=tuple(dict.fromkeys(filter(None, [*reasons, *notes]))),
        vendor_state=", ".join(word[:80] for word in words if word) or None,
        source="quarantine" if quarantined and said is not False else None,
    )
