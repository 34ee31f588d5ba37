"""Lookups, lists and logins against the simulator with its bad habits, and the settings."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from mdmsdk.errors import (
    AuthenticationError,
    ConfigurationError,
    EndpointNotFoundError,
    FilterIgnoredError,
    IncompleteListError,
    InvalidIdentifierError,
    MalformedResponseError,
    MdmError,
    PermissionDeniedError,
    TokenError,
)
from mdmsdk.identifiers import DeviceId, Guid, Hostname, Key, Mac, Serial
from mdmsdk.models import ServerInfo
from mdmsdk.simulator import Fleet, serve
from mdmsdk.testing import open_client
from mdmsdk.testing.playing import play
from mdmsdk.wire import Request, Response
from mdmsdk_configmgr import ConfigMgrProvider, ConfigMgrSettings, KerberosLogin
from mdmsdk_configmgr.records import SiteDescription
from mdmsdk_configmgr.simulator import ConfigMgrSimulator
from mdmsdk_configmgr.simulator.records import is_blocked, smbios_guid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdmsdk.testing import Modal

FLEET = Fleet.generate(60, seed=3)
POLICY = {"timeout": 5.0, "deadline": 10.0, "attempts": 1}


@contextmanager
def site(changes: dict[str, Any] | None = None, **habits: Any) -> Iterator[tuple[Modal, ConfigMgrSimulator]]:
    """A client of a simulator with some habits; `changes` are settings beside those that it gives."""
    with ExitStack() as stack:
        running = stack.enter_context(serve(ConfigMgrSimulator(FLEET, **habits)))
        given = {"policy": POLICY, **running.settings, **(changes or {})}
        given.pop("provider")
        given = {name: value for name, value in given.items() if value is not None}
        provider = ConfigMgrProvider(ConfigMgrSettings(**given))
        yield stack.enter_context(open_client(provider, "sync")), running.simulator


def good() -> Any:
    return next(
        one for one in FLEET if one.registered and one.last_check_in and one.compliance == "compliant"
    )


# --- refusals ---


def test_missing_rights_are_never_an_unknown_device() -> None:
    with site() as (client, simulator):
        client.heartbeat()
        simulator.behave(wmi_rights=False)
        for key in (
            Hostname(good().hostname),
            Hostname("PC-NOBODY"),
            Mac("00:00:5E:00:53:77"),
            DeviceId("9"),
        ):
            with pytest.raises(PermissionDeniedError) as caught:
                client.lookup(key)
            assert caught.value.status == 404
            assert "SMS Admins" in str(caught.value.hint)
            assert len(key.value) < 2 or key.value not in f"{caught.value} {caught.value.hint}"
        with pytest.raises(PermissionDeniedError):
            list(client.noncompliant())


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error":{"code":"404","message":"Access denied  WMI QUERY: "}}', PermissionDeniedError),
        (b'{"error":{"code":"404","message":"ODataParameterReader: PC-0007"}}', EndpointNotFoundError),
        (b"<html><body>Not Found</body></html>", EndpointNotFoundError),
        (b"", EndpointNotFoundError),
    ],
)
def test_no_404_is_an_empty_answer(body: bytes, kind: type[MdmError]) -> None:
    provider = ConfigMgrProvider(
        ConfigMgrSettings(base_url="https://cm01.example.com", kerberos=KerberosLogin())
    )
    with pytest.raises(kind) as caught:
        provider.check(Response(404, {}, body, "https://cm01.example.com/AdminService/wmi/SMS_R_System"))
    assert type(caught.value) is kind
    assert "PC-0007" not in str(caught.value)


@pytest.mark.parametrize("habits", [{"scope": False}, {"role": False}, {"wmi_rights": False}])
def test_an_account_that_sees_nothing_is_told_at_the_heartbeat(habits: dict[str, Any]) -> None:
    with site(None, **habits) as (client, _), pytest.raises(PermissionDeniedError) as caught:
        client.heartbeat()
    assert "Read-only Analyst" in str(caught.value.hint)


def test_collections_that_are_lost_later_are_no_unknown_device_and_no_empty_list() -> None:
    with site() as (client, simulator):
        client.heartbeat()
        simulator.behave(scope=False)
        for ask in (
            lambda: client.lookup(Hostname(good().hostname)),
            lambda: client.lookup(Mac("00:00:5E:00:53:77")),
            lambda: list(client.noncompliant()),
        ):
            with pytest.raises(PermissionDeniedError, match="sees no device"):
                ask()


@pytest.mark.parametrize("links", [True, False])
def test_an_answer_that_was_cut_hides_no_baseline(links: bool) -> None:
    with site() as (client, _):
        names = client.heartbeat().extra["baselines"]
    assert len(names) > 1
    with site(page_cap=2, links=links) as (client, simulator):
        assert client.heartbeat().extra["baselines"] == names
        for device in FLEET:
            if device.registered and device.last_check_in and device.compliance != "compliant":
                found = client.lookup(DeviceId(simulator.identifiers(device)["id"]))
                assert found is None or found.compliance.state != "compliant"


def test_a_computer_that_only_inventory_shows_is_not_unknown() -> None:
    provider = ConfigMgrProvider(
        ConfigMgrSettings(base_url="https://cm01.example.com", token_provider=lambda: "token-of-tests")
    )
    info = ServerInfo(description=SiteDescription(baselines=(), arrays=True))

    def answer(request: Request) -> str:
        if "SMS_G_System" not in request.url:
            return '{"value": []}'
        return '{"value": [{"ResourceID": 7, "MACAddress": "00:00:5E:00:53:77", "SerialNumber": "SN0017"}]}'

    for key in (Mac("00:00:5E:00:53:77"), Serial("SN0017")):
        found = play(provider.find_batch(info, [key]), answer, provider=provider)
        assert isinstance(found[key], MalformedResponseError)


# --- queries ---


@pytest.mark.parametrize("sign", ["\\", '"', "\\'", "' or Name eq '"])
def test_a_key_cannot_leave_its_quotes(sign: str) -> None:
    with site() as (client, simulator):
        client.heartbeat()
        simulator.requests.clear()
        try:
            assert client.lookup(Hostname(f"PC{sign}7")) is None
        except InvalidIdentifierError:
            assert len(simulator.requests) == 0
        else:
            assert not {"\\", '"'} & set(sign)


def test_every_spelling_of_an_address_and_of_a_guid_is_found() -> None:
    with site() as (client, _):
        seen = [one for one in FLEET if one.registered and one.last_check_in and one.mac_addresses]
        hyphened = next(one for one in seen if one.id % 5 == 0 and one.dock_mac is None)
        turned = next(one for one in seen if one.id % 4 == 0)
        for one, key in (
            (hyphened, Mac(hyphened.mac_addresses[0])),
            (turned, Guid(str(smbios_guid(turned)))),
            (turned, Guid(turned.guid)),
        ):
            found = client.lookup(key)
            assert found.id == str(one.id)
            assert key in found.shown(type(key))


def test_an_address_of_a_dock_is_found_in_the_inventory_alone() -> None:
    docked = next(one for one in FLEET if one.dock_mac and len(FLEET.by_mac(one.dock_mac)) == 1)
    with site(arrays=False) as (client, simulator):
        assert client.lookup(Mac(str(docked.dock_mac))).id == str(docked.id)
        assert client.lookup(Mac("00:00:5E:00:53:77")) is None
        asked = [dict(request.query).get("$filter", "") for request in simulator.requests]
        assert sum("/any(" in text for text in asked) == 1


def test_an_ignored_filter_is_told() -> None:
    with site() as (client, simulator):
        client.heartbeat()
        simulator.behave(ignore_filter=True)
        one = good()
        keys: list[Key] = [Hostname(one.hostname), Mac(one.mac_addresses[0]), Serial(one.serial_number)]
        keys += [Guid(str(smbios_guid(one))), DeviceId(str(one.id))]
        for key in keys:
            with pytest.raises(FilterIgnoredError):
                client.lookup(key)
        with pytest.raises((FilterIgnoredError, IncompleteListError)):
            list(client.noncompliant())


@pytest.mark.parametrize("links", [False, True])
@pytest.mark.parametrize("cap", [2, 5])
def test_answers_that_are_cut_hide_nothing(cap: int, links: bool) -> None:
    with site(page_cap=cap, links=links) as (client, simulator):
        names = [Hostname(one.hostname) for one in FLEET]
        for one, result in zip(FLEET, client.lookup_many(names), strict=True):
            if result.error is None:
                assert result.device is not None
                assert result.device.id == str(one.id)
                assert result.device.compliance.state in {simulator.verdict(one), "unknown"}
        assert {int(one.id) for one in client.noncompliant()} == {one.id for one in FLEET.noncompliant()}


# --- baselines ---


@pytest.mark.parametrize("named", ["Windows security", "windows SECURITY"])
def test_the_baselines_of_the_settings_decide(named: str) -> None:
    with site({"baselines": [named]}, blocks=False) as (client, _):
        assert client.heartbeat().extra["baselines"] == ["Windows security"]
        failing = [one for one in FLEET if one.registered and one.compliance == "noncompliant"]
        states = {
            client.lookup(Hostname(one.hostname)).compliance.state for one in failing if one.id % 3 == 0
        }
        assert states == {"compliant"}  # these fail the other baseline
        assert {int(one.id) for one in client.noncompliant()} == {one.id for one in failing if one.id % 3}


@pytest.mark.parametrize("named", ["Nobody's", "Servers", "Old", "ScopeId_1/Baseline_2/3"])
def test_a_baseline_that_can_say_nothing_is_told_at_the_heartbeat(named: str) -> None:
    with site({"baselines": [named]}) as (client, _), pytest.raises(ConfigurationError) as caught:
        client.heartbeat()
    assert "Windows security" in str(caught.value)


def test_a_baseline_may_be_named_by_an_id_of_a_former_revision() -> None:
    with site() as (_, simulator):
        rows = simulator._known()["SMS_ConfigurationBaselineInfo"].rows
        row = next(row for row in rows if row["IsAssigned"])
        former = row["CI_UniqueID"].rpartition("/")[0] + "/1"
    with site({"baselines": former}) as (client, _):
        assert client.heartbeat().extra["baselines"] == [row["LocalizedDisplayName"]]


def test_without_a_baseline_there_is_no_list_and_no_pass() -> None:
    with site(assigned=False) as (client, _):
        assert client.lookup(Hostname(good().hostname)).compliance.state == "unknown"
        with pytest.raises(ConfigurationError) as caught:
            list(client.noncompliant())
        assert "Deploy" in str(caught.value.hint)


def test_a_blocked_client_says_so() -> None:
    with site() as (client, simulator):
        blocked = [
            one for one in FLEET if one.compliance == "compliant" and is_blocked(one, simulator.habits)
        ]
        for one in (one for one in blocked if one.registered):
            verdict = client.lookup(Hostname(one.hostname)).compliance
            assert verdict.state == "unknown"
            assert any("blocked" in reason for reason in verdict.reasons)


# --- logins ---


def test_a_gateway_s_path_is_kept() -> None:
    with site(gateway=True) as (client, simulator):
        assert client.lookup(Hostname(good().hostname)).compliance.state == "compliant"
        paths = {request.path for request in simulator.requests if "/wmi/" in request.path}
        assert all(path.startswith(f"/CCM_Proxy_ServerAuth/{simulator.habits.gateway_id}/") for path in paths)


def test_a_refresh_token_is_used_once_and_handed_on() -> None:
    kept: list[str] = []
    login = {"username": None, "password": None, "refresh_token": "simulated-refresh-token"}
    with site({**login, "on_refresh": kept.append}, rotates=True, token_lifetime=1) as (client, simulator):
        for _ in range(2):
            client.heartbeat()
            simulator._tokens.clear()
        assert len(kept) == len(set(kept)) == 2
        grants = [form["grant_type"] for form in simulator.token_requests]
        assert grants == ["refresh_token"] * 2
        assert all("offline_access" in form["scope"] for form in simulator.token_requests)


def test_a_function_may_give_the_token() -> None:
    login = dict.fromkeys(("username", "password", "tenant_id", "client_id", "resource"))
    asked: list[int] = []

    def give() -> str:
        asked.append(1)
        return "token-of-the-application"

    with site({**login, "token_provider": give}) as (client, simulator):
        simulator._tokens["token-of-the-application"] = float("inf")
        client.heartbeat()
        client.lookup(Hostname(good().hostname))
        assert asked == [1]
        simulator._tokens.clear()
        with pytest.raises(AuthenticationError):
            client.lookup(Hostname(good().hostname))

    def fail() -> str:
        raise RuntimeError("secret-of-msal")

    for provider in (fail, lambda: "", lambda: None):
        settings = ConfigMgrSettings(base_url="https://cm01.example.com", token_provider=provider)
        with pytest.raises(TokenError) as caught:
            play(ConfigMgrProvider(settings).login("api", None), [])
        assert "secret-of-msal" not in f"{caught.value!r}{caught.value.hint}"


def test_an_application_without_a_user_is_refused_in_the_open() -> None:
    with site({"resource": "api://another"}) as (client, _), pytest.raises(TokenError) as caught:
        client.heartbeat()
    assert "without a user" in str(caught.value.hint)


# --- settings ---


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("https://cm01.example.com", "/AdminService_TokenAuth"),
        ("https://cm01.example.com/", "/AdminService_TokenAuth"),
        ("https://cm01.example.com/AdminService_TokenAuth", "/AdminService_TokenAuth"),
        (
            "https://cmg.example.com/CCM_Proxy_ServerAuth/7/AdminService",
            "/CCM_Proxy_ServerAuth/7/AdminService",
        ),
    ],
)
def test_the_path_is_added_where_there_is_none(base: str, path: str) -> None:
    settings = ConfigMgrSettings(base_url=base, token_provider=lambda: "x")
    assert settings.base_url == f"https://{settings.host}{path}"
    by_ticket = ConfigMgrSettings(base_url="https://cm01.example.com", kerberos=KerberosLogin())
    assert by_ticket.base_url == "https://cm01.example.com/AdminService"


@pytest.mark.parametrize("host", ["10.0.0.1", "[2001:db8::1]", "cm01"])
def test_kerberos_wants_the_full_name(host: str) -> None:
    with pytest.raises(ValidationError, match="full name"):
        ConfigMgrSettings(base_url=f"https://{host}", kerberos=KerberosLogin())


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"username": "a", "password": "b"},
        {"kerberos": {}, "username": "a", "password": "b"},
        {
            "tenant_id": "t",
            "client_id": "c",
            "resource": "r",
            "username": "a",
            "password": "b",
            "refresh_token": "x",
        },
        {"tenant_id": "../x", "client_id": "c", "resource": "r", "username": "a", "password": "b"},
    ],
)
def test_one_whole_login_is_wanted(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ConfigMgrSettings.model_validate({"base_url": "https://cm01.example.com", **given})


def test_requests_read_like_microsoft_s_own() -> None:
    settings = ConfigMgrSettings(base_url="https://cm01.example.com", kerberos=KerberosLogin())
    provider = ConfigMgrProvider(settings)
    sent: list[Request] = []

    def answer(request: Request) -> str:
        sent.append(request)
        return '{"value": []}' if "filter" in request.url else _site(request)

    info = play(ConfigMgrProvider(settings).heartbeat(), _site)
    assert play(provider.find(info, Hostname("O'Neil PC")), answer) == []
    assert (
        sent[0]
        .full_url.partition("?")[2]
        .startswith("$filter=%28Name%20eq%20'O''Neil%20PC'%29&$orderby=ResourceId")
    )


def _site(request: Request) -> str:
    row = '{"SiteCode": "P01", "Version": "5.00.9132.1000", "ResourceId": 1}'
    return '{"value": []}' if "Baseline" in request.url else f'{{"value": [{row}]}}'
