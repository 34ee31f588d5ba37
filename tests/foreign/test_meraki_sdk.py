"""Cisco's own client, https://github.com/meraki/dashboard-api-python, against the Meraki simulator."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from mdmsdk_meraki.simulator import MerakiSimulator
from mdmsdk_meraki.simulator.rows import colons, sm_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mdmsdk.simulator import Fleet

meraki = pytest.importorskip("meraki", reason="meraki is not installed; `nox -s foreign` has it")

CLIENT = "meraki"
# It follows links to the next page on Cisco's hosts alone, and joins any other to its own address.
HOST = "simulated.meraki.com"


@pytest.fixture(scope="module")
def dashboard(start: Callable[..., Any]) -> Iterator[Any]:
    running = start(MerakiSimulator)
    with pytest.MonkeyPatch.context() as patch:
        resolve = socket.getaddrinfo

        def local(host: Any, *args: Any, **more: Any) -> Any:
            return resolve("127.0.0.1" if host in {HOST, HOST.encode()} else host, *args, **more)

        patch.setattr(socket, "getaddrinfo", local)
        yield meraki.DashboardAPI(
            running.simulator.habits.api_key,
            base_url=f"http://{HOST}:{urlsplit(running.origin).port}/api/v1",
            suppress_logging=True,
            output_log=False,
            smart_flow_cache_path="",
            maximum_retries=1,
        )


@pytest.fixture(scope="module")
def networks(dashboard: Any) -> list[str]:
    found = []
    for organization in dashboard.organizations.getOrganizations():
        assert dashboard.organizations.getOrganization(organization["id"]) == organization
        rows = dashboard.organizations.getOrganizationNetworks(
            organization["id"], total_pages="all", productTypes=["systemsManager"]
        )
        found += [row["id"] for row in rows]
    assert len(found) > 1
    return found


def devices(dashboard: Any, networks: list[str], **params: Any) -> list[dict[str, Any]]:
    return [
        row
        for network in networks
        for row in dashboard.sm.getNetworkSmDevices(network, total_pages="all", **params)
    ]


def test_it_lists_all(dashboard: Any, networks: list[str], fleet: Fleet, tell: Any) -> None:
    rows = devices(dashboard, networks, perPage=20)
    assert sorted(row["id"] for row in rows) == sorted(map(sm_id, fleet))
    rows = devices(dashboard, networks, systemTypes=["iOS"])
    assert sorted(row["id"] for row in rows) == sorted(sm_id(one) for one in fleet if one.platform == "iOS")
    tell(CLIENT, "lists all", f"{len(fleet)} devices of {len(networks)} networks")


def test_it_finds_one(dashboard: Any, networks: list[str], fleet: Fleet, tell: Any) -> None:
    one = next(device for device in fleet if device.imei and len(fleet.by_mac(str(device.wifi_mac))) == 1)
    ways: list[dict[str, list[str]]] = [
        {"serials": [one.serial_number]},
        {"wifiMacs": [colons(one.wifi_mac or "")]},
        {"ids": [sm_id(one)]},
        {"uuids": [one.udid or ""]},
        {"serials": [one.serial_number], "scope": ["withAny", one.kind]},
    ]
    for way in ways:
        (found,) = devices(dashboard, networks, **way)
        assert found["id"] == sm_id(one), way
    assert devices(dashboard, networks, serials=["X"]) == []
    keys = [dashboard.networks.getNetworkPiiSmDevicesForKey(network, imei=one.imei) for network in networks]
    assert [ids for found in keys for ids in found.values()] == [[sm_id(one)]]
    tell(CLIENT, "finds one", f"{len(ways) + 1} ways")


def test_it_reads_the_fields(dashboard: Any, networks: list[str], fleet: Fleet, tell: Any) -> None:
    by_id = {sm_id(device): device for device in fleet}
    fields = ["imei", "isManaged", "autoTags", "lastConnected", "ownerUsername", "systemType"]
    for row in devices(dashboard, networks, fields=fields):
        device = by_id[row["id"]]
        assert (row["serialNumber"], row["uuid"], row["imei"]) == (
            device.serial_number,
            device.udid,
            device.imei,
        )
        assert (row["isManaged"], row["ownerUsername"]) == (device.registered, device.username)
        assert (row["lastConnected"] is None) == (device.last_check_in is None)
    (network,) = networks[:1]
    first = dashboard.sm.getNetworkSmDevices(network)[0]["id"]
    adapters = dashboard.sm.getNetworkSmDeviceNetworkAdapters(network, first)
    assert [row["mac"] for row in adapters] == [colons(mac) for mac in by_id[first].mac_addresses]
    tell(CLIENT, "reads fields", f"{len(fleet)} records")
