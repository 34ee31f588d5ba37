"""The inventories of a Jamf Pro server: requests for their pages.

Source: "Jamf Pro API Overview", section on pagination, https://developer.jamf.com/jamf-pro/docs/jamf-pro-api-overview.
"""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from mdmsdk.damage import around_damage
from mdmsdk.errors import MalformedResponseError
from mdmsdk.flow import Flow, send, together
from mdmsdk.paging import ReadPage, Slice, collect, numbered
from mdmsdk.rows import Row
from mdmsdk.wire import Request, Response
from mdmsdk_jamf.records import COMPUTERS, REALMS, VERSIONS, Realm, Record
from mdmsdk_jamf.rsql import encoded, later

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from mdmsdk_jamf.settings import JamfSettings

__all__ = ["Inventory", "read_page"]


class Inventory:
    """The computers and mobile devices of one server.

    Args:
        settings: of the server.
        version: of the inventory of computers.
    """

    def __init__(self, settings: JamfSettings, version: str | None = None) -> None:
        self.settings, self.version = settings, version

    def get(self, path: str, params: Mapping[str, Any] | None = None, search: str = "") -> Flow[Response]:
        """The answer for a path, parameters and a filter."""
        url = self.settings.base_url + path + (f"?filter={encoded(search)}" if search else "")
        return send(Request("GET", url, params or {}, headers={"Accept": "application/json"}))

    def count(self, realm: Realm = COMPUTERS) -> Flow[int]:
        """How many devices there are in an inventory."""
        asked = {"section": "GENERAL", "page": 0, "page-size": 1, **realm.params}
        response = yield from self.get(realm.path.format(version=self.version), asked)
        return read_page(response.json())[1]

    def read(self, search: str = "", since: datetime | None = None) -> ReadPage[Record]:
        """For `mdmsdk.paging.walk`: the records of an inventory that a filter lets through, or the changes.

        A single damaged record makes the server fail at the whole page (jamf/powerbi, issue 22).
        """

        def ask(scope: str, offset: int, limit: int) -> Flow[Slice[Record]]:
            realm = REALMS[scope]
            changed = since and later(realm.changes[self.version == VERSIONS[0]], since)
            ask_page = partial(self._page, realm, changed or search)
            return (numbered if search else around_damage)(ask_page, offset, limit)

        return ask

    def _page(self, realm: Realm, search: str, page: int, size: int) -> Flow[Slice[Record]]:
        path = realm.path.format(version=self.version)
        params = {"section": realm.sections, "sort": f"{realm.id_field}:asc", **realm.params}
        response = yield from self.get(path, {**params, "page": page, "page-size": size}, search)
        rows, total = read_page(response.json())
        records = [Record.read(realm, row, response.date) for row in rows]
        return Slice([(record.number, record) for record in records], total)

    def find(
        self, searches: Iterable[tuple[Realm, str]], keep: Callable[[Record], bool]
    ) -> Flow[list[Record]]:
        """The records that filters let through, as far as they are to be kept."""
        size, most = self.settings.page_size, self.settings.policy.max_pages
        parts = [
            collect(self.read(search), [realm.name], size, max_pages=most, ordered=True, keep=keep)
            for realm, search in searches
        ]
        return list(chain(*(yield from together(*parts))))


def read_page(payload: Any) -> tuple[list[Row], int]:
    """The rows of an answer, and how many the whole list has.

    Raises:
        MalformedResponseError: it is no page of a list.
    """
    page = Row(payload, "a page of a list")
    if (total := page.whole("totalCount")) is None:
        raise MalformedResponseError("Jamf Pro does not say how many records a list has")
    return page.records("results"), total
