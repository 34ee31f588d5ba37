"""What a client does with a server's habits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

import mdmsdk
from mdmsdk import MdmClient
from mdmsdk.errors import (
    EndpointNotFoundError,
    FilterIgnoredError,
    InvalidIdentifierError,
    MalformedResponseError,
    PermissionDeniedError,
    ResponseError,
    ServerError,
    TokenError,
)
from mdmsdk.identifiers import DeviceId, Hostname, Imei, Mac, Serial
from mdmsdk.simulator import Fleet, serve
from mdmsdk.testing import play
from mdmsdk.wire import Request, Response
from mdmsdk_soti import SotiSettings
from mdmsdk_soti.simulator import SotiSimulator

if TYPE_CHECKING:
    from collections.abc import Iterator


FLEET = Fleet.generate(30, seed=3)
UNKNOWN = Mac("0050C2000001")
Start = Callable[..., tuple[MdmClient, SotiSimulator]]


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[MdmClient, SotiSimulator]]]:
    """Starts a server with these habits, and a client."""
    with ExitStack() as stack:

        def start_one(settings: Any = None, **habits: Any) -> tuple[MdmClient, SotiSimulator]:
            running = stack.enter_context(serve(SotiSimulator(FLEET, **habits)))
            given = {**running.settings, "policy": {"attempts": 1, "refused_wait": 0}, **(settings or {})}
            return stack.enter_context(mdmsdk.connect(**given)), running.simulator

        yield start_one


def some(simulator: SotiSimulator, kind: str) -> tuple[Any, str]:
    """A device with a key of this kind that no other has."""
    known = [(device, simulator.identifiers(device).get(kind)) for device in FLEET if device.registered]
    values = [value for _, value in known]
    return next((device, value) for device, value in known if value and values.count(value) == 1)


@pytest.mark.parametrize(
    ("encoding", "wrong"),
    [("single", 400), ("either", 400), *(("double", wrong) for wrong in (400, 404, 422, "everything"))],
)
def test_the_encoding_is_found_out(start: Start, encoding: str, wrong: Any) -> None:
    client, simulator = start(encoding=encoding, wrong_encoding=wrong)
    device, serial = some(simulator, "serial")
    found = client.lookup(Serial(serial))
    assert found
    assert found.id == simulator.device_id(device)
    assert client.lookup(Serial("NONESUCH")) is None
    client.heartbeat()
    simulator.requests.clear()
    client.lookup(Serial("NONESUCH"))
    assert len(simulator.requests) == 4  # one encoding, three properties, and whether anything is seen


def test_a_wrong_encoding_in_the_settings_is_an_error(start: Start) -> None:
    client, _ = start({"encoding": "single"}, encoding="double")
    with pytest.raises(mdmsdk.MdmError) as caught:
        client.lookup(Serial("NONESUCH"))
    assert "encoding" in (caught.value.hint or "")


def test_without_devices_both_encodings_are_tried(start: Start) -> None:
    client, simulator = start(encoding="double")
    simulator.fleet = Fleet([])
    client.heartbeat()
    simulator.fleet = FLEET
    device, serial = some(simulator, "serial")
    found = client.lookup(Serial(serial))
    assert found
    assert found.id == simulator.device_id(device)


@pytest.mark.parametrize("any_spelling", [True, False])
def test_an_address_is_found_in_any_spelling(start: Start, *, any_spelling: bool) -> None:
    client, simulator = start(any_spelling=any_spelling)
    client.heartbeat()
    for device in FLEET[:12]:
        own = [mac for mac in (device.wifi_mac, device.ethernet_mac) if mac and len(FLEET.by_mac(mac)) == 1]
        for mac in own:
            simulator.requests.clear()
            found = client.lookup(Mac(mac))
            assert found
            assert found.id == simulator.device_id(device)
    simulator.requests.clear()
    assert client.lookup(UNKNOWN) is None
    assert len(simulator.requests) == (4 if any_spelling else 10)  # the last: whether anything is seen


def test_a_server_without_the_path_for_addresses_is_searched(start: Start) -> None:
    client, simulator = start(mac_path=False)
    device, mac = some(simulator, "mac")
    found = client.lookup(Mac(mac))
    assert found
    assert found.id == simulator.device_id(device)


@pytest.mark.parametrize("names", [{"IMEI_MEID_ESN"}, {"HostName", "DeviceName"}])
def test_a_filter_that_is_passed_over_is_an_error_and_no_answer(start: Start, names: set[str]) -> None:
    client, _ = start(ignored=frozenset(names))
    key = Imei("350000000000017") if "IMEI_MEID_ESN" in names else Hostname("nobody-1")
    with pytest.raises(FilterIgnoredError):
        client.lookup(key)


def test_searches_that_find_nothing_are_an_error_and_no_answer(start: Start) -> None:
    client, _ = start(
        encoding="double", wrong_encoding="everything", ignored=frozenset({"MACAddress", "WifiMAC"})
    )
    with pytest.raises(FilterIgnoredError):
        client.lookup(Serial("NONESUCH"))


def test_a_search_that_is_down_is_an_error_and_ids_do_without_it(start: Start) -> None:
    client, simulator = start(search_available=False)
    device, serial = some(simulator, "serial")
    with pytest.raises(ServerError) as caught:
        client.lookup(Serial(serial))
    assert "/search/health" in (caught.value.hint or "")
    found = client.lookup(DeviceId(simulator.device_id(device)))
    assert found
    assert found.serial_number == serial
    simulator.behave(search_available=True)
    assert client.lookup(Serial(serial))


def test_an_index_that_lags_behind_makes_nobody_compliant(start: Start) -> None:
    client, simulator = start(index_lag=True)
    for device in FLEET:
        serial = simulator.identifiers(device).get("serial")
        if serial and len(FLEET.by_serial(serial)) == 1:
            found = client.lookup(Serial(serial))
            assert found
            assert found.compliance.state == simulator.verdict(device)


def test_a_search_can_be_told_to_sync(start: Start) -> None:
    client, simulator = start({"verify_and_sync": True})
    client.lookup(Serial("NONESUCH"))
    searches = simulator.requests.matching("/devices/search")
    assert searches
    assert all(("verifyAndSync", "true") in request.query for request in searches)


@pytest.mark.parametrize("answer", [404, 422, "null", "bare"])
def test_unknown_ids_are_unknown_in_each_servers_way(start: Start, answer: Any) -> None:
    client, simulator = start(unknown_id=answer)
    assert client.lookup(DeviceId("nobody")) is None
    assert client.lookup(UNKNOWN) is None
    device, mac = some(simulator, "mac")
    assert client.lookup(Mac(mac)) is not None
    del device


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, "null", MalformedResponseError),
        (404, "<html></html>", EndpointNotFoundError),
        (422, '{"ErrorMessage": "Not on a Sunday."}', ResponseError),
    ],
)
def test_another_way_than_the_servers_own_is_an_error(
    start: Start, status: int, body: str, error: type[Exception]
) -> None:
    client, _ = start()
    info = client.heartbeat()
    answer = Response(status, {}, body.encode(), "https://soti.example/mobicontrol/api/devices/nobody")
    with pytest.raises(error):
        play(client.provider.find(info, DeviceId("nobody")), [answer], provider=client.provider)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, ""),
        (404, '{"Message": "No HTTP resource was found that matches the request URI."}'),
        (200, "null"),
    ],
)
def test_paths_that_hide_every_device_are_no_unknown_device(start: Start, status: int, body: str) -> None:
    client, _ = start()

    def answer(request: Request) -> Response | str:
        path = request.url.partition("/api")[2]
        if path == "/servers":
            return '{"ProductVersion": "2024.1.0", "ManagementServers": []}'
        if path in {"/devices", "/devices/search"}:
            return '[{"DeviceId": "and-1", "MACAddress": "0050C2000011"}, {"DeviceId": "and-2"}]'
        return Response(status, {}, body.encode(), request.full_url)

    with pytest.raises(EndpointNotFoundError, match="none of them by its id"):
        play(client.provider.heartbeat(), answer, provider=client.provider)


def test_a_user_who_sees_no_device_any_more_is_told(start: Start) -> None:
    client, simulator = start()
    client.heartbeat()
    simulator.behave(hidden=frozenset(device.id for device in FLEET))
    for ask in (
        lambda: client.lookup(UNKNOWN),
        lambda: client.lookup(DeviceId("nobody")),
        lambda: list(client.noncompliant()),
        lambda: list(client.devices()),
    ):
        with pytest.raises(PermissionDeniedError, match="sees no device"):
            ask()


def test_an_offline_server_beside_a_started_one_is_fine(start: Start) -> None:
    client, simulator = start()
    info = client.heartbeat()
    assert info.version == "2024.1.0"
    assert info.extra["servers"] == {"MS1": "Started", "MS2": "Offline"}
    simulator.behave(management="Stopped")
    with pytest.raises(ServerError, match="none of the management servers"):
        client.heartbeat()


def test_a_user_without_the_console_sees_no_version_and_devices_without_policy_have_no_verdict(
    start: Start,
) -> None:
    client, _ = start(may_use_console=False, policies=False, version="14.5.0")
    assert client.heartbeat().version is None
    kinds = {device.compliance.state for device in client.devices() if device.os in {"Android", "iOS"}}
    assert "compliant" not in kinds


def test_an_old_server_has_the_default_check(start: Start) -> None:
    client, simulator = start(policies=False, version="14.5.0", old_words=True, types=False)
    states = {device.id: device.compliance.state for device in client.devices()}
    for device in FLEET:
        if device.registered and device.compliance in {"compliant", "noncompliant"} and not device.jailbroken:
            assert states[simulator.device_id(device)] == device.compliance


def test_reasons_name_policies_or_say_which_right_is_missing(start: Start) -> None:
    client, simulator = start()
    bad = next(one for one in client.noncompliant() if one.os in {"iOS", "macOS"})
    truth = next(device for device in FLEET if simulator.device_id(device) == bad.id)
    told = client.reasons(bad)
    assert {*truth.failure_reasons} <= {*told.compliance.reasons}
    simulator.behave(may_see_policies=False)
    with pytest.raises(PermissionDeniedError) as caught:
        client.reasons(bad)
    assert "View Compliance Policies" in (caught.value.hint or "")


@pytest.mark.parametrize("cap", [None, 7])
def test_short_pages_are_no_end(start: Start, cap: int | None) -> None:
    client, simulator = start(page_cap=cap)
    assert {device.id for device in client.devices()} == {simulator.device_id(device) for device in FLEET}
    failing = [one for one in FLEET if one.registered and simulator.verdict(one) == "noncompliant"]
    assert {one.id for one in client.noncompliant()} == {simulator.device_id(one) for one in failing}


def test_a_token_that_ends_amid_a_list_is_renewed(start: Start) -> None:
    client, simulator = start({"page_size": 16})
    listing = client.devices()
    first = next(listing)
    simulator._tokens.clear()
    assert len([first, *listing]) == len(FLEET)
    assert simulator.tokens_issued == 2


def test_the_client_may_stand_in_the_form(start: Start) -> None:
    client, _ = start(client_in_body=True)
    assert client.heartbeat().version


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"password": "wrong-password"}, "invalid_grant"),
        ({"client_secret": "wrong-secret"}, "invalid_client"),
        ({"client_auth": "body"}, "invalid_client"),
    ],
)
def test_a_refused_login_is_sent_once(start: Start, change: dict[str, str], code: str) -> None:
    client, simulator = start(change)
    with pytest.raises(TokenError) as caught:
        client.heartbeat()
    assert caught.value.vendor_code == code
    assert "wrong-" not in repr(caught.value)
    assert len(simulator.requests) == 1


@pytest.mark.parametrize("key", [Hostname("Ada's iPad"), Serial('A"B12345'), Serial("A\\B12345")])
def test_what_cannot_be_quoted_is_refused_for_this_key_alone(start: Start, key: Any) -> None:
    client, simulator = start()
    device, serial = some(simulator, "serial")
    with pytest.raises(InvalidIdentifierError):
        client.lookup(key)
    assert client.lookup(Serial(serial))
    del device


def test_ids_are_asked_for_together(start: Start) -> None:
    client, simulator = start()
    client.heartbeat()
    simulator.requests.clear()
    keys = [DeviceId(simulator.device_id(device)) for device in FLEET] + [DeviceId("nobody"), DeviceId("a,b")]
    results = list(client.lookup_many(keys))
    assert [bool(result.device) for result in results] == [True] * len(FLEET) + [False, False]
    assert isinstance(results[-1].error, InvalidIdentifierError)
    assert len(simulator.requests) <= 3


@pytest.mark.parametrize(
    "change",
    [{"client_id": "a:b"}, {"client_secret": "a:b"}, {"policy_kinds": ["no kind"]}, {"password": ""}],
)
def test_settings_that_cannot_work_are_refused(change: dict[str, Any]) -> None:
    good: dict[str, Any] = {"base_url": "https://soti.example", "client_id": "c", "client_secret": "s"}
    good |= {"username": "u", "password": "p"}
    assert SotiSettings(**good).base_url == "https://soti.example/mobicontrol/api"
    with pytest.raises(ValueError, match="1 validation error"):
        SotiSettings(**good | change)
