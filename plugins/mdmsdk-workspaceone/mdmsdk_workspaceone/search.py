"""The device search: its parameters in each version, and the check of its rows. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mdmsdk.errors import FilterIgnoredError, MalformedResponseError
from mdmsdk.models import ComplianceState
from mdmsdk_workspaceone.records import Record, undecided

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdmsdk.models import Device
    from mdmsdk_workspaceone.settings import WorkspaceOneSettings

__all__ = ["SearchNames", "left_out", "read_rows", "select"]


class SearchNames(NamedTuple):
    """How one version of the search calls its parameters; a name of another version is ignored."""

    compliance: str | None
    page_size: str
    group: str
    order: dict[str, str]

    @classmethod
    def of(cls, version: int) -> SearchNames:
        """The names of a version."""
        return _NAMES[version]

    def params(
        self, settings: WorkspaceOneSettings, page: int, size: int, *, noncompliant: bool
    ) -> dict[str, str | int]:
        """The parameters for one page of a list; pages count from 0."""
        params: dict[str, str | int] = {"page": page, self.page_size: size, **self.order}
        if settings.organization_group is not None:
            params[self.group] = settings.organization_group
        if noncompliant and self.compliance:
            params[self.compliance] = "false"
        return params


# API help, GET /devices/search of mdm v1, v2 and v3. Sorted by number, so that pages stay put while devices
# change; version 3 does not say how that column is called. Nor does it say which values its compliance_status
# takes: one that is not understood might give an empty list, which reads "all comply", and a single word
# leave out devices that are blocked or quarantined. So there everything is read and selected from.
_BY_NUMBER: Final = {"orderby": "deviceid", "sortorder": "ASC"}
_NAMES: Final = {
    1: SearchNames("compliantstatus", "pagesize", "lgid", _BY_NUMBER),
    2: SearchNames("compliance_status", "pagesize", "lgid", _BY_NUMBER),
    3: SearchNames(None, "page_size", "organization_group_uuid", {}),
}


def read_rows(document: dict[str, Any]) -> tuple[list[Any], int | None]:
    """The rows of an answer that lists devices, and how many the server counts in all, where it says so.

    Args:
        document: in PascalCase (v1, v2) or snake_case (v3); empty for an answer without content.

    Raises:
        MalformedResponseError: it has no list of devices.
    """
    if not document:
        return [], None
    answer = Record(document, "a list of devices")
    rows, total = answer.value("Devices"), answer.number("Total")
    if not isinstance(rows, list):
        raise MalformedResponseError("the server's answer has no list of devices")
    return rows, int(total) if total and total > 0 else None


# API help, mdm v1, POST /devices: OrphanDevicesDetails {Count, Devices[{DeviceUuid, ErrorCode, …}]}.
def left_out(document: dict[str, Any]) -> bool:
    """Whether an answer that lists devices names some that it does not give."""
    orphans = Record(document, "a list of devices").row("OrphanDevicesDetails")
    return bool(orphans.number("Count") or orphans.value("Devices"))


def select(rows: Sequence[tuple[Record, Device]], *, filtered: bool) -> list[Device]:
    """The noncompliant ones of a page, without those that have left.

    The search does not care for enrolment, and may count what is pending as not compliant. What the server
    found and the record does not explain stays in the list, with its state unknown.

    Args:
        rows: the page.
        filtered: whether the server was asked for noncompliant ones only.

    Raises:
        FilterIgnoredError: it was, and a device complies or does not show whether it does.
    """
    for _, device in rows if filtered else ():
        compliance = device.compliance
        if compliance.state is ComplianceState.COMPLIANT or compliance.vendor_state is None:
            raise FilterIgnoredError("the server's noncompliant list holds a device that is not noncompliant")
    return [
        device
        for record, device in rows
        if record.enrolled is not False
        and (
            device.compliance.state is ComplianceState.NONCOMPLIANT
            or (filtered and (device.unreadable or not undecided(device.compliance.vendor_state or "")))
        )
    ]
