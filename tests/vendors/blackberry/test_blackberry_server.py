"""Heartbeat, lookups and lists against the simulated server, and how strict that is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from mdmsdk._run.library import lib
from mdmsdk.client.build import make_provider
from mdmsdk.directory import DirectorySettings
from mdmsdk.errors import (
    AuthenticationError,
    EndpointNotFoundError,
    FilterIgnoredError,
    InvalidIdentifierError,
    MdmError,
    PermissionDeniedError,
    TlsError,
)
from mdmsdk.identifiers import Guid, Imei, Key, Mac, Serial, Udid, Username
from mdmsdk.simulator import Fleet, TlsFiles, serve
from mdmsdk.store import Store
from mdmsdk.testing import Modal, open_client, open_federation
from mdmsdk_blackberry.simulator import BlackBerrySimulator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Open = Callable[..., tuple[Modal, BlackBerrySimulator]]
FLEET = Fleet.generate(60, seed=3)
DEVICE = next(one for one in FLEET if one.registered and one.wifi_mac and one.ownership != "shared")
UNKNOWN_MAC = Mac("00:00:5E:00:53:FE")


@pytest.fixture
def open_() -> Iterator[Open]:
    """Opens clients of simulators with some habits. The contract has both modes, and these tests need one."""
    with ExitStack() as stack:

        def start(settings: dict[str, Any] | None = None, **habits: Any) -> tuple[Modal, BlackBerrySimulator]:
            running = stack.enter_context(serve(BlackBerrySimulator(FLEET, **habits)))
            given = {**running.settings, **(settings or {})}
            provider = make_provider(given.pop("provider"), given)
            return stack.enter_context(open_client(provider, "sync")), running.simulator

        yield start


def truth(simulator: BlackBerrySimulator) -> set[str]:
    return {
        one.guid for one in simulator.fleet if one.registered and simulator.verdict(one) == "noncompliant"
    }


class TestHeartbeat:
    def test_it_says_where_compliance_comes_from(self, open_: Open) -> None:
        info = open_()[0].heartbeat()
        assert (info.product, info.version) == ("BlackBerry UEM", "12.21.0")
        assert info.extra["compliance_from"] == "the endpoint for Cisco ISE, version 2"

    def test_without_the_endpoint_it_warns(self, open_: Open, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING, logger="mdmsdk.blackberry")
        info = open_(ise=False)[0].heartbeat()
        assert info.extra["compliance_from"] == "nothing"
        assert "noncompliant list has the compromised ones alone" in caplog.text

    def test_a_version_that_may_not_be_seen_is_none(self, open_: Open) -> None:
        assert open_(version=None)[0].heartbeat().version is None

    @pytest.mark.parametrize(
        ("habits", "settings", "error", "told"),
        [
            ({"down": True}, {}, EndpointNotFoundError, "Core runs"),
            ({}, {"tenant": "S99"}, EndpointNotFoundError, "SRP id"),
            ({"deny": "NOT_AUTHORIZED"}, {}, PermissionDeniedError, "View users and activated devices"),
            ({"deny": "APPLICATION_NOT_FOUND"}, {}, PermissionDeniedError, "Enterprise Identity > Services"),
            ({}, {"domain": "ACME"}, AuthenticationError, "without domain"),
            ({}, {"ise_password": "wrong"}, AuthenticationError, "local administrator"),
            ({}, {"ise_api_version": 1}, None, ""),
        ],
    )
    def test_what_is_wrong_is_told(
        self, open_: Open, habits: Any, settings: Any, error: type[MdmError] | None, told: str
    ) -> None:
        client = open_(settings, **habits)[0]
        if error is None:
            assert client.heartbeat().extra["compliance_from"].endswith("version 1")
            return
        with pytest.raises(error) as caught:
            client.heartbeat()
        assert told in (caught.value.hint or "")

    def test_a_locked_account_is_left_alone(self, open_: Open) -> None:
        client, simulator = open_({"password": "wrong"}, lock_after=5)
        for _ in range(4):
            with pytest.raises(AuthenticationError):
                client.lookup(UNKNOWN_MAC)
        assert simulator.failed_logins == 1


class TestLookups:
    @pytest.mark.parametrize("form", ["any", "lower", "upper", "bare"])
    def test_the_heartbeat_finds_out_how_addresses_are_written(self, open_: Open, form: Any) -> None:
        client, simulator = open_(mac_search=form)
        client.heartbeat()
        found = client.lookup(Mac(DEVICE.wifi_mac or ""))
        assert found is not None
        assert (found.guid, found.user) == (DEVICE.guid, DEVICE.username)
        simulator.requests.clear()
        assert client.lookup(UNKNOWN_MAC) is None
        assert simulator.requests.count("query=wifiMacAddress") == 1

    def test_without_a_device_all_ways_are_tried(self, open_: Open) -> None:
        client, simulator = open_()
        simulator.fleet = FLEET.without(*FLEET)
        client.heartbeat()
        simulator.fleet = FLEET
        assert client.lookup(Mac(DEVICE.wifi_mac or "")) is not None
        simulator.requests.clear()
        assert client.lookup(UNKNOWN_MAC) is None
        assert simulator.requests.count("query=wifiMacAddress") == 3

    def test_names_of_users_cost_a_request_that_can_be_saved(self, open_: Open) -> None:
        client, simulator = open_({"users": False})
        client.heartbeat()
        simulator.requests.clear()
        found = client.lookup(Guid(DEVICE.guid))
        assert found is not None
        assert found.user is None
        assert len(simulator.requests) == 2
        named = client.lookup(Username(DEVICE.username))
        assert named is not None
        assert named.user == DEVICE.username

    def test_links_may_have_a_host_inside_the_company(self, open_: Open) -> None:
        client, simulator = open_(link_host="server01:18084")
        found = client.lookup(Guid(DEVICE.guid))
        assert found is not None
        assert found.user == DEVICE.username
        assert {request.host.partition(":")[0] for request in simulator.requests} == {"127.0.0.1"}

    @pytest.mark.parametrize("key", [Udid("a,b"), Udid("a=b"), Username("jane*"), Username("a<b")])
    def test_what_a_query_gives_a_meaning_to_is_refused(self, open_: Open, key: Key) -> None:
        client, simulator = open_()
        client.heartbeat()
        simulator.requests.clear()
        with pytest.raises(InvalidIdentifierError):
            client.lookup(key)
        assert len(simulator.requests) == 0

    def test_a_guid_of_another_vendor_is_not_asked_for(self, open_: Open) -> None:
        client, simulator = open_()
        client.heartbeat()
        simulator.requests.clear()
        assert client.lookup(Guid("1234567")) is None
        assert simulator.requests.count("query=") == 0

    def test_an_ignored_query_is_told(self, open_: Open) -> None:
        client, simulator = open_()
        client.heartbeat()
        simulator.behave(ignore_filter=True)
        for key in (Guid("99999999-0000-4000-8000-000000000099"), Udid("no-such-udid"), Username("no.body")):
            with pytest.raises(FilterIgnoredError):
                client.lookup(key)
        found = client.lookup(Guid(DEVICE.guid))
        assert found is not None
        assert (found.guid, found.compliance.state) == (DEVICE.guid, simulator.verdict(DEVICE))

    def test_an_answer_about_another_device_is_told(self, open_: Open) -> None:
        client, simulator = open_()
        client.heartbeat()
        simulator.behave(wrong_device=True)
        for key in (Guid(DEVICE.guid), Udid(DEVICE.udid), Username(DEVICE.username)):
            with pytest.raises(FilterIgnoredError):
                client.lookup(key)

    def test_a_record_without_identifiers_is_no_pass(self, open_: Open) -> None:
        client, simulator = open_()
        client.heartbeat()
        simulator.behave(no_identifiers=True)
        passing = next(one for one in FLEET if one.registered and simulator.verdict(one) == "compliant")
        found = client.lookup(Udid(passing.udid))
        assert found is not None
        assert found.compliance.state == "unknown"

    @pytest.mark.parametrize("version", [1, 2, 3])
    def test_every_version_of_the_endpoint_judges(self, open_: Open, version: Any) -> None:
        client, simulator = open_(ise_version=version)
        # Version 1 knows no UDID, so that a device without an address stays unknown.
        for device in [one for one in FLEET if one.registered and one.wifi_mac][:12]:
            found = client.lookup(Guid(device.guid))
            assert found is not None
            assert found.compliance.state == simulator.verdict(device)
            assert found.last_check_in == simulator.check_in(device)

    def test_an_unknown_imei_is_asked_for_in_two_spellings(self, open_: Open) -> None:
        client, simulator = open_()
        client.heartbeat()
        simulator.requests.clear()
        assert client.lookup(Imei("350000000000017")) is None
        assert next(dict(request.query)["query"] for request in simulator.requests) == "imei=350000000000017"


class TestLists:
    @pytest.mark.parametrize("version", [1, 2, 3])
    def test_the_noncompliant_list_joins_both(self, open_: Open, version: Any) -> None:
        client, simulator = open_(ise_version=version, page_cap=20)
        listed = [device.guid for device in client.noncompliant()]
        assert len(listed) == len(set(listed))
        assert set(listed) >= truth(simulator)

    def test_without_the_endpoint_it_is_the_compromised_ones(self, open_: Open) -> None:
        client, simulator = open_(ise=False)
        listed = {device.guid for device in client.noncompliant()}
        assert listed == truth(simulator) == {one.guid for one in FLEET if one.registered and one.jailbroken}

    def test_a_row_that_no_record_belongs_to_is_listed_too(self, open_: Open) -> None:
        client, simulator = open_()
        simulator.behave(no_identifiers=True)  # so that nothing can be joined
        told = {one.serial_number for one in FLEET if one.guid in truth(simulator) and not one.jailbroken}
        assert {device.serial_number for device in client.noncompliant()} >= told

    @pytest.mark.parametrize("changes", [{"sorts": False}, {"totals": False}, {"total_name": "count"}])
    def test_the_inventory_is_whole_however_it_is_given(self, open_: Open, changes: dict[str, Any]) -> None:
        client, _ = open_(page_cap=7, **changes)
        listed = [device.guid for device in client.devices()]
        assert sorted(filter(None, listed)) == sorted(one.guid for one in FLEET if one.registered)

    def test_rules_let_nobody_pass_whom_the_endpoint_lists(self, open_: Open) -> None:
        rules = {"source": "rules", "rules": {"registered": True}}
        client, simulator = open_({"compliance": rules})
        assert {device.guid for device in client.noncompliant()} == truth(simulator)


def test_the_authority_of_the_installation_has_to_be_trusted(tmp_path: Path) -> None:
    authority = trustme.CA()
    chain = authority.issue_cert("127.0.0.1")
    files = [tmp_path / name for name in ("cert.pem", "key.pem", "ca.pem")]
    chain.cert_chain_pems[0].write_to_path(files[0])
    chain.private_key_pem.write_to_path(files[1])
    authority.cert_pem.write_to_path(files[2])
    with serve(BlackBerrySimulator(FLEET), tls=TlsFiles(*files)) as running:
        given = {name: value for name, value in running.settings.items() if name not in {"provider", "tls"}}
        with open_client(make_provider("blackberry", given), "sync") as client:
            with pytest.raises(TlsError) as caught:
                client.heartbeat()
            assert "ca_file" in (caught.value.hint or "")
        trusting = make_provider("blackberry", {**given, "tls": {"ca_file": str(files[2])}})
        with open_client(trusting, "sync") as client:
            assert client.heartbeat().version


ASKED = [
    ("/devices?query=serialNumber=1", "devices", 400),
    ("/devices?query=guid", "devices", 400),
    ("/devices?max=1001", "devices", 400),
    ("/devices?sortBy=compromised", "devices", 400),
    ("/devices?filter=x", "devices", 400),
    ("/devices", "device", 406),
    (f"/devices/{DEVICE.guid}", "device", 404),
    ("/users?query=email=x", "users", 400),
    ("/users/no-such-user", "userdetail", 404),
    ("/users?query=username=a*", "users", 200),
    ("/devices?max=1&includeTotal=false", "devices", 200),
]


def test_the_simulator_refuses_what_it_does_not_implement() -> None:
    kind = "application/vnd.blackberry.{}-v1+json".format
    account = {"provider": "LOCAL", "username": "mdmsdk-reader", "password": "c2ltdWxhdGVkLXBhc3N3b3Jk"}
    with serve(BlackBerrySimulator(FLEET, line="bare")) as running, lib.Client() as http:
        api = f"{running.settings['base_url']}/S00000001/api/v1"
        assert http.post(f"{api}/util/authorization", json=account).status_code == 415
        typed = {"Content-Type": kind("authorizationrequest")}
        line = http.post(f"{api}/util/authorization", json=account, headers=typed).text
        for path, accept, status in ASKED:
            answer = http.get(api + path, headers={"Authorization": line, "Accept": kind(accept)})
            assert answer.status_code == status, path
            assert "totalMatches" not in answer.text
            assert http.get(api + path, headers={"Accept": kind(accept)}).status_code == 401, path


def test_a_directory_finds_serial_numbers() -> None:
    with serve(BlackBerrySimulator(FLEET)) as running, ExitStack() as stack:
        given = {**running.settings}
        client = stack.enter_context(
            open_client(make_provider(given.pop("provider"), given), "sync", server="uem")
        )
        store = Store()
        federation = open_federation([client], "sync", store=store, directory=DirectorySettings())
        stack.enter_context(federation)
        federation.directory.build(full=True)
        running.simulator.requests.clear()
        answer = federation.lookup(Serial(DEVICE.serial_number))
        assert answer.device.guid == DEVICE.guid
        assert answer.device.compliance.state == running.simulator.verdict(DEVICE)
        assert len(running.simulator.requests) == 3
        assert federation.lookup(Serial("NOSUCHSERIAL9")).device is None
