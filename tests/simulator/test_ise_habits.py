from __future__ import annotations

import inspect
import time
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from mdmsdk.simulator import Fleet, IseHabits, IseSimulator

if TYPE_CHECKING:
    from tests.simulator.conftest import IseClient, Start

MDMINFO = "/ciscoise/mdminfo/"
BARE = "/ciscoise/mdminfo"
DEVICES = "/ciscoise/mdmapi/v3/devices/"
INVENTORY = frozenset({"inventory"})
NAMESPACE = "{http://schemas.datacontract.org/2004/07/Microsoft.Intune.ResourceAccess.ComplianceRetrievalService.Model}"


def texts(page: ET.Element, tag: str) -> list[str | None]:
    return [element.text for element in page.iter(tag)]


def test_an_unknown_habit_is_refused() -> None:
    with pytest.raises(TypeError, match="polite"):
        IseSimulator(polite=True)


def test_habits_can_change_while_the_server_runs(ise: IseClient) -> None:
    ise.simulator.behave(deny=403)
    assert ise.status(BARE) == 403
    ise.simulator.behave(deny=None)
    assert ise.status(BARE) == 200


def test_the_settings_open_the_door(start: Start) -> None:
    ise = start(instance="/networkIntegrationEndpoint/7", username="zoë", password="a:b c")
    settings = ise.simulator.settings(ise.origin)
    assert settings["provider"] == "ise"
    path = settings["base_url"] + settings["instance"] + BARE
    assert httpx.get(path, auth=(settings["username"], settings["password"])).status_code == 200


def test_an_instance_prefixes_every_path(start: Start) -> None:
    ise = start(instance="/tenant/7", accepts=INVENTORY)
    assert ise.status(BARE) == 404
    api_path = ise.xml(f"/tenant/7{MDMINFO}", ise_api_version=3).findtext("api_path")
    assert api_path == "/tenant/7/ciscoise/mdmapi/v3"
    assert ise.status(f"{api_path}/devices/", paging=0, filter="all") == 200


def test_an_api_path_can_be_relative_to_the_instance(start: Start) -> None:
    ise = start(instance="/tenant/7", api_path_style="instance", accepts=INVENTORY)
    api_path = ise.xml(f"/tenant/7{MDMINFO}", ise_api_version=3).findtext("api_path")
    assert api_path == "/ciscoise/mdmapi/v3"
    assert ise.status(f"{api_path}/devices/", paging=0, filter="all") == 404
    assert ise.status(f"/tenant/7{api_path}/devices/", paging=0, filter="all") == 200


def test_one_api_path_can_serve_all_versions(start: Start, fleet: Fleet) -> None:
    ise = start(api_path="/ise/mdm/api/", accepts=INVENTORY)
    assert ise.xml(MDMINFO, ise_api_version=2).findtext("api_path") == "/ise/mdm/api/"
    assert ise.xml("/ise/mdm/api/devices/", paging=0, filter="all").findtext("api_version") == "3"
    assert ise.xml(f"/ise/mdm/api/devices/0/username/{fleet[0].username}/all").findtext("api_version") == "1"


@pytest.mark.parametrize(("form", "good", "bad"), [
    ("slash", "/ciscoise/mdminfo/", "/ciscoise/mdminfo"),
    ("no_slash", "/ciscoise/mdminfo", "/ciscoise/mdminfo/"),
])  # fmt: skip
def test_only_one_form_of_discovery(start: Start, form: Any, good: str, bad: str) -> None:
    ise = start(mdminfo_form=form)
    assert ise.status(good, ise_api_version=3) == 200
    assert ise.status(bad, ise_api_version=3) == 404
    ise.simulator.behave(mdminfo_other_form="redirect")
    redirect = ise.http.get(bad, params={"ise_api_version": 3})
    assert redirect.status_code == 302
    assert redirect.headers["location"] == f"{ise.origin}{good}?ise_api_version=3"


@pytest.mark.parametrize("refusal", [400, 404, 405, 500])
def test_a_higher_version_can_be_refused(start: Start, refusal: int) -> None:
    ise = start(max_api_version=2, higher_version=refusal)
    assert ise.status(MDMINFO, ise_api_version=3) == refusal
    assert ise.xml(MDMINFO, ise_api_version=2).findtext("api_version") == "2"


def test_a_higher_version_can_get_a_page_or_a_lower_version(start: Start) -> None:
    ise = start(max_api_version=1)
    assert ise.xml(MDMINFO, ise_api_version=3).findtext("api_path") == "/ciscoise/mdmapi/v1"
    assert ise.status(DEVICES, paging=0, filter="all") == 404
    ise.simulator.behave(higher_version="html")
    assert (
        ise.http.get(MDMINFO, params={"ise_api_version": 3}).headers["content-type"].startswith("text/html")
    )


def test_versions_can_be_announced_and_answered_wrongly(start: Start, fleet: Fleet) -> None:
    ise = start(announce_highest=True, answer_api_version=2)
    assert ise.xml(MDMINFO, ise_api_version=2).findtext("api_version") == "3"
    assert ise.devices("guid", fleet[0].guid).findtext("api_version") == "2"


def test_an_account_gets_locked(start: Start) -> None:
    ise = start(lock_after=3)
    for _ in range(3):
        assert ise.status(BARE) == 200
        assert httpx.get(ise.origin + BARE, auth=("ise", "wrong")).status_code == 401
    assert ise.simulator.failed_logins == 1
    for _ in range(2):
        httpx.get(ise.origin + BARE, auth=("ise", "wrong"))
    httpx.get(ise.origin + BARE, auth=("ise", "wrong"))
    assert ise.status(BARE) == 401


@pytest.mark.parametrize("status", [401, 403])
def test_an_account_can_lack_rights(start: Start, status: int | None) -> None:
    assert start(deny=status).status(BARE) == status


def test_intunes_style_has_a_namespace_and_capitals(start: Start, fleet: Fleet) -> None:
    ise = start(xml_style="namespaced")
    page = ise.devices("guid", fleet[0].guid)
    assert page.tag == f"{NAMESPACE}ise_api"
    assert page.find(f".//{NAMESPACE}Attributes/{NAMESPACE}Compliance/{NAMESPACE}status") is not None
    assert page.find(f".//{NAMESPACE}attributes") is None


def test_booleans_and_addresses_in_other_words(start: Start, fleet: Fleet) -> None:
    device = next(d for d in fleet if d.compliance == "compliant" and d.wifi_mac and d.registered)
    page = start(boolean_words=("Yes", "No"), mac_style="lower").devices("guid", device.guid)
    assert texts(page, "status") == ["Yes"]
    assert (texts(page, "macaddresses")[0] or "").startswith(str(device.wifi_mac).lower())
    page = start(mac_style="colons", identifier="macaddress").devices("guid", device.guid)
    assert page.findtext(".//device/macaddress", "").replace(":", "") == device.wifi_mac


@pytest.mark.parametrize("tag", ["api_path", "query_max_size", "name"])
def test_children_of_discovery_can_be_missing(start: Start, tag: str) -> None:
    info = start(missing=frozenset({tag})).xml(MDMINFO, ise_api_version=3)
    assert info.find(tag) is None
    assert info.find("redirect_url") is not None


@pytest.mark.parametrize(
    "tag", ["deviceList", "attributes", "compliance", "status", "register_status", "paging_info"]
)
def test_children_of_an_answer_can_be_missing(start: Start, fleet: Fleet, tag: str) -> None:
    page = start(missing=frozenset({tag})).devices("guid", fleet[0].guid)
    assert page.find(f".//{tag}") is None
    assert page.findtext("api_version") == "3"


@pytest.mark.parametrize(
    ("habit", "tag"), [("guid", "guid"), ("macaddress", "macaddress"), ("query", "udid"), ("none", None)]
)
def test_the_identifier_child(start: Start, fleet: Fleet, habit: str, tag: str | None) -> None:
    device = next(d for d in fleet if d.wifi_mac)
    row = next(start(identifier=habit).devices("udid", device.udid).iter("device"))
    assert [child.tag for child in row] == ([tag] if tag else []) + ["attributes"]


def test_only_the_first_address_may_be_known(start: Start, fleet: Fleet) -> None:
    device = next(d for d in fleet if d.ethernet_mac and d.registered)
    row = next(
        start(primary_mac_only=True).devices("macaddress", device.ethernet_mac, version=2).iter("device")
    )
    assert row.findtext("macaddress") == device.wifi_mac


def test_never_can_be_a_date(start: Start, fleet: Fleet) -> None:
    page = start(sentinel_dates=True).devices("guid", fleet.never_checked_in()[0].guid)
    assert texts(page, "lastCheckinTimeStamp") == ["-62135596800000"]


def test_retired_devices_are_unknown(start: Start, fleet: Fleet) -> None:
    ise = start(accepts=INVENTORY)
    assert not texts(ise.devices("guid", fleet.unregistered()[0].guid), "guid")
    assert len(list(ise.devices().iter("device"))) == len(fleet) - len(fleet.unregistered())


def test_retired_devices_can_stay_with_their_last_verdict(start: Start, fleet: Fleet) -> None:
    ise = start(hide_retired=False, accepts=INVENTORY)
    page = ise.devices("guid", fleet.unregistered()[0].guid)
    assert page.findtext("deviceList/device/attributes/register_status") == "false"
    assert page.find("deviceList/device/attributes/compliance/status") is not None
    assert len(list(ise.devices().iter("device"))) == len(fleet)


def test_a_filter_can_be_ignored(start: Start, fleet: Fleet) -> None:
    ise = start(wrong_filter="everything", hide_retired=False)
    assert len(list(ise.devices("guid", fleet[0].guid).iter("device"))) == len(fleet)
    assert len(list(ise.devices("guid", "nobody").iter("device"))) == len(fleet)
    (page,) = ise.pages()
    assert "true" in texts(page, "status")


def test_the_answer_can_be_about_another_device(start: Start, fleet: Fleet) -> None:
    ise = start(wrong_filter="other_device")
    for value in (fleet[0].guid, "nobody"):
        (row,) = ise.devices("guid", value).iter("device")
        assert row.findtext("guid") != value


def test_unsupported_criteria_can_get_nothing_or_everything(start: Start, fleet: Fleet) -> None:
    assert not texts(start(unsupported_criterion="empty").devices("serialnumber", "x"), "device")
    everything = start(unsupported_criterion="everything").devices("serialnumber", "x")
    assert len(texts(everything, "device")) == len(fleet)


def test_the_last_page_can_lack_the_token(start: Start) -> None:
    (page,) = start(final_paging="absent").pages()
    assert page.find("paging_info") is None


def test_a_token_can_repeat(start: Start) -> None:
    ise = start(query_max_size=5, repeat_token=True)
    pages = [page for page, _ in zip(ise.pages(), range(4), strict=False)]
    assert len({page.findtext("paging_info") for page in pages}) == 1
    assert texts(pages[1], "guid") == texts(pages[2], "guid") == texts(pages[3], "guid")


def test_pages_can_overlap(start: Start) -> None:
    ise = start(query_max_size=5, page_overlap=2)
    rows = [guid for page in ise.pages() for guid in [d.findtext("guid") for d in page.iter("device")]]
    assert set(rows) == {device.guid for device in ise.simulator.noncompliant()}
    assert len(rows) > len(set(rows))


@pytest.mark.parametrize("size", [1, 4, 5])
def test_a_blank_page_is_not_the_end(start: Start, size: int) -> None:
    ise = start(query_max_size=size, blank_page=True)
    pages = list(ise.pages())
    rows = [guid for page in pages for guid in [d.findtext("guid") for d in page.iter("device")]]
    assert not list(pages[1].iter("device"))
    assert rows == [device.guid for device in ise.simulator.noncompliant()]


def test_real_pages_can_be_smaller_than_announced(start: Start) -> None:
    ise = start(page_size=3)
    assert ise.xml(MDMINFO, ise_api_version=3).findtext("query_max_size") == "1000"
    assert {len(list(page.iter("device"))) for page in ise.pages()} <= {1, 2, 3}


def test_a_list_can_be_cut_without_a_word(start: Start) -> None:
    ise = start(total_cap=4, query_max_size=3)
    assert sum(len(list(page.iter("device"))) for page in ise.pages()) == 4


def test_lists_can_be_throttled_but_not_their_pages_nor_lookups(start: Start, fleet: Fleet) -> None:
    ise = start(bulk_interval=60, query_max_size=5)
    assert len(list(ise.pages())) > 1
    query = {"paging": "0", "querycriteria": "compliance", "value": "false", "filter": "all"}
    refused = ise.http.get(DEVICES, params=query)
    assert refused.status_code == 503
    assert 0 < int(refused.headers["retry-after"]) <= 60
    ise.devices("guid", fleet[0].guid)


def test_the_server_can_ask_to_wait(start: Start, fleet: Fleet) -> None:
    page = start(busy_wait_seconds=2).devices("guid", fleet[0].guid)
    assert page.findtext("server_busy_wait_seconds") == "2"


def test_bytes_can_be_odd(start: Start, fleet: Fleet) -> None:
    ise = start(content_type="text/plain", byte_order_mark=True)
    response = ise.http.get(BARE)
    assert response.headers["content-type"] == "text/plain"
    assert response.content.startswith(b"\xef\xbb\xbf<?xml")
    assert "content-length" in response.headers
    for encoding in ("utf-16", "iso-8859-1"):
        guid = next(d.guid for d in fleet if any("Café" in reason for reason in d.failure_reasons))
        ise.simulator.behave(encoding=encoding, byte_order_mark=False)
        assert "Café" in ise.devices("guid", guid).findtext(".//failure_reason", "")


@pytest.mark.parametrize("kind", ["plain", "entity_bomb", "external_entity"])
def test_a_document_type_can_stand_in_front(start: Start, fleet: Fleet, kind: Any) -> None:
    ise = start(document_type=kind)
    for path in (BARE, f"{DEVICES}?paging=0&filter=all&querycriteria=guid&value={fleet[0].guid}"):
        body = ise.http.get(path).text
        assert "<!DOCTYPE ise_api" in body
        assert ("&e9;" in body) == (kind == "entity_bomb")
        assert ("file:///" in body) == (kind == "external_entity")


def test_every_answer_can_be_truncated(start: Start) -> None:
    ise = start(truncate=True)
    for path in (BARE, f"{DEVICES}?paging=0&querycriteria=username&value=x&filter=all"):
        response = ise.http.get(path)
        assert response.status_code == 200
        with pytest.raises(ET.ParseError):
            ise.parse(response.content)


def test_answers_can_be_late(start: Start, fleet: Fleet) -> None:
    ise = start(latency=0.1)
    started = time.perf_counter()
    ise.devices("guid", fleet[0].guid)
    ise.devices("guid", fleet[1].guid)
    assert time.perf_counter() - started >= 0.2


def test_messages_can_be_unsupported(start: Start) -> None:
    ise = start(messaging_support=False)
    assert ise.xml(MDMINFO, ise_api_version=3).findtext("messaging_support") == "false"


def test_every_habit_is_documented() -> None:
    text = inspect.getdoc(IseHabits) or ""  # newer Pythons keep no indentation
    assert not [name for name in IseHabits.__dataclass_fields__ if f"\n    {name}: " not in text]


def test_a_large_list_is_streamed_in_pages(start: Start) -> None:
    ise = start(Fleet.generate(6_000, cases=False, mix={"noncompliant": 1.0}), query_max_size=2_000)
    counts = [len(list(page.iter("device"))) for page in ise.pages()]
    assert counts == [2_000] * 3


GOOD = "paging=0&querycriteria=compliance&value=false&filter=all"
MAC = "paging=0&querycriteria=macaddress&value=001B44113AB7&filter=all"


@pytest.mark.parametrize(("leniency", "targets"), [
    ("any_case", [f"/?{MAC.replace('macaddress', 'MacAddress')}", f"/?{GOOD.replace('false', 'False')}",
                  f"/?{GOOD.replace('paging', 'Paging')}"]),
    ("any_compliance", [f"/?{GOOD.replace('false', 'maybe')}"]),
    ("any_filter", [f"/?{GOOD.replace('all', 'nonsense')}", f"/?{GOOD.replace('all', 'guid%2Budid')}"]),
    ("any_identifier", [f"/?{GOOD}&deviceidentifier=colour", f"/?{MAC}&deviceidentifier=guid"]),
    ("inventory", ["/?paging=0&filter=all"]),
    ("empty_criterion", ["/?paging=0&querycriteria=&filter=all"]),
    ("loose_paths", [f"?{GOOD}", f"//?{GOOD}"]),
    ("mac_separators", [f"/?{MAC.replace('001B44', '00:1B:44:')}"]),
    ("optional_parameters", [f"/?{GOOD.replace('paging=0&', '')}", f"/?{GOOD.replace('all', '')}",
                             f"/?{GOOD}&deviceidentifier="]),
    ("unknown_parameters", [f"/?{GOOD}&colour=red", f"/?{GOOD}&paging=1"]),
])  # fmt: skip
def test_what_is_not_described_is_a_habit(start: Start, leniency: str, targets: list[str]) -> None:
    ise = start(refusal=422)
    refused = [ise.http.get(DEVICES.rstrip("/") + target).status_code for target in targets]
    assert set(refused) == ({404} if leniency == "loose_paths" else {422})
    ise.simulator.behave(accepts=frozenset({leniency}))
    for target in targets:
        assert ise.http.get(DEVICES.rstrip("/") + target).status_code == 200, target


def test_a_leniency_that_does_not_exist_is_refused(start: Start) -> None:
    with pytest.raises(TypeError, match="everything"):
        start(accepts=frozenset({"everything"}))


def test_any_media_and_no_version_are_habits(start: Start) -> None:
    ise = start(accepts=frozenset({"any_media", "optional_parameters"}))
    assert ise.http.get(f"{DEVICES}?{GOOD}", headers={"Accept": "text/html"}).status_code == 200
    assert ise.status(MDMINFO) == 200


def test_the_famous_faults_of_lenient_servers(start: Start, fleet: Fleet) -> None:
    """What such servers answer: clients' mistakes look like an answer."""
    ise = start(
        accepts=frozenset({"any_compliance", "empty_criterion", "any_identifier"}), empty_elements=True
    )
    (page,) = ise.pages(value="maybe")
    assert set(texts(page, "status")) == {"true"}
    page = ise.parse(ise.http.get(f"{DEVICES}?paging=0&querycriteria=&filter=all").content)
    assert len(texts(page, "device")) == len(fleet) - len(fleet.unregistered())
    (page,) = ise.pages(deviceidentifier="macaddress")
    assert any(
        row.find("macaddress") is not None and not row.findtext("macaddress") for row in page.iter("device")
    )
    (page,) = ise.pages(deviceidentifier="colour")
    assert {len(row) for row in page.iter("device")} == {1}


@pytest.mark.parametrize("ends", [False, True])
def test_a_list_can_be_busy_first(start: Start, ends: bool) -> None:
    ise = start(busy_lists=1, busy_ends=ends)
    first = ise.devices("compliance", "false")
    assert ise.tags(first, "deviceList") == []
    assert first.findtext("server_busy_wait_seconds") == "1"
    token = first.findtext("paging_info", "")
    assert (token == "0") is ends
    served = ise.devices("compliance", "false", paging=token)
    assert len(list(served.iter("device"))) == len(ise.simulator.noncompliant())
