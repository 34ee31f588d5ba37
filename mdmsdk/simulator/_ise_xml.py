"""Write the XML of the Cisco ISE MDM API, with the habits of a server."""

import codecs
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from xml.sax.saxutils import escape

from mdmsdk.simulator._ise_habits import IseHabits
from mdmsdk.simulator.fleet import SimDevice

__all__ = ["ATTRIBUTES", "CRITERIA", "Query", "Writer", "truth_compliant"]

NAMESPACE: Final = (
    "http://schemas.datacontract.org/2004/07/Microsoft.Intune.ResourceAccess.ComplianceRetrievalService.Model"
)

# Criteria that each version adds.
CRITERIA: Final[dict[int, frozenset[str]]] = {
    1: frozenset({"macaddress", "compliance", "username"}),
    2: frozenset({"macaddress", "compliance", "username", "meid", "udid", "imei"}),
    3: frozenset({"macaddress", "compliance", "username", "meid", "udid", "imei", "guid", "guidhn"}),
}

# Attributes of each version; `period` is listed by Cisco but never seen.
_ATTRIBUTES: Final = (
    "register_status",
    "compliance",
    "disk_encryption_on",
    "pin_lock_on",
    "jail_broken",
    "manufacturer",
    "model",
    "imei",
    "meid",
    "udid",
    "serial_number",
    "os_version",
    "phone_number",
)
ATTRIBUTES: Final = {
    1: _ATTRIBUTES,
    2: _ATTRIBUTES,
    3: (*_ATTRIBUTES, "lastCheckinTimeStamp", "guid", "macaddresses"),
}
# Names in Cisco's table of attributes, and the elements that they mean.
_TAGS: Final = {"compliance_status": "compliance", "mac_addresses": "macaddresses"}
_CAPITALISED: Final = {"attributes": "Attributes", "compliance": "Compliance"}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER: Final = datetime(1, 1, 1, tzinfo=UTC)
_MOST_MACS: Final = 5
_CHUNK: Final = 256  # devices


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One question about devices, in whatever URL form it came.

    Attributes:
        version: Protocol version of the path that was called.
        paging: `0`, or the token of an earlier answer.
        criterion: Lower-case name; empty for all devices.
        values: What to compare with; several in a batch.
        identifier: `guid` or `macaddress` if a list shall carry that one.
        filter: `all`, or names with blanks between them.
    """

    version: int
    paging: str
    filter: str
    criterion: str = ""
    values: tuple[str, ...] = ()
    identifier: str = ""

    @property
    def names(self) -> frozenset[str] | None:
        """Lower-case names of the wanted attributes; None for all of them."""
        names = {name.lower() for name in re.split(r"[+,\s]+", self.filter) if name}
        names |= {_TAGS[name] for name in names & _TAGS.keys()}
        return None if not names or "all" in names else frozenset(names)

    @property
    def is_bulk(self) -> bool:
        """Whether a list is wanted, not particular devices."""
        return self.criterion in {"", "compliance"}


class Writer:
    """Writes elements as the habits want them."""

    def __init__(self, habits: IseHabits) -> None:
        """Keep the habits.

        Args:
            habits: Of the server.
        """
        self._habits = habits
        self._missing = habits.missing
        self._true, self._false = habits.boolean_words
        self._capitalise = habits.xml_style == "namespaced"

    def element(self, name: str, value: str | int | bool | None) -> str:
        """Write an element with text; nothing for None, or if it is one of the missing."""
        if value is None or name in self._missing or (value == "" and not self._habits.empty_elements):
            return ""
        if isinstance(value, bool):
            value = self._true if value else self._false
        text = escape(str(value))
        return f"<{name}>{text}</{name}>" if text else f"<{name}/>"

    def container(self, name: str, content: str) -> str:
        """Write an element with children; nothing if it is one of the missing."""
        if name in self._missing:
            return ""
        name = _CAPITALISED.get(name, name) if self._capitalise else name
        return f"<{name}>{content}</{name}>" if content else f"<{name}/>"

    def document(self, content: str) -> bytes:
        """Write a whole answer from the children of its root."""
        return b"".join(self.stream([content]))

    def stream(self, pieces: Iterable[str]) -> Iterator[bytes]:
        """Write an answer piece by piece."""
        encoder = codecs.getincrementalencoder(self._habits.encoding)("xmlcharrefreplace")
        # UTF-16 brings its own mark; for the others it is a habit.
        mark = "\ufeff" if self._habits.byte_order_mark and self._habits.encoding == "utf-8" else ""
        namespace = (
            f' xmlns="{NAMESPACE}" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
            if self._capitalise
            else ""
        )
        head = (
            f'{mark}<?xml version="1.0" encoding="{self._habits.encoding.upper()}"?>\n{self._document_type()}'
        )
        yield encoder.encode(f"{head}<ise_api{namespace}>")
        for piece in pieces:
            yield encoder.encode(piece)
        yield encoder.encode("</ise_api>\n")

    def devices(self, rows: Iterable[SimDevice], query: Query) -> Iterator[str]:
        """Write `deviceList` and its devices, some hundreds at a time."""
        if "deviceList" in self._missing:
            return
        names = query.names
        yield "<deviceList>"
        chunk: list[str] = []
        for device in rows:
            chunk.append(self._device(device, query, names))
            if len(chunk) == _CHUNK:
                yield "".join(chunk)
                chunk.clear()
        yield "".join(chunk) + "</deviceList>"

    def _device(self, device: SimDevice, query: Query, names: frozenset[str] | None) -> str:
        attributes = self._attributes(device, query.version, names)
        return self.container("device", self._identifier(device, query) + attributes)

    def mac(self, mac: str) -> str:
        """Write an address in the habitual style."""
        if self._habits.mac_style == "colons":
            return ":".join(mac[position : position + 2] for position in range(0, 12, 2))
        return mac.lower() if self._habits.mac_style == "lower" else mac

    def _macs(self, device: SimDevice) -> tuple[str, ...]:
        return device.mac_addresses[: 1 if self._habits.primary_mac_only else _MOST_MACS]

    def _identifier(self, device: SimDevice, query: Query) -> str:
        kind: str = self._habits.identifier
        if kind == "spec":
            kind = query.identifier or ("guid" if "guid" in ATTRIBUTES[query.version] else "macaddress")
        elif kind == "query":
            kind = query.criterion if not query.is_bulk else query.identifier or "guid"
        if kind == "macaddress":
            macs = self._macs(device)
            asked = {re.sub("[^0-9A-Fa-f]", "", value).upper() for value in query.values}
            chosen = next((mac for mac in macs if mac in asked), macs[0] if macs else "")
            return self.element("macaddress", self.mac(chosen))
        values = {
            "guid": device.guid,
            "guidhn": device.hostname,
            "udid": device.udid,
            "imei": device.imei or "",
            "meid": device.meid or "",
            "username": device.username,
        }
        return self.element(kind, values[kind]) if kind in values else ""

    def _attributes(self, device: SimDevice, version: int, names: frozenset[str] | None) -> str:
        values = {
            "register_status": device.registered,
            "disk_encryption_on": device.disk_encrypted,
            "pin_lock_on": device.passcode_set,
            "jail_broken": device.jailbroken,
            "manufacturer": device.manufacturer,
            "model": device.model,
            "imei": device.imei or "",
            "meid": device.meid or "",
            "udid": device.udid,
            "serial_number": device.serial_number,
            "os_version": f"{device.platform} {device.os_version}",
            "phone_number": device.phone_number,
            "lastCheckinTimeStamp": self._check_in(device),
            "guid": device.guid,
            "macaddresses": ",".join(map(self.mac, self._macs(device))),
        }
        content = [
            self._compliance(device) if name == "compliance" else self.element(name, values[name])
            for name in ATTRIBUTES[version]
            if names is None or name.lower() in names
        ]
        return self.container("attributes", "".join(content))

    def _compliance(self, device: SimDevice) -> str:
        compliant = truth_compliant(device)
        content = self.element("status", compliant)
        if not compliant:
            content += self.element("failure_reason", "; ".join(device.failure_reasons) or None)
            content += self.element("remediation", device.remediation)
        return self.container("compliance", content)

    def _check_in(self, device: SimDevice) -> str | None:
        moment = device.last_check_in
        if moment is None:
            if not self._habits.sentinel_dates:
                return None
            moment = _NEVER
        return str((moment - _EPOCH) // timedelta(milliseconds=1))

    def _document_type(self) -> str:
        kind = self._habits.document_type
        if kind == "plain":
            return "<!DOCTYPE ise_api>\n"
        if kind == "external_entity":
            return '<!DOCTYPE ise_api [<!ENTITY name SYSTEM "file:///etc/hostname">]>\n'
        if kind == "entity_bomb":
            steps = [f'<!ENTITY e{step} "{f"&e{step - 1};" * 10}">' for step in range(1, 10)]
            return f'<!DOCTYPE ise_api [<!ENTITY e0 "boom">{"".join(steps)}]>\n'
        return ""

    def name(self, name: str) -> str:
        """Write the `name` element, with the entity in it that the document type has declared."""
        entity = {"entity_bomb": "&e9;", "external_entity": "&name;"}.get(self._habits.document_type, "")
        return "" if "name" in self._missing else f"<name>{name}{entity}</name>"


def truth_compliant(device: SimDevice) -> bool:
    """The boolean that an ISE server gives for a device.

    The protocol has no third value. A device in grace is still let in, so it counts as compliant until the
    time is over; one that was never judged cannot be called compliant, so it counts as noncompliant.
    """
    return device.compliance in {"compliant", "grace"}
