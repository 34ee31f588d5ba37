"""Answers as JSON, in the documented shapes: what the command line prints and the gateway gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdmsdk.federation.decision import decide
from mdmsdk.identifiers import Key
from mdmsdk.models import error_summary

if TYPE_CHECKING:
    from mdmsdk.federation.merge import Answer, Heartbeat, Outcome
    from mdmsdk.models import Device

__all__ = ["device_row", "heartbeat_row", "lookup_row"]


def _ms(elapsed: float) -> float:
    return round(elapsed, 1)


def heartbeat_row(beat: Heartbeat) -> dict[str, Any]:
    """Whether one server is there."""
    info = beat.info
    return {
        "server": beat.server,
        "provider": beat.provider,
        "ok": beat.ok,
        "vendor": info.vendor if info else None,
        "product": info.product if info else None,
        "version": info.version if info else None,
        "api_version": info.api_version if info else None,
        "elapsed_ms": _ms(beat.elapsed_ms),
        "error": error_summary(beat.error),
    }


def device_row(device: Device) -> dict[str, Any]:
    """A device of a list."""
    return device.model_dump(mode="json")


def lookup_row(answer: Answer) -> dict[str, Any]:
    """What all servers say about one key."""
    key, device = answer.key, answer.device
    return {
        "key": str(key),
        "kind": key.kind if isinstance(key, Key) else None,
        "found": answer.found,
        "compliance": device.compliance.state.value if device else None,
        "complete": answer.complete,
        "decision": decide(answer).value,
        "device": device_row(device) if device else None,
        "outcomes": [_outcome(outcome) for outcome in answer.outcomes],
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "server": outcome.server,
        "provider": outcome.provider,
        "status": outcome.status.value,
        "elapsed_ms": _ms(outcome.elapsed_ms),
        "error": error_summary(outcome.error),
    }
