"""The verdict on a device from its vendor's word and from all else that its record says. Pure.

Some vendors call a device compliant and lock it out in the same record, or list rules that it breaks. A
provider states the flags that speak against a device as `Fact`s; `weigh` joins them with the word. Where the
vendor has no word and something else decides, such as membership in a group, tags or rules, `conclude` makes
the verdict, and `check_meant` finds a source that says nothing.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdmsdk.errors import ConfigurationError, PermissionDeniedError
from mdmsdk.models import Compliance, ComplianceState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from mdmsdk.models import Device
    from mdmsdk.rows import Row

__all__ = ["Fact", "Meant", "check_meant", "check_sight", "conclude", "offends", "weigh"]

_LONGEST_WORD = 80
Meant = AbstractSet[tuple[str, bool | None]]
"""What a source of compliance was seen to say, by part of a server, such as a kind of device. True stands
where it tells of a device, False where it should and does not, None where it is for others."""


def conclude(
    against: Collection[str],
    doubts: Collection[str],
    *,
    vendor_state: str | None = None,
    source: str | None = None,
) -> Compliance:
    """The verdict of a source that gives reasons; compliant only where it gives none.

    Args:
        against: why it does not comply.
        doubts: else, why nobody vouches for it; where there is neither, it complies.
        vendor_state: what the vendor says, in its own words.
        source: what decides.
    """
    state = ComplianceState.UNKNOWN if doubts else ComplianceState.COMPLIANT
    return Compliance(
        state=ComplianceState.NONCOMPLIANT if against else state,
        reasons=tuple(against or doubts),
        vendor_state=vendor_state,
        source=source,
    )


def offends(device: Device) -> bool:
    """Whether a device belongs into the list of those that do not comply.

    One that left does not. One whose record cannot be read where it may say so counts as one that is there.
    """
    there = device.registered or bool(device.doubtful)
    return there and device.compliance.state is ComplianceState.NONCOMPLIANT


def check_meant(meant: Meant, says: str, hint: str) -> None:
    """Accept that these were all devices of a server.

    A group that nobody is in, tags that no device has, rules over facts that nobody reports: each gives a
    list of offenders that is empty and complete, and proves nothing.

    Args:
        meant: what the source was seen to say about them.
        says: the source and a verb, for the message: "the rules say".
        hint: what to do about it.

    Raises:
        ConfigurationError: the source tells of none of them, or of none of a part.
    """
    silent = sorted({part for part, means in meant if means is False and (part, True) not in meant})
    if silent or (meant and all(means is None for _, means in meant)):
        all_ = "the devices of this server, which are " + " and ".join(sorted({part for part, _ in meant}))
        what = f"any of the {' or '.join(silent)}" if silent else all_
        raise ConfigurationError(f"{says} nothing about {what}", hint=hint)


def check_sight(rows: Collection[object], hint: str) -> None:
    """Accept that an account sees a device, of those that it was given when it asked for any.

    Args:
        rows: what it was given.
        hint: which rights to give it.

    Raises:
        PermissionDeniedError: nothing.
    """
    if not rows:
        raise PermissionDeniedError(
            "the account sees no device, so that it cannot tell an unknown one",
            status=200,
            hint=f"{hint} A server without any device yet has no say: leave it out until it has one.",
        )


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
