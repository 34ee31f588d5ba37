"""What the SDK answers with: devices, their compliance, servers.

All models are frozen; ``model_dump(mode="json")`` is the JSON that the command line prints.
"""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, dataclass_transform

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    computed_field,
    model_validator,
)

from mdmsdk.errors import MdmError, error_from_record, error_record
from mdmsdk.identifiers import KEY_KINDS, Guid, Imei, Key, Mac, Meid, Serial, Udid

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Compliance",
    "ComplianceState",
    "Description",
    "Device",
    "LookupResult",
    "ServerInfo",
    "Verdict",
    "clean_time",
    "parse_macs",
    "seen_within",
]

_YEARS = range(1980, 9000)
"""No MDM existed before: years 1, 1601, 1753, 1900 and 1970 are where systems count from, in any zone."""


def clean_time(value: datetime | str | float | None) -> datetime | None:
    """A vendor's time as an aware UTC time, or None where it holds none.

    Args:
        value: an ISO 8601 text or a `datetime` (without a zone: UTC), or seconds since 1970.

    Sentinels that vendors write for "never" (the first moment of a system's calendar, or the year 9999) and
    texts that are no time give None: an unknown time must not look like a fresh check-in.
    """
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return clean_time(datetime.fromisoformat(value.strip()))
        return None
    if isinstance(value, (int, float)):
        try:
            value = datetime.fromtimestamp(value, tz=UTC)
        except (OverflowError, OSError, ValueError):
            return None
    if value is None or value.year not in _YEARS:
        return None
    if value.tzinfo is UTC:
        return value
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def seen_within(days: float, seen: datetime | None, now: datetime | None) -> bool | None:
    """Whether a device spoke with its server in the last days; None where that cannot be told.

    A contact that is more than a day ahead of the server's clock contradicts it, and proves nothing.

    Args:
        days: how many.
        seen: when it last did, None if that is not known.
        now: what the server's own clock says, None if it does not say.
    """
    if seen is None or now is None or seen - now > timedelta(days=1):
        return None
    return now - seen <= timedelta(days=days)


def parse_macs(*values: str | None) -> tuple[Mac, ...]:
    """The MAC addresses in a vendor's fields, in order, without repeats, invalid ones left out."""
    return tuple(dict.fromkeys(mac for mac in map(Mac.parse, values) if mac))


class ComplianceState(StrEnum):
    """What the server says about a device. Only `COMPLIANT` is a pass."""

    COMPLIANT = "compliant"
    NONCOMPLIANT = "noncompliant"
    GRACE = "grace"
    """Noncompliant, but the vendor allows time to mend it."""
    UNKNOWN = "unknown"
    """Not evaluated, or a word that the provider does not know; never a pass."""

    @property
    def severity(self) -> int:
        """The worse, the higher. `UNKNOWN` is worse than `GRACE`: nobody vouches for the device."""
        return _BY_SEVERITY.index(self)


_BY_SEVERITY = (
    *(ComplianceState.COMPLIANT, ComplianceState.GRACE),
    *(ComplianceState.UNKNOWN, ComplianceState.NONCOMPLIANT),
)


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass

    @dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field, PrivateAttr))
    class _Frozen(ModelMetaclass):
        """Tells type checkers, without pydantic's plugin too, that no field can be assigned to."""

    class _FrozenBase(BaseModel, metaclass=_Frozen): ...

else:
    _FrozenBase = BaseModel


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


class FrozenModel(_FrozenBase):
    """Base of all answers and settings: they cannot be changed, and unknown fields are refused."""

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, extra="forbid")


class Compliance(FrozenModel):
    """The verdict on one device and where it comes from.

    Attributes:
        state: the verdict.
        reasons: why the device is not compliant, in the vendor's words.
        remediation: what its user should do.
        vendor_state: the vendor's own word for the state.
        source: the rule, group or policy that decided.
    """

    state: ComplianceState = ComplianceState.UNKNOWN
    reasons: tuple[str, ...] = ()
    remediation: str | None = None
    vendor_state: str | None = None
    source: str | None = None


UNKNOWN_COMPLIANCE = Compliance()
_IDENTIFIER_FIELDS = frozenset(kind.field for kind in KEY_KINDS.values())


# Cisco ISE MDM API v3, Ivanti's example answer: "PDA" and a count stand for a device without a number.
def _phone(text: str | None) -> str | None:
    return None if text is None or re.match(r"PDA|\D*$|.*[*•#]{2}", text, re.IGNORECASE) else text


def _said(kind: type[Key]) -> Callable[[str | None], str | None]:
    """Gives the text of an identifier; None for a placeholder, which says that there is none."""

    def said(text: str | None) -> str | None:
        return None if text is None or kind.stands_for_nothing(text) else text

    return said


def _digits(text: str | None) -> str | None:
    """The IMEI without what groups its digits; a text that is none stays as it is."""
    found = None if text is None or text.isdecimal() else Imei.parse(text)
    return found.value if found else text


class Device(FrozenModel):
    """One record of one server. What the vendor does not report is None, never False.

    Attributes:
        server: the configured name of the server.
        provider: the provider's entry-point name.
        id: the vendor's internal record number.
        name: the device's name; its host name where it has one.
        guid: the vendor's unique name of the record, as it stands in certificates.
        registered: whether the device is under management now; False also where the record does not say
            so. Says nothing about compliance.
        last_check_in: when the device last spoke with the server, UTC.
        raw: the vendor's own record, kept only on request.
        other_identifiers: what the record shows beside the fields above, such as the IMEI of a second modem.
        unreadable: which of these fields, and which facts that could speak against the device, stand in the
            record in a form that cannot be read. No such record is a proof, or compliant.
        place: where the server keeps the record, such as one of its networks, for `MdmProvider.find_in`; None
            where that makes no difference.

    Placeholders, such as the serial number "To be filled by O.E.M.", are None. The last three fields are for
    the proof of answers (`mdmsdk.proof`) and for asking again, and are not part of dumps.
    """

    server: str = ""
    provider: str = ""
    id: str | None = None
    name: str | None = None
    guid: Annotated[str | None, AfterValidator(_said(Guid))] = None
    udid: Annotated[str | None, AfterValidator(_said(Udid))] = None
    serial_number: Annotated[str | None, AfterValidator(_said(Serial))] = None
    imei: Annotated[str | None, AfterValidator(_said(Imei)), AfterValidator(_digits)] = None
    meid: Annotated[str | None, AfterValidator(_said(Meid))] = None
    mac_addresses: tuple[Mac, ...] = ()
    user: str | None = None
    phone_number: Annotated[str | None, AfterValidator(_phone)] = None
    manufacturer: str | None = None
    model: str | None = None
    os: str | None = None
    os_version: str | None = None
    registered: bool
    compliance: Compliance = UNKNOWN_COMPLIANCE
    disk_encrypted: bool | None = None
    passcode_set: bool | None = None
    jailbroken: bool | None = None
    last_check_in: Annotated[datetime | None, BeforeValidator(clean_time)] = None
    raw: Any = Field(default=None, repr=False, exclude_if=lambda value: value is None)
    other_identifiers: tuple[Key, ...] = Field(default=(), exclude=True, repr=False)
    unreadable: frozenset[str] = Field(default=frozenset(), exclude=True, repr=False)
    place: str | None = Field(default=None, exclude=True, repr=False)

    @classmethod
    def columns(cls) -> tuple[str, ...]:
        """The names of the values that `flat` gives, in order, such as ``compliance.state``."""
        names: list[str] = []
        for name, field in cls.model_fields.items():
            if name == "compliance":
                names += [f"compliance.{part}" for part in Compliance.model_fields]
            elif name != "raw" and not field.exclude:  # a vendor's own record has no columns
                names.append(name)
        return tuple(names)

    def flat(self) -> dict[str, str | bool | datetime | None]:
        """The device as one row of a table: texts, booleans, times and None, by the names in `columns`.

        Several values are one text, joined by "; ".
        """
        return {name: _plain(reduce(getattr, name.split("."), self)) for name in self.columns()}

    @property
    def doubtful(self) -> frozenset[str]:
        """The facts that could speak against the device and cannot be read; its identifiers are none."""
        return self.unreadable - _IDENTIFIER_FIELDS

    def judged(self, **changes: Any) -> Self:
        """The device with these changes to its compliance."""
        return self.model_copy(update={"compliance": self.compliance.model_copy(update=changes)})

    def doubted(self, *reasons: str) -> Self:
        """The device with these reasons why it cannot be a pass; what is worse than unknown stays."""
        own = self.compliance
        state = max(own.state, ComplianceState.UNKNOWN, key=lambda state: state.severity)
        return self.judged(state=state, reasons=(*own.reasons, *reasons))

    def shown(self, kind: type[Key]) -> tuple[Key, ...]:
        """The identifiers of one kind that the record shows in readable form."""
        others = self.other_identifiers and tuple(key for key in self.other_identifiers if type(key) is kind)
        if kind is Mac:
            return self.mac_addresses + others
        own = kind.parse(getattr(self, kind.field))
        return others if own is None else (own, *others)

    def matches(self, key: Key) -> bool | None:
        """Whether this is the device that `key` names.

        Returns:
            True if it has this very identifier; False if what it has of that kind is another one or
            cannot be read; None if it holds no identifier of that kind and so proves nothing.
        """
        kind = type(key)
        own = self.shown(kind)
        if key in own:
            return True
        if own or kind.field in self.unreadable:
            return False
        return None if kind is Mac or getattr(self, kind.field) is None else False


def _plain(value: Any) -> str | bool | datetime | None:
    """A value as it stands in one cell of a table."""
    if value is None or isinstance(value, bool | datetime):
        return value
    return "; ".join(map(str, value)) if isinstance(value, tuple) else str(value)


class Description(FrozenModel):
    """What a provider's other methods need of what its heartbeat learnt; a provider states the fields.

    Two descriptions are equal if the server is still what it was. What changes by itself, such as a quota,
    belongs into `ServerInfo.extra`, for people to read.
    """

    places: ClassVar[str | None] = None
    """The field that holds the places which are asked one by one, such as networks; the `id` of each is the
    `Device.place` of the records there."""

    def within(self, place: str | None) -> Self:
        """The same with this place alone; with all places where it is none of them."""
        if self.places is None:
            return self
        own = tuple(one for one in getattr(self, self.places) if one.id == place)
        return self.model_copy(update={self.places: own}) if own else self

    @classmethod
    def of(cls, info: ServerInfo) -> Self:
        """The description in a heartbeat's answer.

        Raises:
            TypeError: it is another provider's.
        """
        if not isinstance(info.description, cls):
            raise TypeError(f"no {cls.__name__} is in this answer to a heartbeat")
        return info.description


def _described(told: dict[str, Any]) -> dict[str, Any]:
    description: Description | None = told.get("description")
    return {} if description is None else description.model_dump(mode="json")


class ServerInfo(FrozenModel):
    """What a server says about itself at a heartbeat.

    Attributes:
        api_version: the version of the API that is spoken from here on.
        query_max_size: the most rows that the server puts on one page, where it says so.
        messaging: whether the server can pass messages on to users, where it says so.
        description: what the provider needs of it; not part of dumps.
        extra: what else this vendor says, such as paths, quotas and hints, for people to read; by default the
            description.
    """

    server: str = ""
    provider: str = ""
    vendor: str | None = None
    product: str | None = None
    version: str | None = None
    api_version: str | None = None
    query_max_size: int | None = None
    messaging: bool | None = None
    description: Description | None = Field(default=None, exclude=True, repr=False)
    extra: dict[str, Any] = Field(default_factory=_described)

    def same_as(self, other: ServerInfo | None) -> bool:
        """Whether another answer says the same of what does not change by itself."""
        if other is None or self.description != other.description:
            return False
        beside = set() if self.description is None else {"extra"}
        return self.model_dump(exclude=beside) == other.model_dump(exclude=beside)


def _read_error(value: Any) -> Any:
    return error_from_record(value) if isinstance(value, dict) else value


def _write_error(error: MdmError | None) -> dict[str, Any] | None:
    return None if error is None else error_record(error)


Failure = Annotated[MdmError | None, BeforeValidator(_read_error), PlainSerializer(_write_error)]
"""An error in a model; written as `mdmsdk.errors.error_record` does, and read back."""


class Verdict(FrozenModel):
    """What was said about one key, and what it amounts to.

    Attributes:
        key: the key; the text as it was given where that is no key.
        device: the record that stands for the device; None if nobody knows it.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

    key: Key | str
    device: Device | None = None

    @model_validator(mode="before")
    @classmethod
    def _read_dump(cls, data: Any) -> Any:
        """Take what `model_dump` wrote: with the kind of the key, and with what follows from the rest."""
        if not isinstance(data, dict):
            return data
        kind, key, computed = data.get("kind"), data.get("key"), cls.model_computed_fields
        values = {name: value for name, value in data.items() if name not in computed}
        return (
            {**values, "key": KEY_KINDS[kind](key)} if kind in KEY_KINDS and isinstance(key, str) else values
        )

    @computed_field(repr=False)  # type: ignore[prop-decorator]
    @property
    def kind(self) -> str | None:
        """The kind of the key, such as ``"mac"``; None where the text is no key."""
        return self.key.kind if isinstance(self.key, Key) else None

    @computed_field(repr=False)  # type: ignore[prop-decorator]
    @property
    def found(self) -> bool:
        """Whether a server knows the device."""
        return self.device is not None

    @computed_field(repr=False)  # type: ignore[prop-decorator]
    @property
    def complete(self) -> bool:
        """Whether everybody who could judge the device has spoken."""
        raise NotImplementedError

    @property
    def vouched(self) -> bool:
        """Whether a server that judges has the device under management."""
        return self.device is not None and self.device.registered

    @computed_field(repr=False)  # type: ignore[prop-decorator]
    @property
    def decision(self) -> Decision:
        """What to make of it at a door.

        A pass, and "not registered", need every server that could judge; what speaks against a device does
        not. A pass also needs one that judges and manages the device: an inventory vouches for nobody.
        """
        if self.device is None or not self.device.registered:
            return Decision.NOT_REGISTERED if self.complete else Decision.NO_ANSWER
        state = self.device.compliance.state
        if state in {ComplianceState.COMPLIANT, ComplianceState.GRACE}:
            if not self.complete:
                return Decision.NO_ANSWER
            if not self.vouched:
                return Decision.UNKNOWN
        return Decision(state.value)


class LookupResult(Verdict):
    """The answer for one key of many: a device, neither (the server does not know it), or an error.

    Attributes:
        key: the key; the text as it was given where that is no key.
        device: the record that stands for the device; None if the server does not know it.
        error: why there is no answer.
        elapsed_ms: how long the request took that brought the answer, in milliseconds.
    """

    error: Failure = None
    elapsed_ms: float = 0.0

    @property
    def complete(self) -> bool:
        """Whether the server has spoken."""
        return self.error is None
