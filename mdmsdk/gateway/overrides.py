"""The administrator's own word on single devices, until a date."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import TypedDict

from mdmsdk.identifiers import Key, Mac, parse_key
from mdmsdk.models import Compliance, ComplianceState, Decision, Device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mdmsdk.federation import Answer
    from mdmsdk.gateway.settings import Override

__all__ = ["OverrideRow", "Overrides", "as_denied", "override_row", "record_of"]

_log = logging.getLogger("mdmsdk.gateway")


class Overrides:
    """The list of overrides.

    Args:
        listed: as the settings have them.
        now: Unix time, in seconds.
    """

    def __init__(self, listed: Iterable[Override], now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._by_key: dict[Key, list[Override]] = {}
        self._denied: set[type[Key]] = set()
        for number, one in enumerate(listed, 1):
            key = parse_key(one.key)
            self._by_key.setdefault(key, []).append(one)
            if one.decision == "deny":
                self._denied.add(type(key))
            if isinstance(key, Mac) and key.randomized:
                _log.warning(
                    "override %d is for an address that a device made up: another one may, too", number
                )

    def active(self) -> list[Override]:
        """Those that have not expired."""
        return [one for listed in self._by_key.values() for one in listed if self._counts(one)]

    def denied(self) -> list[Key]:
        """The identifiers of all denials that have not expired."""
        return list(dict.fromkeys(parse_key(one.key) for one in self.active() if one.decision == "deny"))

    def denial(self, device: Device) -> Override | None:
        """The denial of a device, by what its record shows."""
        return self._first("deny", self._shown([device]))

    def of(self, keys: Sequence[Key | str], answer: Answer) -> Override | None:
        """The override that decides.

        A denial counts wherever its identifier stands: in the question, or in any record of a server. An
        allowance counts only for the identifier that the answer is about, or that came before it, and not
        where a record contradicts what was asked for: what somebody else's record shows lets nobody in.

        Args:
            keys: what was asked for.
            answer: what the servers say.
        """
        if not self._by_key:
            return None
        records = [one.device for one in answer.outcomes if one.device]
        asked: list[Key | str] = [*keys, answer.key, *answer.before]
        every = [one for outcome in answer.outcomes for one in outcome.records]
        if denial := self._first("deny", [*asked, *self._shown(every)]):
            return denial
        about = [answer.key, *answer.before]
        if any(isinstance(key, Key) and one.matches(key) is False for key in about for one in records):
            return None
        allowance = self._first("allow", about)
        bad = answer.decision is Decision.NONCOMPLIANT
        return None if allowance and bad and not allowance.despite_noncompliant else allowance

    def _first(self, decision: str, keys: Iterable[Key | str]) -> Override | None:
        listed = (one for key in keys if isinstance(key, Key) for one in self._by_key.get(key, ()))
        return next((one for one in listed if one.decision == decision and self._counts(one)), None)

    def _shown(self, records: Iterable[Device]) -> list[Key]:
        """The identifiers of records, of the kinds that denials name."""
        return [key for one in records for kind in self._denied for key in one.shown(kind)]

    def _counts(self, override: Override) -> bool:
        return self._now() < override.until.timestamp()


class OverrideRow(TypedDict):
    """The administrator's own word on one device.

    Attributes:
        decision: what the device gets.
        key: its identifier, with the kind.
        until: when it ends.
        reason: in the administrator's words.
        by: who decided it.
        randomized: whether the identifier is an address that a device made up.
    """

    decision: Literal["allow", "deny"]
    key: str
    until: str
    reason: str
    by: str
    randomized: bool


def override_row(override: Override) -> OverrideRow:
    """An override as JSON, in an answer."""
    key = parse_key(override.key)
    return {
        "decision": override.decision,
        "key": f"{key.kind}:{key}",
        "until": override.until.isoformat(),
        "reason": override.reason,
        "by": override.by,
        "randomized": isinstance(key, Mac) and key.randomized,
    }


def record_of(override: Override, device: Device | None) -> Device:
    """The record that says what an override decides, of a device that servers may know.

    Where they do not have it under management, it shows the identifier that the administrator named.
    """
    key, allowed = parse_key(override.key), override.decision == "allow"
    if device and device.registered:
        return device if allowed else as_denied(override, device)
    state = ComplianceState.COMPLIANT if allowed else ComplianceState.NONCOMPLIANT
    identifier: dict[str, Any] = {key.field: (key,) if isinstance(key, Mac) else key.value}
    return Device(
        registered=allowed,
        compliance=Compliance(state=state, reasons=(_said(override),), source="override"),
        **identifier,
    )


def as_denied(override: Override, device: Device) -> Device:
    """The record of a device with its denial on it."""
    reasons = _said(override), *device.compliance.reasons
    return device.judged(state=ComplianceState.NONCOMPLIANT, reasons=reasons)


def _said(override: Override) -> str:
    how = "allowed" if override.decision == "allow" else "denied"
    return f"{how} until {override.until:%Y-%m-%d %H:%M %Z}: {override.reason}"
