"""The simulator answers everyday requests of other people's clients, and refuses what it does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mdmsdk.simulator import Fleet, serve
from mdmsdk_meraki.simulator import MerakiSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator

API = "/api/v1"


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with (
        serve(MerakiSimulator(Fleet.generate(60, seed=2))) as running,
        httpx.Client(
            base_url=running.origin + API, headers={"X-Cisco-Meraki-API-Key": "51ab1ed0" * 5}
        ) as client,
    ):
        yield client


def rows(http: httpx.Client, **params: Any) -> list[dict[str, Any]]:
    given = {name.replace("__", "[]"): value for name, value in params.items()}
    answer = http.get("/networks/N_1000/sm/devices", params={"fields[]": ["systemType"], **given})
    assert answer.status_code == 200, answer.text
    return list(answer.json())


def test_one_organization_and_one_network_are_those_of_the_lists(http: httpx.Client) -> None:
    for organization in http.get("/organizations").json():
        assert http.get(f"/organizations/{organization['id']}").json() == organization
        networks = http.get(f"/organizations/{organization['id']}/networks").json()
        assert networks
        for network in networks:
            assert http.get(f"/networks/{network['id']}").json() == network
    for missing in ("/organizations/1", "/networks/N_1"):
        assert http.get(missing).status_code == 404


def test_lists_can_be_cut_to_systems(http: httpx.Client) -> None:
    everything = rows(http)
    for wanted in ({"iOS"}, {"iOS", "Windows"}):
        found = rows(http, systemTypes__=sorted(wanted))
        assert found == [row for row in everything if row["systemType"] in wanted]
        assert 0 < len(found) < len(everything)


@pytest.mark.parametrize(
    ("mode", "fits"),
    [
        ("withAny", lambda own, tags: bool(own & tags)),
        ("withAll", lambda own, tags: tags <= own),
        ("withoutAny", lambda own, tags: not own & tags),
        ("withoutAll", lambda own, tags: not tags <= own),
    ],
)
def test_lists_can_be_cut_to_tags(http: httpx.Client, mode: str, fits: Any) -> None:
    everything, tags = rows(http), {"laptop", "corporate"}
    found = rows(http, scope__=[mode, *sorted(tags)])
    assert found == [row for row in everything if fits(set(row["tags"]), tags)]
    assert 0 < len(found) < len(everything)
    assert rows(http, scope__="all") == everything
    assert rows(http, scope__="none") == []


@pytest.mark.parametrize(
    "query",
    [
        "sm/devices?endingBefore=x",
        "sm/devices?serial=x",
        "sm/devices?scope[]=laptop",
        "sm/devices?scope[]=withAny",
        "sm/devices?scope[]=all&scope[]=laptop",
        "pii/smDevicesForKey?bluetoothMac=00:00:5e:00:53:01",
        "sm/devices/1284392001002/networkAdapters?perPage=5",
    ],
)
def test_what_is_not_simulated_is_refused(http: httpx.Client, query: str) -> None:
    plain = http.get("/networks/N_1000/sm/devices").json()[0]["id"]
    answer = http.get(f"/networks/N_1000/{query.replace('1284392001002', plain)}")
    assert answer.status_code == 400
    assert answer.json()["errors"]
