"""Clients against the simulated servers: 5,000 devices, changing lists, masks, refusals."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import pytest

import mdmsdk
from mdmsdk.errors import (
    AuthenticationError,
    ConfigurationError,
    EndpointNotFoundError,
    FilterIgnoredError,
    IncompleteListError,
    InvalidIdentifierError,
    PermissionDeniedError,
    ProtocolError,
    ResponseError,
    UnsupportedOperationError,
)
from mdmsdk.identifiers import KEY_KINDS, Imei, Key, Mac, Serial
from mdmsdk.models import ComplianceState
from mdmsdk.registry import load_simulator
from mdmsdk.simulator import Fleet, RunningSimulator, serve
from mdmsdk.testing import Modal
from mdmsdk.testing.cassettes import UNKNOWN

NATIVE = ["ivanti-core", "ivanti-cloud"]
KINDS = ["mac", "udid", "guid", "serial", "imei"]
PATIENT = {"timeout": 20.0, "deadline": 50.0, "attempts": 1}
Connect = Callable[..., Modal]
Start = Callable[..., RunningSimulator[Any]]


@pytest.fixture(scope="module", params=NATIVE)
def large(request: pytest.FixtureRequest) -> Iterator[RunningSimulator[Any]]:
    with serve(load_simulator(request.param)(Fleet.generate(5000, seed=11))) as running:
        yield running


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return Fleet.generate(120, seed=3)


@pytest.fixture
def start(fleet: Fleet) -> Iterator[Start]:
    with ExitStack() as stack:

        def start(name: str, devices: Fleet | None = None, **habits: Any) -> RunningSimulator[Any]:
            return stack.enter_context(serve(load_simulator(name)(devices or fleet, **habits)))

        yield start


def known(running: RunningSimulator[Any], kind: str) -> dict[Key, int]:
    """The keys of a kind that one record alone has, with that record."""
    found: dict[Key, list[int]] = {}
    for device in running.simulator.fleet:
        if value := running.simulator.identifiers(device).get(kind):
            found.setdefault(KEY_KINDS[kind](value), []).append(device.id)
    return {key: ids[0] for key, ids in found.items() if len(ids) == 1}


@cache
def sampled(running: RunningSimulator[Any], kind: str) -> dict[Key, int]:
    keys = known(running, kind)
    return {key: keys[key] for key in list(keys)[:: max(1, len(keys) // 12)]}


def test_five_thousand_devices_in_three_spaces(large: RunningSimulator[Any], mdm_connect: Connect) -> None:
    client = mdm_connect(**large.settings, policy=PATIENT)
    assert len(client.heartbeat().extra["spaces"]) == 3
    for kind in KINDS:
        keys = sampled(large, kind)
        assert len(keys) >= 12
        for key in list(keys)[:3]:
            assert client.lookup(key).id == str(keys[key])
        results = list(client.lookup_many(keys))
        assert [result.error for result in results] == [None] * len(keys)
        assert [result.device.id for result in results if result.device] == [str(keys[key]) for key in keys]
        assert client.find(KEY_KINDS[kind](UNKNOWN[kind])) == []


def test_five_thousand_devices_listed(large: RunningSimulator[Any], mdm_connect: Connect) -> None:
    client = mdm_connect(**large.settings, policy=PATIENT)
    listed = list(client.noncompliant())
    assert {int(device.id) for device in listed} == large.simulator.noncompliant()
    assert len(listed) == len(large.simulator.noncompliant()) > 1000
    assert sum(device.compliance.vendor_state.startswith("compliant") for device in listed) > 100


def test_five_thousand_devices_in_the_inventory(large: RunningSimulator[Any]) -> None:
    with mdmsdk.connect(**large.settings, policy=PATIENT) as client:
        assert {int(device.id or 0) for device in client.devices()} == {
            device.id for device in large.simulator.fleet
        }


# Seven serial numbers of this length fit into a query of EPMM, twenty addresses into one of Neurons for MDM;
# each is asked in each of three device spaces.
@pytest.mark.parametrize(("name", "kind", "fit"), [("ivanti-core", "serial", 7), ("ivanti-cloud", "mac", 20)])
def test_batches_take_fewer_requests(
    name: str, kind: str, fit: int, start: Start, mdm_connect: Connect
) -> None:
    running = start(name)
    client = mdm_connect(**running.settings, policy=PATIENT)
    client.heartbeat()
    keys = list(known(running, kind))[: 3 * fit]
    before = running.simulator.requests.total
    assert all(result.device for result in client.lookup_many(keys))
    assert running.simulator.requests.total - before == 3 * 3


# EPMM's queries of 255 characters hold one address, in its two spellings and two fields.
@pytest.mark.parametrize(("name", "keys", "fit"), [("ivanti-core", 35, 1), ("ivanti-cloud", 1000, 20)])
def test_a_storm_of_unknown_addresses(
    name: str, keys: int, fit: int, start: Start, mdm_connect: Connect
) -> None:
    running = start(name, Fleet.generate(6, seed=3))
    client = mdm_connect(**running.settings, policy=PATIENT)
    client.heartbeat()
    before = running.simulator.requests.total
    unknown = [Mac(f"0C5E00{number:06X}") for number in range(keys)]
    assert {(result.device, result.error) for result in client.lookup_many(unknown)} == {(None, None)}
    assert running.simulator.requests.total - before == keys // fit * 3


@pytest.mark.parametrize(
    ("name", "wrong"), [("ivanti-core", 'SIM"1'), ("ivanti-core", "SIM1" * 60), ("ivanti-cloud", "SIM 1")]
)
def test_a_key_that_cannot_be_asked_for_fails_alone(
    name: str, wrong: str, start: Start, mdm_connect: Connect
) -> None:
    running = start(name)
    serials = known(running, "serial")
    keys = [*list(serials)[:3], Serial(wrong), *list(serials)[3:6]]
    results = list(mdm_connect(**running.settings).lookup_many(keys))
    assert isinstance(results.pop(3).error, InvalidIdentifierError)
    assert [result.device and result.device.id for result in results] == [
        str(number) for number in list(serials.values())[:6]
    ]


@pytest.mark.parametrize("name", NATIVE)
def test_a_key_that_the_server_refuses_fails_alone(
    name: str, start: Start, mdm_connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = start(name)
    simulator = running.simulator
    serials = dict(list(known(running, "serial").items())[:12])
    bad = list(serials)[5]
    serve_all = simulator.serve

    def refuses(request: Any) -> Any:
        if str(bad) in str(request.query_params):
            return simulator.error(400, "no such serial number", "query")
        return serve_all(request)

    monkeypatch.setattr(simulator, "serve", refuses)
    client = mdm_connect(**running.settings, policy=PATIENT)
    results = {result.key: result for result in client.lookup_many(serials)}
    assert "no such serial number" in str(results.pop(bad).error)
    assert {key: int(result.device.id) for key, result in results.items() if result.device} == {
        key: number for key, number in serials.items() if key != bad
    }


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("vanish", [1, 2, 5])
def test_rows_that_vanish_between_pages(name: str, vanish: int, start: Start, mdm_connect: Connect) -> None:
    running = start(name, Fleet.generate(300, seed=4), vanish=vanish)
    truth = running.simulator.noncompliant()
    client = mdm_connect(**running.settings, policy=PATIENT, page_size=9)
    listed = {int(device.id) for device in client.noncompliant()}
    assert running.simulator.vanished
    assert running.simulator.noncompliant() <= listed <= truth


@pytest.mark.parametrize("name", NATIVE)
def test_rows_that_vanish_from_a_list_without_order(name: str, start: Start, mdm_connect: Connect) -> None:
    running = start(name, vanish=1, ignore_sort=True)
    client = mdm_connect(**running.settings, policy=PATIENT, page_size=5)
    with pytest.raises(IncompleteListError, match="changed while it was read"):
        list(client.noncompliant())
    running.simulator.behave(vanish=0)
    client = mdm_connect(**running.settings, policy=PATIENT, page_size=6)
    assert {int(device.id) for device in client.noncompliant()} == running.simulator.noncompliant()


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize(
    "habits", [{"ignore_offset": True}, {"total_cap": 7}, {"move": 1}, {"total_cap": 7, "page_cap": 3}]
)
def test_lists_that_are_not_whole_fail(
    name: str, habits: dict[str, Any], start: Start, mdm_connect: Connect
) -> None:
    running = start(name, **habits)
    client = mdm_connect(**running.settings, policy=PATIENT, page_size=5)
    with pytest.raises(IncompleteListError):
        list(client.noncompliant())


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("answers_only", [False, True])
def test_masked_serials_and_imeis(
    name: str,
    answers_only: bool,
    start: Start,
    mdm_connect: Connect,
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = start(name, masked=frozenset({"serial", "imei"}), mask_answers_only=answers_only)
    client = mdm_connect(**running.settings)
    with caplog.at_level(logging.WARNING, logger="mdmsdk"):
        client.heartbeat()
        assert client.heartbeat().extra["masked"] == ["imei", "serial"]
    warnings = [record for record in caplog.records if record.name == "mdmsdk.ivanti"]
    assert len(warnings) == 2  # one for each heartbeat
    assert "GDPR profile" in warnings[0].getMessage()
    before = running.simulator.requests.total
    for kind in ("serial", "imei"):
        for value in (str(next(iter(known(running, kind)))), UNKNOWN[kind]):
            with pytest.raises(UnsupportedOperationError, match="this account does not see") as caught:
                client.lookup(f"{kind}:{value}")
            assert "GDPR profile" in str(caught.value.hint)
    assert running.simulator.requests.total == before
    outcome = next(iter(client.lookup_many([next(iter(known(running, "serial")))])))
    assert isinstance(outcome.error, UnsupportedOperationError)
    guid, number = next(iter(known(running, "guid").items()))
    found = client.lookup(guid)
    assert (found.id, found.serial_number, found.imei) == (str(number), None, None)


@pytest.mark.parametrize("name", NATIVE)
def test_a_profile_that_masks_later_is_noticed(name: str, start: Start, mdm_connect: Connect) -> None:
    running = start(name, mask_answers_only=True)
    client = mdm_connect(**running.settings)
    serial = next(iter(known(running, "serial")))
    assert client.lookup(serial)
    running.simulator.behave(masked=frozenset({"serial"}))
    with pytest.raises(FilterIgnoredError):
        client.lookup(serial)
    client.heartbeat()
    with pytest.raises(UnsupportedOperationError):
        client.lookup(serial)


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("wrong", ["everything", "other_device"])
def test_an_ignored_filter_is_no_answer(name: str, wrong: str, start: Start, mdm_connect: Connect) -> None:
    running = start(name, wrong_filter=wrong)
    client = mdm_connect(**running.settings)
    for kind in KINDS:
        key, number = next(iter(known(running, kind).items()))
        # All records show these, the right one among them; and Neurons for MDM has addresses by GUID.
        if (kind in {"guid", "serial"} and wrong == "everything") or (name, kind) == ("ivanti-cloud", "guid"):
            assert client.lookup(key).id == str(number)
            continue
        with pytest.raises(FilterIgnoredError):
            client.lookup(key)
    if wrong == "everything":
        with pytest.raises((FilterIgnoredError, IncompleteListError)):
            list(client.noncompliant())


@pytest.mark.parametrize("name", NATIVE)
def test_refusals(name: str, start: Start, mdm_connect: Connect) -> None:
    running = start(name, lock_after=2)
    settings = running.settings
    with pytest.raises(AuthenticationError) as wrong:
        mdm_connect(**{**settings, "password": "wrong-word"}).heartbeat()
    assert "password" in str(wrong.value.hint)
    assert "wrong-word" not in str(wrong.value)
    running.simulator.behave(deny=403)
    with pytest.raises(PermissionDeniedError) as denied:
        mdm_connect(**settings).lookup(Mac("00005E001122"))
    assert "API role" in str(denied.value.hint) or "Assign Roles" in str(denied.value.hint)
    running.simulator.behave(deny=None, most_rows=100)
    with pytest.raises(ResponseError) as rows:
        mdm_connect(**settings).lookup(Mac("00005E001122"))
    assert "page_size" in str(rows.value.hint)
    assert "100" in str(rows.value)
    running.simulator.behave(assigned=())
    with pytest.raises(ConfigurationError):
        mdm_connect(**settings).heartbeat()
    running.simulator.behave(assigned=("Schools",))
    with pytest.raises(ConfigurationError, match="Schools"):
        mdm_connect(**settings, spaces=["Global"]).heartbeat()


@pytest.mark.parametrize("name", NATIVE)
def test_only_the_spaces_that_are_set(name: str, start: Start, mdm_connect: Connect) -> None:
    running = start(name)
    client = mdm_connect(**running.settings, spaces=["Schools"])
    inside = {device.id for device in running.simulator.fleet if running.simulator.space_of(device) == 2}
    assert {int(device.id) for device in client.devices()} == inside
    for guid, number in list(known(running, "guid").items())[:6]:
        assert (client.lookup(guid) is not None) == (number in inside)


# --- what only one product does ---


@pytest.mark.parametrize("mac_style", ["hex", "lower_hex", "colons", "lower_colons"])
@pytest.mark.parametrize("null_words", [True, False])
def test_core_keeps_addresses_in_any_spelling(
    mac_style: str, null_words: bool, start: Start, mdm_connect: Connect
) -> None:
    running = start("ivanti-core", mac_style=mac_style, null_words=null_words)
    client = mdm_connect(**running.settings)
    wired = next(device for device in running.simulator.fleet if device.ethernet_mac and device.registered)
    assert client.lookup(Mac(wired.ethernet_mac or "")).id == str(wired.id)
    for key, number in list(known(running, "mac").items())[:4]:
        assert client.lookup(key).id == str(number)


@pytest.mark.parametrize("blank", [True, False])
@pytest.mark.parametrize("say_more", [True, False])
def test_core_lists_under_other_habits(
    blank: bool, say_more: bool, start: Start, mdm_connect: Connect
) -> None:
    running = start("ivanti-core", blank_security_state=blank, say_more=say_more, page_cap=7)
    listed = [int(device.id) for device in mdm_connect(**running.settings).noncompliant()]
    assert sorted(listed) == sorted(running.simulator.noncompliant())


def test_connected_cloud(start: Start, mdm_connect: Connect) -> None:
    running = start("ivanti-core", prefix="/acme/rest")
    assert running.settings["base_url"].endswith("/acme")
    for base in (running.settings["base_url"], running.settings["base_url"] + "/rest"):
        client = mdm_connect(**{**running.settings, "base_url": base})
        assert client.heartbeat().extra["api_base"].endswith("/acme/rest")
        assert client.lookup(next(iter(known(running, "guid"))))
    with pytest.raises(EndpointNotFoundError) as caught:
        mdm_connect(**{**running.settings, "base_url": running.origin}).heartbeat()
    assert "Connected Cloud" in str(caught.value.hint)


def test_core_without_version_2(start: Start, mdm_connect: Connect) -> None:
    running = start("ivanti-core", v2="refused")
    with pytest.raises(PermissionDeniedError):
        mdm_connect(**running.settings).heartbeat()
    running.simulator.behave(v2="missing")
    with pytest.raises(EndpointNotFoundError) as caught:
        mdm_connect(**running.settings).heartbeat()
    assert "ivanti-core-ise" in str(caught.value.hint)


def test_core_without_some_fields(start: Start, mdm_connect: Connect) -> None:
    running = start(
        "ivanti-core",
        unknown_fields=frozenset({"common.ethernet_mac", "common.security_state"}),
        security_alarm=False,
    )
    client = mdm_connect(**running.settings)
    assert client.lookup(next(iter(known(running, "serial"))))
    assert {int(device.id) for device in client.noncompliant()} == running.simulator.noncompliant()
    running.simulator.behave(search_fields=404)
    with pytest.raises(ResponseError, match="unknown field"):
        mdm_connect(**running.settings).lookup(Serial("SIM1"))


def test_cloud_tenants_with_mfa(start: Start, mdm_connect: Connect) -> None:
    running = start("ivanti-cloud", mfa=True)
    with pytest.raises(AuthenticationError) as caught:
        mdm_connect(**running.settings).heartbeat()
    assert "password and PIN" in str(caught.value.hint)
    assert "token" in str(caught.value.hint)
    by_token = {
        "provider": "ivanti-cloud",
        "base_url": running.origin,
        "token": running.simulator.habits.token,
    }
    assert mdm_connect(**by_token).lookup(next(iter(known(running, "guid"))))
    with pytest.raises(AuthenticationError) as caught:
        mdm_connect(**{**by_token, "token": "run-out"}).heartbeat()
    assert "create a new token" in str(caught.value.hint)


@pytest.mark.parametrize("mac_style", ["upper", "lower"])
def test_cloud_keeps_addresses_in_either_case(mac_style: str, start: Start, mdm_connect: Connect) -> None:
    running = start("ivanti-cloud", mac_style=mac_style)
    client = mdm_connect(**running.settings)
    for key, number in list(known(running, "mac").items())[:6]:
        assert client.lookup(key).id == str(number)


@pytest.mark.parametrize("habit", ["ignored", "refused"])
@pytest.mark.parametrize("in_200", [True, False])
def test_cloud_guids_by_address(habit: str, in_200: bool, start: Start, mdm_connect: Connect) -> None:
    running = start("ivanti-cloud", guid_search=habit, error_in_200=in_200)
    known_guids = known(running, "guid")
    client = mdm_connect(**running.settings)
    guid, number = next(iter(known_guids.items()))
    assert client.lookup(guid).id == str(number)
    assert client.lookup(f"guid:{UNKNOWN['guid']}") is None
    before = running.simulator.requests.total
    assert client.lookup(f"guid:{UNKNOWN['guid']}") is None
    assert running.simulator.requests.total - before == 3  # one for each device space
    assert [result.device.id for result in client.lookup_many(known_guids) if result.device] == [
        str(number) for number in known_guids.values()
    ]


def test_cloud_errors_with_status_200(start: Start, mdm_connect: Connect) -> None:
    running = start("ivanti-cloud", error_in_200=True, most_rows=100)
    with pytest.raises(ProtocolError, match="between 1 and 100"):
        mdm_connect(**running.settings).lookup(Imei("001001000000019"))


@pytest.mark.parametrize("name", NATIVE)
def test_a_quarantined_device_is_noncompliant_whatever_else_it_is_called(
    name: str, start: Start, mdm_connect: Connect
) -> None:
    running = start(name)
    simulator = running.simulator
    client = mdm_connect(**running.settings)
    device = next(
        device for device in simulator.fleet if device.registered and simulator.flags(device) == (True, True)
    )
    found = client.lookup(f"guid:{device.guid}")
    assert found.compliance.state is ComplianceState.NONCOMPLIANT
    assert found.compliance.vendor_state.startswith("compliant, quarantined")
    assert found.compliance.source == "quarantine"
