"""From records of UEM to a `Device`, and both of its APIs to one verdict. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import Guid, Imei, Mac, Meid, Serial, Udid
from mdmsdk.models import Compliance, ComplianceState, Device
from mdmsdk.rows import Row
from mdmsdk.rules import system_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mdmsdk.identifiers import Key

__all__ = ["COMPROMISED", "UUID", "Record", "Told", "about", "settle"]

UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_USER: Final = re.compile(rf"/users/({UUID.pattern})/userDevices/{UUID.pattern}", re.IGNORECASE)
_HARDWARE: Final = (Udid, Serial, Imei, Meid)
"""Kinds that name one device; an address may be a dock's."""
COMPROMISED: Final = "compromised"
_COMPROMISED: Final = "The device is compromised (jailbroken or rooted)."
_NOT_KNOWN: Final = (
    "The endpoint for Cisco ISE, which alone knows compliance, does not know the device, or tells of another "
    "one under its identifiers."
)
# What the endpoint for Cisco ISE tells, and the REST API leaves out for all or for some devices.
_ADDED: Final = (
    *("udid", "serial_number", "imei", "meid", "phone_number", "manufacturer", "model", "os", "os_version"),
    *("disk_encrypted", "passcode_set", "last_check_in"),
)


class Record(Row):
    """A device as the REST API describes it."""

    @property
    def user(self) -> str | None:
        """The GUID of the user's record; None for a shared device."""
        # UEM REST API reference, Devices: the link userDevice is .../users/{u}/userDevices/{d}. Only the
        # numbers are taken from it: its host may be a name inside the company.
        hrefs = (link.text("href") or "" for link in self.rows("links") if link.text("rel") == "userDevice")
        found = (_USER.search(href) for href in hrefs)
        return next((match[1] for match in found if match), None)

    # UEM REST API reference, Devices, samples of 12.12 to 12.21. There is no member for a verdict, a state of
    # enrolment or the last contact; a device that is listed is activated.
    def device(self, *, keep_raw: bool = False) -> Device:
        """What the record says.

        Raises:
            MalformedResponseError: it has no GUID, like an error that comes with status 200.
        """
        guid = self.required("guid")
        if not UUID.fullmatch(guid):
            raise MalformedResponseError("the server lists a device, the GUID of which cannot be read")
        compromised = self.veto("compromised")
        system = self.text("osFamilyName", "os")
        return Device(
            id=guid,
            name=self.text("hardwareName"),
            **self.identifiers(
                guid="guid",
                udid="udid",
                serial="serialNumber",
                imei="imei",
                meid="meid",
                mac="wifiMacAddress",
            ),
            phone_number=self.text("phoneNumber"),
            manufacturer=self.text("hardwareVendorCompanyName"),
            model=self.text("hardwareModel", "hardwareName"),
            os=system_of(system) or system if system else None,
            os_version=self.text("osVersion"),
            registered=True,
            compliance=_judged(Compliance(), compromised=compromised),
            jailbroken=compromised,
            raw=self.document if keep_raw else None,
            unreadable=self.unreadable,  # the last, when all was read
        )


def _judged(own: Compliance, *, compromised: bool | None) -> Compliance:
    """A verdict, unless the device is compromised. That it is not says nothing about compliance."""
    if not compromised:
        return own
    state = ComplianceState.NONCOMPLIANT
    reasons = tuple(dict.fromkeys((_COMPROMISED, *own.reasons)))
    word = COMPROMISED if own.state is not state else own.vendor_state
    return own.model_copy(update={"state": state, "reasons": reasons, "vendor_state": word})


def about(record: Device, row: Device) -> bool:
    """Whether a row of the endpoint for Cisco ISE is about the device of a record.

    What names the enrolment or the hardware decides, where both show it, and must agree in all of it; an
    address alone may be a dock's, and decides only where nothing else does.
    """
    told = {row.matches(key) for kind in (Guid, *_HARDWARE) for key in record.shown(kind)}
    if False in told:
        return False
    return True in told or any(row.matches(key) for key in record.shown(Mac))


def settle(record: Device, rows: Sequence[Device], *, listed: bool = False) -> Device:
    """The device with the verdict of the endpoint for Cisco ISE; what either API says against it counts.

    Args:
        record: as the REST API has it.
        rows: what the endpoint says about the device.
        listed: they are from the list of noncompliant devices, which says nothing about others.
    """
    guid = Guid(record.guid or "")
    # Without GUIDs, of two enrolments of one device nobody can tell which row is which.
    own = [row for row in rows if row.matches(guid)] or rows
    if not own:
        return record if listed else record.doubted(_NOT_KNOWN)
    row = max(own, key=lambda one: one.compliance.state.severity)
    compromised = bool(record.jailbroken or any(one.jailbroken for one in own))
    changes: dict[str, Any] = {
        name: value
        for name in {*_ADDED} - record.unreadable  # what cannot be read there is not proven here
        if getattr(record, name) is None and (value := getattr(row, name)) is not None
    }
    return record.model_copy(
        update={
            **changes,
            "mac_addresses": tuple(dict.fromkeys((*record.mac_addresses, *row.mac_addresses))),
            "registered": any(one.registered for one in own),
            "jailbroken": compromised or (row.jailbroken if record.jailbroken is None else record.jailbroken),
            "compliance": _judged(row.compliance, compromised=compromised),
            "unreadable": record.unreadable.union(*(one.unreadable for one in own)),
        }
    )


@dataclass(frozen=True)
class Told:
    """The list of noncompliant devices of the endpoint for Cisco ISE, to be joined with records.

    Attributes:
        rows: all of its rows.
        places: where each identifier stands.
        met: positions of the rows that were joined with a record.
    """

    rows: Sequence[Device]
    places: Mapping[Key, Sequence[int]]
    met: frozenset[int] = frozenset()

    @classmethod
    def of(cls, rows: Sequence[Device]) -> Told:
        """The list of these rows."""
        places: dict[Key, list[int]] = defaultdict(list)
        for place, row in enumerate(rows):
            for key in _names(row):
                places[key].append(place)
        return cls(rows, places)

    def join(self, records: Iterable[Device]) -> tuple[list[Device], Told]:
        """Records with what the list says about them, and the list that knows which rows were met."""
        devices, met = [], set(self.met)
        for record in records:
            near = {place for key in _names(record) for place in self.places.get(key, ())}
            own = [place for place in sorted(near) if about(record, self.rows[place])]
            met.update(own)
            devices.append(settle(record, [self.rows[place] for place in own], listed=True))
        return devices, replace(self, met=frozenset(met))

    @property
    def rest(self) -> list[Device]:
        """The rows that no record was met for."""
        return [row for place, row in enumerate(self.rows) if place not in self.met]


def _names(device: Device) -> list[Key]:
    return [key for kind in (Guid, *_HARDWARE, Mac) for key in device.shown(kind)]
