"""Lookups and lists over three organisations with twelve networks, in every mode, against the simulator."""

from __future__ import annotations

import re
from datetime import UTC, datetime
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
)
from mdmsdk.identifiers import DeviceId, Guid, Imei, Mac, Serial, Udid
from mdmsdk.simulator import Fleet, SimDevice
from mdmsdk_meraki.simulator.rows import POLICIES, sm_id

pytestmark = pytest.mark.usefixtures("in_no_hurry")

WIDE: dict[str, Any] = {"organizations": 3, "networks": 12}


def spellings(mac: str) -> list[str]:
    pairs, fours = re.findall("..", mac), re.findall("....", mac)
    return [":".join(pairs).lower(), "-".join(pairs), ".".join(fours).lower(), mac]


def ordinary(fleet: Fleet) -> list[SimDevice]:
    """Enrolled devices that have every identifier to themselves."""
    return [
        device
        for device in fleet
        if device.registered
        and device.wifi_mac
        and device.imei
        and len(fleet.by_serial(device.serial_number)) == 1
    ]


def test_each_key_finds_the_device_in_any_of_twelve_networks(simulate: Any, connect_to: Any) -> None:
    running = simulate(60, **WIDE)
    client, simulator = connect_to(running), running.simulator
    info = client.heartbeat()
    assert len(info.extra["networks"]) == 12
    assert len({network["organization"] for network in info.extra["networks"]}) == 3
    device = ordinary(simulator.fleet)[-1]
    keys: list[Any] = [
        *spellings(device.wifi_mac or ""),
        Serial(device.serial_number),
        Udid(device.udid),
        Guid(sm_id(device)),
        f"ID:MerakiSM:DeviceID:{sm_id(device)}",
        Guid(f"ID:MerakiSM:DeviceID:{sm_id(device)}"),
        DeviceId(sm_id(device)),
        Imei(device.imei or ""),
    ]
    for key in keys:
        found = client.lookup(key)
        assert found is not None, key
        assert found.id == sm_id(device)
        assert found.server == "dashboard"
        assert found.compliance.state == simulator.verdict(device)
        assert found.user == device.username
        assert found.jailbroken == device.jailbroken
        assert found.last_check_in == device.last_check_in
    for key in (Mac("02:00:00:00:00:01"), Serial("NONE-SUCH"), Guid("17"), Imei("490154203237518")):
        assert client.lookup(key) is None


def test_what_an_organisation_and_a_network_in_the_settings_leave_out(simulate: Any, connect_to: Any) -> None:
    running = simulate(60, **WIDE)
    network = running.simulator.networks_of(1)[0]["id"]
    client = connect_to(running, organizations=["2930401"], networks=[network])
    client.heartbeat()
    assert (
        running.simulator.requests.count("/organizations?")
        == running.simulator.requests.count("2930400")
        == 0
    )
    there = {
        sm_id(device) for device in running.simulator.fleet if running.simulator.network_of(device) == network
    }
    assert {device.id for device in client.devices()} == there
    for device in ordinary(running.simulator.fleet)[:3]:
        assert (client.lookup(Serial(device.serial_number)) is not None) == (sm_id(device) in there)


TODAY = datetime.now(UTC).replace(microsecond=0)
SOURCES: dict[str, dict[str, Any]] = {
    "policy-tags": {"source": "policy-tags"},
    "policies": {
        "source": "policy-tags",
        "violating": [f"{name} violating" for name in POLICIES],
        "compliant": [f"{name} compliant" for name in POLICIES],
    },
    "tags": {"source": "tags", "violating": ["nac-quarantine"], "compliant": ["nac-healthy"]},
    "rules": {
        "source": "rules",
        "rules": {
            "not_jailbroken": True,
            "passcode_set": True,
            "disk_encrypted": True,
            "max_days_since_check_in": 30,
            "forbidden_words": ["apps missing", "quarantined"],
        },
    },
}


def truth(device: SimDevice, source: str) -> str:
    """What is true of a device, from the facts of the fleet."""
    if source == "rules":
        facts = (device.jailbroken, device.passcode_set, device.disk_encrypted, device.last_check_in)
        bad = device.jailbroken is True or False in facts[1:3]
        bad |= any("“Café Mail”" in reason for reason in device.failure_reasons)
        bad |= device.last_check_in is not None and (TODAY - device.last_check_in).days >= 30
        state = "noncompliant" if bad else "unknown" if None in facts else "compliant"
    else:
        state = {"grace": "noncompliant"}.get(device.compliance, device.compliance)
    return state if device.registered or state == "noncompliant" else "unknown"


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(
    "habits", [{}, {"page_size": 3, "quoted_link": True, "numbers_as_text": True}], ids=["plain", "awkward"]
)
def test_the_noncompliant_list_is_the_truth(simulate: Any, connect_to: Any, source: str, habits: Any) -> None:
    fleet = Fleet.generate(90, seed=3, now=TODAY)
    running = simulate(fleet=fleet, **WIDE, **habits)
    client = connect_to(running, compliance=SOURCES[source])
    listed = list(client.noncompliant())
    expected = {
        sm_id(device) for device in fleet if device.registered and truth(device, source) == "noncompliant"
    }
    assert {device.id for device in listed} == expected
    assert len(listed) == len(expected) > 5
    assert all(device.compliance.reasons and device.compliance.source for device in listed)
    states = {device.id: device.compliance.state for device in client.devices()}
    assert states == {sm_id(device): truth(device, source) for device in fleet}
    assert set(states.values()) == {"compliant", "noncompliant", "unknown"}


def test_without_a_source_everything_is_unknown_and_the_list_an_error(simulate: Any, connect_to: Any) -> None:
    client = connect_to(simulate(), compliance=None)
    assert {device.compliance.state for device in client.devices()} == {"unknown"}
    with pytest.raises(ConfigurationError) as caught:
        list(client.noncompliant())
    assert "policy-tags" in (caught.value.hint or "")


def test_a_lost_tag_of_violation_is_not_made_up_for_by_another_policy(simulate: Any, connect_to: Any) -> None:
    running = simulate(60)
    client, simulator = connect_to(running), running.simulator
    assert client.heartbeat().extra["policies"] == sorted(POLICIES)
    device = next(
        device for device in ordinary(simulator.fleet) if simulator.verdict(device) == "noncompliant"
    )
    key = Serial(device.serial_number)
    assert client.lookup(key).compliance.state == "noncompliant"
    simulator.behave(lost_tags=frozenset({f"{POLICIES[0]} violating"}))
    found = client.lookup(key)
    assert found.compliance.state == "unknown"
    assert POLICIES[0] in found.compliance.reasons[0]


@pytest.mark.parametrize("source", ["policy-tags", "tags"])
def test_patterns_that_fit_nothing_fail_heartbeat_and_list(
    simulate: Any, connect_to: Any, source: str
) -> None:
    running = simulate(60, page_size=3)
    compliance = {"source": source, "violating": ["Tpyo violating"], "compliant": ["Tpyo compliant"]}
    for ask in (lambda client: client.heartbeat(), lambda client: list(client.noncompliant())):
        with pytest.raises(
            ConfigurationError, match="tag patterns of the setting compliance say nothing"
        ) as caught:
            ask(connect_to(running, compliance=compliance))
        hint = caught.value.hint or ""
        assert ("nac-healthy" if source == "tags" else f"{POLICIES[0]} violating") in hint
    # The list also where the tags go after the heartbeat.
    client = connect_to(running)
    client.heartbeat()
    names = [f"{name} {state}" for name in POLICIES for state in ("compliant", "violating")]
    running.simulator.behave(lost_tags=frozenset(names))
    with pytest.raises(ConfigurationError, match="tag patterns of the setting compliance say nothing"):
        list(client.noncompliant())


def test_a_cut_link_header_ends_no_list(simulate: Any, connect_to: Any) -> None:
    running = simulate(60, page_size=3, quoted_link=True)
    client = connect_to(running)
    client.heartbeat()
    running.simulator.behave(broken_link=True)
    for ask in (client.noncompliant, client.devices):
        with pytest.raises(MalformedResponseError, match="Link header"):
            list(ask())


def test_one_refused_key_fails_alone(simulate: Any, connect_to: Any) -> None:
    running = simulate(60, networks=1, organizations=1)
    client, devices = connect_to(running), ordinary(running.simulator.fleet)[:12]
    bad = devices[5].serial_number
    running.simulator.behave(bad_serial=bad)
    results = list(client.lookup_many([Serial(device.serial_number) for device in devices]))
    for device, result in zip(devices, results, strict=True):
        if device.serial_number == bad:
            assert "not allowed" in str(result.error)
        else:
            assert result.device is not None
            assert result.device.id == sm_id(device)


def test_wired_addresses(simulate: Any, connect_to: Any) -> None:
    running = simulate(60, **WIDE)
    device = next(device for device in running.simulator.fleet if device.registered and device.ethernet_mac)
    key = Mac(device.ethernet_mac or "")
    assert connect_to(running).lookup(key) is None
    client = connect_to(running, wired_macs=True)
    found = client.lookup(key)
    assert found is not None
    assert found.id == sm_id(device)
    assert key in found.mac_addresses
    assert len(found.mac_addresses) == len(device.mac_addresses)
    assert client.lookup(Mac("02:00:00:00:00:01")) is None
    running.simulator.behave(person_data_wired=False)
    assert client.lookup(key) is None


@pytest.mark.parametrize("wrong", ["everything", "other_device"])
def test_an_ignored_filter_is_an_error(simulate: Any, connect_to: Any, wrong: str) -> None:
    running = simulate(wrong_filter=wrong)
    client = connect_to(running)
    with pytest.raises(FilterIgnoredError) as caught:
        client.lookup(Serial("NONE-SUCH"))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("habits", "settings", "error", "hint"),
    [
        ({}, {"api_key": "0" * 40}, AuthenticationError, "api_key"),
        ({"deny": True}, {}, PermissionDeniedError, "sm:config:read"),
        ({"api_disabled": frozenset({1})}, {}, PermissionDeniedError, "API & Webhooks"),
        (
            {"api_disabled": frozenset({1})},
            {"organizations": ["2930401"]},
            EndpointNotFoundError,
            "API access",
        ),
        ({"networks": 0}, {}, ConfigurationError, "Systems Manager"),
        ({}, {"networks": ["N_404"]}, ConfigurationError, "organisations were asked: 29"),
        ({}, {"organizations": ["404"]}, EndpointNotFoundError, "organizations"),
        ({"endless": True, "repeat_token": True, "page_size": 3}, {}, IncompleteListError, "again"),
        ({"endless": True, "page_size": 3}, {"policy": {"max_pages": 4}}, IncompleteListError, "again"),
    ],
)
def test_bad_input(
    simulate: Any, connect_to: Any, *, habits: Any, settings: Any, error: Any, hint: str
) -> None:
    running = simulate(**habits)
    client = connect_to(running, **settings)
    with pytest.raises(error) as caught:
        list(client.noncompliant())
    assert type(caught.value) is error
    assert hint in (caught.value.hint or "")
    assert caught.value.server == "dashboard"
    assert running.simulator.habits.api_key not in f"{caught.value}{caught.value!r}{caught.value.hint}"


def test_a_wrong_address_is_told(simulate: Any, connect_to: Any) -> None:
    running = simulate()
    with pytest.raises(EndpointNotFoundError) as caught:
        connect_to(running, base_url=f"{running.origin}/dashboard").heartbeat()
    assert "/api/v1" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("habits", "error"),
    [({"no_link": True}, MalformedResponseError), ({"fields_ignored": True}, ConfigurationError)],
)
def test_a_list_that_cannot_be_complete_fails(
    simulate: Any, connect_to: Any, habits: Any, error: type[MdmError]
) -> None:
    fleet = Fleet.generate(1001, seed=5, cases=False)
    running = simulate(fleet=fleet, networks=1, **habits)
    with pytest.raises(error) as caught:
        list(connect_to(running).noncompliant())
    assert caught.value.hint


def test_many_organisations_see_each_network_once(simulate: Any, connect_to: Any) -> None:
    running = simulate(networks=7, organizations=3)
    networks = connect_to(running).heartbeat().extra["networks"]
    assert len({network["id"] for network in networks}) == len(networks) == 7
    assert {network["organization"] for network in networks} == {"2930400", "2930401", "2930402"}
