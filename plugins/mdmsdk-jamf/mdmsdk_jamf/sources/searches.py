"""Advanced searches as the source of compliance, which the Classic API alone can run; and that API's lists.

Source: "Classic API", advancedcomputersearches and advancedmobiledevicesearches, on each server under
``/classicapi/doc``. The Jamf Pro API knows no more than the criteria of the ones for mobile devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import quote

from mdmsdk.errors import MalformedResponseError
from mdmsdk.membership import Membership, Named
from mdmsdk.rows import Row
from mdmsdk_jamf.records import Record
from mdmsdk_jamf.sources.base import JamfSource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mdmsdk.flow import Flow
    from mdmsdk.membership import Members

__all__ = ["AdvancedSearches", "Run", "classic_rows"]

_NODES_DIFFER: Final = timedelta(seconds=10)
"""How far the clocks of a cluster's nodes may be apart."""
_GOOD_FOR: Final = timedelta(minutes=1)
"""How long a run serves the pages of a list."""


@dataclass(frozen=True, slots=True)
class Run:
    """What an advanced search found when it was run.

    Attributes:
        search: the inventory that it searches, and its id.
        members: ids of the records in it.
        at: a time before that, by the server's clock, if it said so.
    """

    search: tuple[str, str]
    members: frozenset[str]
    at: datetime | None


class AdvancedSearches(JamfSource, Membership[Record]):
    """Membership in a saved search of each realm, as the integration with Cisco ISE uses it.

    The server runs a search anew for each answer, and gives all of it. So each page of a list passes the run
    on to the next one.
    """

    word: ClassVar[str] = "advanced search"

    def catalogue(self, part: str) -> Flow[list[Named]]:
        """The advanced searches of a realm."""
        path, word = _names(part)
        answer = Row((yield from self.get(path)).json(), "a list of searches")
        found = [(row.text("id"), row.text("name")) for row in classic_rows(answer, f"{word}_searches")]
        return [Named(number, name) for number, name in found if number and name]

    def members(self, part: str, group: Named, records: Sequence[Record]) -> Flow[Members]:
        """All that are in a search, by its last run if that is good for these records.

        Raises:
            MalformedResponseError: the answer is another search, or none, or lists something without an id.
        """
        own = (part, group.id)
        for run in self.runs:
            if run.search == own and all(_is_good_for(run, record) for record in records):
                return dict.fromkeys(run.members)
        path, word = _names(part)
        payload = (yield from self.get(f"{path}/id/{quote(group.id, safe='')}")).json()
        content = Row(payload, "an answer").row(f"{word}_search")
        if content.text("id") != group.id:
            raise MalformedResponseError("Jamf Pro answered with another advanced search")
        rows = classic_rows(content, word.removeprefix("advanced_") + "s")
        ids = frozenset(row.required("id") for row in rows)
        # A run may take long, and its answer is dated with its end: so the time of the records counts.
        times = [record.answered for record in records if record.answered]
        at = max(times) if len(times) == len(records) else None
        run = Run(own, ids, at)
        self.runs = (run, *(other for other in self.runs if other.search[0] != part))
        return dict.fromkeys(run.members)


def _names(part: str) -> tuple[str, str]:
    """The path of the searches of a realm, and what the names in their answers begin with."""
    word = part.removesuffix("s")
    return f"/JSSResource/advanced{word.replace('_', '')}searches", f"advanced_{word}"


def _is_good_for(run: Run, record: Record) -> bool:
    """Whether a run tells about a record that the server showed afterwards.

    A device that has sent its inventory since then may belong to the search now, or not any more.
    """
    if run.at is None or record.answered is None or abs(record.answered - run.at) >= _GOOD_FOR:
        return False
    return record.reported_at is None or record.reported_at < run.at - _NODES_DIFFER


# The Classic API's JSON is made from its XML: a list of one may come as that one.
def classic_rows(answer: Row, name: str) -> list[Row]:
    """The rows of a list of the Classic API.

    Raises:
        MalformedResponseError: there is no such list.
    """
    rows = answer.document.get(name)
    return [Row(rows)] if isinstance(rows, dict) else answer.records(name)
