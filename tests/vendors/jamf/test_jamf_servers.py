"""Clients against the simulated server, in each mode: versions, logins, lookups, errors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import (
    AuthenticationError,
    ConfigurationError,
    EndpointNotFoundError,
    FilterIgnoredError,
    MdmError,
    PermissionDeniedError,
    ServerError,
    TokenError,
    UnsupportedOperationError,
    VersionMismatchError,
)
from mdmsdk.identifiers import Guid, Hostname, Imei, Mac, Serial, Udid, Username
from mdmsdk.simulator import Fault, Fleet
from mdmsdk_jamf.simulator.habits import ALL_PRIVILEGES
from mdmsdk_jamf.simulator.records import is_computer, second_imei

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.simulator import RunningSimulator, SimDevice
    from mdmsdk.testing import Modal
    from mdmsdk_jamf.simulator import JamfSimulator

    Start = Callable[..., RunningSimulator[JamfSimulator]]
    Ask = Callable[..., Modal]

RELEASES = {"11.30.1-t1784555528405": "v4", "11.23.2-t1": "v3", "11.12.0": "v2", "10.50.0-t1689600654": "v1"}


def one(fleet: Fleet, *, computer: bool, state: str = "compliant") -> SimDevice:
    """A device of which there is only one record, and whose addresses are its own."""
    return next(
        device
        for device in fleet
        if is_computer(device) == computer
        and device.registered
        and device.compliance == state
        and len(fleet.by_serial(device.serial_number)) == 1
        and (not computer or device.dock_mac or device.ethernet_mac)
        and all(len(fleet.by_mac(mac)) == 1 for mac in device.mac_addresses)
    )


@pytest.mark.parametrize(("version", "api_version"), RELEASES.items())
def test_each_key_in_each_version(
    start: Start, ask: Ask, fleet: Fleet, version: str, api_version: str
) -> None:
    running = start(version=version)
    client = ask(running)
    assert client.heartbeat().api_version == api_version
    for computer in (True, False):
        for state in ("compliant", "noncompliant"):
            device = one(fleet, computer=computer, state=state)
            keys = [
                Mac(device.wifi_mac or ""),
                Udid(device.udid),
                Guid(device.guid),
                Serial(device.serial_number),
            ]
            if computer:
                keys += [
                    Mac(running.simulator.second_mac(device) or ""),
                    Guid(device.udid),
                    Hostname(device.hostname),
                ]
            for key in keys:
                found = client.lookup(key)
                assert found is not None, key
                assert (found.id, found.compliance.state) == (str(device.id), state)
                assert found.last_check_in is not None


def test_a_user_name_gives_all_devices_of_the_user(start: Start, ask: Ask, fleet: Fleet) -> None:
    username = next(device.username for device in fleet if len(fleet.by_username(device.username)) > 1)
    found = ask(start()).find(Username(username))
    assert {device.id for device in found} == {str(device.id) for device in fleet.by_username(username)}


def test_a_device_enrolled_twice_is_judged_by_the_stricter_record(
    start: Start, ask: Ask, fleet: Fleet
) -> None:
    device = one(fleet, computer=False)
    older = replace(device, id=9001, guid="00000000-0000-4000-8000-000000009001", compliance="noncompliant")
    client = ask(start(fleet.including(older)))
    for key in (Serial(device.serial_number), Udid(device.udid), Mac(device.wifi_mac or "")):
        assert len(client.find(key)) == 2
        found = client.lookup(key)
        assert found.compliance.state == "noncompliant"
        assert "disagree" in found.compliance.reasons[-1]


def test_a_dock_that_two_computers_share_is_judged_by_the_stricter_one(start: Start, ask: Ask) -> None:
    mixed = Fleet.generate(200, seed=3)
    computers = mixed.select(lambda device: device.platform == "macOS" and device.registered)
    good = next(device for device in computers if device.compliance == "compliant")
    bad = next(device for device in computers if device.compliance == "noncompliant")
    dock = "00005E00FF01"
    fleet = Fleet(computers).replace(good, dock_mac=dock).replace(bad, dock_mac=dock)
    for settings in ({}, {"secondary_macs": "sweep"}):
        client = ask(start(fleet), **settings)
        assert len(client.find(Mac(dock))) == 2
        assert client.lookup(Mac(dock)).compliance.state == "noncompliant"


@pytest.mark.parametrize(
    ("habits", "settings", "found"),
    [
        ({"match": "both"}, {}, True),
        ({"match": "primary"}, {}, False),  # as far as the search goes, the address is unknown: no verdict
        ({"match": "primary"}, {"secondary_macs": "sweep"}, True),
        ({"match": "gone"}, {"secondary_macs": "sweep"}, True),
        ({"match": "gone"}, {"secondary_macs": "off"}, False),
        ({"match": "both"}, {"secondary_macs": "off"}, False),
        ({"match": "both", "single_rows": True, "lower_case_macs": True}, {}, True),
    ],
)
def test_second_addresses(
    start: Start, ask: Ask, fleet: Fleet, *, habits: dict[str, Any], settings: dict[str, Any], found: bool
) -> None:
    running = start(**habits)
    device = one(fleet, computer=True)
    answer = ask(running, **settings).lookup(Mac(running.simulator.second_mac(device) or ""))
    assert (answer is not None) == found


@pytest.mark.parametrize("spaced", [True, False])
def test_a_phone_is_found_by_the_numbers_of_both_lines_however_they_are_written(
    start: Start, ask: Ask, fleet: Fleet, spaced: bool
) -> None:
    client = ask(start(spaced_imei=spaced))
    device = next(one for one in fleet if one.kind == "phone" and one.imei and one.registered)
    state = client.lookup(Serial(device.serial_number)).compliance.state
    for number in (device.imei or "", second_imei(device) or ""):
        grouped = f"{number[:2]} {number[2:8]} {number[8:14]} {number[14]}"
        spellings = [Imei(text) for text in (number, number[:14], f"{number[:14]}07", grouped)]
        found = [result.device for result in client.lookup_many(spellings)]
        found += [client.lookup(spelling) for spelling in spellings]
        assert [(one.id, one.compliance.state) for one in found if one] == [(str(device.id), state)] * 8


@pytest.mark.parametrize("source", ["smart-group", "advanced-search", "conditional-access", "rules"])
@pytest.mark.parametrize("mdm_mode", ["sync"])
def test_a_provider_keeps_nothing_but_its_settings(start: Start, ask: Ask, fleet: Fleet, source: str) -> None:
    client = ask(start(source=source, login="user"))
    provider = client.provider
    before = dict(vars(provider))
    client.heartbeat()
    assert client.lookup(Serial(fleet[0].serial_number))
    assert list(client.lookup_many([Mac(device.wifi_mac or "") for device in fleet[:5]]))
    assert list(client.noncompliant())
    assert vars(provider) == before == {"settings": provider.settings}


@pytest.mark.parametrize(("kind", "login"), [("client", "API client"), ("user", "user")])
def test_both_logins(start: Start, ask: Ask, fleet: Fleet, kind: str, login: str) -> None:
    running = start(login=kind, sticky=True)
    client = ask(running)
    assert client.heartbeat().extra["login"] == login
    assert client.lookup(Serial(fleet[0].serial_number)) is not None
    client.wrapped.close() if client.mode == "sync" else client.aclose()
    assert running.simulator.logins == 1
    assert running.simulator.given_back == (1 if kind == "user" else 0)


@pytest.mark.parametrize("habits", [{"oauth_path": "legacy"}, {"oauth_path": "new"}, {"context": "/jamf"}])
def test_where_the_login_may_be(start: Start, ask: Ask, fleet: Fleet, habits: dict[str, Any]) -> None:
    running = start(**habits)
    assert ask(running).lookup(Serial(fleet[0].serial_number)) is not None
    assert running.simulator.logins == 1


@pytest.mark.parametrize("mdm_mode", ["sync"])
def test_a_users_token_is_prolonged_before_it_ends(start: Start, ask: Ask, fleet: Fleet) -> None:
    running = start(login="user", token_lifetime=0.5, token_grace=60.0, latency=0.02)
    client = ask(running)
    for _ in range(40):
        assert client.lookup(Serial(fleet[0].serial_number)) is not None
    assert running.simulator.logins == 1
    assert running.simulator.renewals >= 1


def test_one_login_for_fifty_lookups_at_once(start: Start, ask: Ask, fleet: Fleet) -> None:
    running = start(latency=0.01)
    client = ask(running)
    keys = [Serial(device.serial_number) for device in fleet][:50]

    def look_up(key: Serial) -> Callable[[Modal], Any]:
        return lambda client: client.lookup(key)

    answers = client.side_by_side([look_up(key) for key in keys])
    assert [answer.serial_number for answer in answers] == [key.value for key in keys]
    assert running.simulator.logins == 1
    assert 2 <= running.simulator.busiest <= 5


WRONG = [
    ({}, {"client_secret": "wrong"}, TokenError, "client_secret"),
    ({}, {"client_id": "nobody"}, TokenError, "client_id"),
    ({"login": "user"}, {"password": "wrong"}, AuthenticationError, "password is wrong"),
    ({"login": "user", "basic": False}, {}, AuthenticationError, "Basic authentication"),
    ({"login": "user", "password_expired": True}, {}, AuthenticationError, "expired"),
    ({"privileges": ALL_PRIVILEGES - {"Read Computers"}}, {}, PermissionDeniedError, "Read Computers"),
    (
        {"privileges": ALL_PRIVILEGES - {"Read Mobile Devices"}},
        {},
        PermissionDeniedError,
        "Read Mobile Devices",
    ),
    (
        {"privileges": ALL_PRIVILEGES - {"Read Smart Computer Groups"}},
        {},
        PermissionDeniedError,
        "Read Smart Computer Groups",
    ),
    (
        {"privileges": ALL_PRIVILEGES - {"Read Advanced Computer Searches"}, "source": "advanced-search"},
        {},
        PermissionDeniedError,
        "Read Advanced Computer Searches",
    ),
    (
        {
            "privileges": ALL_PRIVILEGES - {"Read Device Compliance Information"},
            "source": "conditional-access",
        },
        {},
        PermissionDeniedError,
        "Read Device Compliance Information",
    ),
    ({"version": "10.20.0", "oauth_path": "both"}, {}, VersionMismatchError, "10.39"),
    ({"version": "10.20.0"}, {}, EndpointNotFoundError, "10.49"),
    ({"context": "/jamf"}, {"base_url": ""}, EndpointNotFoundError, "context path"),
    ({"wrong_filter": "other_device"}, {}, FilterIgnoredError, ""),
    ({"max_url": 200}, {}, MdmError, "filter"),
    ({"match": "gone"}, {}, UnsupportedOperationError, "secondary_macs"),
]


@pytest.mark.parametrize(("habits", "settings", "kind", "words"), WRONG)
def test_each_fault_is_its_own_error_with_its_remedy(
    start: Start,
    ask: Ask,
    fleet: Fleet,
    *,
    habits: dict[str, Any],
    settings: dict[str, Any],
    kind: type[MdmError],
    words: str,
) -> None:
    running = start(**habits)
    if "base_url" in settings:
        settings = {"base_url": running.origin}
    device = one(fleet, computer="Computer" in words or "Device C" in words)
    key = Mac("02:DE:AD:BE:EF:01") if words == "secondary_macs" else Serial(device.serial_number)
    with pytest.raises(kind) as caught:
        ask(running, **settings).lookup(key)
    assert words in (caught.value.hint or "")
    assert caught.value.server == "macs"
    assert caught.value.hint


def test_a_dropped_filter_gives_no_device_but_the_one_asked_for(start: Start, ask: Ask, fleet: Fleet) -> None:
    running = start(wrong_filter="everything")
    client, known = ask(running), Serial(one(fleet, computer=True).serial_number)
    assert client.lookup(known).matches(known)
    for unknown in (Serial("NO-SUCH-SERIAL"), Mac("02:DE:AD:BE:EF:01")):
        with pytest.raises(FilterIgnoredError):
            client.lookup(unknown)
    found, missing = client.lookup_many([known, Serial("NO-SUCH-SERIAL")])
    assert (found.device.matches(known), type(missing.error)) == (True, FilterIgnoredError)
    assert client.lookup(Hostname("nobody")) is None  # a search for names is loose, so that is no fault


def test_sections_that_a_server_leaves_out_prove_nothing(start: Start, ask: Ask, fleet: Fleet) -> None:
    device = one(fleet, computer=False)
    found = ask(start(ignores_sections=True)).lookup(Serial(device.serial_number))
    assert found.compliance.state == "unknown"
    assert "does not show the serial" in found.compliance.reasons[-1]


def test_errors_of_the_classic_api_and_of_proxies_are_html(start: Start, ask: Ask, fleet: Fleet) -> None:
    running = start(html_errors=True, privileges=frozenset())
    with pytest.raises(PermissionDeniedError):
        ask(running).lookup(Serial(fleet[0].serial_number))
    with running.simulator.faults.during(Fault("login_page")), pytest.raises(TokenError, match="JSON"):
        ask(running).heartbeat()  # which meets it at the login


def test_a_server_that_is_down_is_told_from_a_login_that_fails(start: Start, ask: Ask) -> None:
    running = start()
    down = Fault("status", match="health-check", status=503)
    with running.simulator.faults.during(down), pytest.raises(ServerError):
        ask(running).heartbeat()
    assert running.simulator.logins == 0
    refused = Fault("status", match="oauth", status=401)
    with running.simulator.faults.during(refused), pytest.raises(TokenError):
        ask(running).heartbeat()


def test_an_old_server_without_lists_in_filters_is_asked_one_by_one(
    start: Start, ask: Ask, fleet: Fleet
) -> None:
    running = start(has_in=False)
    keys = [Serial(device.serial_number) for device in fleet[:9]]
    results = list(ask(running).lookup_many(keys))
    assert all(result.device and not result.error for result in results)


def test_a_short_limit_for_urls_is_kept(start: Start, ask: Ask, fleet: Fleet) -> None:
    running = start(max_url=500)
    keys = [Serial(device.serial_number) for device in fleet]
    results = list(ask(running).lookup_many(keys))
    assert all(result.device and not result.error for result in results)


def test_a_damaged_mobile_device_is_still_found(start: Start, ask: Ask, fleet: Fleet) -> None:
    device = one(fleet, computer=False, state="noncompliant")
    running = start(damaged=frozenset({device.id}))
    found = ask(running).lookup(Serial(device.serial_number))
    assert (found.compliance.state, found.passcode_set) == ("noncompliant", None)
    old = start(damaged=frozenset({device.id}), version="11.28.0")
    with pytest.raises(ServerError) as caught:
        ask(old).lookup(Serial(device.serial_number))
    assert "11.29" in (caught.value.hint or "")


def test_without_a_source_the_state_is_unknown(start: Start, ask: Ask, fleet: Fleet) -> None:
    client = ask(start(source="none"))
    found = client.lookup(Serial(fleet[0].serial_number))
    assert found.compliance.state == "unknown"
    assert found.compliance.reasons
    with pytest.raises(ConfigurationError):
        list(client.noncompliant())
    assert len(list(client.devices())) == len(fleet)


@pytest.mark.parametrize("members", ["compliant", "noncompliant"])
def test_a_group_that_was_deleted_is_no_verdict_on_anybody(
    start: Start, ask: Ask, fleet: Fleet, members: str
) -> None:
    running = start(members=members)
    client = ask(running)
    client.heartbeat()
    running.simulator.behave(deleted_groups=frozenset({10, 11, 20, 21}))
    for device in (one(fleet, computer=True), one(fleet, computer=False)):
        with pytest.raises(ConfigurationError, match="does not exist any more"):
            client.lookup(Serial(device.serial_number))
    with pytest.raises(ConfigurationError, match="does not exist any more"):
        list(client.noncompliant())
    with pytest.raises(ConfigurationError, match="no single smart group"):
        client.heartbeat()


@pytest.mark.parametrize(
    ("source", "kind", "wanted", "near"),
    [
        ("smart-group", "computers", "Complaint Macs", r"it sees: Compliant Macs \(10\)"),
        (
            "advanced-search",
            "mobile_devices",
            "Devices for ISE: complies",
            "it sees: Devices for ISE: comply",
        ),
    ],
)
def test_a_name_that_is_not_there_is_told_with_those_that_are_like_it(
    start: Start, ask: Ask, *, source: str, kind: str, wanted: str, near: str
) -> None:
    client = ask(start(), compliance={"source": source, kind: wanted})
    with pytest.raises(ConfigurationError, match=near) as caught:
        client.lookup(Serial("S1"))
    assert "Correct the setting compliance" in (caught.value.hint or "")
    assert caught.value.server == "macs"


def test_a_number_is_an_id_and_no_name(start: Start, ask: Ask) -> None:
    wanted = {"source": "smart-group", "computers": 12, "mobile_devices": 20}
    running = start(deleted_groups=frozenset({12}), named={10: "12"})
    with pytest.raises(ConfigurationError, match="12"):
        ask(running, compliance=wanted).heartbeat()
    named = ask(running, compliance={**wanted, "computers": "12"}).heartbeat().extra["compliance"]
    assert named["computers"] == {"id": "10", "name": "12", "site": None}


def test_a_group_that_gets_another_name_is_still_the_same(start: Start, ask: Ask, fleet: Fleet) -> None:
    running = start()
    client = ask(running)
    client.heartbeat()
    running.simulator.behave(named={10: "Macs in order"})
    device = one(fleet, computer=True, state="noncompliant")
    assert client.lookup(Serial(device.serial_number)).compliance.state == "noncompliant"


@pytest.mark.parametrize(("members", "state"), [("compliant", "compliant"), ("noncompliant", "noncompliant")])
def test_a_member_costs_no_more_than_its_record(
    start: Start, ask: Ask, fleet: Fleet, members: str, state: str
) -> None:
    running = start(members=members)
    client = ask(running)
    client.heartbeat()
    running.simulator.requests.clear()
    device = one(fleet, computer=True, state=state)
    assert client.lookup(Serial(device.serial_number)).compliance.state == state
    assert len(running.simulator.requests) == 2  # both inventories


@pytest.mark.parametrize("source", ["smart-group", "advanced-search", "conditional-access", "rules"])
@pytest.mark.parametrize("members", ["compliant", "noncompliant"])
def test_lookups_tell_the_truth_from_each_source(
    start: Start, ask: Ask, fleet: Fleet, source: str, members: str
) -> None:
    running = start(source=source, members=members)
    keys = [Guid(device.guid) for device in fleet]
    results = list(ask(running).lookup_many(keys))
    told = {result.device.id: str(result.device.compliance.state) for result in results if result.device}
    assert told == {str(device.id): running.simulator.verdict(device) for device in fleet}
