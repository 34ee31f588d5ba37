"""Answers as JSON, in the documented shapes: what the command line prints and the gateway gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import GetPydanticSchema

# That of typing is not enough for pydantic before Python 3.12.
from typing_extensions import TypedDict

from mdmsdk.federation.decision import decide
from mdmsdk.federation.merge import Status
from mdmsdk.identifiers import Key
from mdmsdk.models import ComplianceState, Decision, Device

if TYPE_CHECKING:
    from mdmsdk.errors import MdmError
    from mdmsdk.federation.merge import Answer, Heartbeat, Outcome

__all__ = [
    "DeviceRow",
    "ErrorRow",
    "HeartbeatRow",
    "LookupRow",
    "OutcomeRow",
    "device_row",
    "error_row",
    "heartbeat_row",
    "lookup_row",
]

DeviceRow = Annotated[dict[str, Any], GetPydanticSchema(lambda _, handler: handler(Device))]
"""A device as JSON."""


class ErrorRow(TypedDict):
    """Why a server did not answer.

    Attributes:
        type: name of the error's class.
        message: what is wrong.
        hint: what to do.
    """

    type: str
    message: str
    hint: str | None


class HeartbeatRow(TypedDict):
    """Whether one server is there.

    Attributes:
        server: its name in the configuration.
        provider: what asks it.
        ok: whether it answered.
        vendor: who makes it.
        product: its name.
        version: of the product.
        api_version: of its interface.
        elapsed_ms: how long it took, in milliseconds.
        error: why it did not answer.
    """

    server: str
    provider: str
    ok: bool
    vendor: str | None
    product: str | None
    version: str | None
    api_version: str | None
    elapsed_ms: float
    error: ErrorRow | None


class OutcomeRow(TypedDict):
    """What one server said.

    Attributes:
        server: its name in the configuration.
        provider: what asks it.
        status: how it ended.
        elapsed_ms: how long it took, in milliseconds.
        error: why it failed or cannot tell.
    """

    server: str
    provider: str
    status: Status
    elapsed_ms: float
    error: ErrorRow | None


class LookupRow(TypedDict):
    """What all servers say about one device.

    Attributes:
        key: of several keys the one that counts.
        kind: of the key; null where the text is no key.
        found: whether a server knows the device.
        compliance: state of the record.
        complete: whether every server that could judge the device has spoken.
        decision: what to make of it at a door; only "compliant" is a pass.
        device: the record that stands for the device.
        outcomes: what each server said.
    """

    key: str
    kind: str | None
    found: bool
    compliance: ComplianceState | None
    complete: bool
    decision: Decision
    device: DeviceRow | None
    outcomes: list[OutcomeRow]


def _ms(elapsed: float) -> float:
    return round(elapsed, 1)


def error_row(error: MdmError | None) -> ErrorRow | None:
    """An error: type, message and hint."""
    if error is None:
        return None
    return {"type": type(error).__name__, "message": error.message, "hint": error.hint}


def heartbeat_row(beat: Heartbeat) -> HeartbeatRow:
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
        "error": error_row(beat.error),
    }


def device_row(device: Device) -> DeviceRow:
    """A device of a list."""
    return device.model_dump(mode="json")


def lookup_row(answer: Answer) -> LookupRow:
    """What all servers say about one key."""
    key, device = answer.key, answer.device
    return {
        "key": str(key),
        "kind": key.kind if isinstance(key, Key) else None,
        "found": answer.found,
        "compliance": device.compliance.state if device else None,
        "complete": answer.complete,
        "decision": decide(answer),
        "device": device_row(device) if device else None,
        "outcomes": [_outcome(outcome) for outcome in answer.outcomes],
    }


def _outcome(outcome: Outcome) -> OutcomeRow:
    return {
        "server": outcome.server,
        "provider": outcome.provider,
        "status": outcome.status,
        "elapsed_ms": _ms(outcome.elapsed_ms),
        "error": error_row(outcome.error),
    }
