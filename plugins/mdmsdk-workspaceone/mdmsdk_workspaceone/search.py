"""The device search: its parameters in each version, its pages, and the check of its rows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from mdmsdk.errors import FilterIgnoredError, IncompleteListError, MalformedResponseError
from mdmsdk.models import ComplianceState
from mdmsdk.provider import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdmsdk.models import Device
    from mdmsdk_workspaceone.settings import WorkspaceOneSettings

__all__ = ["Place", "SearchNames", "read_rows", "select"]


class SearchNames(NamedTuple):
    """How one version of the search calls its parameters; a name of another version is ignored."""

    compliance: str
    page_size: str
    group: str
    order: dict[str, str]

    @classmethod
    def of(cls, version: int) -> SearchNames:
        """The names of a version."""
        return _NAMES[version]

    def params(
        self, settings: WorkspaceOneSettings, page: int, *, noncompliant: bool
    ) -> dict[str, str | int]:
        """The parameters for one page of a list."""
        params: dict[str, str | int] = {"page": page, self.page_size: settings.page_size, **self.order}
        if settings.organization_group is not None:
            params[self.group] = settings.organization_group
        wanted = settings.v3_compliance_filter if self is _NAMES[3] else "false"
        if noncompliant and wanted is not None:
            params[self.compliance] = wanted
        return params


# API help, GET /devices/search of mdm v1, v2 and v3. Sorted by number, so that pages stay put while devices
# change; version 3 does not say how that column is called. Nor does it say which values its
# compliance_status takes: one that is not understood might give an empty list, which reads "all comply".
_BY_NUMBER: Final = {"orderby": "deviceid", "sortorder": "ASC"}
_NAMES: Final = {
    1: SearchNames("compliantstatus", "pagesize", "lgid", _BY_NUMBER),
    2: SearchNames("compliance_status", "pagesize", "lgid", _BY_NUMBER),
    3: SearchNames("compliance_status", "page_size", "organization_group_uuid", {}),
}


def read_rows(document: dict[str, Any]) -> tuple[list[Any], int]:
    """The rows of an answer that lists devices, and how many the server counts in all (0: not said).

    Args:
        document: in PascalCase (v1, v2) or snake_case (v3); empty for an answer without content.

    Raises:
        MalformedResponseError: it has no list of devices.
    """
    if not document:
        return [], 0
    names = {name.lower(): value for name, value in document.items()}
    rows, total = names.get("devices"), names.get("total")
    if not isinstance(rows, list):
        raise MalformedResponseError("the server's answer has no list of devices")
    return rows, total if isinstance(total, int) and total > 0 else 0


@dataclass(frozen=True, slots=True)
class Place:
    """How far a list has been read.

    Attributes:
        page: the next page, from 0.
        seen: rows that came.
        dropped: rows of them that are no answer.
        total: rows that the server counted.
    """

    page: int = 0
    seen: int = 0
    dropped: int = 0
    total: int = 0

    @classmethod
    def read(cls, cursor: str | None) -> Place:
        """The place that `str` gave."""
        return cls(*map(int, cursor.split(":"))) if cursor else cls()

    def __str__(self) -> str:
        return f"{self.page}:{self.seen}:{self.dropped}:{self.total}"

    # API help: pages count from 0; past the last row the answer is 204 or an empty list.
    def after(self, items: Sequence[Device], rows: int, total: int) -> Page[Device]:
        """The page of `items`, which were chosen from so many `rows`, and where the next one is.

        Raises:
            IncompleteListError: the list became shorter while it was read, so rows have moved to pages
                that were read before.
        """
        if rows and self.total and total < self.total:
            raise IncompleteListError(f"the list shrank from {self.total} to {total} rows while it was read")
        total = max(total, self.total)
        seen, dropped = self.seen + rows, self.dropped + rows - len(items)
        ended = not rows or (total > 0 and seen >= total)
        following = None if ended else str(Place(self.page + 1, seen, dropped, total))
        return Page(items, following, total=total - dropped if total else None)


def select(devices: Sequence[Device], *, filtered: bool) -> list[Device]:
    """The enrolled, noncompliant ones of a page.

    The search does not care for enrolment, and may count what is pending as not compliant.

    Args:
        devices: the page.
        filtered: whether the server was asked for noncompliant ones only.

    Raises:
        FilterIgnoredError: it was, and a device complies or does not show whether it does.
    """
    for device in devices if filtered else ():
        compliance = device.compliance
        if compliance.state is ComplianceState.COMPLIANT or compliance.vendor_state is None:
            raise FilterIgnoredError("the server's noncompliant list holds a device that is not noncompliant")
    return [
        device
        for device in devices
        if device.registered and device.compliance.state is ComplianceState.NONCOMPLIANT
    ]
