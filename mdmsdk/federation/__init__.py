"""Many servers: one question, one outcome for each, one answer."""

from __future__ import annotations

from mdmsdk.federation.aio import AsyncMdmFederation
from mdmsdk.federation.decision import Decision, decide
from mdmsdk.federation.merge import Answer, Heartbeat, Merge, Outcome, Status
from mdmsdk.federation.sync import MdmFederation

__all__ = [
    "Answer",
    "AsyncMdmFederation",
    "Decision",
    "Heartbeat",
    "MdmFederation",
    "Merge",
    "Outcome",
    "Status",
    "decide",
]
