"""Lookups, lists and reasons against a tenant, with each back end and with both."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdmsdk.client.build import make_provider
from mdmsdk.errors import (
    AuthenticationError,
    EndpointNotFoundError,
    FilterIgnoredError,
    IncompleteListError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectError,
    ResponseError,
    UnsupportedOperationError,
    VersionMismatchError,
)
from mdmsdk.identifiers import DeviceId, Guid, Hostname, Imei, Mac, Serial, Username
from mdmsdk.models import ComplianceState
from mdmsdk.simulator import Fault, serve
from mdmsdk.testing import open_client
from mdmsdk_intune.simulator import IntuneSimulator
from mdmsdk_intune.simulator.graph import stored_macs
from mdmsdk_intune.simulator.habits import PERMISSIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk.simulator import Fleet, SimDevice
    from tests.vendors.intune.conftest import Open, Serve

GRAPH = {"backends": ["graph"]}
RETRIEVAL = {"backends": ["compliance-retrieval"]}
UNKNOWN = [
    "mac:00:00:5E:00:53:FE",
    "guid:00000000-dead-4bad-8bad-00000000c0de",
    "serial:NOSUCH9",
    "imei:999999999999994",
]


def one(fleet: Fleet, wanted: Callable[[SimDevice], Any]) -> SimDevice:
    """A registered device of which there is one record."""
    return next(
        device
        for device in fleet
        if device.registered and wanted(device) and len(fleet.by_serial(device.serial_number)) == 1
    )


def only_macs(fleet: Fleet, device: SimDevice) -> bool:
    return all(len(fleet.by_mac(mac)) == 1 for mac in stored_macs(device) if mac)


# --- what is asked for in a tenant of 5,000 ---


def test_lookups_among_5000_devices(tenant_of: Serve, client_of: Open, large_fleet: Fleet) -> None:
    fleet = large_fleet
    client = client_of(tenant_of(fleet))
    wifi = one(fleet, lambda device: device.wifi_mac and only_macs(fleet, device))
    wired = one(fleet, lambda device: device.ethernet_mac and only_macs(fleet, device))
    phone = one(fleet, lambda device: device.imei)
    for key, device in [
        (Mac(str(wifi.wifi_mac)), wifi),
        (Mac(str(wired.ethernet_mac)), wired),
        (Guid(phone.guid), phone),
        (Serial(phone.serial_number), phone),
        (Imei(str(phone.imei)), phone),
    ]:
        found = client.lookup(key)
        assert found is not None
        assert found.guid == device.guid
        assert {mac.hex for mac in found.mac_addresses} == {mac for mac in stored_macs(device) if mac}
        assert found.compliance.state == device.compliance
        assert (
            found.last_check_in is None or found.last_check_in.replace(microsecond=0) == device.last_check_in
        )
    assert [client.lookup(key) for key in UNKNOWN] == [None] * len(UNKNOWN)


@pytest.mark.parametrize(("provider", "changes"), [("intune", {}), ("intune", RETRIEVAL), ("intune-ise", {})])
def test_the_noncompliant_list_of_5000_devices_is_the_truth(
    tenant_of: Serve, client_of: Open, large_fleet: Fleet, provider: str, changes: dict[str, Any]
) -> None:
    tenant = tenant_of(large_fleet)
    listed = [device.guid for device in client_of(tenant, provider, **changes).noncompliant()]
    assert sorted(filter(None, listed)) == sorted(device.guid for device in large_fleet.noncompliant())


def test_a_list_costs_its_pages(tenant_of: Serve, client_of: Open, large_fleet: Fleet) -> None:
    tenant = tenant_of(large_fleet)
    client = client_of(tenant, **GRAPH)
    client.heartbeat()
    before = tenant.simulator.requests.total
    assert len(list(client.devices())) == 5000
    assert tenant.simulator.requests.total - before == 5000 / 500
    assert tenant.simulator.graph.parts == 0


def test_a_list_has_ethernet_addresses_and_udids_where_they_are_asked_for(
    tenant_of: Serve, client_of: Open, fleet: Fleet
) -> None:
    client = client_of(tenant_of(page_size=13), list_details=True)
    listed = {device.guid: device for device in client.devices()}
    assert listed.keys() == {device.guid for device in fleet}
    for device in fleet:
        found = listed[device.guid]
        assert {mac.hex for mac in found.mac_addresses} == {mac for mac in stored_macs(device) if mac}
        apple = device.platform in {"iOS", "iPadOS", "macOS"}
        assert found.udid == (device.udid if apple else None)


def test_1000_lookups_by_guid_through_graph_take_at_most_60_requests(
    tenant_of: Serve, client_of: Open, large_fleet: Fleet
) -> None:
    tenant = tenant_of(large_fleet)
    client = client_of(tenant, **GRAPH)
    wanted = large_fleet[:1000]
    results = list(client.lookup_many([Guid(device.guid) for device in wanted]))
    assert [result.device.guid for result in results] == [device.guid for device in wanted]
    assert tenant.simulator.requests.total <= 60


def test_many_lookups_by_other_keys_go_in_batches(tenant_of: Serve, client_of: Open, fleet: Fleet) -> None:
    tenant = tenant_of()
    client = client_of(tenant, **GRAPH)
    serials = sorted({device.serial_number for device in fleet})[:40]
    results = list(client.lookup_many([Serial(serial) for serial in serials]))
    assert [result.device.serial_number for result in results] == serials
    # Two searches of twenty, and as many readings; the description, and two requests for the token. A device
    # that was enrolled twice has two records to read.
    assert tenant.simulator.requests.total <= 2 * (1 + 2) + 3


def test_each_filtered_key_finds_its_records(tenant_of: Serve, client_of: Open, fleet: Fleet) -> None:
    client = client_of(tenant_of())
    device = one(fleet, lambda device: device.directory_id)
    assert client.lookup(DeviceId(str(device.directory_id).upper())).guid == device.guid
    for key in (DeviceId(str(device.directory_id)), Hostname(device.hostname), Serial(device.serial_number)):
        assert [found.guid for found in client.find(key)] == [device.guid]
    found = client.find(Username(device.email))
    assert {record.guid for record in found} == {other.guid for other in fleet.by_email(device.email)}


def test_a_device_enrolled_twice_counts_by_its_worst_record(
    tenant_of: Serve, client_of: Open, fleet: Fleet
) -> None:
    device = one(fleet, lambda device: device.compliance == "compliant" and device.last_check_in)
    older = dataclasses.replace(
        device,
        id=9999,
        guid="00000000-0000-4000-8000-000000009999",
        compliance="noncompliant",
        last_check_in=device.last_check_in - timedelta(days=9) if device.last_check_in else None,
    )
    client = client_of(tenant_of(fleet.including(older)))
    for key in (Serial(device.serial_number), Mac(str(device.wifi_mac or device.ethernet_mac))):
        assert len(client.find(key)) == 2
        found = client.lookup(key)
        assert found.guid == device.guid
        assert found.compliance.state is ComplianceState.NONCOMPLIANT
        assert any("disagree" in reason for reason in found.compliance.reasons)


# --- one back end is off ---


def test_without_compliance_retrieval_no_mac_and_no_token_for_it(
    tenant_of: Serve, client_of: Open, fleet: Fleet
) -> None:
    tenant = tenant_of(permissions=PERMISSIONS - {"Application.Read.All", "get_device_compliance"})
    client = client_of(tenant, **GRAPH)
    with pytest.raises(UnsupportedOperationError):
        client.lookup(Mac(str(next(device.wifi_mac for device in fleet if device.wifi_mac))))
    assert len(tenant.simulator.requests) == 0
    assert client.lookup(Guid(fleet[0].guid)).compliance.state == fleet[0].compliance
    assert client.heartbeat().extra["backends"] == ["graph"]


def test_without_graph_no_permission_for_managed_devices_is_needed(
    tenant_of: Serve, client_of: Open, fleet: Fleet
) -> None:
    tenant = tenant_of(permissions=frozenset({"Application.Read.All", "get_device_compliance"}))
    client = client_of(tenant, **RETRIEVAL)
    device = one(fleet, lambda device: device.compliance == "noncompliant")
    assert client.lookup(Guid(device.guid)).compliance.state is ComplianceState.NONCOMPLIANT
    with pytest.raises(UnsupportedOperationError):
        client.lookup(Serial(device.serial_number))
    with pytest.raises(UnsupportedOperationError):
        client.reasons(client.lookup(Guid(device.guid)))
    with pytest.raises(UnsupportedOperationError):
        list(client.devices())


@pytest.mark.parametrize(
    ("lacking", "call", "named"),
    [
        ("Application.Read.All", "heartbeat", "Application.Read.All"),
        ("get_device_compliance", "heartbeat", "get_device_compliance"),
        ("DeviceManagementManagedDevices.Read.All", "heartbeat", "DeviceManagementManagedDevices.Read.All"),
        ("DeviceManagementConfiguration.Read.All", "reasons", "DeviceManagementConfiguration.Read.All"),
    ],
)
def test_a_permission_that_is_missing_is_named(
    tenant_of: Serve, client_of: Open, fleet: Fleet, *, lacking: str, call: str, named: str
) -> None:
    client = client_of(tenant_of(permissions=PERMISSIONS - {lacking}))
    device = None if call == "heartbeat" else client.lookup(Guid(fleet.noncompliant()[0].guid))
    with pytest.raises(PermissionDeniedError) as caught:
        client.reasons(device) if device else client.heartbeat()
    assert named in str(caught.value.hint)
    assert "consent" in str(caught.value.hint)
    assert caught.value.operation == call


# --- two back ends disagree ---


@pytest.mark.parametrize(
    ("says", "state", "expected"),
    [
        ("true", "noncompliant", "noncompliant"),
        ("false", "compliant", "noncompliant"),
        ("false", "grace", "noncompliant"),
        ("true", "grace", "grace"),
        ("true", "unknown", "unknown"),
        ("false", "unknown", "noncompliant"),
    ],
)
def test_the_strictest_wins_whatever_the_key(
    tenant_of: Serve, client_of: Open, fleet: Fleet, *, says: Any, state: str, expected: str
) -> None:
    client = client_of(tenant_of(retrieval_says=says))
    device = one(
        fleet, lambda device: device.compliance == state and device.wifi_mac and only_macs(fleet, device)
    )
    for key in (Guid(device.guid), Serial(device.serial_number), Mac(str(device.wifi_mac))):
        found = client.lookup(key)
        assert found.compliance.state == expected
        agreed = (says, state) == ("true", "grace")
        assert any("strictest" in reason for reason in found.compliance.reasons) != agreed


def test_what_compliance_retrieval_does_not_know_is_no_pass(
    tenant_of: Serve, client_of: Open, fleet: Fleet
) -> None:
    device = one(fleet, lambda device: device.compliance == "compliant")
    client = client_of(tenant_of(retrieval_lacks=frozenset({device.guid})))
    found = client.lookup(Guid(device.guid))
    assert found.compliance.state is ComplianceState.UNKNOWN
    assert "does not know" in found.compliance.reasons[-1]
    assert client.lookup(Mac(str(device.wifi_mac or device.ethernet_mac))) is None


def test_a_device_that_has_left_graph_is_no_pass(tenant_of: Serve, client_of: Open, fleet: Fleet) -> None:
    device = one(fleet, lambda device: device.compliance == "compliant" and device.wifi_mac)
    tenant = tenant_of()
    gone = Fault(
        "body",
        match=f"managedDevices('{device.guid}')",
        status=404,
        body='{"error": {"code": "ResourceNotFound", "message": "gone"}}',
        content_type="application/json",
    )
    tenant.simulator.faults.add(gone)
    found = client_of(tenant).lookup(Mac(str(device.wifi_mac)))
    assert found.registered is False
    assert found.compliance.state is ComplianceState.UNKNOWN


@pytest.mark.parametrize("missing", ["empty", "no_list", "not_found"])
@pytest.mark.parametrize("provider", ["intune", "intune-ise"])
def test_an_unknown_device_in_every_form(
    tenant_of: Serve, client_of: Open, provider: str, missing: Any
) -> None:
    client = client_of(tenant_of(missing=missing), provider)
    assert client.lookup("mac:00:00:5E:00:53:FE") is None
    assert client.lookup("guid:00000000-dead-4bad-8bad-00000000c0de") is None


@pytest.mark.parametrize("registration", ["notRegistered", "notRegisteredPendingEnrollment"])
def test_devices_that_entra_id_does_not_know_are_listed_and_judged_by_intunes_word(
    tenant_of: Serve, client_of: Open, fleet: Fleet, registration: str
) -> None:
    client = client_of(tenant_of(registration=registration))
    listed = {device.guid: device for device in client.noncompliant()}
    assert listed.keys() == {device.guid for device in fleet.noncompliant()}
    assert {device.compliance.vendor_state for device in listed.values()} == {
        f"noncompliant (registration: {registration})"
    }
    device = one(fleet, lambda device: device.compliance == "compliant")
    found = client.lookup(Guid(device.guid))
    assert (found.registered, found.compliance.state) == (True, ComplianceState.COMPLIANT)
    assert registration in found.compliance.vendor_state


@pytest.mark.parametrize("value", [b'["managed"]', b'{"a": 1}', b"true", b'"maybe"', b"1"])
def test_whether_intune_manages_a_device_has_to_be_readable(
    tenant_of: Serve, client_of: Open, fleet: Fleet, value: bytes
) -> None:
    device = one(fleet, lambda device: device.compliance == "compliant")
    tenant = tenant_of()
    record = b'{"id": "%s", "complianceState": "compliant", "managementState": %s}'
    body = (record % (device.guid.encode(), value)).decode()
    tenant.simulator.faults.add(
        Fault("body", match="managedDevices('", status=200, body=body, content_type="application/json")
    )
    found = client_of(tenant).lookup(Guid(device.guid))
    assert (found.registered, found.compliance.state) == (False, ComplianceState.UNKNOWN)
    assert "managementState" in str(found.compliance.reasons)


# --- reasons ---


def test_reasons_name_policies_and_settings(tenant_of: Serve, client_of: Open, fleet: Fleet) -> None:
    client = client_of(tenant_of())
    device = next(device for device in fleet.noncompliant() if len(device.failure_reasons) > 1)
    compliance = client.reasons(client.find(Guid(device.guid))[0]).compliance
    assert compliance.source == "Baseline"
    assert len(compliance.reasons) == len(set(compliance.reasons)) == len(device.failure_reasons)
    assert all(any(text in reason for reason in compliance.reasons) for text in device.failure_reasons)


def test_reasons_where_no_policy_reports_a_failure(tenant_of: Serve, client_of: Open, fleet: Fleet) -> None:
    client = client_of(tenant_of())
    device = one(fleet, lambda device: device.compliance == "unknown")
    reasons = client.reasons(client.lookup(Guid(device.guid))).compliance.reasons
    assert "no policy reports a failure" in reasons[-1]


# --- what goes wrong ---


def test_the_list_once_in_four_hours(tenant_of: Serve, client_of: Open, fleet: Fleet) -> None:
    tenant = tenant_of(bulk_interval=14400)
    client = client_of(tenant, "intune-ise")
    assert len(list(client.noncompliant())) == len(fleet.noncompliant())
    with pytest.raises(RateLimitedError) as caught:
        list(client.noncompliant())
    assert caught.value.retry_after == 14400
    assert "4 hours" in str(caught.value.hint)
    assert "240 minutes" in str(caught.value.hint)
    # Not repeated, and single devices can still be looked up.
    assert tenant.simulator.requests.count("querycriteria=compliance") == 2
    assert client.lookup(Guid(fleet[0].guid)) is not None
    assert len(list(client_of(tenant).noncompliant())) == len(fleet.noncompliant())


@pytest.mark.parametrize(
    ("habits", "kind", "words"),
    [
        ({"services": ("ScepRequestValidationFEService",)}, EndpointNotFoundError, "does not know"),
        ({"services": ("NACAPIService",)}, VersionMismatchError, "retired"),
        ({"service_origin": "https://elsewhere.example"}, RedirectError, "elsewhere.example"),
        ({"has_intune": False}, ResponseError, "400"),
    ],
)
def test_a_tenant_without_the_service(
    tenant_of: Serve, client_of: Open, habits: dict[str, Any], kind: type[MdmError], words: str
) -> None:
    client = client_of(tenant_of(**habits))
    with pytest.raises(kind, match=words) as caught:
        client.heartbeat()
    assert caught.value.hint
    assert caught.value.server == "tenant"


def test_a_tenant_without_the_service_still_has_graph(
    tenant_of: Serve, client_of: Open, fleet: Fleet
) -> None:
    client = client_of(tenant_of(services=()), **GRAPH)
    assert client.lookup(Guid(fleet[0].guid)) is not None


def test_a_service_that_has_moved_is_found_again(tenant_of: Serve, client_of: Open, fleet: Fleet) -> None:
    tenant = tenant_of()
    client = client_of(tenant, "intune-ise")
    client.heartbeat()
    moved = Fault("status", match="/cisco/devices/", status=421, times=1)
    tenant.simulator.faults.add(moved)
    with pytest.raises(EndpointNotFoundError):  # looked up again, and found at the same address
        client.lookup(Guid(fleet[0].guid))
    assert tenant.simulator.requests.count("/endpoints") == 2
    assert client.lookup(Guid(fleet[0].guid)) is not None


def test_throttled_parts_of_batches_are_waited_for(tenant_of: Serve, client_of: Open, fleet: Fleet) -> None:
    tenant = tenant_of(throttle_parts=3, throttle_seconds=0)
    results = list(client_of(tenant, **GRAPH).lookup_many([Guid(device.guid) for device in fleet[:10]]))
    assert all(result.device for result in results)
    assert tenant.simulator.graph.parts == 13


def test_a_truncated_batch_is_no_answer(tenant_of: Serve, client_of: Open, fleet: Fleet) -> None:
    client = client_of(tenant_of(truncate_batch=1), **GRAPH)
    results = list(client.lookup_many([Guid(device.guid) for device in fleet[:5]]))
    # One is missing: that key has no answer, the others have theirs.
    errors = [result.error for result in results if result.error]
    assert [type(error) for error in errors] == [MalformedResponseError]
    assert [result.device.guid for result in results if result.device] == [
        device.guid for device, result in zip(fleet[:5], results, strict=True) if result.error is None
    ]
    with pytest.raises(MalformedResponseError):
        list(client_of(tenant_of(truncate_batch=1), **GRAPH, list_details=True).noncompliant())


def test_answers_of_a_batch_that_changed_places_are_no_answer(
    tenant_of: Serve, client_of: Open, fleet: Fleet
) -> None:
    client = client_of(tenant_of(swap_batch=True), **GRAPH, list_details=True)
    results = list(client.lookup_many([Guid(device.guid) for device in fleet[:2]]))
    assert all(isinstance(result.error, FilterIgnoredError) for result in results)
    # In a list they would put one device's addresses into another's record.
    with pytest.raises(FilterIgnoredError):
        list(client.noncompliant())


def test_a_next_page_on_another_host_ends_the_list(tenant_of: Serve, client_of: Open) -> None:
    client = client_of(tenant_of(page_size=3, foreign_link="https://evil.example"))
    with pytest.raises(RedirectError) as caught:
        list(client.noncompliant())
    assert "evil.example" in str(caught.value)


def test_a_page_that_fails_fails_the_list(tenant_of: Serve, client_of: Open) -> None:
    tenant = tenant_of(page_size=3)
    tenant.simulator.faults.add(Fault("status", match="$skiptoken", status=504, after=1))
    with pytest.raises(IncompleteListError) as caught:
        list(client_of(tenant).noncompliant())
    assert 0 < caught.value.collected < 9


def test_a_token_for_another_api_is_told(tenant_of: Serve, client_of: Open) -> None:
    tenant = tenant_of()
    tenant.simulator.faults.add(Fault("status", match="/v1.0/", status=401, body_format="json"))
    with pytest.raises(AuthenticationError) as caught:
        client_of(tenant).heartbeat()
    assert "cloud" in str(caught.value.hint)


# --- filters that are dropped ---


def test_with_filters_dropped_every_search_is_an_error(
    tenant_of: Serve, client_of: Open, fleet: Fleet
) -> None:
    client = client_of(tenant_of(drop_filters=True))
    device = one(fleet, lambda device: device.imei and device.directory_id)
    for key in (Serial(device.serial_number), Imei(str(device.imei)), DeviceId(str(device.directory_id))):
        with pytest.raises(FilterIgnoredError) as caught:
            client.lookup(key)
        assert caught.value.hint
    with pytest.raises(FilterIgnoredError):
        list(client.noncompliant())
    # What needs no filter still works.
    assert client.lookup(Guid(device.guid)).guid == device.guid


@pytest.mark.parametrize("names_macs", [True, False])
def test_compliance_retrieval_about_another_device_is_no_answer(
    tenant_of: Serve, client_of: Open, fleet: Fleet, *, names_macs: bool
) -> None:
    client = client_of(tenant_of(retrieval_rows="other_device", names_macs=names_macs))
    device = one(fleet, lambda device: device.wifi_mac and only_macs(fleet, device))
    for key in (Mac(str(device.wifi_mac)), Guid(device.guid), Serial(device.serial_number)):
        with pytest.raises(FilterIgnoredError):
            client.lookup(key)


@pytest.mark.parametrize("names_macs", [True, False])
def test_of_everything_that_compliance_retrieval_says_the_one_record_counts(
    tenant_of: Serve, client_of: Open, fleet: Fleet, *, names_macs: bool
) -> None:
    client = client_of(tenant_of(retrieval_rows="everything", names_macs=names_macs))
    device = one(fleet, lambda device: device.wifi_mac and only_macs(fleet, device))
    # Records that contradict the key are others'; of several that show no address, one cannot be told.
    for key in (Guid(device.guid), Serial(device.serial_number)):
        assert client.lookup(key).compliance.state == device.compliance
    with pytest.raises(FilterIgnoredError):
        client.lookup(Mac(str(device.wifi_mac)))


KEYS = st.one_of(
    st.builds(lambda number: ("guid", number), st.integers(0, 59)),
    st.builds(lambda number: ("serial", number), st.integers(0, 59)),
    st.builds(lambda number: ("imei", number), st.integers(0, 59)),
    st.builds(lambda number: ("mac", number), st.integers(0, 59)),
    st.builds(lambda number: ("hostname", number), st.integers(0, 59)),
    st.builds(lambda number: ("username", number), st.integers(0, 59)),
    st.builds(lambda number: ("id", number), st.integers(0, 59)),
    st.builds(lambda text: ("serial", text), st.text(min_size=1, max_size=20)),
    st.builds(lambda text: ("hostname", text), st.text(min_size=1, max_size=20)),
)
KINDS = {
    "guid": Guid,
    "serial": Serial,
    "imei": Imei,
    "mac": Mac,
    "hostname": Hostname,
    "username": Username,
    "id": DeviceId,
}


@pytest.fixture(scope="module")
def dropping(fleet: Fleet) -> Any:
    """A tenant that heeds no filter, and a client of it."""
    with serve(IntuneSimulator(fleet, drop_filters=True)) as tenant:
        given_settings = {**tenant.settings, "policy": {"breaker_failures": 0}}
        given_settings.pop("provider")
        with open_client(make_provider("intune", given_settings), "sync", server="tenant") as client:
            yield tenant, client


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(key=KEYS)
def test_not_one_wrong_device_whatever_is_asked(
    dropping: Any, fleet: Fleet, key: tuple[str, int | str]
) -> None:
    tenant, client = dropping
    name, what = key
    value = tenant.simulator.identifiers(fleet[what]).get(name) if isinstance(what, int) else what
    asked = KINDS[name].parse(value)
    if asked is None:
        return
    try:
        found = client.find(asked)
    except FilterIgnoredError:
        return
    for device in found:
        (record,) = fleet.by_guid(device.guid)
        assert asked == KINDS[name].parse(tenant.simulator.identifiers(record).get(name)) or name == "mac"
        assert not isinstance(asked, Mac) or asked.hex in stored_macs(record)
