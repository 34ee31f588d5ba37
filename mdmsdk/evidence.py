"""The verdict on a device from its vendor's word and from all else that the record says. Pure.

Some vendors call a device compliant and lock it out in the same record, or list rules that it breaks. A
provider states the flags that speak against a device as `Fact`s; `weigh` joins them with the word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdmsdk.models import Compliance, ComplianceState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mdmsdk.rows import Row

__all__ = ["Fact", "weigh"]

_LONGEST_WORD = 80


@dataclass(frozen=True, slots=True)
class Fact:
    """A flag of a record that speaks against its device.

    Attributes:
        name: the member.
        word: what it says: "The device is ...".
        decides: what the vendor does about a broken rule, such as "quarantine", where that makes the device
            noncompliant whatever it is called; without it, nobody vouches for a device that is called
            compliant.
    """

    name: str
    word: str
    decides: str | None = None


def weigh(
    row: Row,
    said: bool | None,
    facts: Iterable[Fact],
    *,
    word: str | None = None,
    alarm: str | None = None,
    doubts: Iterable[str] = (),
    reasons: Iterable[str] = (),
) -> Compliance:
    """The verdict: compliant only if the vendor says so and nothing speaks against it.

    Args:
        row: the record, which notes what cannot be read.
        said: what the vendor calls the device; None if it is neither.
        facts: the flags to look at.
        word: the vendor's own word for that; default: "compliant" or "not compliant".
        alarm: what else the vendor finds wrong, in its own words; makes the device noncompliant.
        doubts: states in which nobody vouches for the device, such as "lost".
        reasons: why the device does not comply.
    """
    held = [fact for fact in facts if row.veto(fact.name)]
    measures = [fact for fact in held if fact.decides]
    usual = None if said is None else "compliant" if said else "not compliant"
    # Where the vendor says no, its own reasons are enough.
    against = [] if said is False else [*(fact.word for fact in held if not fact.decides), *doubts]
    told = [fact.word for fact in measures]
    notes = [f"The device is {each.lower()}" for each in (*told, *against)]
    found = tuple(dict.fromkeys([*reasons, *([alarm] if alarm else []), *notes]))
    state = ComplianceState.COMPLIANT if said and not found else ComplianceState.UNKNOWN
    if said is False or measures or alarm:
        state = ComplianceState.NONCOMPLIANT
    words = (word or usual, *told, alarm, *against)
    return Compliance(
        state=state,
        reasons=found,
        vendor_state=", ".join(each[:_LONGEST_WORD] for each in words if each) or None,
        source=measures[0].decides if measures and said is not False else None,
    )
