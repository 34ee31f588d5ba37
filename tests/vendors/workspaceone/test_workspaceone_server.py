"""Clients in every mode against the simulator: lookups, lists, bad habits, bad input."""

import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from mdmsdk.errors import (
    AuthenticationError,
    EndpointNotFoundError,
    FilterIgnoredError,
    IncompleteListError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    RateLimitedError,
    ResponseError,
)
from mdmsdk.identifiers import DeviceId, Guid, Imei, Key, Mac, Serial, Udid
from mdmsdk.models import ComplianceState
from mdmsdk.simulator import Fault, Fleet, RunningSimulator
from mdmsdk.testing import Modal, find_secrets
from mdmsdk.testing.cassettes import UNKNOWN
from mdmsdk_workspaceone.simulator import WorkspaceOneSimulator

Start = Callable[..., RunningSimulator[WorkspaceOneSimulator]]
Connect = Callable[..., Modal]
KINDS: dict[str, type[Key]] = {
    "mac": Mac,
    "udid": Udid,
    "serial": Serial,
    "imei": Imei,
    "guid": Guid,
    "id": DeviceId,
}
LOGINS = ["basic", "oauth", "certificate"]


@pytest.fixture
def mode(mdm_mode: str) -> str:
    return mdm_mode


def truth(running: RunningSimulator[WorkspaceOneSimulator]) -> set[str]:
    return {
        str(device.id)
        for device in running.simulator.fleet
        if device.registered and running.simulator.verdict(device) == "noncompliant"
    }


def listed(client: Modal) -> list[str | None]:
    return [device.id for device in client.noncompliant()]


# --- five thousand devices ---


@pytest.mark.parametrize("login", LOGINS)
def test_every_key_of_five_thousand_devices_with_each_login(
    start: Start, mdm_connect: Connect, large_fleet: Fleet, certificates: Any, login: str
) -> None:
    running = start(large_fleet, login=login, **certificates.habits)
    client = mdm_connect(**running.settings)
    policy = {"deadline": 60.0}
    for name, kind in KINDS.items():
        # In bulk all of them, one by one a part.
        part = large_fleet[::500] if name == "guid" else large_fleet[::20]
        known = [(device, running.simulator.identifiers(device).get(name)) for device in part]
        expected = {kind(value): device for device, value in known if value}
        assert expected
        for result in client.with_policy(**policy).lookup_many(expected):
            device = expected[result.key]
            assert result.error is None
            assert result.device is not None
            assert result.device.guid == device.guid
            assert result.device.compliance.state == running.simulator.verdict(device)
        key, device = next(iter(expected.items()))
        assert client.lookup(key).guid == device.guid
        assert client.lookup(kind(UNKNOWN[name])) is None
    assert running.simulator.tokens_issued == (login == "oauth")


@pytest.mark.parametrize("version", [1, 2])
def test_the_noncompliant_list_is_the_truth_in_each_version(
    start: Start, mdm_connect: Connect, large_fleet: Fleet, version: int
) -> None:
    running = start(large_fleet, search_version=version)
    client = mdm_connect(**running.settings)
    client.heartbeat()
    running.simulator.requests.clear()
    found = listed(client)
    assert len(found) == len(set(found))
    assert set(found) == truth(running)
    accepted = {
        request.headers["accept"] for request in running.simulator.requests.matching("/devices/search")
    }
    expected = "application/json" if version == 1 else f"application/json;version={version}"
    assert accepted == {expected}


def test_a_thousand_serials_take_a_request_for_499(
    start: Start, mdm_connect: Connect, large_fleet: Fleet
) -> None:
    running = start(large_fleet)
    serials = list(dict.fromkeys(device.serial_number for device in large_fleet))[:1000]
    client = mdm_connect(**running.settings)
    client.heartbeat()
    running.simulator.requests.clear()
    results = list(client.lookup_many(map(Serial, serials)))
    assert all(result.device and result.device.serial_number == result.key.value for result in results)
    assert len(running.simulator.requests) <= 4
    assert max(running.simulator.bulk_sizes) <= 500


@pytest.mark.parametrize(("count", "most", "known"), [(1000, 4, 0), (4000, 10, 1)])
def test_unknown_addresses_cost_what_known_ones_do(
    *, start: Start, mdm_connect: Connect, count: int, most: int, known: int
) -> None:
    running = start()
    client = mdm_connect(**running.settings)
    client.heartbeat()
    running.simulator.requests.clear()
    there = Mac(
        next(device.mac_addresses[0] for device in running.simulator.fleet[5:] if device.mac_addresses)
    )
    keys = [Mac(f"06000000{number:04X}") for number in range(count)] + [there] * known
    results = list(client.lookup_many(keys))
    assert [result.key for result in results if result.device] == [there] * known
    assert not any(result.error for result in results)
    assert len(running.simulator.requests) <= most + known


@pytest.mark.parametrize("version", [1, 2])
def test_the_inventory_is_everything(start: Start, mdm_connect: Connect, version: int) -> None:
    running = start(page_cap=7, search_version=version)
    found = [device.id for device in mdm_connect(**running.settings).devices()]
    assert found == [str(device.id) for device in running.simulator.fleet]


# --- bad habits ---


@pytest.mark.parametrize("version", [1, 2])
def test_an_ignored_filter_gives_no_long_list(start: Start, mdm_connect: Connect, version: int) -> None:
    running = start(ignore_filter=True, search_version=version)
    settings = running.settings
    with pytest.raises(FilterIgnoredError):
        list(mdm_connect(**settings).noncompliant())
    running.simulator.behave(page_cap=1)
    # Row by row: what comes before the failure is true.
    found: list[str | None] = []
    devices = (device.id for device in mdm_connect(**settings).noncompliant())
    with pytest.raises((FilterIgnoredError, IncompleteListError)):
        found.extend(devices)
    assert set(found) <= truth(running)


@pytest.mark.parametrize("habit", ["wrong_device", "no_identifiers"])
def test_a_wrong_device_is_never_an_answer(
    start: Start, mdm_connect: Connect, small_fleet: Fleet, habit: str
) -> None:
    running = start(**{habit: True})
    client = mdm_connect(**running.settings)
    for name, kind in KINDS.items():
        value = next(
            value for device in small_fleet[10:] if (value := running.simulator.identifiers(device).get(name))
        )
        if habit == "no_identifiers":
            if name != "guid":  # that record keeps its UUID
                silent = client.lookup(kind(value))
                assert silent.compliance.state not in {"compliant", "grace"}
                assert f"does not show the {name}" in silent.compliance.reasons[-1]
            continue
        with pytest.raises(FilterIgnoredError):
            client.lookup(kind(value))
        (first, second) = client.lookup_many([kind(value), kind(UNKNOWN[name])])
        # A record that shows no identifier of the kind contradicts nothing, but is no proof either.
        assert isinstance(first.error, FilterIgnoredError) or first.device.compliance.state == "unknown"
        assert second.device is None or second.device.compliance.state == "unknown"


@pytest.mark.parametrize(
    "habits",
    [
        {"page_cap": 7},
        {"page_cap": 7, "totals": False},
        {"page_cap": 7, "past_the_end": "empty", "totals": False},
        {"names_version": False},
        {"strict_gateway": False},
        {"varied_states": False},
        {"integer_enums": False},
        {"network_details": False},
        {"old_errors": True},
        {"search_version": 1},
        {"search_version": 1, "missing_version": 406},
        {"search_version": 1, "missing_version": 503},
        {"search_version": 2, "uuid_version": 2},
        {"uuid_version": 2, "missing_version": 404},
        {"uuid_version": 2, "missing_version": 503},
        {"bulk_refuses": "any"},
        {"bulk_cap": 9},
    ],
    ids=lambda habits: "-".join(f"{name}={value}" for name, value in habits.items()),
)
def test_habits_do_not_change_the_answers(start: Start, mdm_connect: Connect, habits: dict[str, Any]) -> None:
    running = start(**habits)
    client = mdm_connect(**running.settings, policy={"deadline": 60.0})
    simulator = running.simulator
    assert set(listed(client)) == truth(running)
    keys = {
        Serial(value): device
        for device in simulator.fleet
        if (value := simulator.identifiers(device).get("serial"))
    }
    unknown = [Serial(f"NOSUCH{number:03}") for number in range(3)]
    for result in client.lookup_many([*keys, *unknown]):
        if result.key in keys:
            assert result.device is not None
            assert result.device.compliance.state == simulator.verdict(keys[result.key])
        else:
            assert (result.device, result.error) == (None, None)
    device = next(iter(keys.values()))
    assert client.lookup(Guid(device.guid)).guid == device.guid
    assert client.lookup(Guid(UNKNOWN["guid"])) is None


@pytest.mark.parametrize("version", [1, 2])
def test_a_device_that_is_mended_while_another_fails_hides_no_third(
    start: Start, mdm_connect: Connect, version: int
) -> None:
    # The total stays as it was, and tells nothing about the row that moved onto the page before.
    running = start(Fleet.generate(300, seed=3), page_cap=20, search_version=version)
    bad = sorted(map(int, truth(running)))
    fleet = running.simulator.fleet
    good = [one for one in fleet if one.registered and running.simulator.verdict(one) == "compliant"]
    found: list[str | None] = []
    for device in mdm_connect(**running.settings).noncompliant():
        if not found:
            fleet = fleet.replace(bad[0], compliance="compliant")
            running.simulator.fleet = fleet.replace(good[-1], compliance="noncompliant")
        found.append(device.id)
    assert set(map(str, bad[1:])) <= set(found)
    assert str(good[-1].id) in found


def test_lost_rows_make_the_list_incomplete(start: Start, mdm_connect: Connect) -> None:
    for cap in (500, 4):
        running = start(lost_rows=2, page_cap=cap)
        with pytest.raises(IncompleteListError):
            list(mdm_connect(**running.settings).noncompliant())


def test_a_record_is_read_from_its_better_source(start: Start, mdm_connect: Connect) -> None:
    # Summer, so that the server's own zone is an hour ahead.
    running = start(zone="Asia/Tokyo")
    device = running.simulator.fleet[0]
    key = Serial(device.serial_number)
    settings = {name: value for name, value in running.settings.items() if name != "time_zone"}
    assert mdm_connect(**settings).lookup(key).last_check_in == device.last_check_in
    assert mdm_connect(**running.settings, details=False).lookup(key).last_check_in == device.last_check_in
    assert mdm_connect(**settings, details=False).lookup(key).last_check_in != device.last_check_in


def test_security_answers_are_never_asked_for(
    start: Start, mdm_connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    running = start()
    client = mdm_connect(**running.settings, keep_raw=True)
    devices = list(client.devices())
    found = [client.lookup(Guid(device.guid)) for device in devices[:5]]
    told = [client.reasons(device) for device in client.noncompliant()]
    text = "".join(device.model_dump_json() for device in (*devices, *found, *told))
    assert running.simulator.security_reads == 0
    assert "SIMULATED-" not in text + caplog.text
    for secret in ("simulated-password", "simulated-tenant-code"):
        assert secret not in text + caplog.text
    assert find_secrets(caplog.text) == []


def test_the_log_names_no_device(
    start: Start, mdm_connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="mdmsdk")
    running = start()
    device = running.simulator.fleet[0]
    mdm_connect(**running.settings).lookup(Serial(device.serial_number))
    assert device.serial_number not in caplog.text


# --- bad input ---


@pytest.mark.parametrize(
    ("wrong", "kind", "words", "hint"),
    [
        ({"password": "wrong"}, AuthenticationError, "1005", "user name and password"),
        ({"username": "nobody"}, AuthenticationError, "1005", "user name and password"),
        ({"tenant_code": "wrong"}, PermissionDeniedError, "1013", "tenant_code"),
        ({"organization_group": 999}, ResponseError, "organisation group", "organization_group"),
    ],
)
def test_wrong_settings_have_their_own_errors(
    *, start: Start, mdm_connect: Connect, wrong: dict[str, Any], kind: type[MdmError], words: str, hint: str
) -> None:
    running = start()
    client = mdm_connect(**{**running.settings, **wrong})
    for call in (client.heartbeat, lambda: list(client.noncompliant())):
        with pytest.raises(kind) as caught:
            call()
        assert words in str(caught.value)
        assert hint in str(caught.value.hint)
        assert caught.value.request_id or kind is AuthenticationError


def test_a_tenant_code_that_oauth_does_need(start: Start, mdm_connect: Connect) -> None:
    running = start(login="oauth", oauth_needs_tenant_code=True)
    assert mdm_connect(**running.settings).heartbeat()
    with pytest.raises(PermissionDeniedError) as caught:
        mdm_connect(**{**running.settings, "tenant_code": None}).heartbeat()
    assert "tenant_code" in str(caught.value.hint)


def test_a_role_without_devices(start: Start, mdm_connect: Connect) -> None:
    running = start(may_read_devices=False)
    with pytest.raises(PermissionDeniedError) as caught:
        mdm_connect(**running.settings).heartbeat()
    assert "role" in str(caught.value.hint)


@pytest.mark.parametrize("path", ["/console", "/api/v2"])
def test_a_wrong_address_is_told(start: Start, mdm_connect: Connect, path: str) -> None:
    running = start()
    settings = {**running.settings, "base_url": running.origin + path}
    with pytest.raises(EndpointNotFoundError) as caught:
        mdm_connect(**settings).heartbeat()
    assert "base_url" in str(caught.value.hint)


def test_a_login_page_in_front_is_told(start: Start, mdm_connect: Connect) -> None:
    running = start()
    running.simulator.faults.add(Fault("login_page"))
    with pytest.raises(MalformedResponseError) as caught:
        mdm_connect(**running.settings).heartbeat()
    assert "base_url" in str(caught.value.hint)


def test_the_quota_is_shown_and_its_end_is_told(start: Start, mdm_connect: Connect) -> None:
    running = start(quota=3)
    client = mdm_connect(**running.settings)
    quota = client.heartbeat().extra["quota"]
    assert (quota["limit"], quota["remaining"]) == (3, 1)
    assert quota["resets_at"]
    first, second = (Guid(device.guid) for device in running.simulator.fleet[:2])
    assert client.lookup(first)
    with pytest.raises(RateLimitedError) as caught:
        client.lookup(second)
    assert "quota of 3 requests is spent" in str(caught.value)
    assert caught.value.retry_after == pytest.approx(86_400, abs=5)
    assert "quota" in str(caught.value.hint)
    assert len(running.simulator.requests) == 4


def test_a_short_wait_is_kept_although_the_quota_is_spent(start: Start, mdm_connect: Connect) -> None:
    running = start()
    client = mdm_connect(**running.settings, policy={"max_wait": 5.0})
    client.heartbeat()
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9999999999"}
    running.simulator.faults.add(Fault("status", status=429, retry_after=0, headers=headers, times=1))
    device = running.simulator.fleet[0]
    assert client.lookup(Guid(device.guid)).guid == device.guid


def test_a_404_is_no_reason_to_ask_twice(start: Start, mdm_connect: Connect) -> None:
    running = start()
    client = mdm_connect(**running.settings)
    client.heartbeat()
    running.simulator.requests.clear()
    running.simulator.faults.add(
        Fault("status", status=404, body_format="html", match=running.simulator.fleet[0].guid)
    )
    with pytest.raises(EndpointNotFoundError):
        client.lookup(Guid(running.simulator.fleet[0].guid))
    assert running.simulator.requests.count(running.simulator.fleet[0].guid) == 2  # version 3, then 2


def test_a_device_that_left_is_not_compliant(start: Start, mdm_connect: Connect, small_fleet: Fleet) -> None:
    gone = small_fleet.replace(small_fleet[0], registered=False, managed=False, compliance="compliant")
    running = start(gone)
    found = mdm_connect(**running.settings).lookup(Guid(gone[0].guid))
    assert (found.registered, found.compliance.state) == (False, ComplianceState.UNKNOWN)


@pytest.mark.parametrize(
    ("version", "query", "status"),
    [
        (1, "page=0&pagesize=5&orderby=deviceid&sortorder=DESC", 200),
        (2, "page=0&pagesize=5&compliance_status=false", 200),
        (3, "page=0&page_size=5&compliance_status=not_compliant", 200),
        # Names of another version, and what no version of the simulator implements.
        (1, "page_size=5", 400),
        (1, "compliance_status=false", 400),
        (2, "compliantstatus=false", 400),
        (3, "pagesize=5", 400),
        (3, "orderby=deviceid", 400),
        (1, "orderby=lastseen", 400),
        (1, "seensince=2026-01-01", 400),
        (2, "platform=Apple", 400),
    ],
)
def test_parameters_that_are_not_implemented_are_refused(
    start: Start, version: int, query: str, status: int
) -> None:
    running = start()
    habits = running.simulator.habits
    accept = "application/json" if version == 1 else f"application/json;version={version}"
    headers = {"aw-tenant-code": habits.tenant_code, "Accept": accept}
    address = f"{running.origin}/api/mdm/devices/search?{query}"
    answer = httpx.get(address, headers=headers, auth=(habits.username, habits.password))
    assert answer.status_code == status, answer.text
    if "DESC" in query:
        numbers = [row["Id"]["Value"] for row in answer.json()["Devices"]]
        assert numbers == sorted(numbers, reverse=True)
