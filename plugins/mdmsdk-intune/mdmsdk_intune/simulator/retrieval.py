"""The Compliance Retrieval service's part: the Cisco ISE MDM API, version 3, with Intune's namespace.

https://learn.microsoft.com/mem/intune/protect/network-access-control-integrate
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from mdmsdk_intune.simulator.graph import SERVICE_PATH, lookup_macs
from mdmsdk_intune.simulator.habits import IntuneHabits

if TYPE_CHECKING:
    from mdmsdk.simulator import Fleet, SimDevice

__all__ = ["Retrieval", "compliant_text"]

_NAMESPACE: Final = (
    "http://schemas.datacontract.org/2004/07/Microsoft.Intune.ResourceAccess.ComplianceRetrievalService.Model"
)
_PORTAL: Final = "https://portal.manage.microsoft.com/networkaccesscontrol/index"

Answer = tuple[int, str]


def compliant_text(device: "SimDevice", habits: IntuneHabits) -> str | None:
    """Give the service's boolean for a device; None where it leaves it out."""
    if habits.retrieval_says:
        return habits.retrieval_says
    if device.compliance == "unknown":
        return None if habits.unknown_as == "absent" else habits.unknown_as
    # A device in its grace period is still let in.
    return "true" if device.compliance in {"compliant", "grace"} else "false"


class Retrieval:
    """Answers requests below the service's address.

    Attributes:
        lists: How many noncompliant lists were begun.
    """

    def __init__(self) -> None:
        """Start without any list."""
        self.lists = 0
        self._next_list = 0.0

    def describe(self, habits: IntuneHabits) -> Answer:
        """Answer the request for the description."""
        fields = {
            "name": "mdminfo",
            "api_version": "3",
            "api_path": f"{SERVICE_PATH}/cisco",
            "redirect_url": _PORTAL,
            "query_max_size": str(habits.query_max_size),
            "messaging_support": "false",
            "vendor": "Microsoft",
            "product_name": "Microsoft Intune",
            "product_version": "5.0",
        }
        return 200, _document("".join(_element(name, text) for name, text in fields.items()))

    def devices(self, fleet: "Fleet", habits: IntuneHabits, asked: Mapping[str, str]) -> Answer:
        """Answer a request for devices."""
        value, paging = asked.get("value", ""), asked.get("paging", "")
        if not value or not paging.isdecimal():
            return 400, "a value and a page are wanted"
        match asked.get("querycriteria"):
            case "macaddress":
                rows = fleet.select(lambda device: value in lookup_macs(device))
                return self._lookup(fleet, habits, rows, value if habits.names_macs else "")
            case "guid":
                return self._lookup(fleet, habits, fleet.by_guid(value), "")
            case "compliance" if value == "false":
                by_mac = asked.get("deviceidentifier") == "macaddress"
                return self._noncompliant(fleet, habits, int(paging), by_mac=by_mac)
        return 400, "this criterion is not supported"

    def _lookup(self, fleet: "Fleet", habits: IntuneHabits, rows: Sequence["SimDevice"], mac: str) -> Answer:
        if habits.retrieval_rows == "everything":
            rows = fleet[:]
        elif habits.retrieval_rows == "other_device":
            rows = [device for device in fleet if device not in rows][:1]
        rows = [device for device in rows if device.guid not in habits.retrieval_lacks]
        if not rows and habits.missing != "empty":
            text = _document(_head())
            return (404, text) if habits.missing == "not_found" else (200, text)
        right = habits.retrieval_rows == "right"
        return 200, _list(
            _row(device, habits, mac if right else _first_mac(device) if mac else "") for device in rows
        )

    def _noncompliant(self, fleet: "Fleet", habits: IntuneHabits, start: int, *, by_mac: bool) -> Answer:
        if not start:
            if habits.bulk_interval and time.monotonic() < self._next_list:
                return 503, "the service is not available"
            self._next_list = time.monotonic() + habits.bulk_interval
            self.lists += 1
        rows = fleet.select(lambda device: device.registered and compliant_text(device, habits) == "false")
        end = start + habits.query_max_size
        following = str(end) if end < len(rows) else "0"
        shown = (_row(device, habits, _first_mac(device) if by_mac else "") for device in rows[start:end])
        return 200, _list(shown, _element("paging_info", following))


def _first_mac(device: "SimDevice") -> str:
    return next(iter(lookup_macs(device)), "")


def _row(device: "SimDevice", habits: IntuneHabits, mac: str) -> str:
    name = _element("macaddress", mac) if mac else _element("guid", device.guid)
    status = compliant_text(device, habits)
    verdict = "<Compliance/>" if status is None else f"<Compliance>{_element('status', status)}</Compliance>"
    registered = _element("register_status", "true" if device.registered else "false")
    attributes = f"<Attributes>{_element('guid', device.guid)}{registered}{verdict}</Attributes>"
    return f"<device>{name}{attributes}</device>"


def _list(rows: Iterable[str], paging: str = "") -> str:
    return _document(f"{_head()}{paging}<deviceList>{''.join(rows)}</deviceList>")


def _head() -> str:
    return _element("name", "attributes") + _element("api_version", "3")


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"


def _document(content: str) -> str:
    schemas = f'xmlns="{_NAMESPACE}" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
    return f"<ise_api {schemas}>{content}</ise_api>"
