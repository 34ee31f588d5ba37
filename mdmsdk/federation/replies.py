"""What one server had for one key, how that becomes bytes, and how it is read again. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from mdmsdk.client.verdict import Records, tightened
from mdmsdk.federation.merge import Outcome
from mdmsdk.identifiers import KEY_KINDS, Key, Username
from mdmsdk.models import Device

if TYPE_CHECKING:
    from mdmsdk.client.aio import AsyncMdmClient

_PERSONAL = ("user", "phone_number", "raw")
_ASIDE = ("other_identifiers", "unreadable")


class Reply(NamedTuple):
    """What one server had for one key, and when.

    Attributes:
        records: all that it had, proven. Which of them stands for the device, and what the rules of a
            federation say of it, is decided whenever the reply is used.
        outcome: the same for an answer.
        asked_at: when the question was about to be sent, in seconds since 1970.
    """

    records: Records
    outcome: Outcome
    asked_at: float

    @classmethod
    def of(cls, client: AsyncMdmClient, records: Records, asked_at: float) -> Reply:
        """What a client gave that was asked at that time."""
        name, settings = client.provider.name, client.provider.settings
        answered_at = datetime.fromtimestamp(asked_at + records.elapsed_ms / 1000, UTC)
        outcome = Outcome.of(client.server, name, records.result(), judges=settings.judges)
        outcome = outcome.model_copy(update={"answered_at": answered_at})
        outcome._records = tuple(records.devices)  # type: ignore[misc]  # noqa: SLF001 - nobody has it yet
        return cls(records, outcome, asked_at)

    def counts_days(self, client: AsyncMdmClient) -> bool:
        """Whether rules of the server may say something else about it tomorrow."""
        rules = client._rules  # noqa: SLF001
        return rules is not None and rules.max_days_since_check_in is not None and bool(self.records.devices)

    def of_now(self, client: AsyncMdmClient) -> Reply:
        """The same where rules of the server count days: some may have gone by."""
        rules = client._rules  # noqa: SLF001
        if rules is None or not self.counts_days(client):
            return self
        devices = [tightened(one, rules, client.server_time) for one in self.records.devices]
        if all(now is before for now, before in zip(devices, self.records.devices, strict=True)):
            return self
        return Reply.of(client, self.records._replace(devices=devices), self.asked_at)

    def identifiers(self) -> set[Key]:
        """What the records show, of whichever kind."""
        return set(chain.from_iterable(map(identifiers_of, self.records.devices)))


def identifiers_of(device: Device) -> set[Key]:
    """What a record shows, of whichever kind."""
    return set(chain.from_iterable(map(device.shown, KEY_KINDS.values())))


def encode(reply: Reply, generation: str | None, *, personal: bool) -> bytes | None:
    """A reply as bytes; None if it would not be the same when it is read again.

    Args:
        reply: without an error.
        generation: which of the key's generations it belongs to.
        personal: whether it may hold users' names, phone numbers and vendors' own records.
    """
    devices = [one if personal else impersonal(one) for one in reply.records.devices]
    written = {
        "asked": reply.asked_at,
        "ms": reply.records.elapsed_ms,
        "generation": generation,
        "devices": list(map(device_written, devices)),
    }
    try:
        text = json.dumps(written, separators=(",", ":"), allow_nan=False)
        same = [device_read(one) for one in json.loads(text)["devices"]] == devices
    except (TypeError, ValueError, KeyError):
        return None
    return text.encode() if same else None


def decode(client: AsyncMdmClient, key: Key, value: bytes) -> tuple[Reply, str | None] | None:
    """The reply in bytes that `encode` made, and its generation; None if these are others."""
    try:
        written = json.loads(value)
        devices = tuple(map(device_read, written["devices"]))
        records = Records(key, devices, elapsed_ms=float(written["ms"]))
        reply = Reply.of(client, records, float(written["asked"]))
        return reply, written["generation"]
    except (TypeError, ValueError, KeyError, OverflowError, RecursionError):
        return None


def impersonal(device: Device) -> Device:
    """The record without its user's name and phone number, and without the vendor's own record."""
    others = tuple(one for one in device.other_identifiers if not isinstance(one, Username))
    return device.model_copy(update={**dict.fromkeys(_PERSONAL), "other_identifiers": others})


def device_written(device: Device) -> dict[str, Any]:
    """A record as JSON has it; `device_read` gives the record again."""
    written = device.model_dump(mode="json", exclude_defaults=True)
    if device.other_identifiers:
        written["other_identifiers"] = [[one.kind, one.value] for one in device.other_identifiers]
    if device.unreadable:
        written["unreadable"] = sorted(device.unreadable)
    if device.place is not None:
        written["place"] = device.place
    return written


def device_read(written: dict[str, Any]) -> Device:
    """The record that `device_written` wrote."""
    others = tuple(KEY_KINDS[kind](value) for kind, value in written.get("other_identifiers", ()))
    return Device.model_validate(
        {**written, "other_identifiers": others, "unreadable": frozenset(written.get("unreadable", ()))}
    )
