"""What to make of an answer at a door: six words, of which one lets a device in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdmsdk.models import Decision

if TYPE_CHECKING:
    from mdmsdk.federation.merge import Answer
    from mdmsdk.models import LookupResult

__all__ = ["Decision", "decide"]


def decide(answer: Answer | LookupResult) -> Decision:
    """What an answer of a federation, or a result of one server, amounts to (`Verdict.decision`).

    Args:
        answer: what `MdmFederation.lookup` or `lookup_many` of either gave.
    """
    return answer.decision
