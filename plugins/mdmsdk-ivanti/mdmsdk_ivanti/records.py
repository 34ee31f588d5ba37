"""What the records of both products have in common: cleaning values, masks, and the verdict. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mdmsdk.models import Compliance, ComplianceState, Device, clean_time, parse_macs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

__all__ = ["Facts", "Row", "flag", "judge", "masked_kinds", "newest", "phone_number", "text"]

Row = dict[str, Any]

# Written where a device has no such value; "Not Present" comes from Windows.
_NOTHING = frozenset({"", "null", "none", "n/a", "unknown", "not present", "not available"})


def text(value: object) -> str | None:
    """A value as text, None where it holds none."""
    if value is None or isinstance(value, bool | dict | list):
        return None
    cleaned = str(value).strip()
    return None if cleaned.casefold() in _NOTHING else cleaned


def flag(value: object) -> bool | None:
    """A flag, also where it is written as text; None where it is neither true nor false."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().casefold())
    return value if isinstance(value, bool) else None


def newest(*values: object) -> datetime | None:
    """The latest of several times: ISO 8601 texts, or milliseconds since 1970."""
    return max(filter(None, map(_time, values)), default=None)


def _time(value: object) -> datetime | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return clean_time(value / 1000) if value > 0 else None
    return clean_time(text(value))


# Cisco ISE MDM API v3, Ivanti's example answer: "PDA" and a count stand for a device without a number.
def phone_number(value: object) -> str | None:
    """A telephone number, None for Ivanti's stand-in."""
    number = text(value)
    return None if number is None or re.match(r"PDA\b", number, re.IGNORECASE) else number


@dataclass(frozen=True, slots=True)
class Facts:
    """What one record says, in neither product's words.

    Attributes:
        identifiers: for each kind of key the texts that the record holds, masked ones included.
        device: the other fields of `Device`.
    """

    identifiers: Mapping[str, Sequence[str | None]]
    device: Mapping[str, Any]

    def masked(self, masks: re.Pattern[str]) -> set[str]:
        """The kinds of key whose value is disguised in this record."""
        return {
            kind
            for kind, values in self.identifiers.items()
            if any(value and masks.fullmatch(value) for value in values)
        }

    def build(self, masks: re.Pattern[str], **more: Any) -> Device:
        """The device; a disguised value is none, since several devices share it."""
        clear = {
            kind: [value for value in values if value and not masks.fullmatch(value)]
            for kind, values in self.identifiers.items()
        }
        first = {kind: next(iter(values), None) for kind, values in clear.items()}
        plain = {
            name: None if isinstance(value, str) and masks.fullmatch(value) else value
            for name, value in self.device.items()
            if name in {"user", "phone_number", "name"}
        }
        return Device(
            guid=first["guid"],
            udid=first["udid"],
            serial_number=first["serial"],
            imei=first["imei"],
            meid=first.get("meid"),
            mac_addresses=parse_macs(*clear["mac"]),
            **{**self.device, **plain},
            **more,
        )


def masked_kinds(facts: Iterable[Facts], masks: re.Pattern[str]) -> tuple[set[str], set[str]]:
    """The kinds of key that are disguised in some of these records, and those that stand there in clear."""
    hidden: set[str] = set()
    clear: set[str] = set()
    for fact in facts:
        now = fact.masked(masks)
        hidden |= now
        clear |= {kind for kind, values in fact.identifiers.items() if any(values)} - now
    return hidden, clear


def judge(
    compliant: object,
    *,
    quarantined: bool | None,
    blocked: bool | None,
    alarm: str | None = None,
    distrust: str | None = None,
    reasons: Iterable[str] = (),
) -> Compliance:
    """The verdict of both products.

    Quarantine counts before the product's own "compliant": it is what the product does about a broken rule,
    and the flag may lag behind or concern other rules. A blocked device that is called compliant is neither.

    Args:
        compliant: what the product says, of any type.
        quarantined: whether the product has locked it out of its resources.
        blocked: whether it may not synchronise.
        alarm: what else the product finds wrong with it.
        distrust: a state in which nobody vouches for the device, such as lost.
        reasons: why it does not comply.
    """
    own = flag(compliant)
    words = [{True: "compliant", False: "not compliant"}[own]] if own is not None else []
    if own is None and compliant is not None:
        words = [str(compliant)[:80]]
    notes = [
        *(["The device is quarantined"] if quarantined else []),
        *(["The device is blocked"] if blocked else []),
    ]
    words += ["quarantined"] * bool(quarantined) + ["blocked"] * bool(blocked)
    words += [word for word in (alarm, distrust) if word]
    bad = own is False or bool(quarantined) or alarm is not None
    if bad:
        state = ComplianceState.NONCOMPLIANT
    elif own is None or blocked or distrust:
        state = ComplianceState.UNKNOWN
    else:
        return Compliance(state=ComplianceState.COMPLIANT, vendor_state=", ".join(words))
    given = [*reasons, *([alarm] if alarm else []), *notes]
    return Compliance(
        state=state,
        reasons=tuple(dict.fromkeys([*given, *([f"The device is {distrust.lower()}"] if distrust else [])])),
        vendor_state=", ".join(words) or None,
        source="quarantine" if quarantined and own is not False else None,
    )
