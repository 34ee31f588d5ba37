"""Many keys at once: a bad one spoils its own answer alone, and none is taken for another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from mdmsdk.errors import FilterIgnoredError, MalformedResponseError, MdmError, ResponseError
from mdmsdk.identifiers import Hostname, Key, Serial
from mdmsdk.proof import proven
from mdmsdk.testing import Played, play
from mdmsdk.wire import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mdmsdk.models import ServerInfo
    from mdmsdk.wire import Request
    from mdmsdk_jamf import JamfProvider

    Make = Callable[..., JamfProvider]

GROUPS = {"source": "smart-group", "computers": 10, "mobile_devices": 20}
IN_GROUP = [{"groupId": "10", "groupName": "Good"}]


def computer(number: int, name: str = "", groups: Any = IN_GROUP) -> dict[str, Any]:
    managed = {"remoteManagement": {"managed": True}, "reportDate": "2026-01-15T08:00:00Z"}
    return {
        "id": str(number),
        "general": {**managed, "name": name or f"mac-{number}"},
        "hardware": {"serialNumber": f"S{number:04}"},
        "groupMemberships": groups,
    }


class Server:
    """Computers by serial number or name; a filter with a word that it does not like is refused."""

    def __init__(self, rows: Mapping[str, Sequence[dict[str, Any]]], refuses: str = "nothing") -> None:
        self.rows, self.refuses, self.played = rows, refuses, Played()

    def __call__(self, request: Request) -> Response:
        asked = unquote(request.url.partition("filter=")[2])
        found = []
        if "computers-inventory" in request.url:
            if f"'{self.refuses}'" in asked:
                body = b'{"errors": [{"code": "INVALID_FILTER", "field": "serialNumber"}]}'
                return Response(400, {}, body, request.full_url)
            found = [row for word, rows in self.rows.items() if f"'{word}'" in asked for row in rows]
        return Response(
            200, {}, json.dumps({"totalCount": len(found), "results": found}).encode(), request.full_url
        )

    def states(self, provider: JamfProvider, info: ServerInfo, keys: Sequence[Key]) -> list[object]:
        """For each key the state of its record, the kind of its error, or None."""
        found = play(provider.find_batch(info, keys), self, provider=provider, record=self.played)
        told: list[object] = []
        for key in keys:
            try:
                if isinstance(answer := found[key], MdmError):
                    raise answer
                devices = proven(provider, key, answer)
                told.append(str(devices[0].compliance.state) if devices else None)
            except MdmError as error:
                told.append(type(error))
        return told


def serials(count: int) -> list[Serial]:
    return [Serial(f"S{number:04}") for number in range(count)]


def test_a_key_that_the_server_refuses_fails_alone(make: Make, info: ServerInfo) -> None:
    server = Server({f"S{number:04}": [computer(number)] for number in range(500)}, refuses="S0123")
    told = server.states(make(compliance=GROUPS), info, serials(500))
    assert told.count("compliant") == 499
    assert told[123] is ResponseError
    assert len(server.played.requests) < 60


@pytest.mark.parametrize("groups", [None, [{}], [{"groupId": [10]}]])
def test_a_damaged_record_spoils_its_own_answer_alone(make: Make, info: ServerInfo, groups: Any) -> None:
    server = Server(
        {
            f"S{number:04}": [computer(number, groups=groups if number == 7 else IN_GROUP)]
            for number in range(20)
        }
    )
    told = server.states(make(compliance=GROUPS), info, serials(20))
    assert told.count("compliant") == 19
    assert told[7] is MalformedResponseError


def test_an_answer_about_another_device_spoils_its_own_key_alone(make: Make, info: ServerInfo) -> None:
    server = Server({f"S{number:04}": [computer(99 if number == 3 else number)] for number in range(8)})
    told = server.states(make(compliance=GROUPS), info, serials(8))
    assert told == ["compliant"] * 3 + [FilterIgnoredError] + ["compliant"] * 4


def test_names_are_searched_loosely_and_compared_exactly(make: Make, info: ServerInfo) -> None:
    server = Server(
        {
            "straße": [computer(1, "STRASSE")],
            "müller": [computer(2, "Muller"), computer(3, "MÜLLER")],
            "zoë": [computer(4, "Zoe\u0308"), computer(5, "Zoe")],
            "ada": [computer(6, "ADA")],
        }
    )
    keys = [Hostname(name) for name in server.rows]
    provider = make(compliance=GROUPS)
    for told in (
        server.states(provider, info, keys),
        [server.states(provider, info, [key])[0] for key in keys],
    ):
        assert told == [None, None, "compliant", "compliant"]


def test_a_wildcard_in_a_name_is_meant_to_the_letter(make: Make, info: ServerInfo) -> None:
    server = Server({})
    assert server.states(make(compliance=GROUPS), info, [Hostname("mac*")]) == [None]
    assert all("mac\\*" in unquote(request.url) for request in server.played.requests)


@pytest.mark.parametrize(
    "twice",
    [
        b'"id": "1", "id": "1"',
        b'"id": "1", "general": {"remoteManagement": {"managed": true, "managed": false}}',
        b'"id": "1", "groupMemberships": [], "groupMemberships": [{"groupId": "10"}]',
        b'"id": "1", "hardware": {"serialNumber": "S0002", "serialNumber": "S0001"}',
        b'"id": NaN',
    ],
)
def test_a_record_that_contradicts_itself_is_malformed(make: Make, info: ServerInfo, twice: bytes) -> None:
    body = b'{"totalCount": 1, "results": [{' + twice + b"}]}"
    provider = make(compliance=GROUPS)
    with pytest.raises(MalformedResponseError):
        play(
            provider.find(info, Serial("S0001")), lambda _request: Response(200, {}, body), provider=provider
        )
