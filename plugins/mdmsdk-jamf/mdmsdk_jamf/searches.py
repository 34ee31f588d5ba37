"""Advanced searches as the source of compliance, which the Classic API alone can run; and that API's lists.

Source: "Classic API", advancedcomputersearches and advancedmobiledevicesearches, on each server under
``/classicapi/doc``. The Jamf Pro API knows no more than the criteria of the ones for mobile devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from mdmsdk.errors import MalformedResponseError
from mdmsdk.rows import Row
from mdmsdk_jamf.inventory import COMPUTERS, MOBILE_DEVICES
from mdmsdk_jamf.membership import Membership, Named

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mdmsdk.flow import Flow
    from mdmsdk_jamf.inventory import Realm, Record
    from mdmsdk_jamf.membership import Get
    from mdmsdk_jamf.settings import ComplianceSettings

__all__ = ["AdvancedSearches", "Run", "classic_rows"]

_NODES_DIFFER: Final = timedelta(seconds=10)
"""How far the clocks of a cluster's nodes may be apart."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How the Classic API calls the advanced searches of one realm, and what they list."""

    path: str
    many: str
    one: str
    rows: str


_KINDS: Final = {
    COMPUTERS.name: _Kind(
        "/JSSResource/advancedcomputersearches",
        "advanced_computer_searches",
        "advanced_computer_search",
        "computers",
    ),
    MOBILE_DEVICES.name: _Kind(
        "/JSSResource/advancedmobiledevicesearches",
        "advanced_mobile_device_searches",
        "advanced_mobile_device_search",
        "mobile_devices",
    ),
}


@dataclass(frozen=True, slots=True)
class Run:
    """What an advanced search found when it was run.

    Attributes:
        search: its id.
        members: ids of the records in it, each with no description.
        at: a time before that, by the server's clock, if it said so.
    """

    search: str
    members: dict[str, None]
    at: datetime | None

    def is_good_for(self, record: Record, max_age: float) -> bool:
        """Whether it tells about a record that the server showed at most `max_age` seconds later.

        A device that has sent its inventory since then may belong to the search now, or not any more.
        """
        if self.at is None or record.answered is None:
            return False
        if abs(record.answered - self.at) >= timedelta(seconds=max_age):
            return False
        return record.reported_at is None or record.reported_at < self.at - _NODES_DIFFER


class AdvancedSearches(Membership):
    """Membership in a saved search of each realm, as the integration with Cisco ISE uses it.

    The server runs a search anew for each answer, and gives all of it. So an answer is used again for a
    while, by the server's clock.
    """

    word: ClassVar[str] = "advanced search"

    def __init__(self, settings: ComplianceSettings, get: Get) -> None:
        super().__init__(settings, get)
        self._runs: dict[str, Run] = {}

    def catalogue(self, realm: Realm) -> Flow[list[Named]]:
        """The advanced searches of a realm."""
        kind = _KINDS[realm.name]
        rows = classic_rows((yield from self.get(kind.path)).json(), kind.many)
        found = [(row.text("id"), row.text("name")) for row in rows]
        return [Named(number, name) for number, name in found if number and name]

    def members(self, realm: Realm, target: Named, records: Sequence[Record]) -> Flow[dict[str, None]]:
        """All that are in a search, by its last run if that is good for these records.

        Raises:
            MalformedResponseError: the answer is another search, or none, or lists something without an id.
        """
        run, max_age = self._runs.get(realm.name), self.settings.search_max_age
        if run and run.search == target.id and all(run.is_good_for(record, max_age) for record in records):
            return run.members
        kind = _KINDS[realm.name]
        payload = (yield from self.get(f"{kind.path}/id/{quote(target.id, safe='')}")).json()
        content = payload.get(kind.one) if isinstance(payload, dict) else None
        if Row(content, "an advanced search").text("id") != target.id:
            raise MalformedResponseError(
                "Jamf Pro answered with something else than the advanced search asked for"
            )
        run = Run(target.id, dict.fromkeys(map(_number, classic_rows(content, kind.rows))), _latest(records))
        self._runs[realm.name] = run
        return run.members


def _number(row: Row) -> str:
    if not (found := row.text("id")):
        raise MalformedResponseError("Jamf Pro lists something without an id in an advanced search")
    return found


# A run may take long, and what its answer is dated with is its end: so the time of the records counts.
def _latest(records: Sequence[Record]) -> datetime | None:
    times = [record.answered for record in records]
    known = [time for time in times if time]
    return max(known) if known and len(known) == len(times) else None


# The Classic API's JSON is made from its XML: a list of one may come as that one.
def classic_rows(content: Any, name: str) -> list[Row]:
    """The rows of a list of the Classic API.

    Raises:
        MalformedResponseError: there is no such list.
    """
    rows = content.get(name) if isinstance(content, dict) else None
    rows = [rows] if isinstance(rows, dict) else rows
    if not isinstance(rows, list):
        raise MalformedResponseError(f"Jamf Pro's Classic API answered without a list of {name}")
    return [Row(row, f"one of the {name}") for row in rows]
