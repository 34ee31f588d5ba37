"""What several servers together say about one key, and how their records become one."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, PlainSerializer, PrivateAttr, model_validator

from mdmsdk.client.verdict import judge_together, preference, rivals_of
from mdmsdk.errors import UnsupportedOperationError
from mdmsdk.identifiers import Key, Mac, parse_key
from mdmsdk.models import Device, Failure, FrozenModel, LookupResult, ServerInfo, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

Merge = Literal["strictest", "first", "newest"]


class Status(StrEnum):
    """How asking one server ended."""

    FOUND = "found"
    NOT_FOUND = "not_found"
    UNSUPPORTED = "unsupported"
    """The server cannot search by this kind of key."""
    ERROR = "error"
    NOT_ASKED = "not_asked"
    """The identifier belongs to another vendor's servers, as the certificate says that it stands in."""


def _now() -> datetime:
    return datetime.now(UTC)


class _OfServer(FrozenModel):
    """What one server said, or why it did not."""

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

    server: str
    provider: str
    error: Failure = None
    elapsed_ms: float = 0.0


class Outcome(_OfServer):
    """What one server said about one key.

    Attributes:
        status: whether it knows the device, does not, cannot tell, or failed.
        device: its record.
        error: why it failed or cannot tell.
        judges: whether its word is needed for a complete answer (`ProviderSettings.judges`).
        elapsed_ms: how long it took, in milliseconds.
        answered_at: when it said so, by this machine's clock, UTC.
    """

    status: Status
    device: Device | None = None
    judges: bool = True
    answered_at: datetime = Field(default_factory=_now)
    _records: tuple[Device, ...] = PrivateAttr(default=())
    """All that it has for the key, of which `device` stands for it."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.status is Status.FOUND) is (self.device is None):
            raise ValueError(f"{self.server}: {self.status} does not go with what is said of the device")
        return self

    @property
    def records(self) -> tuple[Device, ...]:
        """All records that it has for the key, where that is known; `device` stands for them."""
        return self._records or ((self.device,) if self.device else ())

    @property
    def age(self) -> float:
        """How old the answer is, in seconds."""
        return (_now() - self.answered_at).total_seconds()

    @classmethod
    def of(cls, server: str, provider: str, result: LookupResult, *, judges: bool = True) -> Outcome:
        """The outcome in a client's result."""
        if isinstance(result.error, UnsupportedOperationError):
            status = Status.UNSUPPORTED
        elif result.error:
            status = Status.ERROR
        else:
            status = Status.FOUND if result.device else Status.NOT_FOUND
        return cls(
            server=server,
            provider=provider,
            status=status,
            device=result.device,
            error=result.error,
            judges=judges,
            elapsed_ms=result.elapsed_ms,
        )


class Heartbeat(_OfServer):
    """Whether one server is there.

    Attributes:
        info: what it says about itself; None if it failed.
    """

    info: ServerInfo | None = None

    @property
    def ok(self) -> bool:
        """Whether it answered."""
        return self.info is not None


def _read_keys(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    return tuple(parse_key(one) if isinstance(one, str) else one for one in value)


# Text alone does not say of which kind a key is.
_Keys = Annotated[
    tuple[Key, ...],
    BeforeValidator(_read_keys),
    PlainSerializer(lambda keys: tuple(f"{key.kind}:{key}" for key in keys), return_type=tuple[str, ...]),
]


class Answer(Verdict):
    """What all servers together say about one device.

    Attributes:
        key: the key that counts: of several, the one that found the device, or the last that was asked for;
            the text as it was given where that is no key.
        device: the record that stands for the device; None if no server knows it.
        outcomes: one for each server, in order.
        before: the keys that were asked for before, and not found.
        notes: what went wrong beside the servers, such as a cache that is out of reach.
    """

    device: Device | None
    outcomes: tuple[Outcome, ...]
    before: _Keys = ()
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse what somebody wrote into a dump, or put together: better than the servers said."""
        said = merged(self.outcomes, "strictest")
        if self.device and said and self.device.compliance.state.severity < said.compliance.state.severity:
            raise ValueError("the device stands there with a better verdict than its outcomes give")
        return self

    @property
    def randomized(self) -> bool:
        """Whether the key that counts is a MAC address that the device made up, which names no hardware."""
        return isinstance(self.key, Mac) and self.key.randomized

    @property
    def complete(self) -> bool:
        """Whether every server that could judge the device has spoken.

        One that failed, or cannot search by this kind of key, may know the device or judge it more strictly.
        Servers with the setting ``judges = false`` do not count.
        """
        said = {outcome.status for outcome in self.outcomes if outcome.judges} - {Status.NOT_ASKED}
        return bool(said) and said <= {Status.FOUND, Status.NOT_FOUND}

    @property
    def vouched(self) -> bool:
        """Whether a server that judges has the device under management."""
        return any(one.judges and one.device is not None and one.device.registered for one in self.outcomes)


def merged(outcomes: Sequence[Outcome], how: Merge) -> Device | None:
    """The record that stands for a device that several servers may know.

    A registered record comes before one of a device that left. `how` says which of those left stands for
    the device: "first" by the order of the servers, "newest" and "strictest" by the last check-in. The
    strictest compliance state of all counts in any case.
    """
    known = [outcome.device for outcome in outcomes if outcome.device]
    if len(known) < 2:  # noqa: PLR2004 - nothing to merge
        return known[0] if known else None
    devices = [device for device in known if device.registered] or known
    chosen = devices[0] if how == "first" else min(devices, key=preference)
    return judge_together(chosen, rivals_of(chosen, known), f"{len(known)} servers know the device")
