"""What records and answers of both products have in common: names, identifiers, and the verdict. Pure."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from mdmsdk.errors import MalformedResponseError
from mdmsdk.evidence import weigh
from mdmsdk.paging import Slice
from mdmsdk.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterable
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from mdmsdk.evidence import Fact
    from mdmsdk.models import Compliance, Device

__all__ = ["IvantiRecord", "IvantiRow", "JsonObject", "Names"]

JsonObject = dict[str, Any]
Names = dict[str, tuple[str, ...]]


class IvantiRow(Row):
    """An answer of either product. Names are compared without regard to case and separators."""

    # The word stands where a device has no such value. Other words for nothing are no identifiers either, see
    # `mdmsdk.identifiers`; but "unknown" says something about quarantine, if nothing that can be relied on.
    nothing: ClassVar[AbstractSet[str]] = frozenset({"", "null"})

    @staticmethod
    def normal(name: str) -> str:
        """Letters and digits alone, so that `common.compliant` is `Common.Compliant`, `common_compliant`."""
        return "".join(filter(str.isalnum, name)).lower()

    def member(self, name: str) -> Any:
        """A member as it is; None where it is not there."""
        return self._find((name,))[1]

    def part(self, name: str, number: str, *, more: bool | None = None) -> Slice[JsonObject]:
        """The records in a list, as they came, each with its number.

        Raises:
            MalformedResponseError: there is no list of objects, or no count of all.
        """
        if (total := self.whole("totalCount")) is None:
            raise MalformedResponseError("the answer holds no count of devices")
        rows = [(Row(one).whole(number), one) for one in self.documents(name)]
        return Slice([("" if place is None else place, one) for place, one in rows], total, more)


class IvantiRecord(IvantiRow):
    """A device, as one of the products describes it."""

    names: ClassVar[Names]
    """The members that hold identifiers; a search by a kind looks into the first of them."""
    status: ClassVar[str]
    states: ClassVar[AbstractSet[str]]
    """The words in `status` that are known."""
    said: ClassVar[str]
    """The member in which the product calls the device compliant, or not."""
    facts: ClassVar[tuple[Fact, ...]]

    @abstractmethod
    def device(self) -> Device:
        """What the record says."""

    def state(self) -> str:
        """The word in capitals that says whether the device is managed.

        The member is always asked for. A record without it, or with a word that is not known, does not say
        that its device has left.
        """
        word = (self.text(self.status) or "UNKNOWN STATE").upper()
        self.doubt(self.status, word if word in self.states else None)
        return word

    # Quarantine counts before the product's own "compliant": it is what the product does about a broken rule,
    # and the flag may lag behind or concern other rules.
    def verdict(self, *, alarm: str | None = None, reasons: Iterable[str] = ()) -> Compliance:
        """The verdict; `alarm` is what else the product finds wrong. Only "true" says that all is well."""
        told = str(self.member(self.said)).strip()
        said = {"true": True, "false": False}.get(told.lower())
        if told != "None":
            self.doubt(self.said, said)
        word = told if said is None and told != "None" else None
        doubts = {self.state()} - {"ACTIVE"}
        return weigh(self, said, self.facts, word=word, alarm=alarm, doubts=doubts, reasons=reasons)

    def newest(self, *names: str) -> datetime | None:
        """The latest of several times."""
        return max(filter(None, map(self.time, names)), default=None)
