"""The synthetic fleet that every simulator serves: what is true about each device, in no vendor's words.

A fleet is immutable; `replace`, `without` and `including` give a new one, and a running simulator takes it
over when its `fleet` attribute is set. Everything in it is invented: addresses lie in IANA's own block or are
locally administered, IMEIs carry the test code 001, telephone numbers are of the fictional 555-01xx range.
"""

import dataclasses
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, overload

from mdmsdk.simulator import _generate
from mdmsdk.simulator._words import Kind, Platform

__all__ = [
    "DEFAULT_MIX",
    "REFERENCE_TIME",
    "ComplianceState",
    "Fleet",
    "Kind",
    "Ownership",
    "Platform",
    "SimDevice",
]

ComplianceState = Literal["compliant", "noncompliant", "grace", "unknown"]
Ownership = Literal["corporate", "personal", "shared"]

REFERENCE_TIME: Final = _generate.REFERENCE_TIME
DEFAULT_MIX: Final = _generate.DEFAULT_MIX


@dataclass(frozen=True, slots=True, kw_only=True)
class SimDevice:
    """One record of an MDM server: a device as it was enrolled.

    Attributes:
        id: Number of the record, unique in the fleet. A vendor that uses text makes it from this.
        guid: Lower-case UUID of the record; another one when the same device is enrolled again.
        udid: Hardware identifier in the form of its platform; the same after another enrolment.
        directory_id: Lower-case UUID under which a company directory knows the device, if it does.
        imei: 15 digits with a valid check digit; only devices with a modem.
        meid: 14 upper-case hexadecimal digits; only some phones.
        wifi_mac: 12 upper-case hexadecimal digits, as are the other addresses. May be locally administered.
        ethernet_mac: Built-in port.
        dock_mac: Port of a dock or adapter; two laptops may have used the same one.
        registered: Enrolled now. A retired record stays in the server's database with its last state.
        compliance: What the server decided last.
        failure_reasons: Texts shown to the user; filled when noncompliant or in grace.
        grace_until: When a device in grace becomes noncompliant.
        disk_encrypted: None as long as the device never checked in, as are `passcode_set` and `jailbroken`.
        last_check_in: Aware, UTC; None when it never did.
        managed: Under the server's management (a retired one is not).
        supervised: Apple's term, or fully managed on Android; False for computers.
    """

    id: int
    guid: str
    udid: str
    directory_id: str | None
    serial_number: str
    imei: str | None
    meid: str | None
    wifi_mac: str | None
    ethernet_mac: str | None
    dock_mac: str | None
    kind: Kind
    platform: Platform
    name: str
    hostname: str
    username: str
    full_name: str
    department: str
    phone_number: str | None
    manufacturer: str
    model: str
    model_identifier: str
    os_version: str
    os_build: str
    ip_address: str
    ownership: Ownership
    registered: bool
    managed: bool
    supervised: bool
    compliance: ComplianceState
    failure_reasons: tuple[str, ...]
    remediation: str | None
    grace_until: datetime | None
    disk_encrypted: bool | None
    passcode_set: bool | None
    jailbroken: bool | None
    last_check_in: datetime | None
    enrolled_at: datetime

    @property
    def mac_addresses(self) -> tuple[str, ...]:
        """All addresses, Wi-Fi first; none for an Android work profile."""
        return tuple(mac for mac in (self.wifi_mac, self.ethernet_mac, self.dock_mac) if mac is not None)

    @property
    def email(self) -> str:
        """The user's address in a domain that cannot exist outside documentation."""
        return f"{self.username}@example.com"

    @property
    def has_random_mac(self) -> bool:
        """Whether the Wi-Fi address is locally administered, so not the one printed on the device."""
        return self.wifi_mac is not None and bool(int(self.wifi_mac[1], 16) & 2)


_Index = dict[str, tuple[SimDevice, ...]]

# Which values of a device each query compares, folded to one spelling.
_KEYS: Final[Mapping[str, Callable[[SimDevice], Iterable[str | None]]]] = {
    "mac": lambda device: device.mac_addresses,
    "guid": lambda device: (device.guid,),
    "udid": lambda device: (device.udid,),
    "directory_id": lambda device: (device.directory_id,),
    "serial": lambda device: (device.serial_number,),
    "imei": lambda device: (device.imei,),
    "meid": lambda device: (device.meid,),
    "hostname": lambda device: (device.hostname,),
    "username": lambda device: (device.username,),
    "email": lambda device: (device.email,),
}


class Fleet(Sequence[SimDevice]):
    """Devices in the order of their ids, with an index for each identifier, built when first asked for."""

    def __init__(self, devices: Iterable[SimDevice]) -> None:
        """Keep the devices.

        Args:
            devices: In any order; two with one id are refused.

        Raises:
            ValueError: An id occurs twice.
        """
        self._devices: tuple[SimDevice, ...] = tuple(sorted(devices, key=lambda device: device.id))
        self._by_id = {device.id: device for device in self._devices}
        if len(self._by_id) != len(self._devices):
            message = "two devices of a fleet have the same id"
            raise ValueError(message)
        self._indexes: dict[str, _Index] = {}
        self._noncompliant: tuple[SimDevice, ...] | None = None
        self._lock = threading.Lock()

    @classmethod
    def generate(
        cls,
        size: int = 200,
        seed: int = 1,
        *,
        now: datetime = REFERENCE_TIME,
        mix: Mapping[ComplianceState, float] = DEFAULT_MIX,
        cases: bool = True,
    ) -> "Fleet":
        """Invent a fleet; the same arguments give the same fleet on every machine.

        With 12 devices or more, each awkward case is there at least once: every compliance state, several
        MACs, a random MAC, no MAC at all, a shared dock, a device enrolled twice, one that never checked in,
        a retired one.

        Args:
            size: Number of records.
            seed: Another seed, another fleet.
            now: The moment that check-ins lie before. Fixed by default, so that answers can be compared.
            mix: Weight of each compliance state among the ordinary devices.
            cases: False gives ordinary devices only: all enrolled, checked in, once each.
        """
        return cls(SimDevice(**facts) for facts in _generate.records(size, seed, now, mix, cases=cases))

    def __len__(self) -> int:
        """Give the number of records."""
        return len(self._devices)

    def __iter__(self) -> Iterator[SimDevice]:
        """Go through the records in the order of their ids."""
        return iter(self._devices)

    @overload
    def __getitem__(self, index: int) -> SimDevice: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[SimDevice, ...]: ...

    def __getitem__(self, index: int | slice) -> SimDevice | tuple[SimDevice, ...]:
        """Give the record at a position, not by id: see `by_id`."""
        return self._devices[index]

    def __repr__(self) -> str:
        """Tell the size only; a fleet may be large."""
        return f"<Fleet of {len(self)} devices>"

    def by_id(self, number: int | str) -> SimDevice | None:
        """Give the record with this id, written as a number or as text."""
        try:
            return self._by_id.get(int(number))
        except ValueError:
            return None

    def by_mac(self, mac: str) -> tuple[SimDevice, ...]:
        """Give every record with this address, in any of the usual spellings."""
        return self._find("mac", "".join(character for character in mac if character not in ":-. "))

    def by_guid(self, guid: str) -> tuple[SimDevice, ...]:
        """Give the record with this GUID, if any."""
        return self._find("guid", guid)

    def by_udid(self, udid: str) -> tuple[SimDevice, ...]:
        """Give every record of the device with this UDID."""
        return self._find("udid", udid)

    def by_directory_id(self, directory_id: str) -> tuple[SimDevice, ...]:
        """Give every record of the device that the directory knows by this id."""
        return self._find("directory_id", directory_id)

    def by_serial(self, serial_number: str) -> tuple[SimDevice, ...]:
        """Give every record of the device with this serial number."""
        return self._find("serial", serial_number)

    def by_imei(self, imei: str) -> tuple[SimDevice, ...]:
        """Give every record of the device with this IMEI."""
        return self._find("imei", imei)

    def by_meid(self, meid: str) -> tuple[SimDevice, ...]:
        """Give every record of the device with this MEID."""
        return self._find("meid", meid)

    def by_hostname(self, hostname: str) -> tuple[SimDevice, ...]:
        """Give every record with this host name."""
        return self._find("hostname", hostname)

    def by_username(self, username: str) -> tuple[SimDevice, ...]:
        """Give every record of this user."""
        return self._find("username", username)

    def by_email(self, email: str) -> tuple[SimDevice, ...]:
        """Give every record of the user with this address."""
        return self._find("email", email)

    def noncompliant(self) -> tuple[SimDevice, ...]:
        """Give the enrolled devices that the server calls noncompliant, by id. Grace and unknown are not."""
        if self._noncompliant is None:
            self._noncompliant = self.select(
                lambda device: device.registered and device.compliance == "noncompliant"
            )
        return self._noncompliant

    def with_compliance(self, *states: ComplianceState) -> tuple[SimDevice, ...]:
        """Give the records, retired ones included, whose state is one of these."""
        return self.select(lambda device: device.compliance in states)

    def unregistered(self) -> tuple[SimDevice, ...]:
        """Give the retired records."""
        return self.select(lambda device: not device.registered)

    def never_checked_in(self) -> tuple[SimDevice, ...]:
        """Give the records without any check-in."""
        return self.select(lambda device: device.last_check_in is None)

    def shared_macs(self) -> dict[str, tuple[SimDevice, ...]]:
        """Give the addresses found on different devices (a dock), with the records."""
        return {
            mac: devices
            for mac, devices in self._index("mac").items()
            if len({device.serial_number for device in devices}) > 1
        }

    def duplicates(self) -> tuple[tuple[SimDevice, ...], ...]:
        """Give the devices enrolled more than once, each as the group of its records."""
        return tuple(devices for devices in self._index("serial").values() if len(devices) > 1)

    def select(self, predicate: Callable[[SimDevice], bool]) -> tuple[SimDevice, ...]:
        """Give the records for which the predicate holds, by id."""
        return tuple(device for device in self._devices if predicate(device))

    def replace(self, device: SimDevice | int, **changes: Any) -> "Fleet":
        """Give a fleet in which one record is different.

        Args:
            device: The record or its id.
            **changes: New values of its fields.

        Raises:
            KeyError: No record has that id.
        """
        number = device if isinstance(device, int) else device.id
        changed = dataclasses.replace(self._by_id[number], **changes)
        return Fleet(changed if other.id == number else other for other in self._devices)

    def without(self, *devices: SimDevice | int) -> "Fleet":
        """Give a fleet that lacks these records."""
        gone = {device if isinstance(device, int) else device.id for device in devices}
        return Fleet(device for device in self._devices if device.id not in gone)

    def including(self, *devices: SimDevice) -> "Fleet":
        """Give a fleet that has these records too; their ids must be new."""
        return Fleet((*self._devices, *devices))

    def _find(self, kind: str, value: str) -> tuple[SimDevice, ...]:
        return self._index(kind).get(value.casefold(), ())

    def _index(self, kind: str) -> _Index:
        # Servers ask from their own threads: one of them builds an index, the others wait for it.
        with self._lock:
            if kind not in self._indexes:
                index: _Index = {}
                values = _KEYS[kind]
                for device in self._devices:
                    for value in values(device):
                        if value is not None:
                            folded = value.casefold()
                            index[folded] = (*index.get(folded, ()), device)
                self._indexes[kind] = index
            return self._indexes[kind]
