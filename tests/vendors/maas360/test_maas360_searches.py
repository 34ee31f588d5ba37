"""Lookups, lists and reasons: what is asked, and what is made of strange answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mdmsdk.client.verdict import explained
from mdmsdk.errors import FilterIgnoredError, IncompleteListError, MalformedResponseError, ResponseError
from mdmsdk.identifiers import Imei, Mac, Udid, Username
from mdmsdk.models import ComplianceState, Device, ServerInfo
from mdmsdk.simulator import Fleet, serve
from mdmsdk.testing import Played, open_client, play
from mdmsdk.wire import Request, Response
from mdmsdk_maas360 import Maas360Provider
from mdmsdk_maas360.simulator import Maas360Simulator
from tests.vendors.relay import unlimited

Make = Callable[..., Maas360Provider]
Listing = Callable[..., Response]
Info = Callable[..., ServerInfo]
MAC = Mac("02:ab:00:00:00:01")
FLEET = Fleet.generate(120, seed=5)


def asked_for(make: Make, info: ServerInfo, key: Any, answer: Response) -> list[dict[str, Any]]:
    """The parameters of all searches, if each gives this answer."""
    sent = Played()
    play(make().find(info, key), lambda _: answer, record=sent)
    counted = {"pageNumber", "pageSize"}
    return [
        {name: value for name, value in request.params.items() if name not in counted}
        for request in sent.requests
    ]


def test_spellings_of_a_mac_address(make: Make, listing: Listing, info: Info) -> None:
    asked = [one["wifiMacAddress"] for one in asked_for(make, info(any_mac=False), MAC, listing())]
    assert asked[::2] == ["02:ab:00:00:00:01", "02:AB:00:00:00:01", "02AB00000001"]
    assert asked_for(make, info(), MAC, listing()) == [
        {"wifiMacAddress": "02:ab:00:00:00:01", "deviceStatus": "Active"},
        {"wifiMacAddress": "02:ab:00:00:00:01", "deviceStatus": "Inactive"},
    ]


def test_a_user_is_asked_for_by_name_and_by_mail_address(make: Make, listing: Listing, info: Info) -> None:
    asked = asked_for(make, info(), Username("demo@example.com"), listing())
    active = [one for one in asked if one.pop("deviceStatus") == "Active"]
    assert active == [{"partialUsername": "demo@example.com", "match": 1}, {"email": "demo@example.com"}]


def test_an_imei_may_have_lost_its_zeros(make: Make, listing: Listing, info: Info) -> None:
    asked = asked_for(make, info(), Imei("001000007919006"), listing())
    texts = {one["imeiMeid"] for one in asked}
    assert {"001000007919006", "1000007919006"} <= texts


def test_what_is_found_first_is_enough(make: Make, listing: Listing, info: Info, row: dict[str, Any]) -> None:
    assert len(asked_for(make, info(any_mac=False), MAC, listing(row))) == 1


def test_other_devices_are_no_answer(make: Make, listing: Listing, info: Info, row: dict[str, Any]) -> None:
    other = {**row, "maas360DeviceID": "Appl2", "wifiMacAddress": "02:ab:00:00:00:02"}
    provider = make()
    with pytest.raises(FilterIgnoredError):
        play(provider.find(info(), MAC), [listing(other, other, count=312)])


@pytest.mark.parametrize("count", [0, 2, 312])
def test_an_answer_has_as_many_rows_as_it_counts(
    make: Make, listing: Listing, info: Info, row: dict[str, Any], count: int
) -> None:
    with pytest.raises(IncompleteListError):
        play(make().find(info(), MAC), [listing(row, count=count)])


def test_another_page_is_no_answer(make: Make, listing: Listing, info: Info, row: dict[str, Any]) -> None:
    with pytest.raises(IncompleteListError):
        play(make().find(info(), MAC), [listing(row, page=2)])


@pytest.mark.parametrize("spelling", ["any", "as_held"])
@pytest.mark.parametrize("mode", ["sync", "asyncio"])
def test_the_heartbeat_learns_how_addresses_are_compared(mode: str, spelling: Any) -> None:
    simulator = Maas360Simulator(FLEET, mac_search=spelling)
    with serve(simulator) as running, open_client(unlimited(running), mode) as client:
        client.heartbeat()
        simulator.requests.clear()
        assert client.lookup("02:DE:AD:BE:EF:01") is None
        assert simulator.requests.count("wifiMacAddress") == (2 if spelling == "any" else 6)


@pytest.mark.parametrize(
    "parameter", ["wifiMacAddress", "udid", "imeiMeid", "partialUsername", "maas360DeviceId"]
)
def test_a_parameter_that_is_passed_over_finds_nobody(parameter: str) -> None:
    simulator = Maas360Simulator(FLEET, ignored=frozenset({parameter}))
    unknown: dict[str, Any] = {
        "wifiMacAddress": MAC,
        "udid": Udid("00008999-0123456789ABCDEF"),
        "imeiMeid": Imei("999999999999994"),
        "partialUsername": Username("nobody"),
        "maas360DeviceId": "id:nobody",
    }
    with serve(simulator) as running, open_client(unlimited(running), "sync") as client:
        client.heartbeat()
        with pytest.raises(FilterIgnoredError):
            client.lookup(unknown[parameter])


# --- lists ---


@pytest.mark.parametrize("name", ["plcCompliance", "ruleCompliance", "appCompliance", "pswdCompliance"])
def test_a_filter_that_is_passed_over_is_no_list(name: str) -> None:
    simulator = Maas360Simulator(FLEET, ignored=frozenset({name}))
    with serve(simulator) as running, open_client(unlimited(running), "sync") as client:
        with pytest.raises((FilterIgnoredError, IncompleteListError)) as caught:
            list(client.noncompliant())
        assert name in str(caught.value) + str(caught.value.__cause__)


def test_the_list_is_the_union_of_four_searches_of_either_status(
    make: Make, listing: Listing, info: Info, row: dict[str, Any]
) -> None:
    def answer(request: Request) -> Response:
        if request.params.get("appCompliance") == "OOC" and request.params["deviceStatus"] == "Active":
            return listing({**row, "appComplianceState": "Out of Compliance"})
        return listing()

    provider, sent, cursor = make(), Played(), None
    found: list[Device] = []
    while True:
        page = play(provider.noncompliant_page(info(), cursor), answer, record=sent)
        found += page.items
        if (cursor := page.next_cursor) is None:
            break
    assert [device.compliance.source for device in found] == ["app"]
    asked = [(*request.params.items(),)[:2] for request in sent.requests]
    filters = ["plcCompliance", "ruleCompliance", "appCompliance", "pswdCompliance"]
    each = [
        (("deviceStatus", status), (name, "OOC")) for name in filters for status in ("Active", "Inactive")
    ]
    assert asked == [*each, *each[:-1]]  # and all but the last are counted once more


@pytest.mark.parametrize("word", ["", "Splendid", [1]])
def test_a_row_that_does_not_say_why_it_is_listed_is_unknown(
    make: Make, listing: Listing, info: Info, row: dict[str, Any], word: Any
) -> None:
    page = play(make().noncompliant_page(info(), None), [listing({**row, "policyComplianceState": word})])
    (device,) = page.items
    assert device.compliance.state is not ComplianceState.NONCOMPLIANT


def test_devices_that_have_left_are_not_listed_and_doubtful_ones_are(
    make: Make, listing: Listing, info: Info, row: dict[str, Any]
) -> None:
    bad = {**row, "policyComplianceState": "Out of Compliance"}
    gone = {**bad, "maas360DeviceID": "A2", "maas360ManagedStatus": "User Removed Control"}
    doubtful = {**bad, "maas360DeviceID": "A3", "maas360ManagedStatus": ""}
    page = play(make().noncompliant_page(info(), None), [listing(bad, gone, doubtful)])
    assert [device.id for device in page.items] == [row["maas360DeviceID"], "A3"]


@pytest.mark.parametrize("page_size", [50, 250])
def test_pages_of_every_size_are_read_with_the_sizes_that_there_are(page_size: Any) -> None:
    simulator = Maas360Simulator(Fleet.generate(280, seed=2))
    with serve(simulator) as running:
        with open_client(unlimited(running, page_size=page_size), "sync") as client:
            found = [device.id for device in client.devices()]
        assert len(found) == len(set(found)) == len(simulator._devices())
        sizes = {dict(one.query).get("pageSize") for one in simulator.requests.matching("/search/")}
        assert {int(size) for size in sizes if size} <= {25, 50, 100, 200, 250}


@pytest.mark.parametrize("page_cap", [25, 100])
def test_a_server_that_gives_less_is_followed(page_cap: int) -> None:
    simulator = Maas360Simulator(Fleet.generate(110, seed=2), page_cap=page_cap)
    with serve(simulator) as running, open_client(unlimited(running), "sync") as client:
        assert len({device.id for device in client.devices()}) == len(simulator._devices())


@pytest.mark.parametrize("habits", [{"lost_rows": 1}, {"page_cap": 40}, {"reorder": True, "page_cap": 25}])
def test_a_list_that_lacks_rows_is_an_error(habits: dict[str, Any]) -> None:
    simulator = Maas360Simulator(FLEET, **habits)
    with serve(simulator) as running, open_client(unlimited(running), "sync") as client:
        client.heartbeat()
        with pytest.raises(IncompleteListError):
            list(client.devices())


# --- reasons ---


def test_reasons_are_of_the_device_alone(
    make: Make, listing: Listing, reply: Callable[..., Response], info: Info, row: dict[str, Any]
) -> None:
    provider = make()
    (device,) = play(
        provider.find(info(), MAC), [listing({**row, "ruleComplianceState": "Out of Compliance"})]
    )
    attribute = {"name": "Rule", "value": "OS version", "compliance": "Out of Compliance"}
    fine = {"name": "Rooted", "value": "No", "compliance": "Compliant"}

    def told(attributes: Any, **more: Any) -> Response:
        return reply(
            {"securityCompliance": {"complianceAttributes": {"complianceAttribute": attributes}, **more}}
        )

    for attributes in (attribute, [attribute, fine]):
        found = play(provider.reasons(info(), device), [told(attributes)])
        assert found.compliance.reasons == (*device.compliance.reasons, "Rule: OS version")
    with pytest.raises(FilterIgnoredError):
        play(provider.reasons(info(), device), [told(attribute, maas360DeviceID="Appl2")])
    wrongs: list[Any] = [{}, {"securityCompliance": {}}, {"securityCompliance": {"complianceAttributes": []}}]
    for wrong in wrongs:
        with pytest.raises(MalformedResponseError):
            play(provider.reasons(info(), device), [reply(wrong)])


def test_a_reason_leaves_nobody_who_vouches(
    make: Make, listing: Listing, reply: Callable[..., Response], info: Info, row: dict[str, Any]
) -> None:
    provider = make()
    (device,) = play(provider.find(info(), MAC), [listing(row)])
    attribute = {"name": "Rule", "value": "OS version", "compliance": "Out of Compliance"}
    told = reply({"securityCompliance": {"complianceAttributes": {"complianceAttribute": attribute}}})
    found = explained(play(provider.reasons(info(), device), [told]), device)
    assert device.compliance.state is ComplianceState.COMPLIANT
    assert found.compliance.state is ComplianceState.UNKNOWN
    assert found.compliance.reasons == ("Rule: OS version",)


# --- the simulator is strict ---


@pytest.mark.parametrize("query", ["deviceName=x", "sortOrder=desc", "plcCompliance=yes"])
def test_what_is_not_implemented_is_refused(query: str) -> None:
    with serve(Maas360Simulator(FLEET)) as running, open_client(unlimited(running), "sync") as client:
        name, _, value = query.partition("=")
        provider = client.provider
        search = provider._search

        def strange(params: dict[str, Any], *more: Any, **named: Any) -> Any:
            return search({**params, name: value}, *more, **named)

        vars(provider)["_search"] = strange
        with pytest.raises(ResponseError):
            client.heartbeat()
