"""Smart groups as the source of compliance. Each record lists its own, so that they cost next to nothing.

Source: the API's own description on each server, ``/api/doc``: computer-groups and mobile-device-groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from mdmsdk.errors import (
    ConfigurationError,
    EndpointNotFoundError,
    FilterIgnoredError,
    IncompleteListError,
    MalformedResponseError,
    VersionMismatchError,
)
from mdmsdk.rows import Row
from mdmsdk_jamf.inventory import read_page
from mdmsdk_jamf.records import MOBILE_DEVICES
from mdmsdk_jamf.rsql import any_of, chunks
from mdmsdk_jamf.sources.base import Named
from mdmsdk_jamf.sources.membership import Membership

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdmsdk.errors import MdmError
    from mdmsdk.flow import Flow
    from mdmsdk_jamf.records import Realm, Record
    from mdmsdk_jamf.sources.membership import Members

__all__ = ["SmartGroups"]

_PAGE: Final = 1000
_MOST_PAGES: Final = 100
_NO_SITE: Final = "-1"
_NO_GROUP: Final = "0"
"""The server counts its groups from 1."""
# Newest first; the last ones list all groups at once and ask for the privilege to read static groups as well.
_PATHS: Final = {
    "computers": ("v3/computer-groups/smart-groups", "v2/computer-groups/smart-groups", "v1/computer-groups"),
    "mobile_devices": (
        *("v2/mobile-device-groups/smart-groups", "v1/mobile-device-groups/smart-groups"),
        "v1/mobile-device-groups",
    ),
}


_NO_GROUPS_HINT: Final = (
    "Have the device's inventory updated; if all records lack their groups, check the account's privileges."
)


class SmartGroups(Membership):
    """Membership in a smart group of each realm."""

    word: ClassVar[str] = "smart group"

    def catalogue(self, realm: Realm) -> Flow[list[Named]]:
        """The smart groups of a realm.

        Raises:
            VersionMismatchError: the server has no list of them.
        """
        for path in _PATHS[realm.name]:
            try:
                rows = yield from self._rows(f"/api/{path}")
            except EndpointNotFoundError:
                continue
            return [group for row in rows if (group := _read(row))]
        raise VersionMismatchError(
            f"this Jamf Pro server has no list of groups of {realm.name}", hint="Update Jamf Pro."
        )

    def _rows(self, path: str) -> Flow[list[Row]]:
        rows: list[Row] = []
        for page in range(_MOST_PAGES):
            payload = (yield from self.get(path, {"page": page, "page-size": _PAGE})).json()
            if isinstance(payload, list):
                return [Row(row, "a group") for row in payload]
            more, total = read_page(payload)
            rows += more
            if not more or len(rows) >= total:
                return rows
        raise IncompleteListError("Jamf Pro's list of groups does not come to an end", collected=len(rows))

    def members(self, realm: Realm, target: Named, records: Sequence[Record]) -> Flow[Members]:
        """Which of the records are in a group, with its description.

        Raises:
            ConfigurationError: some are not, because the group was deleted.
        """
        found: dict[str, str | MdmError | None] = {}
        damaged = set()
        for record in records:
            if realm is MOBILE_DEVICES and not record.row.has(realm.groups):
                damaged.add(record.id)
                continue
            try:
                if group := group_of(record, target.id):
                    found[record.id] = group.text("groupDescription")
            except MalformedResponseError:
                message = f"Jamf Pro left the groups out of a record of {realm.name} ({record.id})"
                found[record.id] = MalformedResponseError(message, hint=_NO_GROUPS_HINT)
        for ids in chunks(sorted(damaged)):
            found |= dict.fromkeys((yield from self._damaged_members(realm, target, ids)))
        if all(record.id in found for record in records):
            return found
        # Of a deleted group nobody is a member, which says nothing.
        if target.id not in {group.id for group in (yield from self.catalogue(realm))}:
            raise ConfigurationError(
                f"the smart group {target.name!r} for {realm.name} does not exist any more",
                hint=f"Name another one in compliance.{realm.name}.",
            )
        return found

    def _damaged_members(self, realm: Realm, target: Named, ids: Sequence[str]) -> Flow[list[str]]:
        """Ask by filter: the server leaves the groups out of a damaged record, but still knows them."""
        found = yield from self._filtered(realm, target.id, ids)
        # Where all are in it, the filter may as well have been dropped: then they are in every group.
        if len(found) == len(ids) and (yield from self._filtered(realm, _NO_GROUP, ids)):
            raise FilterIgnoredError("Jamf Pro ignores the search for the members of a group")
        return found

    def _filtered(self, realm: Realm, group: str, ids: Sequence[str]) -> Flow[list[str]]:
        search = f"{any_of(['groupId'], [group])};({any_of([realm.id_field], ids)})"
        response = yield from self.get(realm.path, {**realm.params, "page-size": len(ids)}, search)
        rows, total = read_page(response.json())
        found = [row.required(realm.id_field) for row in rows]
        if len(found) != total or not set(found) <= set(ids):
            raise FilterIgnoredError("Jamf Pro answered with other mobile devices than those asked for")
        return found


def _read(row: Row) -> Named | None:
    """A smart group of the list; None for a static one."""
    number, name = row.text("groupId", "id"), row.text("groupName", "name")
    static = row.flag("smartGroup", "isSmartGroup") is False
    site = row.text("siteId")
    limited = None if site == _NO_SITE else site
    return Named(number, name, limited) if number and name and not static else None


def group_of(record: Record, group_id: str) -> Row | None:
    """The group among those that the record lists; None where the device is no member.

    Raises:
        MalformedResponseError: the record does not list its groups by id, which proves nothing.
    """
    groups = record.row.records(record.realm.groups)
    return {group.required("groupId"): group for group in groups}.get(group_id)
