"""What to make of an answer at a door: six words, of which one lets a device in."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from mdmsdk.models import ComplianceState, LookupResult

if TYPE_CHECKING:
    from mdmsdk.federation.merge import Answer

__all__ = ["Decision", "decide"]


class Decision(StrEnum):
    """What is known of a device. Only `COMPLIANT` is a pass, and only `NO_ANSWER` is worth asking again."""

    COMPLIANT = "compliant"
    NONCOMPLIANT = "noncompliant"
    GRACE = "grace"
    """Noncompliant, but the vendor allows time to mend it."""
    UNKNOWN = "unknown"
    """Managed, but nobody vouches for it."""
    NOT_REGISTERED = "not_registered"
    """Every server that could know it says that it is not under management."""
    NO_ANSWER = "no_answer"
    """A server that could know better has not spoken, so that there is no verdict."""


def decide(answer: Answer | LookupResult) -> Decision:
    """What an answer of a federation, or a result of one server, amounts to.

    A pass, and "not registered", need every server that could judge; what speaks against a device does not.
    A pass also needs one that judges and manages the device: an inventory vouches for nobody.

    Args:
        answer: what `MdmFederation.lookup` or `lookup_many` of either gave.
    """
    complete = answer.error is None if isinstance(answer, LookupResult) else answer.complete
    device = answer.device
    if device is None or not device.registered:
        return Decision.NOT_REGISTERED if complete else Decision.NO_ANSWER
    state = device.compliance.state
    if state in {ComplianceState.COMPLIANT, ComplianceState.GRACE}:
        if not complete:
            return Decision.NO_ANSWER
        if not isinstance(answer, LookupResult) and not answer.vouched:
            return Decision.UNKNOWN
    return Decision(state.value)
