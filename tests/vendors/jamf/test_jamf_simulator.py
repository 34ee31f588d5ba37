"""The simulated server, judged by bare HTTP: what it is told apart by from the provider's own idea of it."""

from __future__ import annotations

import json
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mdmsdk_jamf.simulator.records import is_computer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.simulator import Fleet, RunningSimulator
    from mdmsdk_jamf.simulator import JamfSimulator

    Start = Callable[..., RunningSimulator[JamfSimulator]]


class Bare:
    """A client that knows nothing."""

    def __init__(self, running: RunningSimulator[JamfSimulator]) -> None:
        self.habits = running.simulator.habits
        self.http = httpx.Client(base_url=running.origin + self.habits.context, verify=False)  # noqa: S501 - http
        form = {"grant_type": "client_credentials", "client_id": self.habits.client_id}
        form["client_secret"] = self.habits.client_secret
        answer = self.http.post("/api/v1/oauth/token", data=form).json()
        self.http.headers["Authorization"] = f"Bearer {answer['access_token']}"

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.http.get(path, params={name.replace("_", "-"): value for name, value in params.items()})


@pytest.fixture(name="bare")
def _bare(start: Start) -> Iterator[Callable[..., Bare]]:
    with ExitStack() as stack:

        def bare(**habits: Any) -> Bare:
            client = Bare(start(**habits))
            stack.callback(client.http.close)
            return client

        yield bare


def test_only_general_is_given_unless_more_is_asked_for(bare: Callable[..., Bare]) -> None:
    client = bare()
    row = client.get("/api/v4/computers-inventory").json()["results"][0]
    assert row["general"]
    assert (row["hardware"], row["groupMemberships"]) == (None, None)
    row = client.get("/api/v4/computers-inventory", section=["GENERAL", "HARDWARE"]).json()["results"][0]
    assert row["hardware"]["macAddress"]
    assert client.get("/api/v4/computers-inventory", section="NONE").status_code == 400


def test_more_than_the_cap_is_not_given_and_nothing_is_said(bare: Callable[..., Bare], fleet: Fleet) -> None:
    client = bare(page_cap=5)
    answer = client.get("/api/v4/computers-inventory", page_size=1000).json()
    assert len(answer["results"]) == 5
    assert answer["totalCount"] == sum(is_computer(device) for device in fleet)


def test_ids_are_sorted_as_numbers_and_names_by_default(bare: Callable[..., Bare]) -> None:
    client = bare()
    by_id = client.get("/api/v2/mobile-devices/detail", sort="mobileDeviceId:asc").json()["results"]
    numbers = [int(row["mobileDeviceId"]) for row in by_id]
    assert numbers == sorted(numbers)
    by_name = client.get("/api/v2/mobile-devices/detail").json()["results"]
    names = [row["general"]["displayName"].casefold() for row in by_name]
    assert names == sorted(names)


def test_the_second_address_and_groups_of_computers_cannot_be_searched(bare: Callable[..., Bare]) -> None:
    client = bare()
    for field in ("hardware.altMacAddress", "groupMemberships.groupId"):
        answer = client.get("/api/v4/computers-inventory", filter=f'{field}=="1"')
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("version", "there"),
    [("11.30.1", "4321"), ("11.29.0", "321"), ("11.15.0", "21"), ("10.48.1", "1"), ("10.38.0", "")],
)
def test_each_version_has_its_inventories(bare: Callable[..., Bare], version: str, there: str) -> None:
    client = bare(version=version, oauth_path="both")
    found = "".join(n for n in "4321" if client.get(f"/api/v{n}/computers-inventory").status_code == 200)
    assert found == there
    renamed = client.get("/api/v4/computers-inventory").status_code == 200
    if renamed:
        general = client.get("/api/v4/computers-inventory").json()["results"][0]["general"]
        assert {"lastContact", "lastCheckIn"} <= set(general)
        assert "lastContactTime" not in general


def test_one_damaged_record_fails_the_page_unless_told_otherwise(
    bare: Callable[..., Bare], fleet: Fleet
) -> None:
    bad = next(device for device in fleet if not is_computer(device))
    client = bare(damaged=frozenset({bad.id}))
    path = "/api/v2/mobile-devices/detail"
    assert client.get(path).status_code == 500
    lenient = client.get(path, section=["GENERAL", "GROUPS"], exception_handling="LENIENT").json()["results"]
    rows = {row["mobileDeviceId"]: row["groups"] for row in lenient}
    assert rows[str(bad.id)] is None
    assert sum(groups is None for groups in rows.values()) == 1
    old = bare(damaged=frozenset({bad.id}), version="11.28.0")
    assert old.get(path, exception_handling="LENIENT").status_code == 500


def test_the_classic_api_answers_json_as_text_and_errors_as_html(
    bare: Callable[..., Bare], fleet: Fleet
) -> None:
    client = bare()
    device = next(device for device in fleet if is_computer(device))
    answer = client.get(f"/JSSResource/computers/match/{device.hostname}")
    assert answer.headers["content-type"] == "text/plain;charset=UTF-8"
    assert json.loads(answer.text)["computers"][0]["id"] == device.id
    missing = client.get("/JSSResource/advancedcomputersearches/id/999")
    assert missing.status_code == 404
    assert "<title>Status page</title>" in missing.text
    client.http.headers["Authorization"] = "Bearer other"
    assert "Unauthorized" in client.get("/JSSResource/advancedcomputersearches").text


def test_errors_of_the_jamf_pro_api_have_their_shape(bare: Callable[..., Bare]) -> None:
    client = bare(privileges=frozenset())
    refused = client.get("/api/v4/computers-inventory")
    assert refused.json() == {
        "httpStatus": 403,
        "errors": [{"code": "INVALID_PRIVILEGE", "description": "Forbidden", "id": "0", "field": None}],
    }
    client.http.headers["Authorization"] = "Bearer other"
    assert client.get("/api/v1/jamf-pro-version").json()["errors"][0]["code"] == "INVALID_TOKEN"
    wrong = client.http.post("/api/v1/oauth/token", data={"grant_type": "client_credentials"})
    assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_client")
    assert client.http.post("/api/v1/oauth/token").json()["error"] == "unsupported_grant_type"


def test_a_token_that_was_prolonged_is_no_longer_good(start: Start) -> None:
    running = start()
    habits = running.simulator.habits
    with httpx.Client(base_url=running.origin, verify=False) as http:  # noqa: S501 - http
        given = http.post("/api/v1/auth/token", auth=(habits.username, habits.password)).json()
        old = {"Authorization": f"Bearer {given['token']}"}
        new = {"Authorization": f"Bearer {http.post('/api/v1/auth/keep-alive', headers=old).json()['token']}"}
        assert http.get("/api/v1/jamf-pro-version", headers=old).status_code == 401
        assert http.get("/api/v1/jamf-pro-version", headers=new).status_code == 200
        assert http.post("/api/v1/auth/invalidate-token", headers=new).status_code == 204
        assert http.get("/api/v1/jamf-pro-version", headers=new).status_code == 401


@pytest.mark.parametrize("params", [{"page": "x"}, {"page": -1}, {"page-size": 0}])
def test_impossible_pages_are_refused(bare: Callable[..., Bare], params: dict[str, Any]) -> None:
    assert bare().get("/api/v4/computers-inventory", **params).status_code == 400


def test_groups_searches_and_states_agree(bare: Callable[..., Bare], fleet: Fleet) -> None:
    client = bare()
    params = {"section": ["GENERAL", "GROUP_MEMBERSHIPS"]}
    rows = client.get("/api/v4/computers-inventory", **params).json()["results"]
    members = {
        row["id"] for row in rows if any(group["groupId"] == "11" for group in row["groupMemberships"])
    }
    search = client.get("/JSSResource/advancedcomputersearches/id/31").json()["advanced_computer_search"]
    assert members == {str(row["id"]) for row in search["computers"]}
    assert members == {str(one.id) for one in fleet if is_computer(one) and one.compliance == "noncompliant"}
    path = "/api/v1/conditional-access/device-compliance-information/computer"
    for number in members:
        states = client.get(f"{path}/{number}").json()
        assert [state["complianceState"] for state in states if state["applicable"]] == ["NON_COMPLIANT"]
    phone = next(one for one in fleet if not is_computer(one))
    assert client.get(f"{path}/{phone.id}").status_code == 404


def test_a_mobile_group_can_be_asked_for(bare: Callable[..., Bare], fleet: Fleet) -> None:
    rows = (
        bare().get("/api/v2/mobile-devices/detail", filter='groupId=="21"', page_size=200).json()["results"]
    )
    expected = {str(one.id) for one in fleet if not is_computer(one) and one.compliance == "noncompliant"}
    assert {row["mobileDeviceId"] for row in rows} == expected


def test_the_verdict_of_a_retired_device_is_none_unless_it_is_bad(start: Start, fleet: Fleet) -> None:
    simulator = start().simulator
    for device in fleet:
        verdict = simulator.verdict(device)
        if not device.registered:
            assert verdict in {"unknown", "noncompliant"}
        elif device.compliance == "grace":
            assert verdict == "compliant"
        else:
            assert verdict == device.compliance


def test_lists_are_sorted_by_what_is_asked_for(bare: Callable[..., Bare]) -> None:
    client = bare()
    by_version = "operatingSystem.version:desc,id:asc"
    rows = client.get("/api/v3/computers-inventory", sort=by_version, section="OPERATING_SYSTEM").json()[
        "results"
    ]
    versions = [row["operatingSystem"]["version"] for row in rows]
    assert len(set(versions)) > 1
    assert versions == sorted(versions, reverse=True)
    for first, second in pairwise(rows):
        if first["operatingSystem"] == second["operatingSystem"]:
            assert int(first["id"]) < int(second["id"])
    groups = client.get("/api/v3/computer-groups/smart-groups", sort="name:desc").json()["results"]
    assert [group["name"] for group in groups] == sorted((group["name"] for group in groups), reverse=True)


@pytest.mark.parametrize("sign", ["<", "=lt=", "<=", "=le=", ">", "=gt=", ">=", "=ge="])
def test_filters_compare(bare: Callable[..., Bare], fleet: Fleet, sign: str) -> None:
    client = bare()
    known = sorted(device.id for device in fleet if is_computer(device))
    bound = known[len(known) // 2]
    rows = client.get("/api/v4/computers-inventory", filter=f"id{sign}{bound}", page_size=2000).json()[
        "results"
    ]
    same, less = sign in {"<=", "=le=", ">=", "=ge="}, sign in {"<", "=lt=", "<=", "=le="}
    wanted = [
        number
        for number in known
        if (number == bound and same) or (number != bound and (number < bound) == less)
    ]
    assert sorted(int(row["id"]) for row in rows) == wanted
    for more in ('general.reportDate>"2020-01-01T00:00:00Z"', "operatingSystem.version>9"):
        assert client.get("/api/v4/computers-inventory", filter=more).json()["totalCount"] > 0


def test_single_records_are_those_of_the_list(bare: Callable[..., Bare]) -> None:
    client = bare()
    computer = client.get("/api/v3/computers-inventory", section=["GENERAL", "HARDWARE"]).json()["results"][0]
    path = f"/api/v3/computers-inventory/{computer['id']}"
    assert client.get(path, section="GENERAL,HARDWARE").json() == computer
    assert client.get(path).json() == {**computer, "hardware": None}
    whole = client.get(f"/api/v3/computers-inventory-detail/{computer['id']}").json()
    assert (whole["hardware"], bool(whole["security"])) == (computer["hardware"], True)
    sections = [
        "GENERAL",
        "HARDWARE",
        "SECURITY",
        "NETWORK",
        "SERVICE_SUBSCRIPTIONS",
        "USER_AND_LOCATION",
        "GROUPS",
    ]
    phone = client.get("/api/v2/mobile-devices/detail", section=sections).json()["results"][0]
    whole = client.get(f"/api/v2/mobile-devices/{phone['mobileDeviceId']}/detail").json()
    assert whole == {name: value for name, value in phone.items() if name in whole}
    assert whole["security"]
    for missing in (
        "/api/v3/computers-inventory/999999",
        f"/api/v3/computers-inventory/{phone['mobileDeviceId']}",
    ):
        assert client.get(missing).status_code == 404


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/api/v4/computers-inventory", {"sort": "hardware.macAddress:asc"}),
        ("/api/v4/computers-inventory", {"sort": "general.name"}),
        ("/api/v4/computers-inventory", {"sort": "general.name:up"}),
        ("/api/v4/computers-inventory", {"filter": "general.lastContactTime>2020-01-01T00:00:00Z"}),
        ("/api/v3/computers-inventory", {"filter": "general.lastContact>2020-01-01T00:00:00Z"}),
        ("/api/v4/computers-inventory", {"exception-handling": "LENIENT"}),
        ("/api/v4/computers-inventory", {"pagesize": "5"}),
        ("/api/v2/mobile-devices/detail", {"exception-handling": "CARELESS"}),
        ("/api/v2/mobile-devices/detail", {"subset": "basic"}),
        ("/api/v3/computer-groups/smart-groups", {"filter": 'membershipCount=="1"'}),
        ("/api/v1/computer-groups", {"page": "1"}),
    ],
)
def test_what_is_not_there_is_refused(bare: Callable[..., Bare], path: str, params: dict[str, str]) -> None:
    client = bare()
    assert client.get(path).status_code == 200
    assert client.http.get(path, params=params).status_code == 400
