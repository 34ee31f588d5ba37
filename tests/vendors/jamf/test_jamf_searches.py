"""Results of advanced searches: shared by the pages of a list, and never about what they cannot know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import Serial
from mdmsdk.membership import Named
from mdmsdk.models import ServerInfo
from mdmsdk.testing import Played, play
from mdmsdk.wire import Response
from mdmsdk_jamf.sources.base import JamfDescription

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.wire import Request
    from mdmsdk_jamf import JamfProvider

    Make = Callable[..., JamfProvider]

SEARCH = {"source": "advanced-search", "computers": 10}
GOOD = Named("10", "Good")
FIRST, LATE = 16, 20
"""Computers on the first page, and one on the second."""


class Server:
    """Twenty computers and one advanced search, at a time of the day."""

    def __init__(self) -> None:
        self.time: str | None = "12:00:00"
        self.reported = "2026-01-15T08:00:00Z"
        self.members = list(range(1, 21))
        self.rows: Any = ...
        self.search_takes = 0
        self.search = 10
        self.played = Played()

    def __call__(self, request: Request) -> Response:
        headers = {"date": f"Thu, 15 Jan 2026 {self.time} GMT"} if self.time else {}
        content: Any = {"totalCount": 0, "results": []}
        if "computers-inventory" in request.url:
            managed = {"remoteManagement": {"managed": True}}
            records = [
                {
                    "id": str(number),
                    "general": {**managed, "reportDate": self.reported if number == LATE else "2026-01-15"},
                    "hardware": {"serialNumber": f"S{number}"},
                }
                for number in range(1, 21)
            ]
            if "filter" in request.url:
                content = {"totalCount": 1, "results": records[-1:]}
            else:
                page, size = (int(str(request.params[name])) for name in ("page", "page-size"))
                content = {"totalCount": 20, "results": records[page * size :][:size]}
        elif "/advancedcomputersearches/id/" in request.url:
            rows = [{"id": number} for number in self.members] if self.rows is ... else self.rows
            if self.time:
                headers = {"date": f"Thu, 15 Jan 2026 {self.time[:-2]}{self.search_takes:02} GMT"}
            content = {"advanced_computer_search": {"id": self.search, "computers": rows}}
        return Response(200, headers, json.dumps(content).encode(), request.full_url)

    def state(self, provider: JamfProvider) -> str:
        """What a lookup says of the late one."""
        info = ServerInfo(api_version="v4", description=JamfDescription(named={"computers": GOOD}))
        (device,) = play(provider.find(info, Serial(f"S{LATE}")), self, provider=provider, record=self.played)
        return str(device.compliance.state)

    def page(
        self, provider: JamfProvider, cursor: Any = None, named: Named = GOOD
    ) -> tuple[dict[str | None, str], Any]:
        """The states on a page of a list by id, and where it goes on."""
        info = ServerInfo(api_version="v4", description=JamfDescription(named={"computers": named}))
        page = play(provider.devices_page(info, cursor), self, provider=provider, record=self.played)
        return {device.id: str(device.compliance.state) for device in page.items}, page.next_cursor

    @property
    def runs(self) -> int:
        return sum("searches/id/" in request.url for request in self.played.requests)


@pytest.fixture
def paged(make: Make) -> JamfProvider:
    """A provider that reads lists in small pages."""
    return make(compliance=SEARCH, page_size=FIRST)


def test_each_lookup_and_batch_runs_the_search_once(make: Make, info: ServerInfo) -> None:
    server, provider = Server(), make(compliance=SEARCH)
    assert server.state(provider) == "compliant"
    server.members = []
    assert (server.state(provider), server.runs) == ("noncompliant", 2)
    keys = [Serial(f"S{LATE}"), *(Serial(f"LONG-SERIAL-NUMBER-{number}") for number in range(400))]
    found = play(provider.find_batch(info, keys), server, provider=provider, record=server.played)
    assert isinstance(found[keys[0]], list)
    assert sum("filter=" in request.url for request in server.played.requests) > 6
    assert server.runs == 3


def test_the_pages_of_a_list_share_a_run_for_a_while_by_the_servers_clock(paged: JamfProvider) -> None:
    server = Server()
    states, cursor = server.page(paged)
    assert (len(states), set(states.values()), server.runs) == (FIRST, {"compliant"}, 1)
    assert hash(cursor) == hash(server.page(paged)[1])
    server.members, runs = [], server.runs
    for time, state, more in (
        ("12:00:59", "compliant", 0),
        ("12:01:00", "noncompliant", 1),
        ("11:58:00", "noncompliant", 1),  # another node, whose clock is wrong
    ):
        server.time = time
        states, _ = server.page(paged, cursor)
        runs += more
        assert (states[str(LATE)], server.runs) == (state, runs)


@pytest.mark.parametrize("reported", ["2026-01-15T12:00:05Z", "2026-01-15T11:59:55Z"])
def test_a_device_that_reported_since_the_run_is_judged_by_a_new_one(
    paged: JamfProvider, reported: str
) -> None:
    server = Server()
    _, cursor = server.page(paged)
    server.time, server.reported, server.members = "12:00:10", reported, []
    states, _ = server.page(paged, cursor)
    assert (states[str(LATE)], server.runs) == ("noncompliant", 2)


def test_a_device_that_never_reported_asks_for_no_new_run(paged: JamfProvider) -> None:
    server = Server()
    server.reported = ""
    _, cursor = server.page(paged)
    states, _ = server.page(paged, cursor)
    assert (states[str(LATE)], server.runs) == ("unknown", 1)


def test_without_the_servers_clock_each_page_has_a_run_of_its_own(paged: JamfProvider) -> None:
    server = Server()
    server.time = None
    _, cursor = server.page(paged)
    states, _ = server.page(paged, cursor)
    assert (states[str(LATE)], server.runs) == ("compliant", 2)


@pytest.mark.parametrize(
    "rows",
    [[{}], [{"id": None}], [{"id": 17.0}], [{"Id": 17}], [{"id": 17}, {}]]
    + [{"size": 1, "computer": [{"id": 17}]}, {"size": 2}, {}, "", None, 7],
)
@pytest.mark.parametrize("members", ["compliant", "noncompliant"])
def test_members_that_cannot_be_read_are_no_verdict(make: Make, rows: Any, members: str) -> None:
    server, provider = Server(), make(compliance={**SEARCH, "members": members})
    server.rows = rows
    with pytest.raises(MalformedResponseError):
        server.state(provider)


def test_a_device_that_reported_while_the_search_ran_is_judged_by_a_new_run(paged: JamfProvider) -> None:
    server = Server()
    server.search_takes = 30
    _, cursor = server.page(paged)
    server.time, server.reported, server.members = "12:00:40", "2026-01-15T12:00:05Z", []
    states, _ = server.page(paged, cursor)
    assert (states[str(LATE)], server.runs) == ("noncompliant", 2)


def test_another_search_has_a_result_of_its_own(paged: JamfProvider) -> None:
    server = Server()
    _, cursor = server.page(paged)
    server.search, server.members = 11, []
    states, _ = server.page(paged, cursor, Named("11", "Better"))
    assert states[str(LATE)] == "noncompliant"
