"""jamf-pro-sdk, https://github.com/macadmins/jamf-pro-sdk-python, against the Jamf simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from mdmsdk_jamf.simulator import JamfSimulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.simulator import Fleet, SimDevice

sdk = pytest.importorskip("jamf_pro_sdk", reason="jamf-pro-sdk is not installed; `nox -s foreign` has it")
pages = pytest.importorskip("jamf_pro_sdk.clients.pro_api.pagination")

CLIENT = "jamf-pro-sdk"
SECTIONS = ["GENERAL", "HARDWARE", "SECURITY", "NETWORK"]  # all of them, it takes for all but GENERAL


@pytest.fixture(scope="module", params=["client", "user"])
def client(request: pytest.FixtureRequest, start: Callable[..., Any]) -> Any:
    running = start(JamfSimulator)
    habits, where = running.simulator.habits, urlsplit(running.origin)
    credentials: Any = sdk.UserCredentialsProvider(habits.username, habits.password)
    if request.param == "client":
        credentials = sdk.ApiClientCredentialsProvider(habits.client_id, habits.client_secret)
    config = sdk.SessionConfig(scheme="http")
    return sdk.JamfProClient(where.hostname, credentials, where.port, config)


@pytest.fixture(scope="module")
def macs(fleet: Fleet) -> list[SimDevice]:
    return [device for device in fleet if device.platform == "macOS"]


@pytest.fixture(scope="module")
def phones(fleet: Fleet) -> list[SimDevice]:
    return [device for device in fleet if device.platform in {"iOS", "iPadOS"}]


def test_it_lists_all(client: Any, macs: list[SimDevice], phones: list[SimDevice], tell: Any) -> None:
    order = pages.SortField("operatingSystem.version").desc() & pages.SortField("id").asc()
    rows = client.pro_api.get_computer_inventory_v3(sections=["ALL"], page_size=10, sort_expression=order)
    assert sorted(row.udid for row in rows) == sorted(device.udid for device in macs)
    versions = [row.operatingSystem.version for row in rows]
    assert versions == sorted(versions, reverse=True)
    rows = client.pro_api.get_mobile_device_inventory_v2(sections=SECTIONS, page_size=10)
    assert sorted(row.general.udid for row in rows) == sorted(device.udid for device in phones)
    tell(CLIENT, "lists all", f"{len(macs)} computers, {len(phones)} mobile devices")


def test_it_finds_one(
    client: Any, fleet: Fleet, macs: list[SimDevice], phones: list[SimDevice], tell: Any
) -> None:
    one = next(device for device in macs if len(fleet.by_mac(str(device.wifi_mac))) == 1)
    field = pages.FilterField
    mac = ":".join(one.wifi_mac[place : place + 2] for place in range(0, 12, 2)) if one.wifi_mac else ""
    ways = [
        field("hardware.serialNumber").eq(one.serial_number),
        field("hardware.serialNumber").is_in([one.serial_number, "X"]),
        field("hardware.macAddress").eq(mac),
        field("udid").eq(one.udid) & field("general.remoteManagement.managed").eq(str(one.managed).lower()),
        pages.filter_group(field("general.name").eq(one.hostname) | field("udid").eq(one.udid)),
        field("general.platform").eq("Mac") & field("id").eq(one.id),
        field("operatingSystem.version").gte("1") & field("udid").eq(one.udid),
    ]
    for way in ways:
        found = client.pro_api.get_computer_inventory_v3(filter_expression=way)
        assert [row.udid for row in found] == [one.udid], str(way)
    phone = next(device for device in phones if len(fleet.by_serial(device.serial_number)) == 1)
    way = field("serialNumber").eq(phone.serial_number)
    (row,) = client.pro_api.get_mobile_device_inventory_v2(filter_expression=way)
    assert row.general.udid == phone.udid
    assert client.pro_api.get_computer_inventory_v3(filter_expression=field("udid").eq("X")) == []
    tell(CLIENT, "finds one", f"{len(ways) + 1} ways")


def test_it_reads_the_fields(client: Any, macs: list[SimDevice], phones: list[SimDevice], tell: Any) -> None:
    for device in macs:
        row = client.pro_api.get_computer_inventory_detail_v3(device.id)
        assert (row.general.name, row.hardware.serialNumber) == (device.hostname, device.serial_number)
        assert (row.operatingSystem.version, row.userAndLocation.username) == (
            device.os_version,
            device.username,
        )
        assert row.general.remoteManagement.managed is device.managed
        assert (row.general.reportDate is None) == (
            device.last_check_in is None or device.compliance == "unknown"
        )
        assert {group.groupName for group in row.groupMemberships}
    rows = client.pro_api.get_mobile_device_inventory_v2(sections=SECTIONS)
    by_udid = {device.udid: device for device in phones}
    for row in rows:
        device = by_udid[row.general.udid]
        assert (row.hardware.serialNumber, row.general.osVersion) == (
            device.serial_number,
            device.os_version,
        )
    tell(CLIENT, "reads fields", f"{len(macs) + len(phones)} records")
