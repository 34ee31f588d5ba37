"""The provider's flows on given answers: what is asked, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.client.build import make_provider
from mdmsdk.errors import (
    ConfigurationError,
    EndpointNotFoundError,
    FilterIgnoredError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    UnsupportedOperationError,
    VersionMismatchError,
)
from mdmsdk.identifiers import DeviceId, Guid, Hostname, Key, Mac, Serial, Udid, Username
from mdmsdk.membership import Named
from mdmsdk.proof import proven
from mdmsdk.provider import Capability
from mdmsdk.testing import Played, play
from mdmsdk.wire import Response
from mdmsdk_jamf.sources.base import JamfDescription

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.models import Device, ServerInfo
    from mdmsdk.wire import Request
    from mdmsdk_jamf import JamfProvider

    Make = Callable[..., JamfProvider]

SAMPLES = Path(__file__).parents[2] / "samples" / "jamf"
COMPUTER = (SAMPLES / "computers-v4.json").read_bytes()
PHONE = (SAMPLES / "mobile-devices.json").read_bytes()
NOBODY = b'{"totalCount": 0, "results": []}'
GROUPS = {"source": "smart-group", "computers": 10, "mobile_devices": 20}
MAC = Mac("00:00:5E:00:53:11")


def route(request: Request, **answers: bytes | int) -> Response:
    """The answer of the first entry whose name is a part of the path; an empty page otherwise."""
    for name, answer in answers.items():
        if name.replace("_", "-") in request.url:
            body = b"" if isinstance(answer, int) else answer
            return Response(answer if isinstance(answer, int) else 200, {}, body, request.full_url)
    return Response(200, {}, NOBODY, request.full_url)


def find(
    provider: JamfProvider, info: ServerInfo, key: Key, **answers: bytes | int
) -> tuple[list[Device], Played]:
    record = Played()
    devices = play(
        provider.find(info, key), lambda request: route(request, **answers), provider=provider, record=record
    )
    return proven(provider, key, devices), record


def rows(answer: list[Device] | MdmError) -> list[Device]:
    """An answer for one key of many that is no error."""
    assert isinstance(answer, list)
    return answer


def test_both_inventories_are_asked_with_their_own_words(make: Make, info: ServerInfo) -> None:
    (device,), record = find(make(compliance=GROUPS), info, MAC, computers_inventory=COMPUTER)
    assert device.id == "17"
    assert device.compliance.state == "compliant"
    first, second = record.requests
    assert first.url == (
        "https://jamf.example.com/api/v4/computers-inventory"
        "?filter=hardware.macAddress%3D%3D'00%3A00%3A5E%3A00%3A53%3A11'"
    )
    assert first.params["page-size"] == 1000
    assert first.params["sort"] == "id:asc"
    assert "HARDWARE" in first.params["section"]  # type: ignore[operator]  # a list of words
    assert second.url.endswith(
        "/api/v2/mobile-devices/detail?filter=wifiMacAddress%3D%3D'00%3A00%3A5E%3A00%3A53%3A11'"
    )
    assert second.params["exception-handling"] == "LENIENT"
    assert second.params["sort"] == "mobileDeviceId:asc"


@pytest.mark.parametrize(
    ("key", "computers", "mobile"),
    [
        (Udid("U-1"), "udid", "udid"),
        (Serial("S1"), "hardware.serialNumber", "serialNumber"),
        (Hostname("host"), "general.name", "displayName"),
        (Username("ada"), "userAndLocation.username", "username"),
    ],
)
def test_each_key_has_its_filter(make: Make, info: ServerInfo, key: Key, computers: str, mobile: str) -> None:
    devices, record = find(make(), info, key)
    assert devices == []
    assert [request.url.partition("filter=")[2].partition("%3D")[0] for request in record.requests] == [
        computers,
        mobile,
    ]


def test_a_guid_may_be_the_management_id_or_the_udid(make: Make, info: ServerInfo) -> None:
    provider = make(compliance=GROUPS)
    for text in ("11c1f3f6-6c1c-4ae2-9a27-3a4f5b1f0e17", "5F8E0C7A-2D4B-4F0E-9C55-0A1B2C3D4E5F"):
        (device,), record = find(provider, info, Guid(text), computers_inventory=COMPUTER)
        assert device.guid == "11c1f3f6-6c1c-4ae2-9a27-3a4f5b1f0e17"  # as the record has it
        assert device.matches(Guid(text))
        assert "general.managementId" in record.requests[0].url
        assert "udid" in record.requests[0].url


def test_a_record_that_several_keys_name_comes_once_for_each(make: Make, info: ServerInfo) -> None:
    first = Guid("11c1f3f6-6c1c-4ae2-9a27-3a4f5b1f0e17")
    second = Guid("5F8E0C7A-2D4B-4F0E-9C55-0A1B2C3D4E5F")
    between = [Guid(f"00000000-0000-4000-8000-{number:012}") for number in range(100)]
    provider, record = make(compliance=GROUPS), Played()
    found = play(
        provider.find_batch(info, [first, *between, second]),
        lambda request: route(request, computers_inventory=COMPUTER),
        provider=provider,
        record=record,
    )
    assert sum("computers" in request.url for request in record.requests) > 1
    for key in (first, second):
        (device,) = rows(found[key])
        assert (device.id, device.matches(key)) == ("17", True)


@pytest.mark.parametrize("key", [Mac("00:00:5E:00:53:99"), Serial("OTHER"), Udid("U-1"), Guid("G-1")])
@pytest.mark.parametrize("answers", [{"computers_inventory": COMPUTER}, {"mobile_devices": PHONE}])
def test_an_answer_about_another_device_is_never_taken(
    make: Make, info: ServerInfo, key: Key, answers: dict[str, bytes]
) -> None:
    with pytest.raises(FilterIgnoredError):
        find(make(compliance=GROUPS), info, key, **answers)


def test_a_record_that_hides_its_address_is_no_pass(make: Make, info: ServerInfo) -> None:
    content = json.loads(COMPUTER)
    content["results"][0]["hardware"] = None
    (device,), _ = find(make(compliance=GROUPS), info, MAC, computers_inventory=json.dumps(content).encode())
    assert device.compliance.state == "unknown"
    assert "does not show the mac" in device.compliance.reasons[-1]


def test_a_second_address_is_found_by_the_classic_search_and_checked(make: Make, info: ServerInfo) -> None:
    second = Mac("00:00:5E:00:53:12")
    found = {"id": 17, "mac_address": "00:00:5E:00:53:11", "alt_mac_address": "00:00:5e:00:53:12"}
    fuzzy = {"id": 18, "name": "00:00:5E:00:53:12", "mac_address": "", "alt_mac_address": ""}
    answers = {
        "/match/": json.dumps({"computers": [fuzzy, found]}).encode(),
        "filter=id%3D%3D'17'": COMPUTER,
    }
    provider, record = make(compliance=GROUPS), Played()

    def answer(request: Request) -> Response:
        body = next((body for part, body in answers.items() if part in request.url), NOBODY)
        return Response(200, {"content-type": "text/plain;charset=UTF-8"}, body, request.full_url)

    (device,) = play(provider.find(info, second), answer, provider=provider, record=record)
    assert device.id == "17"
    assert record.requests[2].url.endswith("/JSSResource/computers/match/00%3A00%3A5E%3A00%3A53%3A12")
    answers["filter=id%3D%3D'17'"] = COMPUTER.replace(b"53:12", b"53:13")
    devices = play(provider.find(info, second), answer, provider=provider)
    with pytest.raises(FilterIgnoredError, match="other devices"):
        proven(provider, second, devices)


def test_the_second_address_is_not_searched_where_the_settings_say_so(make: Make, info: ServerInfo) -> None:
    devices, record = find(make(secondary_macs="off"), info, MAC)
    assert devices == []
    assert len(record.requests) == 2


def test_without_the_classic_search_the_whole_tenant_is_read_only_if_the_settings_say_so(
    make: Make, info: ServerInfo
) -> None:
    second = Mac("00:00:5E:00:53:12")

    def answer(request: Request) -> Response:
        if "/match/" in request.url:
            return Response(404, {}, b"<html>", request.full_url)
        body = COMPUTER if "computers" in request.url and "filter" not in request.url else NOBODY
        return Response(200, {}, body, request.full_url)

    provider = make(compliance=GROUPS)
    with pytest.raises(UnsupportedOperationError, match="second MAC"):
        play(provider.find(info, second), answer, provider=provider)
    provider = make(compliance=GROUPS, secondary_macs="sweep")
    (device,) = play(provider.find(info, second), answer, provider=provider)
    assert device.id == "17"


def test_a_filter_that_is_too_long_is_halved(make: Make, info: ServerInfo) -> None:
    keys = [Serial(f"SIMAC0001{number}") for number in range(8)]
    provider, record = make(compliance=GROUPS), Played()

    def answer(request: Request) -> Response:
        if request.url.count("SIMAC") > 2:
            return Response(414, {}, b"", request.full_url)
        body = COMPUTER if "SIMAC00017" in request.url and "computers" in request.url else NOBODY
        return Response(200, {}, body, request.full_url)

    found = play(provider.find_batch(info, keys), answer, provider=provider, record=record)
    assert {key: len(rows(devices)) for key, devices in found.items()} == {
        key: key.value == "SIMAC00017" for key in keys
    }


def test_a_rejected_filter_is_told(make: Make, info: ServerInfo) -> None:
    with pytest.raises(MdmError) as caught:
        find(make(), info, Serial("S1"), computers_inventory=400)
    assert "filter" in (caught.value.hint or "")


def test_an_unconfigured_source_gives_no_verdict_and_no_list(make: Make, info: ServerInfo) -> None:
    provider = make()
    (device,), _ = find(provider, info, MAC, computers_inventory=COMPUTER)
    assert device.compliance.state == "unknown"
    assert "compliance" in device.compliance.reasons[0]
    with pytest.raises(ConfigurationError) as caught:
        play(provider.noncompliant_page(info, None), [])
    assert "smart-group" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("management", "listed"),
    [({"managed": True}, True), ({"managed": "maybe"}, True), ({"managed": None}, True), (None, True)]
    + [({"managed": False}, False)],
)
def test_only_a_device_that_readably_left_is_left_out_of_the_list(
    make: Make, info: ServerInfo, management: Any, listed: bool
) -> None:
    general = {"remoteManagement": management, "reportDate": "2026-01-15T08:00:00Z"}
    member = {"id": "1", "general": {**general, "remoteManagement": {"managed": True}}}
    rows = [{**member, "groupMemberships": [{"groupId": "10"}]}]
    rows.append({"id": "2", "general": general, "groupMemberships": []})
    page = json.dumps({"totalCount": 2, "results": rows}).encode()
    groups = b'{"totalCount": 1, "results": [{"id": "10", "name": "Good"}]}'
    provider = make(compliance=GROUPS)
    found = play(
        provider.noncompliant_page(info, None),
        lambda request: route(request, computers_inventory=page, computer_groups=groups),
        provider=provider,
    )
    assert [device.compliance.state for device in found.items] == ["noncompliant"] * listed


def test_a_kind_of_device_without_a_group_gets_no_verdict(make: Make, info: ServerInfo) -> None:
    info = info.model_copy(update={"description": JamfDescription(named={"computers": Named("10", "G")})})
    provider = make(compliance={"source": "smart-group", "computers": 10})
    (device,), _ = find(provider, info, Serial("SIPHONE0017"), mobile_devices=PHONE)
    assert device.compliance.state == "unknown"
    assert "mobile_devices" in device.compliance.reasons[0]
    record = Played()
    page = play(provider.noncompliant_page(info, None), [NOBODY], record=record)
    assert (page.items, page.next_cursor) == ([], None)  # the mobile devices are not even asked for


def test_a_damaged_mobile_device_is_asked_for_its_group(make: Make, info: ServerInfo) -> None:
    damaged = json.loads(PHONE)
    damaged["results"][0]["groups"] = None
    answers: dict[str, bytes] = {"groupId": PHONE, "serialNumber": json.dumps(damaged).encode()}
    provider, record, heeds_filters = make(compliance=GROUPS), Played(), True

    def answer(request: Request) -> Response:
        if heeds_filters and "groupId%3D%3D'0'" in request.url:
            return Response(200, {}, NOBODY)
        if "smart-groups" in request.url:
            return Response(
                200, {}, b'{"totalCount": 1, "results": [{"groupId": "20", "groupName": "Fine"}]}'
            )
        found = next((body for part, body in answers.items() if f"{part}%3D" in request.url), NOBODY)
        return Response(200, {}, found if "mobile" in request.url else NOBODY, request.full_url)

    (device,) = play(provider.find(info, Serial("SIPHONE0017")), answer, provider=provider, record=record)
    assert device.compliance.state == "compliant"
    assert "groupId%3D%3D'20'%3B(mobileDeviceId%3D%3D'17')" in record.requests[-2].url
    answers["groupId"] = NOBODY
    (device,) = play(provider.find(info, Serial("SIPHONE0017")), answer, provider=provider)
    assert device.compliance.state == "noncompliant"
    for wrong in (PHONE.replace(b'"17"', b'"18"'), PHONE.replace(b'"totalCount": 1', b'"totalCount": 9')):
        assert wrong != PHONE
        answers["groupId"] = wrong
        with pytest.raises(FilterIgnoredError):
            play(provider.find(info, Serial("SIPHONE0017")), answer, provider=provider)
    # A server that drops the filter answers alike to a group that cannot be.
    answers["groupId"], heeds_filters = PHONE, False
    with pytest.raises(FilterIgnoredError):
        play(provider.find(info, Serial("SIPHONE0017")), answer, provider=provider)


def test_a_filter_that_is_refused_for_one_key_too_is_not_tried_with_all(make: Make, info: ServerInfo) -> None:
    provider, record = make(), Played()
    keys = [Serial(f"S{number}") for number in range(500)]
    found = play(
        provider.find_batch(info, keys),
        lambda request: Response(400, {}, b"{}", request.full_url),
        provider=provider,
        record=record,
    )
    assert all(isinstance(found[key], MdmError) and "400" in str(found[key]) for key in keys)
    assert len(record.requests) <= 8


def test_many_computers_that_share_a_second_address_are_asked_for_in_parts(
    make: Make, info: ServerInfo
) -> None:
    second, record = Mac("00:00:5E:00:53:12"), Played()
    row = {"mac_address": "", "alt_mac_address": "00:00:5E:00:53:12"}
    matches = json.dumps({"computers": [{"id": number, **row} for number in range(1000, 1900)]}).encode()
    answers = {"match": matches}
    provider = make()
    devices = play(
        provider.find(info, second),
        lambda request: route(request, **answers),
        provider=provider,
        record=record,
    )
    assert devices == []
    assert max(len(request.url) for request in record.requests) < 4200
    assert sum("filter=id" in request.url for request in record.requests) > 1


def test_a_device_that_goes_while_its_state_is_asked_for_is_unknown(make: Make, info: ServerInfo) -> None:
    records = [{"id": str(number), "general": {"remoteManagement": {"managed": True}}} for number in (1, 2)]
    listed = json.dumps({"totalCount": 2, "results": records}).encode()
    state = [{"deviceId": "2", "applicable": True, "complianceState": "NON_COMPLIANT"}]
    answers: dict[str, bytes | int] = {
        "computer/1": 404,
        "computer/2": json.dumps(state).encode(),
        "computers-inventory": listed,
    }
    provider = make(compliance={"source": "conditional-access"})

    def ask() -> list[str]:
        page = play(
            provider.devices_page(info, None), lambda request: route(request, **answers), provider=provider
        )
        return [device.compliance.state for device in page.items]

    assert ask() == ["unknown", "noncompliant"]
    answers["computer/2"] = 404  # no device has a state: the server does not know what that is
    with pytest.raises(EndpointNotFoundError):
        ask()


@pytest.mark.parametrize(("source", "size"), [("conditional-access", 100), ("smart-group", 1000)])
def test_states_that_are_asked_for_one_by_one_make_small_pages(
    make: Make, info: ServerInfo, source: str, size: int
) -> None:
    provider, record = make(compliance={**(GROUPS if size > 100 else {}), "source": source}), Played()
    play(provider.noncompliant_page(info, None), route, record=record)
    assert record.requests[0].params["page-size"] == size


def test_a_saved_search_must_be_the_one_asked_for(make: Make, info: ServerInfo) -> None:
    provider = make(compliance={**GROUPS, "source": "advanced-search"})
    other = b'{"advanced_computer_search": {"id": 11, "computers": []}}'
    with pytest.raises(MalformedResponseError):
        find(provider, info, MAC, computers_inventory=COMPUTER, advancedcomputersearches=other)
    one = b'{"advanced_computer_search": {"id": 10, "computers": {"id": 17}}}'
    (device,), _ = find(provider, info, MAC, computers_inventory=COMPUTER, advancedcomputersearches=one)
    assert device.compliance.state == "compliant"


def test_remediation_is_for_those_who_need_it(make: Make, info: ServerInfo) -> None:
    provider = make(compliance={**GROUPS, "members": "noncompliant"}, remediation="Call us.", keep_raw=True)
    groups = b'{"totalCount": 1, "results": [{"id": "10", "name": "Good"}]}'
    (device,), _ = find(provider, info, MAC, computers_inventory=COMPUTER, computer_groups=groups)
    assert (device.compliance.state, device.compliance.remediation) == ("noncompliant", "Call us.")
    assert device.compliance.reasons == ("Macs that do as they should",)
    assert device.raw["id"] == "17"
    (device,), _ = find(
        make(compliance=GROUPS, remediation="Call us."), info, MAC, computers_inventory=COMPUTER
    )
    assert device.compliance.remediation is None
    assert device.raw is None


HEALTH, VERSION = Response(204), b'{"version": "11.30.1-t1784555528405"}'


def heartbeat(provider: JamfProvider, **answers: bytes | int) -> ServerInfo:
    given: dict[str, bytes | int] = {"health-check": b"", "jamf_pro_version": VERSION, **answers}
    return play(provider.heartbeat(), lambda request: route(request, **given), provider=provider)


def test_the_heartbeat_says_what_answers(make: Make) -> None:
    info = heartbeat(make())
    assert (info.vendor, info.product, info.version) == ("Jamf", "Jamf Pro", "11.30.1-t1784555528405")
    assert info.api_version == "v4"
    assert info.extra == {"computers": 0, "compliance": {}, "login": "API client"}


def test_the_health_of_the_server_is_asked_without_a_credential(make: Make) -> None:
    provider, record = make(), Played()
    play(provider.heartbeat(), [HEALTH, VERSION, NOBODY], provider=provider, record=record)
    assert [request.audience for request in record.requests] == [None, "api", "api"]


@pytest.mark.parametrize(
    ("version", "missing", "expected"),
    [
        ("11.30.0", (), "v4"),
        ("11.30.0", ("v4",), "v3"),
        ("11.29.1", ("v4",), "v3"),
        ("10.50.0", ("v4", "v3", "v2"), "v1"),
        ("12.0.0-b1", (), "v4"),
        ("unheard of", (), "v4"),
    ],
)
def test_the_newest_inventory_that_the_server_has_is_used(
    make: Make, version: str, missing: tuple[str, ...], expected: str
) -> None:
    answers: dict[str, bytes | int] = {f"{name}/computers-inventory": 404 for name in missing}
    info = heartbeat(make(), **{"jamf_pro_version": json.dumps({"version": version}).encode(), **answers})
    assert info.api_version == expected


def test_a_server_without_any_inventory_is_too_old(make: Make) -> None:
    with pytest.raises(VersionMismatchError) as caught:
        heartbeat(make(), jamf_pro_version=b'{"version": "10.30.0"}', computers_inventory=404)
    assert "10.39" in (caught.value.hint or "")


def test_a_missing_privilege_does_not_stop_the_heartbeat_but_the_lookup(make: Make) -> None:
    provider = make()
    info = heartbeat(provider, computers_inventory=403)
    assert (info.api_version, info.extra["computers"]) == ("v4", None)
    with pytest.raises(PermissionDeniedError, match="403"):
        find(provider, info, MAC, computers_inventory=403)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"version": 3.5}', b"<html>"])
def test_something_else_than_a_version_is_refused(make: Make, body: bytes) -> None:
    with pytest.raises(MalformedResponseError):
        heartbeat(make(), jamf_pro_version=body)


CATALOGUE = [("10", "Compliant Macs"), ("11", "12"), ("12", "Noncompliant Macs")]


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("Compliant Macs", "10"),
        ("compliant macs", "10"),
        (12, "12"),
        ("12", "11"),
        ("10", "10"),
        (" Compliant Macs ", "10"),
    ],
)
@pytest.mark.parametrize("old", [False, True])
def test_a_group_is_named_or_numbered(make: Make, wanted: str | int, chosen: str, old: bool) -> None:
    rows = [{"id": number, "name": name, "smartGroup": True} for number, name in CATALOGUE]
    answers: dict[str, bytes | int] = {
        "computer-groups": json.dumps({"totalCount": 3, "results": rows}).encode()
    }
    if old:
        rows += [{"id": "99", "name": "Static", "smartGroup": False}]
        answers = {"smart-groups": 404, "v1/computer-groups": json.dumps(rows).encode()}
    info = heartbeat(make(compliance={"source": "smart-group", "computers": wanted}), **answers)
    assert info.extra["compliance"]["computers"]["id"] == chosen


@pytest.mark.parametrize(("site", "state"), [("3", "compliant"), ("4", "unknown"), (None, "unknown")])
def test_a_group_of_offenders_that_is_limited_to_a_site_says_nothing_about_others(
    make: Make, site: str | None, state: str
) -> None:
    provider = make(compliance={"source": "smart-group", "computers": "Bad", "members": "noncompliant"})
    groups = b'{"totalCount": 1, "results": [{"id": "77", "name": "Bad", "siteId": "3"}]}'
    info = heartbeat(provider, computer_groups=groups)
    assert info.extra["compliance"] == {"computers": {"id": "77", "name": "Bad", "site": "3"}}
    content = json.loads(COMPUTER)
    content["results"][0]["general"]["site"] = {"id": site}
    body = json.dumps(content).encode()
    (device,), _ = find(provider, info, MAC, computers_inventory=body, computer_groups=groups)
    assert device.compliance.state == state


@pytest.mark.parametrize("wanted", ["Compliant Mac", "Static", 99])
def test_an_unknown_group_is_told_with_near_matches(make: Make, wanted: str | int) -> None:
    rows = [{"id": number, "name": name} for number, name in CATALOGUE]
    rows += [{"id": "99", "name": "Static", "smartGroup": False}]  # type: ignore[dict-item]  # as JSON has it
    provider = make(compliance={"source": "smart-group", "computers": wanted})
    with pytest.raises(ConfigurationError, match=str(wanted)) as caught:
        heartbeat(provider, **{"smart-groups": json.dumps({"totalCount": 4, "results": rows}).encode()})
    if wanted == "Compliant Mac":
        assert "it sees: Compliant Macs (10)" in str(caught.value)


def test_a_long_catalogue_is_read_to_its_end(make: Make) -> None:
    pages = iter(
        [
            {"totalCount": 2, "results": [{"groupId": str(number), "groupName": f"g{number}"}]}
            for number in (1, 2)
        ]
    )
    provider = make(compliance={"source": "smart-group", "mobile_devices": "g2"})

    def answer(request: Request) -> Response:
        body = json.dumps(next(pages)).encode() if "smart-groups" in request.url else None
        return route(request, **{"jamf-pro-version": VERSION, "smart-groups": body or b""})

    info = play(provider.heartbeat(), answer, provider=provider)
    assert info.extra["compliance"] == {"mobile_devices": {"id": "2", "name": "g2", "site": None}}


def test_a_saved_search_is_found_by_name(make: Make) -> None:
    body = b'{"advanced_computer_searches": {"id": 5, "name": "For ISE"}}'
    provider = make(compliance={"source": "advanced-search", "computers": "For ISE"})
    assert heartbeat(provider, advancedcomputersearches=body).extra["compliance"]["computers"]["id"] == "5"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "client_id and client_secret, or username"),
        ({"client_id": "a"}, "client_id and client_secret, or username"),
        ({"client_id": "a", "client_secret": "b", "username": "c", "password": "d"}, "one login"),
        ({"username": "a:b", "password": "c"}, "colon"),
        ({"client_id": "a", "client_secret": "b", "page_size": 5000}, "2000"),
        (
            {"client_id": "a", "client_secret": "b", "compliance": {"source": "smart-group"}},
            "need computers",
        ),
        ({"client_id": "a", "client_secret": "b", "complience": {}}, "compliance meant"),
    ],
)
def test_unusable_settings_are_explained(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        make_provider("jamf", {"base_url": "https://jamf.example.com", **settings})


def test_it_declares_what_it_can(make: Make) -> None:
    provider = make()
    assert provider.limits.concurrency == 5
    assert DeviceId not in provider.keys
    assert {Mac, Udid, Guid, Serial} <= provider.keys
    assert provider.capabilities == {Capability.BATCH, Capability.INVENTORY, Capability.CHANGES}
