"""What the gateway decided: one record of each decision, which both faces make in one place.

The web page, the audit log and the metrics read it here. What they need is worked out when they ask for it,
so that a decision which nobody looks at costs next to nothing.
"""

from __future__ import annotations

import logging
from collections import deque
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from typing_extensions import TypedDict

from mdmsdk.federation import Status
from mdmsdk.federation.rows import LookupRow, device_row, lookup_row
from mdmsdk.gateway.access import Refusal
from mdmsdk.gateway.overrides import OverrideRow, as_denied, override_row, record_of
from mdmsdk.identifiers import Key
from mdmsdk.models import ComplianceState, Decision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.federation import Answer
    from mdmsdk.gateway.settings import Override
    from mdmsdk.models import Device

__all__ = ["Asker", "Decided", "DecidedRow", "Journal", "JournalRow", "decided_row", "journal_row", "oldest"]

_log = logging.getLogger("mdmsdk.gateway")
_NEWEST = 200
_LONGEST = 200
"""Characters of a text that is no key."""


class Asker(NamedTuple):
    """Who asks.

    Attributes:
        face: "ise" or "rest".
        name: of the credential.
        client: the address that the request came from.
    """

    face: str
    name: str
    client: str


class Decided(NamedTuple):
    """One decision.

    Attributes:
        when: Unix time, in seconds.
        asker: who asked.
        answer: what the servers say.
        decision: what is made of it.
        seconds: how long the answer took.
        override: of the administrator, where that decides.
        said_at: when the oldest word of a server was said, as Unix time in seconds; None where there is none.
    """

    when: float
    asker: Asker
    answer: Answer
    decision: Decision
    seconds: float
    override: Override | None = None
    said_at: float | None = None

    @property
    def key(self) -> Key | str:
        """The identifier that counts; a text where it is none."""
        return self.answer.key

    @property
    def at(self) -> str:
        """When it was made, as text."""
        return datetime.fromtimestamp(self.when, UTC).isoformat(timespec="milliseconds")

    @property
    def elapsed_ms(self) -> float:
        """How long the answer took, in milliseconds."""
        return round(self.seconds * 1000, 1)

    @property
    def age(self) -> float:
        """How old the oldest word of a server was, in seconds; exact to milliseconds."""
        return 0.0 if self.said_at is None else round(max(0.0, self.when - self.said_at), 3)

    @property
    def proof(self) -> tuple[str, ...]:
        """The servers whose record shows the identifier."""
        key = self.key
        if not isinstance(key, Key):
            return ()
        known = [one.device for one in self.answer.outcomes if one.device]
        return tuple(device.server for device in known if device.matches(key))

    @property
    def record(self) -> Device | None:
        """The record that says what is decided."""
        return record_of(self.override, self.answer.device) if self.override else self.answer.device

    @property
    def reason(self) -> str:
        """Why, in the administrator's or the servers' words; of no answer, what failed."""
        if self.override:
            return self.override.reason
        if self.decision is Decision.NO_ANSWER:
            failed = [one for one in self.answer.outcomes if one.status in {Status.ERROR, Status.UNSUPPORTED}]
            return "; ".join(f"{one.server}: {type(one.error).__name__}" for one in failed)
        device = self.answer.device
        return "; ".join(device.compliance.reasons) if device else ""


def oldest(answer: Answer) -> float | None:
    """When the oldest word of a server in an answer was said, as Unix time in seconds."""
    return min((one.answered_at.timestamp() for one in answer.outcomes), default=None)


class DecidedRow(LookupRow):
    """What all servers say about one device, and what is made of it.

    Attributes:
        reason: why, in the servers' words; of no answer, what failed.
        override: of the administrator, where that decides.
        proof: the servers whose record shows the identifier.
        age: how old the oldest word of a server is, in seconds.
    """

    reason: str
    override: OverrideRow | None
    proof: list[str]
    age: float


class JournalRow(TypedDict):
    """A decision.

    Attributes:
        at: when it was made.
        face: that was asked, "ise" or "rest".
        name: of the credential that asked.
        client: the address that the request came from.
        kind: of the key; null where the text is no key.
        key: the identifier that counts.
        decision: what was made of it.
        reason: why, in the servers' words; of no answer, what failed.
        override: of the administrator, where that decides.
        proof: the servers whose record shows the identifier.
        servers: how each server ended.
        age: how old the oldest word of a server was, in seconds.
        elapsed_ms: how long the answer took, in milliseconds.
    """

    at: str
    face: str
    name: str
    client: str
    kind: str | None
    key: str
    decision: Decision
    reason: str
    override: OverrideRow | None
    proof: list[str]
    servers: dict[str, Status]
    age: float
    elapsed_ms: float


def decided_row(decided: Decided) -> DecidedRow:
    """An answer as JSON: the shape of the command line, with what the decision stands on."""
    row, override = lookup_row(decided.answer), decided.override
    if override and override.decision == "deny" and (device := decided.answer.device):
        # Who reads nothing but the record does not see it as compliant either.
        row["device"] = device_row(as_denied(override, device))
        row["compliance"] = ComplianceState.NONCOMPLIANT
    return {
        **row,
        "decision": decided.decision,
        "reason": decided.reason,
        "override": override_row(override) if override else None,
        "proof": list(decided.proof),
        "age": decided.age,
    }


def journal_row(decided: Decided) -> JournalRow:
    """A decision as JSON."""
    key = decided.key
    return {
        "at": decided.at,
        "face": decided.asker.face,
        "name": decided.asker.name,
        "client": decided.asker.client,
        "kind": key.kind if isinstance(key, Key) else None,
        "key": str(key)[:_LONGEST],
        "decision": decided.decision,
        "reason": decided.reason,
        "override": override_row(decided.override) if decided.override else None,
        "proof": list(decided.proof),
        "servers": {one.server: one.status for one in decided.answer.outcomes},
        "age": decided.age,
        "elapsed_ms": decided.elapsed_ms,
    }


class Journal:
    """The newest decisions, and who is told of each.

    Attributes:
        listeners: are called with each decision, before it is answered. A fault of one is told in the log and
            changes no answer; a `Refusal` takes the place of the answer.
    """

    def __init__(self) -> None:
        self.listeners: list[Callable[[Decided], None]] = []
        self._newest: deque[Decided] = deque(maxlen=_NEWEST)

    def note(self, decided: Decided) -> None:
        """Take a decision down.

        Raises:
            Refusal: a listener does not let it be answered.
        """
        self._newest.append(decided)
        for listener in self.listeners:
            try:
                listener(decided)
            except Refusal:
                raise
            except Exception as error:  # noqa: BLE001 - the answer is right whoever fails to hear it
                _log.error("a fault of who hears of decisions: %s", type(error).__name__)

    def newest(self, most: int = _NEWEST) -> Iterator[Decided]:
        """The newest decisions, the last one first."""
        return islice(reversed(self._newest), most)
