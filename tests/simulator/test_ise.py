from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from mdmsdk.simulator import Fleet, SimDevice
from mdmsdk.simulator.ise import truth_compliant

if TYPE_CHECKING:
    from xml.etree import ElementTree as ET

    from mdmsdk.simulator.fleet import ComplianceState
    from tests.simulator.conftest import IseClient, Start

DEVICES = "/ciscoise/mdmapi/v3/devices/"


def guids(page: ET.Element) -> list[str | None]:
    return [device.findtext("attributes/guid") for device in page.iter("device")]


def an_ordinary(fleet: Fleet) -> SimDevice:
    return next(d for d in fleet if d.registered and d.imei and d.meid and len(fleet.by_udid(d.udid)) == 1)


@pytest.mark.parametrize(("asked", "answered"), [(1, None), (2, "2"), (3, "3"), (9, "3")])
def test_discovery_negotiates_the_version(ise: IseClient, asked: int, answered: str | None) -> None:
    info = ise.xml("/ciscoise/mdminfo/", ise_api_version=asked)
    assert info.tag == "ise_api"
    assert info.findtext("name") == "mdminfo"
    assert info.findtext("api_version") == answered
    assert info.findtext("api_path") == f"/ciscoise/mdmapi/v{min(asked, 3)}"
    assert info.findtext("query_max_size") == "1000"
    assert info.findtext("messaging_support") == "false"
    assert (info.find("vendor") is None) == (asked == 1)


def test_discovery_of_version_1_has_neither_slash_nor_query(ise: IseClient) -> None:
    assert ise.xml("/ciscoise/mdminfo").findtext("api_path") == "/ciscoise/mdmapi/v1"


def test_discovery_refuses_a_version_that_is_no_number(ise: IseClient) -> None:
    assert ise.status("/ciscoise/mdminfo/", ise_api_version="three") == 400


@pytest.mark.parametrize("credentials", [None, ("ise", "wrong"), ("nobody", "simulated-password")])
def test_only_the_right_password_gets_in(ise: IseClient, credentials: tuple[str, str] | None) -> None:
    response = httpx.get(f"{ise.origin}/ciscoise/mdminfo", auth=credentials)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Basic")
    assert ise.simulator.failed_logins == (credentials is not None)


@pytest.mark.parametrize(
    ("criterion", "field"),
    [
        ("macaddress", "wifi_mac"),
        ("guid", "guid"),
        ("guidhn", "hostname"),
        ("udid", "udid"),
        ("imei", "imei"),
        ("meid", "meid"),
        ("username", "username"),
    ],
)
def test_every_criterion_of_version_3_finds_the_device(start: Start, criterion: str, field: str) -> None:
    fleet = Fleet.generate(500)
    device = an_ordinary(fleet)
    found = guids(start(fleet).devices(criterion, getattr(device, field)))
    assert device.guid in found
    assert len(found) == len(fleet.select(lambda d: getattr(d, field) == getattr(device, field)))


@pytest.mark.parametrize(("version", "unknown"), [(2, ["guid", "guidhn"]), (3, ["serialnumber", "colour"])])
def test_a_criterion_that_the_version_lacks_is_refused(
    ise: IseClient, version: int, unknown: list[str]
) -> None:
    for criterion in unknown:
        query = {"paging": 0, "querycriteria": criterion, "value": "x", "filter": "all"}
        assert ise.status(f"/ciscoise/mdmapi/v{version}/devices/", **query) == 400


def test_the_truth_arrives_in_the_attributes(start: Start, fleet: Fleet) -> None:
    ise = start(hide_retired=False)
    for device in fleet:
        (row,) = ise.devices("guid", device.guid).iter("device")
        read = {tag: row.findtext(f"attributes/{tag}", "") for tag in ise.tags(row, "attributes")}
        assert row.findtext("guid") == device.guid
        assert read["register_status"] == str(device.registered).lower()
        assert row.findtext("attributes/compliance/status") == str(truth_compliant(device)).lower()
        assert read["serial_number"] == device.serial_number
        assert read.get("macaddresses") == (",".join(device.mac_addresses) or None)
        assert (read.get("imei"), read.get("meid")) == (device.imei, device.meid)
        assert read["manufacturer"] == device.manufacturer
        assert read["model"] == device.model
        for tag, truth in (
            ("disk_encryption_on", device.disk_encrypted),
            ("pin_lock_on", device.passcode_set),
            ("jail_broken", device.jailbroken),
        ):
            assert read.get(tag) == (None if truth is None else str(truth).lower())
        if device.last_check_in is None:
            assert "lastCheckinTimeStamp" not in read
        else:
            assert int(read["lastCheckinTimeStamp"]) == device.last_check_in.timestamp() * 1000
        if device.compliance == "noncompliant":
            reason = row.findtext("attributes/compliance/failure_reason")
            assert reason == "; ".join(device.failure_reasons)


@pytest.mark.parametrize(
    ("state", "word"),
    [("compliant", "true"), ("grace", "true"), ("noncompliant", "false"), ("unknown", "false")],
)
def test_only_compliance_and_grace_are_called_compliant(
    ise: IseClient, fleet: Fleet, state: ComplianceState, word: str
) -> None:
    for device in fleet.with_compliance(state):
        if not device.registered:
            continue
        page = ise.devices("guid", device.guid)
        assert page.findtext("deviceList/device/attributes/compliance/status") == word


def test_a_retired_device_is_in_no_list(start: Start, fleet: Fleet) -> None:
    retired = fleet.unregistered()[0]
    ise = start(fleet.replace(retired, compliance="noncompliant"), hide_retired=False)
    listed = [guid for page in ise.pages() for guid in guids(page)]
    assert retired.guid not in listed
    assert listed == [d.guid for d in fleet if d.registered and d.compliance in {"noncompliant", "unknown"}]


def test_version_2_answers_by_mac_address_and_without_what_3_added(ise: IseClient, fleet: Fleet) -> None:
    device = next(d for d in fleet if d.ethernet_mac and d.registered)
    (row,) = ise.devices("macaddress", device.ethernet_mac, version=2).iter("device")
    assert row.findtext("macaddress") == device.ethernet_mac
    assert row.find("guid") is None
    assert not {"guid", "macaddresses", "lastCheckinTimeStamp"} & set(ise.tags(row, "attributes"))
    page = ise.devices("macaddress", device.ethernet_mac, version=2)
    assert page.findtext("api_version") == "2"
    assert page.find("server_busy_wait_seconds") is None


def test_version_1_puts_the_query_into_the_path(ise: IseClient, fleet: Fleet) -> None:
    device = next(d for d in fleet if d.registered and d.wifi_mac and len(fleet.by_mac(d.wifi_mac)) == 1)
    page = ise.xml(
        f"/ciscoise/mdmapi/v1/devices/0/macaddress/{device.wifi_mac}/register_status+compliance_status"
    )
    (row,) = page.iter("device")
    assert ise.tags(row, "attributes") == ["register_status", "compliance"]
    enrolled = len(fleet) - len(fleet.unregistered())
    assert len(list(ise.xml("/ciscoise/mdmapi/v1/devices/0/all").iter("device"))) == enrolled
    listed = ise.xml("/ciscoise/mdmapi/v1/devices/0/compliance/false/all")
    assert len(list(listed.iter("device"))) == len(ise.simulator.noncompliant())


def test_a_filter_names_the_attributes(ise: IseClient, fleet: Fleet) -> None:
    page = ise.devices("guid", fleet[0].guid, filter="os_version compliance_status guid")
    assert ise.tags(page, "deviceList/device/attributes") == ["compliance", "os_version", "guid"]


def test_an_unknown_device_is_an_empty_list(ise: IseClient) -> None:
    page = ise.devices("macaddress", "001122334455")
    assert ise.tags(page, "deviceList") == []


def test_a_retired_device_is_an_empty_list_in_every_version(ise: IseClient, fleet: Fleet) -> None:
    for retired in fleet.unregistered():
        assert ise.tags(ise.devices("guid", retired.guid), "deviceList") == []
        assert retired.guid not in guids(ise.devices("udid", retired.udid))
        assert not ise.simulator.identifiers(retired)
    retired = next(
        one for one in fleet.unregistered() if one.wifi_mac and len(fleet.by_mac(one.wifi_mac)) == 1
    )
    for page in (
        ise.devices("macaddress", retired.wifi_mac, version=2),
        ise.xml(f"/ciscoise/mdmapi/v1/devices/0/macaddress/{retired.wifi_mac}/all"),
    ):
        assert ise.tags(page, "deviceList") == []


@pytest.mark.parametrize("page_size", [1, 7, 20, 1000])
@pytest.mark.parametrize("tokens", ["number", "text", "awkward"])
def test_the_pages_give_every_noncompliant_device_once(
    start: Start, fleet: Fleet, page_size: int, tokens: str
) -> None:
    ise = start(query_max_size=page_size, tokens=tokens)
    listed = [guid for page in ise.pages(deviceidentifier="guid") for guid in guids(page)]
    assert listed == [device.guid for device in ise.simulator.noncompliant()]
    assert len(ise.simulator.requests) == -(-len(listed) // page_size)
    assert {d.guid for d in fleet.noncompliant()} <= set(listed)


def test_the_list_of_the_compliant_is_the_rest_of_the_enrolled(ise: IseClient, fleet: Fleet) -> None:
    (page,) = ise.pages(value="true")
    assert set(guids(page)) == {d.guid for d in fleet if d.registered and truth_compliant(d)}


def test_a_list_carries_the_identifier_that_was_asked_for(ise: IseClient) -> None:
    (page,) = ise.pages(deviceidentifier="macaddress")
    expected = [next(iter(device.mac_addresses), None) for device in ise.simulator.noncompliant()]
    assert None in expected
    assert [device.findtext("macaddress") for device in page.iter("device")] == expected


def test_a_page_token_is_good_for_its_own_query_only(start: Start) -> None:
    ise = start(query_max_size=2)
    token = next(iter(ise.pages())).findtext("paging_info")
    query = {"paging": token, "querycriteria": "compliance", "filter": "all"}
    assert ise.status(DEVICES, **query, value="false") == 200
    assert ise.status(DEVICES, **query, value="true") == 400
    assert ise.status(DEVICES, **query | {"paging": "2"}, value="false") == 400
    assert ise.status(DEVICES, **query | {"paging": "ü!"}, value="false") == 400


@pytest.mark.parametrize("missing", ["paging", "filter", "value"])
def test_a_query_without_a_required_parameter_is_refused(ise: IseClient, missing: str) -> None:
    query = {"paging": "0", "querycriteria": "guid", "value": "x", "filter": "all"}
    del query[missing]
    assert ise.status(DEVICES, **query) == 400


def test_a_batch_of_version_2_takes_several_values(ise: IseClient, fleet: Fleet) -> None:
    asked = [d for d in fleet if d.registered and d.wifi_mac and len(fleet.by_mac(d.wifi_mac)) == 1][:3]
    body = "<ise_api>" + "".join(f"<value>{d.wifi_mac}</value>" for d in asked) + "</ise_api>"
    path = "/ciscoise/mdmapi/v{}/batchdevices/?paging=0&querycriteria=macaddress&filter=all"
    headers = {"Content-Type": "application/xml"}
    # By Cisco's description, a value stands in the address as well.
    path += f"&value={asked[0].wifi_mac}"
    page = ise.parse(ise.http.post(path.format(2), content=body, headers=headers).content)
    assert [row.findtext("macaddress") for row in page.iter("device")] == [d.wifi_mac for d in asked]
    assert ise.http.post(path.format(3), content=body, headers=headers).status_code == 404
    assert ise.http.post(path.format(2), content=body).status_code == 415
    colons = body.replace(str(asked[1].wifi_mac), "00:1B:44:11:3A:B7")
    assert ise.http.post(path.format(2), content=colons, headers=headers).status_code == 400


@pytest.mark.parametrize(("method", "path"), [("POST", "action/actionType=pin_lock"), ("PUT", "sendmessage")])
def test_what_acts_on_devices_is_refused(ise: IseClient, method: str, path: str) -> None:
    body = "<ise_api><identifier><guid>x</guid></identifier></ise_api>"
    assert ise.http.request(method, f"/ciscoise/mdmapi/v3/{path}", content=body).status_code == 404


def test_a_device_can_change_between_two_requests(ise: IseClient, fleet: Fleet) -> None:
    device = ise.simulator.noncompliant()[0]
    assert device.guid in guids(next(ise.pages()))
    ise.simulator.fleet = fleet.replace(device, compliance="compliant")
    assert device.guid not in guids(next(ise.pages()))


def test_the_log_tells_who_asked_without_the_password(ise: IseClient) -> None:
    ise.devices("username", "ada.abara")
    request = ise.simulator.requests[-1]
    assert (request.method, request.path, request.user, request.scheme) == ("GET", DEVICES, "ise", "basic")
    assert request.has_credentials
    assert request.parameters["value"] == "ada.abara"
    assert "simulated-password" not in repr(request)
    assert not re.search("authorization", repr(request), re.IGNORECASE)
    assert ise.simulator.requests.count("querycriteria=username") == 1
    assert ise.simulator.requests.wait_for(1, target="devices", timeout=60)
    assert ise.simulator.requests.total == 1
    ise.simulator.requests.clear()
    assert len(ise.simulator.requests) == 0
    assert not ise.simulator.requests.wait_for(1, timeout=0.01)


@pytest.mark.parametrize(
    "path", ["/", "/ciscoise/mdmapi/v3", "/ciscoise/mdmapi/v3/other", "/ciscoise/mdmapi/v1/devices/0"]
)
def test_other_paths_do_not_exist(ise: IseClient, path: str) -> None:
    assert ise.status(path) == 404
