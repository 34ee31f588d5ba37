"""Results of advanced searches: used again for a while, and never about what they cannot know."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from mdmsdk.errors import MalformedResponseError
from mdmsdk.identifiers import Serial
from mdmsdk.models import ServerInfo
from mdmsdk.testing import Played, play
from mdmsdk.wire import Response
from mdmsdk_jamf import ComplianceSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.wire import Request
    from mdmsdk_jamf import JamfProvider

    Make = Callable[..., JamfProvider]

SEARCH = {"source": "advanced-search", "computers": 10}
NAMED = {"computers": {"id": "10", "name": "Good"}}


class Server:
    """One computer and one advanced search, at a time of the day."""

    def __init__(self) -> None:
        self.time: str | None = "12:00:00"
        self.reported = "2026-01-15T08:00:00Z"
        self.members = [17]
        self.rows: Any = ...
        self.search_takes = 0
        self.search = 10
        self.played = Played()

    def __call__(self, request: Request) -> Response:
        headers = {"date": f"Thu, 15 Jan 2026 {self.time} GMT"} if self.time else {}
        content: Any = {"totalCount": 0, "results": []}
        if "computers-inventory" in request.url:
            general = {"reportDate": self.reported, "remoteManagement": {"managed": True}}
            record = {"id": "17", "general": general, "hardware": {"serialNumber": "S17"}}
            content = {"totalCount": 1, "results": [record]}
        elif "/advancedcomputersearches/id/" in request.url:
            rows = [{"id": number} for number in self.members] if self.rows is ... else self.rows
            if self.time:
                headers = {"date": f"Thu, 15 Jan 2026 {self.time[:-2]}{self.search_takes:02} GMT"}
            content = {"advanced_computer_search": {"id": self.search, "computers": rows}}
        return Response(200, headers, json.dumps(content).encode(), request.full_url)

    def state(self, provider: JamfProvider, named: Any = None) -> str:
        info = ServerInfo(api_version="v4", extra={"computers": 1, "compliance": named or NAMED})
        (device,) = play(provider.find(info, Serial("S17")), self, provider=provider, record=self.played)
        return str(device.compliance.state)

    @property
    def runs(self) -> int:
        return sum("searches/id/" in request.url for request in self.played.requests)


def test_a_result_is_used_again_for_a_while_by_the_servers_clock(make: Make) -> None:
    server, provider = Server(), make(compliance=SEARCH)
    assert server.state(provider) == "compliant"
    server.members = []
    server.time = "12:00:59"
    assert (server.state(provider), server.runs) == ("compliant", 1)
    server.time = "12:01:00"
    assert (server.state(provider), server.runs) == ("noncompliant", 2)
    server.time = "11:58:00"  # another node, whose clock is wrong
    server.members = [17]
    assert (server.state(provider), server.runs) == ("compliant", 3)


@pytest.mark.parametrize("reported", ["2026-01-15T12:00:05Z", "2026-01-15T11:59:55Z"])
def test_a_device_that_reported_since_the_run_is_judged_by_a_new_one(make: Make, reported: str) -> None:
    server, provider = Server(), make(compliance=SEARCH)
    assert server.state(provider) == "compliant"
    server.time, server.reported, server.members = "12:00:10", reported, []
    assert (server.state(provider), server.runs) == ("noncompliant", 2)


def test_a_device_that_never_reported_asks_for_no_new_run(make: Make) -> None:
    server, provider = Server(), make(compliance=SEARCH)
    server.reported = ""
    assert [server.state(provider), server.state(provider), server.runs] == ["unknown", "unknown", 1]


def test_without_the_servers_clock_each_answer_is_for_once(make: Make) -> None:
    server, provider = Server(), make(compliance=SEARCH)
    server.time = None
    assert [server.state(provider), server.state(provider), server.runs] == ["compliant", "compliant", 2]


def test_the_administrator_may_want_a_run_for_each_answer(make: Make) -> None:
    server, provider = Server(), make(compliance={**SEARCH, "search_max_age": 0})
    assert [server.state(provider), server.state(provider), server.runs] == ["compliant", "compliant", 2]


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


def test_a_device_that_reported_while_the_search_ran_is_judged_by_a_new_run(make: Make) -> None:
    server, provider = Server(), make(compliance=SEARCH)
    server.search_takes = 30
    assert server.state(provider) == "compliant"
    server.time, server.reported, server.members = "12:00:40", "2026-01-15T12:00:05Z", []
    assert (server.state(provider), server.runs) == ("noncompliant", 2)


def test_another_search_has_a_result_of_its_own(make: Make) -> None:
    server, provider = Server(), make(compliance=SEARCH)
    assert server.state(provider) == "compliant"
    server.search, server.members = 11, []
    assert server.state(provider, {"computers": {"id": "11", "name": "Better"}}) == "noncompliant"


@pytest.mark.parametrize(
    "source", [{"source": "smart-group", "computers": 1}, {"source": "conditional-access"}]
)
def test_other_sources_have_no_use_for_the_age(source: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="search_max_age"):
        ComplianceSettings.model_validate({**source, "search_max_age": 5})
