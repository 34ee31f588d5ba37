"""Smart groups as the source of compliance. Each record lists its own, so that they cost next to nothing.

Source: the API's own description on each server, ``/api/doc``: computer-groups and mobile-device-groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from mdmsdk.errors import (
    ConfigurationError,
    FilterIgnoredError,
    IncompleteListError,
    MalformedResponseError,
    VersionMismatchError,
)
from mdmsdk.flow import newest
from mdmsdk.membership import Membership, Named
from mdmsdk.rows import Row
from mdmsdk_jamf.inventory import read_page
from mdmsdk_jamf.records import MOBILE_DEVICES, REALMS, Record
from mdmsdk_jamf.rsql import any_of, chunks
from mdmsdk_jamf.sources.base import JamfSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mdmsdk.errors import MdmError
    from mdmsdk.flow import Flow
    from mdmsdk.membership import Members
    from mdmsdk_jamf.records import Realm

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


class SmartGroups(JamfSource, Membership[Record]):
    """Membership in a smart group of each realm."""

    word: ClassVar[str] = "smart group"

    def catalogue(self, part: str) -> Flow[list[Named]]:
        """The smart groups of a realm.

        Raises:
            VersionMismatchError: the server has no list of them.
        """
        message = f"this Jamf Pro server has no list of groups of {part}"
        too_old = VersionMismatchError(message, hint="Update Jamf Pro.")
        _, rows = yield from newest(self._rows, _PATHS[part], otherwise=too_old)
        return [group for row in rows if (group := _read(row))]

    def _rows(self, path: str) -> Flow[list[Row]]:
        rows: list[Row] = []
        for page in range(_MOST_PAGES):
            payload = (yield from self.get(f"/api/{path}", {"page": page, "page-size": _PAGE})).json()
            if isinstance(payload, list):
                return [Row(row, "a group") for row in payload]
            more, total = read_page(payload)
            rows += more
            if not more or len(rows) >= total:
                return rows
        raise IncompleteListError("Jamf Pro's list of groups does not come to an end", collected=len(rows))

    def members(self, part: str, group: Named, records: Sequence[Record]) -> Flow[Members]:
        """Which of the records are in a group, with its description.

        Raises:
            ConfigurationError: some are not, because the group was deleted.
        """
        realm, damaged = REALMS[part], set()
        found: dict[str, str | MdmError | None] = {}
        for record in records:
            if realm is MOBILE_DEVICES and not record.row.has(realm.groups):
                damaged.add(record.id)
                continue
            try:
                if own := group_of(record, group.id):
                    found[record.id] = own.text("groupDescription")
            except MalformedResponseError:
                message = f"Jamf Pro left the groups out of a record of {part} ({record.id})"
                found[record.id] = MalformedResponseError(message, hint=_NO_GROUPS_HINT)
        for ids in chunks(sorted(damaged)):
            found |= dict.fromkeys((yield from self._damaged_members(realm, group, ids)))
        if all(record.id in found for record in records):
            return found
        # Of a deleted group nobody is a member, which says nothing.
        if group.id not in {one.id for one in (yield from self.catalogue(part))}:
            raise ConfigurationError(
                f"the smart group {group.name!r} for {part} does not exist any more",
                hint=f"Name another one in compliance.{part}.",
            )
        return found

    def _damaged_members(self, realm: Realm, group: Named, ids: Sequence[str]) -> Flow[list[str]]:
        """Ask by filter: the server leaves the groups out of a damaged record, but still knows them."""
        found = yield from self._filtered(realm, group.id, ids)
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
