"""The answers of the ISE face, as XML.

Elements and their order are those of Cisco's descriptions of the MDM API,
https://developer.cisco.com/docs/identity-services-engine/latest/mdm-api/
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from mdmsdk.identifiers import Guid, Imei, Mac, Meid, Udid
from mdmsdk.models import ComplianceState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mdmsdk.identifiers import Key
    from mdmsdk.models import Device

__all__ = ["device_of", "document", "element", "is_attribute"]

_MOST_MACS = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Characters that XML 1.0 has no way to write, https://www.w3.org/TR/xml/#charsets
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLAIN = re.compile(r"[\w .,:;/()+=@#-]*", re.ASCII)
_SINCE_3 = ("lastCheckinTimeStamp", "guid", "macaddresses")
_NAMES = (
    *("register_status", "compliance", "disk_encryption_on", "pin_lock_on", "jail_broken", "manufacturer"),
    *("model", "imei", "meid", "udid", "serial_number", "os_version", "phone_number", *_SINCE_3),
)
# Names in Cisco's table of filters, and the elements that they mean.
_MEANT = {"compliance_status": "compliance", "failure_reason": "compliance", "remediation": "compliance"}
_MEANT |= {"mac_addresses": "macaddresses", "lastcheckintimestamp": "lastCheckinTimeStamp"}
_IGNORED = frozenset({"all", "period"})


def is_attribute(name: str, version: int) -> bool:
    """Whether a name may stand in a filter."""
    found = _MEANT.get(name, name)
    return name in _IGNORED or (found in _NAMES and (version > 2 or found not in _SINCE_3))  # noqa: PLR2004


def element(name: str, value: object) -> str:
    """An element with text; nothing for None, for what is not known is absent."""
    if value is None or value == "":
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if not _PLAIN.fullmatch(text):
        text = escape(_NO_XML.sub("\ufffd", text))
    return f"<{name}>{text}</{name}>"


def document(pieces: Iterable[str]) -> bytes:
    """A whole answer, from the children of its root."""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<ise_api>{"".join(pieces)}</ise_api>'.encode()


def device_of(
    device: Device,
    version: int,
    wanted: frozenset[str],
    *,
    passed: bool,
    key: Key | None = None,
    identifier: str = "",
) -> str:
    """One device, with what its server showed and nothing else.

    Args:
        device: the record.
        version: of the protocol.
        wanted: names of a filter; with "all" among them, everything.
        passed: whether it counts as compliant.
        key: what was asked for; of several values of its kind that the record shows, this one counts.
        identifier: which one stands before the attributes, "guid" or "macaddress"; default: as the version.
    """
    names = {_MEANT.get(name, name) for name in wanted}
    shown = _identifiers(device, key)
    content = "".join(
        _compliance(device, passed=passed)
        if name == "compliance"
        else element(name, shown[name] if name in shown else _value(device, name))
        for name in _NAMES
        if ("all" in wanted or name in names) and (version > 2 or name not in _SINCE_3)  # noqa: PLR2004
    )
    first = identifier or ("guid" if version > 2 else "macaddress")  # noqa: PLR2004
    return f"<device>{element(first, shown[first])}<attributes>{content}</attributes></device>"


def _identifiers(device: Device, key: Key | None) -> dict[str, str | None]:
    """The identifiers that the record shows, by the elements that hold them."""
    asked = key if key is not None and device.matches(key) else None
    macs = [mac.hex for mac in device.mac_addresses]
    if isinstance(asked, Mac):
        macs = list(dict.fromkeys([asked.hex, *macs]))
    return {
        "macaddress": macs[0] if macs else None,
        "macaddresses": ",".join(macs[:_MOST_MACS]),
        **{
            kind.kind: asked.value if type(asked) is kind else getattr(device, kind.field)
            for kind in (Guid, Udid, Imei, Meid)
        },
    }


def _compliance(device: Device, *, passed: bool) -> str:
    said = device.compliance
    content = element("status", passed)
    if not passed:
        # What is not judged has no reason of its own, and who is kept out should see one.
        why = "; ".join(said.reasons) or (
            None if said.state is ComplianceState.NONCOMPLIANT else f"compliance is {said.state.value}"
        )
        content += element("failure_reason", why) + element("remediation", said.remediation)
    return f"<compliance>{content}</compliance>"


def _value(device: Device, name: str) -> object:
    match name:
        case "register_status":
            return device.registered
        case "disk_encryption_on":
            return device.disk_encrypted
        case "pin_lock_on":
            return device.passcode_set
        case "jail_broken":
            return device.jailbroken
        case "os_version":
            return " ".join(filter(None, (device.os, device.os_version)))
        case "lastCheckinTimeStamp":
            seen = device.last_check_in
            return seen and (seen - _EPOCH) // timedelta(milliseconds=1)
        case _:
            return getattr(device, name)
