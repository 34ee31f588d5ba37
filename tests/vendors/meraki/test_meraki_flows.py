"""Flows on given answers: discovery, lookups, lists, login; what they ask and what they refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mdmsdk.errors import (
    AuthenticationError,
    ConfigurationError,
    EndpointNotFoundError,
    FilterIgnoredError,
    IncompleteListError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    TokenError,
)
from mdmsdk.identifiers import DeviceId, Guid, Imei, Key, Mac, Serial, Udid
from mdmsdk.models import ServerInfo
from mdmsdk.proof import proven
from mdmsdk.testing import Played, play
from mdmsdk.wire import Request, Response
from mdmsdk_meraki.scope import Network, Scope

ORG = {"id": "29", "name": "Ours", "api": {"enabled": True}}
SM = {"id": "N_1", "organizationId": "29", "name": "Phones", "productTypes": ["systemsManager"]}
CABLES = {"id": "N_2", "organizationId": "29", "name": "Cables", "productTypes": ["switch"]}


def values(request: Request, name: str) -> list[str]:
    given: Any = request.params[name]
    return list(given)


def info(*networks: str, organization: str = "29", policies: tuple[str, ...] = ()) -> ServerInfo:
    rows = [Network(id=name, organization=organization) for name in networks or ("N_1",)]
    return ServerInfo(description=Scope(networks=tuple(rows), policies=policies))


@pytest.fixture
def ask(dashboard: Any) -> Any:
    """Plays a provider's flow on answers by the end of the path."""

    def ask(provider: Any, flow: Any, answers: Any, record: Played | None = None) -> Any:
        def answer(request: Request) -> Any:
            if callable(answers):
                return answers(request)
            path = request.url.removeprefix(dashboard.base)
            body = answers[path]
            return (
                body
                if isinstance(body, Response | Exception)
                else dashboard.answer(body, url=request.full_url)
            )

        return play(flow, answer, provider=provider, record=record)

    return ask


NAMELESS = {"/organizations": [ORG], "/organizations/29/networks": [{"id": "N_1"}]}
DISCOVERY: dict[str, Any] = {"/organizations": [ORG], "/organizations/29/networks": [SM, CABLES]}
N_1, N_2 = "/networks/N_1/sm/devices", "/networks/N_2/sm/devices"


def test_discovery(dashboard: Any, ask: Any) -> None:
    provider, played = dashboard.provider(compliance={"source": "policy-tags"}), Played()
    tagged = dashboard.row(autoTags=["A compliant", "B violating", "iOS", "violating"])
    answers = {
        **DISCOVERY,
        N_1: [tagged, dashboard.row(autoTags=None), dashboard.row(autoTags=["A compliant"])],
    }
    found = ask(provider, provider.heartbeat(), answers, played)
    assert found.extra == {
        "networks": [{"id": "N_1", "organization": "29", "name": "Phones"}],
        "policies": ["A", "B"],
    }
    assert found.description == Scope.model_validate(found.extra)
    assert (found.vendor, found.product) == ("Cisco Meraki", "Meraki Systems Manager")
    first, second, third = played.requests
    assert first.full_url == f"{dashboard.base}/organizations?perPage=1000"
    assert second.full_url.endswith("/networks?productTypes%5B%5D=systemsManager&perPage=1000")
    assert third.full_url.endswith("/networks/N_1/sm/devices?fields%5B%5D=autoTags&perPage=1000")
    assert [request.lane for request in played.requests] == ["", "29", "29"]
    application, _, vendor = first.headers["User-Agent"].partition(" ")
    assert application.replace("/", "").replace(".", "").isalnum()
    assert vendor.isalnum()


def test_given_organisations_are_asked_directly(dashboard: Any, ask: Any) -> None:
    provider, played = dashboard.provider(organizations=["29"], networks=["N_1"]), Played()
    ask(provider, provider.heartbeat(), {"/organizations/29/networks": [SM]}, played)
    assert len(played.requests) == 1


TAGGED = {"source": "policy-tags"}
RULED = {"source": "rules", "rules": {"passcode_set": True}}
OWN_TAGS = {"source": "tags", "violating": ["nac-bad"], "compliant": ["nac-ok"]}


@pytest.mark.parametrize("source", [None, RULED])
def test_discovery_asks_for_no_tags_that_decide_nothing(dashboard: Any, ask: Any, source: Any) -> None:
    provider, played = dashboard.provider(compliance=source), Played()
    assert ask(provider, provider.heartbeat(), DISCOVERY, played).extra["policies"] == []
    assert len(played.requests) == 2


@pytest.mark.parametrize(("source", "field"), [({"source": "policy-tags"}, "autoTags"), (OWN_TAGS, "tags")])
def test_patterns_that_fit_no_tag_at_all_are_told(dashboard: Any, ask: Any, source: Any, field: str) -> None:
    provider, played = dashboard.provider(compliance=source), Played()
    many = [f"tag {number:02}" for number in range(30)]
    rows = [dashboard.row(**{field: ["A kept", "A broken\x1b[31m"]}), dashboard.row(**{field: many})]
    answers = {
        "/organizations": [ORG],
        "/organizations/29/networks": [SM, {**SM, "id": "N_2"}],
        N_1: dashboard.answer(rows[:1], link=f"<{dashboard.base}{N_1}/two>; rel=next"),
        f"{N_1}/two": rows[1:],
        N_2: [],
    }
    with pytest.raises(
        ConfigurationError, match="tag patterns of the setting compliance say nothing"
    ) as caught:
        ask(provider, provider.heartbeat(), answers, played)
    hint = caught.value.hint or ""
    assert "'A kept'" in hint
    assert "tag 17" in hint
    assert "12 more" in hint
    assert "\x1b" not in hint
    assert len(played.requests) == 5
    # Read on only until something fits.
    good = {"autoTags": ["A compliant"], "tags": ["nac-ok"]}
    answers[N_2], played = [dashboard.row(**good)], Played()
    ask(provider, provider.heartbeat(), answers, played)
    assert len(played.requests) == 4


def test_without_devices_no_tag_is_missed(dashboard: Any, ask: Any) -> None:
    provider = dashboard.provider(compliance=OWN_TAGS)
    found = ask(provider, provider.heartbeat(), {**DISCOVERY, N_1: []})
    assert found.extra["policies"] == []
    assert ask(provider, provider.noncompliant_page(info(), None), {N_1: []}).items == []


@pytest.mark.parametrize(
    ("settings", "answers", "error", "words", "hint"),
    [
        ({}, {"/organizations": []}, ConfigurationError, "network at all; it sees: none", "were asked: none"),
        (
            {},
            {**DISCOVERY, "/organizations/29/networks": [CABLES]},
            ConfigurationError,
            "no single Systems Manager network at all",
            "Systems Manager is licensed",
        ),
        ({"networks": ["N_9"]}, DISCOVERY, ConfigurationError, "network N_9; it sees: Phones (N_1)", "29"),
        ({"networks": ["N_2"]}, DISCOVERY, ConfigurationError, "Manager network N_2", "networks"),
        (
            {},
            {"/organizations": [{**ORG, "api": {"enabled": False}}]},
            PermissionDeniedError,
            "29 does not allow the API",
            "API & Webhooks",
        ),
        ({}, {"/organizations": [{"name": "x"}]}, MalformedResponseError, "has no id", "base_url"),
        ({}, NAMELESS, MalformedResponseError, "network", "base_url"),
    ],
)  # fmt: skip
def test_discovery_fails_in_the_open(
    dashboard: Any, ask: Any, *, settings: Any, answers: Any, error: Any, words: str, hint: str
) -> None:
    provider = dashboard.provider(**settings)
    with pytest.raises(error) as caught:
        ask(provider, provider.heartbeat(), answers)
    assert words in str(caught.value)
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("key", "filters"),
    [
        (Mac("00-1B-44-11-3A-B7"), "wifiMacs%5B%5D=00%3A1b%3A44%3A11%3A3a%3Ab7"),
        (Mac("001b.4411.3ab7"), "wifiMacs%5B%5D=00%3A1b%3A44%3A11%3A3a%3Ab7"),
        (Serial("ser1"), "serials%5B%5D=ser1"),
        (Udid("uuid-1"), "uuids%5B%5D=uuid-1"),
        (Guid("128"), "ids%5B%5D=128"),
        (Guid("ID:MerakiSM:DeviceID:128"), "ids%5B%5D=128"),
        (DeviceId("128"), "ids%5B%5D=128"),
    ],
)
def test_a_lookup_asks_every_network(dashboard: Any, ask: Any, key: Key, filters: str) -> None:
    provider, played = dashboard.provider(), Played()
    answers = {"/networks/N_1/sm/devices": [dashboard.row()], "/networks/L_2/sm/devices": []}
    (device,) = ask(provider, provider.find(info("N_1", "L_2"), key), answers, played)
    assert device.matches(key)
    assert device.id == "128"
    assert len(played.requests) == 2
    for request in played.requests:
        assert filters in request.full_url
        assert "fields%5B%5D=autoTags" in request.full_url
        assert "perPage=1000" in request.full_url
        assert request.lane == "29"


def test_the_other_name_of_the_serial_number_counts_too(dashboard: Any, ask: Any) -> None:
    provider = dashboard.provider()
    row = dashboard.row(serialNumber="A1", serial="B2")
    for name in ("a1", "B2"):
        (device,) = ask(provider, provider.find(info(), Serial(name)), {"/networks/N_1/sm/devices": [row]})
        assert device.matches(Serial(name))


ASKED = Mac("00:1b:44:11:3a:b7")


@pytest.mark.parametrize("mac", ["00:1b:44:11:3a:b8", "00:1b:44:11", 7, ["x"]])
def test_rows_of_others_are_no_answer(dashboard: Any, ask: Any, mac: Any) -> None:
    provider, other = dashboard.provider(), dashboard.row(id="129", wifiMac=mac)
    with pytest.raises(FilterIgnoredError):
        ask(provider, provider.find(info(), ASKED), {N_1: [other]})
    devices = ask(provider, provider.find(info(), ASKED), {N_1: [dashboard.row(), other]})
    assert [device.id for device in proven(provider, ASKED, devices)] == ["128"]


def test_an_ignored_filter_ends_a_lookup_with_the_first_page(dashboard: Any, ask: Any) -> None:
    provider, played = dashboard.provider(), Played()
    page = dashboard.answer(
        [dashboard.row(wifiMac="00:1b:44:11:3a:b8")], link=f"<{dashboard.base}{N_1}/two>; rel=next"
    )
    with pytest.raises(FilterIgnoredError):
        ask(provider, provider.find(info(), ASKED), {N_1: page}, played)
    assert len(played.requests) == 1


@pytest.mark.parametrize("mac", [None, "", "00:00:00:00:00:00", "02:00:00:00:00:00"])
def test_a_row_that_does_not_show_the_address_is_no_pass(dashboard: Any, ask: Any, mac: Any) -> None:
    provider = dashboard.provider(compliance=TAGGED)
    row = dashboard.row(wifiMac=mac, autoTags=["A compliant"])
    known = info(policies=("A",))
    (device,) = proven(provider, ASKED, ask(provider, provider.find(known, ASKED), {N_1: [row]}))
    assert device.compliance.state == "unknown"
    assert "does not show the mac" in device.compliance.reasons[-1]
    (device,) = proven(provider, Guid("128"), ask(provider, provider.find(known, Guid("128")), {N_1: [row]}))
    assert device.compliance.state == "compliant"


def test_a_batch_is_one_request_for_each_network(dashboard: Any, ask: Any) -> None:
    provider, played = dashboard.provider(), Played()
    keys = [Serial(f"S{number}") for number in range(100)]
    answers = {
        "/networks/N_1/sm/devices": [dashboard.row(id="1", serialNumber="S7")],
        "/networks/N_2/sm/devices": [
            dashboard.row(id="2", serialNumber="s7"),
            dashboard.row(id="3", serialNumber="S8"),
        ],
    }
    found = ask(provider, provider.find_batch(info("N_1", "N_2"), keys), answers, played)
    assert len(played.requests) == 2
    assert list(found) == keys
    assert [device.id for device in found[Serial("S7")]] == ["1", "2"]
    assert [device.id for device in found[Serial("S8")]] == ["3"]
    assert found[Serial("S9")] == []


def test_equal_serial_numbers_and_udids_are_asked_for_in_either_case(dashboard: Any, ask: Any) -> None:
    provider, played = dashboard.provider(), Played()
    for key in (Serial("aB1"), Udid("AB-1"), Udid("00008101-001A2B3C4D5E6F70")):
        ask(provider, provider.find(info(), key), {N_1: []}, played)
    first, second, third = played.requests
    assert {"00008101-001A2B3C4D5E6F70", "00008101001a2b3c4d5e6f70"} <= set(values(third, "uuids[]"))
    assert first.params["serials[]"] == ["aB1", "AB1", "ab1"]
    assert second.params["uuids[]"] == ["AB-1", "ab-1"]


def test_a_hundred_keys_in_either_case_are_one_request(dashboard: Any, ask: Any) -> None:
    provider, played = dashboard.provider(), Played()
    keys = [Serial(f"C02XK{number:07}") for number in range(100)]
    ask(provider, provider.find_batch(info(), keys), {N_1: []}, played)
    assert len(played.requests) == 1


@pytest.mark.parametrize("bad", ["S50", "S0", "S99"])
def test_one_key_that_is_refused_fails_alone(dashboard: Any, ask: Any, bad: str) -> None:
    provider, played = dashboard.provider(), Played()

    def answer(request: Request) -> Any:
        asked = values(request, "serials[]")
        if bad in asked:
            return dashboard.answer({"errors": ["serials[] has a bad value"]}, status=400)
        return dashboard.answer(
            [dashboard.row(id=name[1:], serialNumber=name) for name in asked if name[0] == "S"]
        )

    keys = [Serial(f"S{number}") for number in range(100)]
    found = ask(provider, provider.find_batch(info(), keys), answer, played)
    assert [key.value for key, devices in found.items() if isinstance(devices, MdmError)] == [bad]
    assert "serials[] has a bad value" in str(found[Serial(bad)])
    assert all([device.id for device in found[key]] == [key.value[1:]] for key in keys if key.value != bad)
    assert len(played.requests) <= 25


def test_a_damaged_record_spoils_the_answer_of_its_key_alone(dashboard: Any, ask: Any) -> None:
    provider = dashboard.provider()

    def answer(request: Request) -> Any:
        asked = [value for value in values(request, "serials[]") if value[0] == "S"]
        return dashboard.answer(
            [dashboard.row(id=None if name == "S3" else name[1:], serialNumber=name) for name in asked]
        )

    keys = [Serial(f"S{number}") for number in range(10)]
    found = ask(provider, provider.find_batch(info(), keys), answer)
    assert isinstance(found[Serial("S3")], MalformedResponseError)
    assert all([device.id for device in found[key]] == [key.value[1:]] for key in keys if key.value != "S3")


def test_a_thousand_unknown_addresses_take_ten_requests(dashboard: Any, ask: Any) -> None:
    provider, played = dashboard.provider(), Played()
    keys = [Mac(f"001b4411{number:04x}") for number in range(1000)]
    for start in range(0, 1000, 100):
        found = ask(provider, provider.find_batch(info(), keys[start : start + 100]), {N_1: []}, played)
        assert set(map(len, found.values())) == {0}
    assert len(played.requests) == 10


def test_long_keys_are_spread_over_several_urls(dashboard: Any, ask: Any) -> None:
    provider, played = dashboard.provider(), Played()
    keys = [Serial("é" * 60 + str(number)) for number in range(40)]
    ask(provider, provider.find_batch(info(), keys), {"/networks/N_1/sm/devices": []}, played)
    assert len(played.requests) > 1
    assert max(len(request.full_url) for request in played.requests) < 8000
    assert sum(request.full_url.count("serials%5B%5D") for request in played.requests) == 40


def test_by_imei_the_personal_data_search_names_the_device(dashboard: Any, ask: Any) -> None:
    provider, played = dashboard.provider(), Played()
    answers = {
        "/networks/N_1/pii/smDevicesForKey": {"N_1": ["128"], "N_77": ["9"]},
        "/networks/N_2/pii/smDevicesForKey": {},
        "/networks/N_1/sm/devices": [dashboard.row(imei="990000862471854")],
    }
    (device,) = ask(provider, provider.find(info("N_1", "N_2"), Imei("990000862471854")), answers, played)
    assert device.id == "128"
    assert sorted(request.url.rpartition("/")[2] for request in played.requests) == [
        "devices", "smDevicesForKey", "smDevicesForKey",
    ]  # fmt: skip
    assert "?imei=990000862471854" in played.requests[0].full_url


@pytest.mark.parametrize("held", ["490154203237518", "49015420323751"])
@pytest.mark.parametrize(
    "given", ["490154203237518", "49015420323751", "4901542032375101", "49 015420 323751 8"]
)
def test_an_imei_is_asked_for_in_every_spelling(dashboard: Any, ask: Any, given: str, held: str) -> None:
    provider, key = dashboard.provider(), Imei(given)

    def answer(request: Request) -> Any:
        if "pii" not in request.url:
            return dashboard.answer([dashboard.row(imei=held)])
        return dashboard.answer({"N_1": ["128"]} if request.params["imei"] == held else {})

    (device,) = proven(provider, key, ask(provider, provider.find(info(), key), answer))
    assert device.id == "128"


@pytest.mark.parametrize("imei", ["350000862471854", "12345", ["990000862471854"]])
def test_an_imei_that_the_record_does_not_confirm_is_no_answer(dashboard: Any, ask: Any, imei: Any) -> None:
    provider, key = dashboard.provider(), Imei("990000862471854")
    answers = {"/networks/N_1/pii/smDevicesForKey": {"N_1": ["128"]}, N_1: [dashboard.row(imei=imei)]}
    with pytest.raises(FilterIgnoredError):
        proven(provider, key, ask(provider, provider.find(info(), key), answers))


@pytest.mark.parametrize("body", [[], None, {"N_1": "128"}, {"N_1": [None]}, {"N_1": [{}]}, {"N_1": [True]}])
def test_a_personal_data_answer_of_another_form(dashboard: Any, ask: Any, body: Any) -> None:
    provider = dashboard.provider()
    with pytest.raises(MalformedResponseError):
        ask(
            provider,
            provider.find(info(), Imei("990000862471854")),
            {"/networks/N_1/pii/smDevicesForKey": body},
        )


WIRED = Mac("00:1b:44:11:3a:ff")
WIRED_ANSWERS: dict[str, Any] = {
    "/networks/N_1/pii/smDevicesForKey": {"N_1": ["128"]},
    "/networks/N_1/sm/devices/128/networkAdapters": [{"mac": "00:1B:44:11:3A:FF"}, {"mac": None}],
}


def by_filter(dashboard: Any, answers: dict[str, Any]) -> Any:
    def answer(request: Request) -> Any:
        path = request.url.removeprefix(dashboard.base)
        rows = [dashboard.row()] if "ids[]" in request.params else []
        return dashboard.answer(answers.get(path, rows), url=request.full_url)

    return answer


def test_wired_addresses_are_asked_for_only_if_wanted(dashboard: Any, ask: Any) -> None:
    provider, played = dashboard.provider(), Played()
    assert ask(provider, provider.find(info(), WIRED), by_filter(dashboard, WIRED_ANSWERS), played) == []
    assert len(played.requests) == 1
    provider, played = dashboard.provider(wired_macs=True), Played()
    (device,) = ask(provider, provider.find(info(), WIRED), by_filter(dashboard, WIRED_ANSWERS), played)
    assert device.mac_addresses == (Mac("00:1b:44:11:3a:b7"), WIRED)
    assert len(played.requests) == 4


def test_a_wired_address_that_no_adapter_has_is_no_match(dashboard: Any, ask: Any) -> None:
    provider = dashboard.provider(wired_macs=True)
    answers = {
        **WIRED_ANSWERS,
        "/networks/N_1/sm/devices/128/networkAdapters": [{"mac": "00:1b:44:11:3a:fe"}],
    }
    assert ask(provider, provider.find(info(), WIRED), by_filter(dashboard, answers)) == []


def test_pages_of_a_lookup_end(dashboard: Any, ask: Any) -> None:
    provider = dashboard.provider()

    def circle(request: Request) -> Any:
        return dashboard.answer(
            [dashboard.row()], link=f"<{dashboard.base}/again>; rel=next", url=request.full_url
        )

    with pytest.raises(IncompleteListError, match="repeats a page"):
        ask(provider, provider.find(info(), Guid("128")), circle)

    numbers = iter(range(100_000))

    def endless(request: Request) -> Any:
        link = f"<{dashboard.base}/page/{next(numbers)}>; rel=next"
        return dashboard.answer([dashboard.row()], link=link, url=request.full_url)

    with pytest.raises(IncompleteListError, match="brought nothing new"):
        ask(provider, provider.find(info(), Guid("128")), endless)
    assert next(numbers) <= 12
    provider = dashboard.provider(policy={"max_pages": 5})
    with pytest.raises(IncompleteListError, match="max_pages"):
        ask(provider, provider.find(info(), Guid("128")), endless)


def test_the_list_walks_through_all_networks(dashboard: Any, ask: Any) -> None:
    provider = dashboard.provider(compliance=TAGGED)
    bad = {"autoTags": ["Base violating"]}
    pages = {
        "/networks/N_1/sm/devices": dashboard.answer(
            [dashboard.row(id="1", **bad), dashboard.row(id="2")],
            link=f"<{dashboard.base}/networks/N_1/sm/devices/two>; rel=next",
        ),
        "/networks/N_1/sm/devices/two": [dashboard.row(id="3", isManaged=False, hasMdm=False, **bad)],
        "/networks/N_2/sm/devices": [],
        "/networks/N_3/sm/devices": [dashboard.row(id="4", **bad)],
    }
    cursor, listed = None, []
    for _ in range(4):
        page = ask(provider, provider.noncompliant_page(info("N_1", "N_2", "N_3"), cursor), pages)
        listed += [device.id for device in page.items]
        cursor = page.next_cursor
    assert cursor is None
    assert listed == ["1", "4"]


def test_pages_tell_what_the_server_sent_and_where_a_network_ends(dashboard: Any, ask: Any) -> None:
    provider = dashboard.provider(compliance=TAGGED)
    row = dashboard.row(autoTags=["Base compliant"])
    answers = {N_1: dashboard.answer([row], link=f"<{dashboard.base}/two>; rel=next"), "/two": [row], N_2: []}
    pages = pages_of(ask, provider, answers, "N_1", "N_2")
    assert [page.items for page in pages] == [[], [], []]
    assert [(page.sent, page.moved) for page in pages[:2]] == [([row["id"]], False), ([row["id"]], True)]


def pages_of(ask: Any, provider: Any, answers: Any, *networks: str) -> list[Any]:
    pages: list[Any] = []
    cursor = None
    while not pages or cursor:
        pages.append(ask(provider, provider.noncompliant_page(info(*networks), cursor), answers))
        cursor = pages[-1].next_cursor
    return pages


@pytest.mark.parametrize("source", [TAGGED, OWN_TAGS])
def test_a_list_from_tags_that_no_device_has_fails(dashboard: Any, ask: Any, source: Any) -> None:
    provider = dashboard.provider(compliance=source)
    answers = {N_1: [dashboard.row(autoTags=["A broken"], tags=["own"])], N_2: []}
    with pytest.raises(
        ConfigurationError, match="tag patterns of the setting compliance say nothing"
    ) as caught:
        pages_of(ask, provider, answers, "N_1", "N_2")
    assert ("'A broken'" if source is TAGGED else "'own'") in (caught.value.hint or "")
    # One device in any network is enough.
    answers[N_2] = [dashboard.row(autoTags=["A compliant"], tags=["nac-ok"])]
    pages_of(ask, provider, answers, "N_1", "N_2")
    pages_of(ask, provider, answers, "N_2", "N_1")


def test_a_list_whose_tags_change_meanwhile_fails(dashboard: Any, ask: Any) -> None:
    provider = dashboard.provider(compliance=TAGGED)
    tags = iter([[], ["A violating"]])

    def answer(request: Request) -> Any:
        return dashboard.answer([dashboard.row(autoTags=next(tags))], url=request.full_url)

    with pytest.raises(IncompleteListError, match="changed"):
        pages_of(ask, provider, answer)


@pytest.mark.parametrize(
    ("fields", "listed"),
    [
        ({"isManaged": True}, True),
        ({"isManaged": "maybe", "hasMdm": False}, True),
        ({"isManaged": None}, True),
        ({"isManaged": False, "hasMdm": None}, True),
        ({"isManaged": None, "hadMdm": True}, True),
        ({"isManaged": False, "hasMdm": False}, False),
    ],
)
def test_only_a_device_that_is_gone_is_left_out(dashboard: Any, ask: Any, fields: Any, listed: bool) -> None:
    provider = dashboard.provider(compliance=TAGGED)
    answers = {N_1: [dashboard.row(autoTags=["A violating"], **fields)]}
    assert len(ask(provider, provider.noncompliant_page(info(), None), answers).items) == listed


@pytest.mark.parametrize("tags", ["A violating", {"x": 1}, [["A violating"]], None, "absent"])
def test_a_list_with_a_device_whose_tags_cannot_be_read_fails(dashboard: Any, ask: Any, tags: Any) -> None:
    provider, row = dashboard.provider(compliance=TAGGED), dashboard.row(autoTags=tags)
    if tags == "absent":
        del row["autoTags"]
    answers = {N_1: [dashboard.row(id="2", autoTags=["A violating"]), row]}
    with pytest.raises(MalformedResponseError, match="autoTags"):
        ask(provider, provider.noncompliant_page(info(), None), answers)
    row |= {"isManaged": False, "hasMdm": False}  # it left, and is in no list
    assert len(ask(provider, provider.noncompliant_page(info(), None), answers).items) == 1


def test_the_list_breaks_off_when_networks_change(dashboard: Any, ask: Any) -> None:
    provider = dashboard.provider(compliance=TAGGED)
    page = ask(provider, provider.noncompliant_page(info("N_1", "N_2"), None), {N_1: []})
    with pytest.raises(IncompleteListError, match="changed"):
        ask(provider, provider.noncompliant_page(info("N_1", "N_3"), page.next_cursor), {})


@pytest.mark.parametrize("source", [None, RULED])  # rules make their list from all devices
def test_without_tags_that_decide_there_is_no_list(dashboard: Any, ask: Any, source: Any) -> None:
    provider, played = dashboard.provider(compliance=source), Played()
    with pytest.raises(ConfigurationError) as caught:
        ask(provider, provider.noncompliant_page(info(), None), {}, played)
    assert "compliance" in (caught.value.hint or "")
    assert played.requests == []


def test_a_list_without_the_field_that_decides_is_no_list(dashboard: Any, ask: Any) -> None:
    provider = dashboard.provider(compliance=TAGGED)
    row = dashboard.row()
    del row["autoTags"]
    with pytest.raises(MalformedResponseError, match="nobody can tell"):
        ask(provider, provider.noncompliant_page(info(), None), {"/networks/N_1/sm/devices": [row]})
    # A device that is looked up is unknown then, and not an error.
    (device,) = ask(provider, provider.find(info(), Guid("128")), {"/networks/N_1/sm/devices": [row]})
    assert device.compliance.state == "unknown"


@pytest.mark.parametrize(
    ("status", "body", "error", "hint"),
    [
        (400, {"errors": ["bad 'perPage'"]}, None, ""),
        (401, {"errors": ["Missing API key"]}, AuthenticationError, "api_key"),
        (403, {"errors": ["no"]}, PermissionDeniedError, "sm:config:read"),
        (404, {"errors": ["no"]}, EndpointNotFoundError, "organizations and networks"),
        (404, "<html>no</html>", EndpointNotFoundError, "/api/v1"),
        (429, {"errors": ["slow down"]}, RateLimitedError, ""),
        (500, {"errors": []}, ServerError, ""),
        (502, "<html></html>", ServerError, ""),
    ],
)
def test_refusals(dashboard: Any, status: int, body: Any, error: Any, hint: str) -> None:
    provider = dashboard.provider()
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    with pytest.raises(error or Exception) as caught:
        provider.check(Response(status, {}, content, dashboard.base))
    failure: Any = caught.value
    assert hint in (failure.hint or "")
    assert failure.status == status
    if isinstance(body, dict) and body["errors"]:
        assert f"[{body['errors'][0]}]" in str(failure)


def test_a_refusal_never_shows_a_credential(dashboard: Any) -> None:
    provider = dashboard.provider()
    for text in (f"key {dashboard.key} is\x1b[31m wrong", "x" * 5000):
        with pytest.raises(AuthenticationError) as caught:
            play(provider.heartbeat(), [dashboard.answer({"errors": [text]}, status=401)], provider=provider)
        assert dashboard.key not in f"{caught.value}{caught.value!r}{caught.value.hint}"
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("body", [b"", b"[]", b'{"errors": "x"}', b'{"errors": [{}]}', b"\xff"])
def test_refusals_of_any_form(dashboard: Any, body: bytes) -> None:
    with pytest.raises(PermissionDeniedError):
        dashboard.provider().check(Response(403, {}, body, dashboard.base))


def test_a_token_without_renewal_is_final(dashboard: Any, ask: Any) -> None:
    provider = dashboard.provider(api_key="a-1")
    for _ in range(2):
        token = ask(provider, provider.login("api"), {})
        assert (token.value, token.static, token.scheme) == ("a-1", True, "Bearer")
    with pytest.raises(AuthenticationError) as caught:
        provider.check(dashboard.answer({"errors": ["x"]}, status=401))
    assert "60 minutes" in (caught.value.hint or "")


class Renewals:
    """A token service, and the application's store."""

    def __init__(self) -> None:
        self.stored: list[str] = []
        self.requests: list[Request] = []
        self.broken = 0

    def on_refresh(self, token: str) -> None:
        if self.broken:
            self.broken -= 1
            raise OSError("disk full")
        self.stored.append(token)

    def answer(self, request: Request) -> Response:
        self.requests.append(request)
        number = len(self.requests)
        # Handed over before it is used: the one that is sent was stored, but for the first.
        used = (request.form or {})["refresh_token"]
        assert used == (self.stored[-1] if self.stored else "r-0")
        body = {"access_token": f"a-{number}", "refresh_token": f"r-{number}", "expires_in": 3600}
        return Response(200, {}, json.dumps(body).encode(), request.url)


@pytest.fixture
def renewals() -> Renewals:
    return Renewals()


def oauth(dashboard: Any, renewals: Renewals, **changes: Any) -> Any:
    given = {
        "refresh_token": "r-0",
        "client_id": "app",
        "client_secret": "s",
        "on_refresh": renewals.on_refresh,
    }
    return dashboard.provider(api_key=None, **{**given, **changes})


def logins(ask: Any, provider: Any, renewals: Renewals, times: int) -> list[Any]:
    """The tokens of logins one after the other."""
    tokens: list[Any] = [None]
    for _ in range(times):
        tokens.append(ask(provider, provider.login("api", tokens[-1]), renewals.answer))
    return tokens[1:]


def test_each_refresh_token_is_handed_over_before_it_is_used(
    dashboard: Any, ask: Any, renewals: Renewals
) -> None:
    provider = oauth(dashboard, renewals)
    tokens = logins(ask, provider, renewals, 3)
    assert [(token.value, token.static, token.expires_in) for token in tokens] == [
        ("a-1", False, 3600.0), ("a-2", False, 3600.0), ("a-3", False, 3600.0),
    ]  # fmt: skip
    assert renewals.stored == ["r-1", "r-2", "r-3"]
    request = renewals.requests[0]
    assert (request.method, request.url, request.audience) == (
        "POST",
        "https://as.meraki.com/oauth/token",
        None,
    )
    assert not request.idempotent
    assert request.headers["Authorization"] == "Basic YXBwOnM="
    assert "r-0" not in repr(request)


def test_a_token_that_was_not_stored_is_handed_over_again(
    dashboard: Any, ask: Any, renewals: Renewals
) -> None:
    provider = oauth(dashboard, renewals)
    renewals.broken = 2
    (token,) = logins(ask, provider, renewals, 1)
    assert token.value == "a-1"
    with pytest.raises(TokenError, match="OSError") as caught:
        ask(provider, provider.login("api", token), renewals.answer)
    assert (caught.value.step, caught.value.retryable) == ("on_refresh", True)
    assert "disk full" not in str(caught.value)
    assert len(renewals.requests) == 1
    assert ask(provider, provider.login("api", token), renewals.answer).value == "a-2"
    assert renewals.stored == ["r-1", "r-2"]


@pytest.mark.parametrize(("status", "code"), [(400, "invalid_grant"), (401, "invalid_client")])
def test_a_refused_refresh(dashboard: Any, ask: Any, renewals: Renewals, status: int, code: str) -> None:
    provider = oauth(dashboard, renewals)
    with pytest.raises(TokenError) as caught:
        ask(provider, provider.login("api"), lambda _: dashboard.answer({"error": code}, status=status))
    assert (caught.value.vendor_code, caught.value.step) == (code, "token")
    assert "authorise" in (caught.value.hint or "")


@pytest.mark.parametrize("body", [[], {}, {"access_token": [5]}, None])
def test_a_token_service_that_gives_none(dashboard: Any, ask: Any, renewals: Renewals, body: Any) -> None:
    provider = oauth(dashboard, renewals)
    with pytest.raises(TokenError):
        ask(provider, provider.login("api"), lambda _: dashboard.answer(body))
