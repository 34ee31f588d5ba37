"""Where verdicts come from: asking Jamf Pro for what `mdmsdk_jamf.verdicts` then reads."""

from __future__ import annotations

import difflib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mdmsdk.errors import (
    ConfigurationError,
    EndpointNotFoundError,
    FilterIgnoredError,
    MalformedResponseError,
    VersionMismatchError,
)
from mdmsdk.flow import together
from mdmsdk_jamf import verdicts
from mdmsdk_jamf.inventory import COMPUTERS, MOBILE_DEVICES, REALMS, text
from mdmsdk_jamf.paging import read_page
from mdmsdk_jamf.rsql import any_of, chunks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mdmsdk.flow import Flow
    from mdmsdk.models import Compliance
    from mdmsdk.wire import Response
    from mdmsdk_jamf.inventory import Realm, Record
    from mdmsdk_jamf.paging import Row
    from mdmsdk_jamf.settings import ComplianceSettings

    Get = Callable[..., Flow[Response]]
    """Asks for a path, with parameters and a filter."""

__all__ = ["Named", "classic_rows", "judge", "resolve"]

_CATALOGUE_PAGE: Final = 1000
# Newest first; the last ones list all groups at once and ask for the privilege to read static groups as well.
_GROUPS: Final = {
    COMPUTERS.name: (
        "/api/v3/computer-groups/smart-groups",
        "/api/v2/computer-groups/smart-groups",
        "/api/v1/computer-groups",
    ),
    MOBILE_DEVICES.name: (
        "/api/v2/mobile-device-groups/smart-groups",
        "/api/v1/mobile-device-groups/smart-groups",
        "/api/v1/mobile-device-groups",
    ),
}


@dataclass(frozen=True, slots=True)
class _Search:
    """How the Classic API calls an advanced search of one realm, and what it lists."""

    path: str
    many: str
    one: str
    rows: str


# "Classic API", advancedcomputersearches and advancedmobiledevicesearches: the only place where a saved
# search can be run; the Jamf Pro API knows no more than the criteria of the one for mobile devices.
_SEARCHES: Final = {
    COMPUTERS.name: _Search(
        "/JSSResource/advancedcomputersearches",
        "advanced_computer_searches",
        "advanced_computer_search",
        "computers",
    ),
    MOBILE_DEVICES.name: _Search(
        "/JSSResource/advancedmobiledevicesearches",
        "advanced_mobile_device_searches",
        "advanced_mobile_device_search",
        "mobile_devices",
    ),
}


@dataclass(frozen=True, slots=True)
class Named:
    """A group or search as the server knows it."""

    id: str
    name: str


def resolve(get: Get, settings: ComplianceSettings) -> Flow[dict[str, dict[str, str]]]:
    """Find the groups or searches that the settings name, by realm.

    Raises:
        ConfigurationError: there is none of that name or id; near matches are named.
    """
    found = {}
    for realm, wanted in ((COMPUTERS, settings.computers), (MOBILE_DEVICES, settings.mobile_devices)):
        if settings.named and wanted is not None:
            catalogue = yield from (_groups if settings.source == "smart-group" else _searches)(get, realm)
            chosen = _choose(wanted, catalogue, f"{settings.source.replace('-', ' ')} for {realm.name}")
            found[realm.name] = {"id": chosen.id, "name": chosen.name}
    return found


def judge(
    get: Get, settings: ComplianceSettings | None, named: Mapping[str, Any], records: Sequence[Record]
) -> Flow[list[Compliance]]:
    """The verdict on each record.

    Args:
        get: asks the server.
        settings: the source of compliance.
        named: what `resolve` found.
        records: of either realm.
    """
    if settings is None:
        return [verdicts.UNCONFIGURED] * len(records)
    if settings.rules is not None:
        return [verdicts.by_rules(record, settings.rules) for record in records]
    if not settings.named:
        return (yield from together(*(_by_vendors(get, record) for record in records)))
    members_of = _group_members if settings.source == "smart-group" else _search_members
    found: dict[Record, Compliance] = {}
    for realm in REALMS.values():
        own = [record for record in records if record.realm is realm]
        if realm.name not in named:
            found |= {record: verdicts.not_covered(record) for record in own}
        elif own:
            target = Named(**named[realm.name])
            members = yield from members_of(get, realm, target, own)
            found |= {
                record: verdicts.by_membership(
                    record,
                    member=record.id in members,
                    means_compliant=settings.members == "compliant",
                    source=f"{settings.source.replace('-', ' ')} {target.name!r}",
                    description=members.get(record.id),
                )
                for record in own
            }
    return [found[record] for record in records]


def _make_sure(get: Get, realm: Realm, group: Named) -> Flow[None]:
    """Look whether a group still exists: of one that was deleted nobody is a member, which says nothing."""
    if group.id not in [one.id for one in (yield from _groups(get, realm))]:
        raise ConfigurationError(
            f"the smart group {group.name!r} for {realm.name} does not exist any more",
            hint=f"Name another one in compliance.{realm.name}.",
        )


def _by_vendors(get: Get, record: Record) -> Flow[Compliance]:
    path = f"/api/v1/conditional-access/device-compliance-information/{record.realm.vendor_path}"
    response = yield from get(f"{path}/{quote(record.id, safe='')}")
    return verdicts.by_vendors(record, response.json())


def _group_members(
    get: Get, realm: Realm, group: Named, records: Sequence[Record]
) -> Flow[dict[str, str | None]]:
    """Which of the records are in a group, with its description. Their own sections tell, at no cost.

    Raises:
        ConfigurationError: some are not, because the group was deleted.
    """
    members: dict[str, str | None] = {}
    damaged = []
    for record in records:
        if realm is MOBILE_DEVICES and record.row.get(realm.groups) is None:
            damaged.append(record.id)
        elif found := verdicts.group_of(record, group.id):
            members[record.id] = text(found.get("groupDescription"))
    # Of a damaged mobile device the server leaves sections out; whether it is in a group it still knows.
    for ids in chunks(damaged):
        search = f"{any_of(['groupId'], [group.id])};({any_of([realm.id_field], ids)})"
        path = realm.path.format(version=realm.versions[0])
        response = yield from get(path, {**realm.params, "page-size": len(ids)}, search)
        rows, total = read_page(response.json())
        if len(rows) != total or not {realm.id_of(row) for row in rows} <= set(ids):
            raise FilterIgnoredError("Jamf Pro answered with other mobile devices than those asked for")
        members |= dict.fromkeys(map(realm.id_of, rows))
    if len(members) < len(records):
        yield from _make_sure(get, realm, group)
    return members


def _search_members(
    get: Get, realm: Realm, search: Named, records: Sequence[Record]
) -> Flow[dict[str, str | None]]:
    """All that are in an advanced search. It is run anew for each call, and cannot be asked for in part."""
    del records
    kind = _SEARCHES[realm.name]
    payload = (yield from get(f"{kind.path}/id/{quote(search.id, safe='')}")).json()
    content = payload.get(kind.one) if isinstance(payload, dict) else None
    if not isinstance(content, dict) or text(content.get("id")) != search.id:
        raise MalformedResponseError(
            "Jamf Pro answered with something else than the advanced search asked for"
        )
    ids = [text(row.get("id")) for row in classic_rows(content, kind.rows)]
    return {found: None for found in ids if found}


def _searches(get: Get, realm: Realm) -> Flow[list[Named]]:
    kind = _SEARCHES[realm.name]
    return _catalogue(classic_rows((yield from get(kind.path)).json(), kind.many))


def _groups(get: Get, realm: Realm) -> Flow[list[Named]]:
    for path in _GROUPS[realm.name]:
        try:
            return _catalogue((yield from _all_rows(get, path)))
        except EndpointNotFoundError:
            continue
    raise VersionMismatchError(
        f"this Jamf Pro server has no list of groups of {realm.name}", hint="Update Jamf Pro."
    )


def _all_rows(get: Get, path: str) -> Flow[list[Row]]:
    rows: list[Row] = []
    for page in itertools.count():
        response = yield from get(path, {"page": page, "page-size": _CATALOGUE_PAGE})
        payload = response.json()
        if isinstance(payload, list):
            return [row for row in payload if isinstance(row, dict)]
        more, total = read_page(payload)
        rows += more
        if not more or len(rows) >= total:
            break
    return rows


def _catalogue(rows: Sequence[Row]) -> list[Named]:
    found = []
    for row in rows:
        group_id, name = text(row.get("groupId", row.get("id"))), text(row.get("groupName", row.get("name")))
        static = row.get("smartGroup", row.get("isSmartGroup")) is False
        if group_id and name and not static:
            found.append(Named(group_id, name))
    return found


def _choose(wanted: str | int, catalogue: Sequence[Named], what: str) -> Named:
    text_wanted = str(wanted).strip()
    by_word = {one.name.casefold(): one for one in catalogue} | {one.id: one for one in catalogue}
    if isinstance(wanted, str):  # a name may look like an id, the other way round not
        by_word |= {one.name: one for one in catalogue}
    if found := by_word.get(text_wanted) or by_word.get(text_wanted.casefold()):
        return found
    names = {one.name.casefold(): one for one in catalogue}
    near = [names[name] for name in difflib.get_close_matches(text_wanted.casefold(), names, n=3, cutoff=0.4)]
    listed = ", ".join(f"{one.name!r} (id {one.id})" for one in near) or "none has a similar name"
    raise ConfigurationError(
        f"this Jamf Pro server has no {what} called {text_wanted!r}",
        hint=f"Near matches: {listed}. Correct the setting compliance, or let the account see it: an account "
        "that is limited to a site sees that site's only.",
    )


# The Classic API's JSON is made from its XML: a list of one may come as that one.
def classic_rows(content: Any, name: str) -> list[Row]:
    """The rows of a list of the Classic API.

    Raises:
        MalformedResponseError: there is no such list.
    """
    rows = content.get(name) if isinstance(content, dict) else None
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MalformedResponseError(f"Jamf Pro's Classic API answered without a list of {name}")
    return rows
