"""Hosts, the login, and errors, those with status 200 included."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mdmsdk._run.rules import without_secrets
from mdmsdk.client.build import checked
from mdmsdk.errors import (
    AuthenticationError,
    ConfigurationError,
    MalformedResponseError,
    ResponseError,
    TokenError,
)
from mdmsdk.identifiers import Mac
from mdmsdk.provider import Token
from mdmsdk.simulator import Fleet, serve
from mdmsdk.testing import Played, open_client, play
from mdmsdk.wire import Request, Response
from mdmsdk.words import Secrets
from mdmsdk_maas360 import Maas360Provider, Maas360Settings
from mdmsdk_maas360.settings import HOSTS
from mdmsdk_maas360.simulator import Maas360Simulator
from tests.vendors.relay import unlimited

Make = Callable[..., Maas360Provider]
Reply = Callable[..., Response]


@pytest.mark.parametrize(("digit", "host"), HOSTS.items())
def test_the_billing_id_tells_the_host(make: Make, digit: str, host: str) -> None:
    assert make(billing_id=f"{digit}0000001").settings.base_url == host
    assert make(billing_id=int(f"{digit}0000001")).settings.base_url == host
    own = "https://services.example.com"
    assert make(billing_id=f"{digit}0000001", base_url=own).settings.base_url == own


@pytest.mark.parametrize("billing_id", ["50000001", "90000001"])
def test_other_hosts_are_not_guessed(make: Make, billing_id: str) -> None:
    given = {**make().settings.model_dump(exclude_defaults=True), "billing_id": billing_id}
    del given["base_url"]
    with pytest.raises(ConfigurationError, match="base_url is wanted"):
        checked(Maas360Settings, given, "maas")


@pytest.mark.parametrize("billing_id", ["", "abc", "3000/../1", "3"])
def test_a_billing_id_is_a_number(make: Make, billing_id: str) -> None:
    with pytest.raises(ValueError, match="billing_id"):
        make(billing_id=billing_id, base_url="https://services.example.com")


def test_a_login_sends_what_its_clients_send(make: Make, reply: Reply) -> None:
    provider, sent = make(), Played()
    answer = reply(
        {"authResponse": {"authToken": "T-1", "refreshToken": "R", "errorCode": 0, "errorDesc": ""}}
    )
    token = play(provider.login("api"), [answer], provider=provider, record=sent)
    (request,) = sent.requests
    assert request.url.endswith("/auth-apis/auth/2.0/authenticate/customer/30000001")
    assert request.headers["Accept"] == "application/json"
    assert request.audience is None
    assert json.loads(request.content()[0])["authRequest"]["maaS360AdminAuth"] == {
        "billingID": "30000001",
        "platformID": "3",
        "appID": "com.30000001.api",
        "appVersion": "1.0",
        "appAccessKey": "key-of-tests",
        "userName": "api@example.com",
        "password": "pass-of-tests",
    }
    asked = provider.authorize(Request("GET", provider.settings.base_url), token)
    assert asked.headers["Authorization"] == 'MaaS token="T-1"'
    assert token.expires_in == 3000


@pytest.mark.parametrize("status", [200, 401])
@pytest.mark.parametrize("code", [1002, "1002", 1008, -1, [1], "a long text that quotes what was sent"])
def test_a_refused_login_is_one_whatever_its_status(make: Make, reply: Reply, status: int, code: Any) -> None:
    answer = reply({"authResponse": {"authToken": "T", "errorCode": code, "errorDesc": "No\nsuch"}}, status)
    provider = make()
    with pytest.raises(AuthenticationError) as caught:
        play(provider.login("api"), [answer], provider=provider)
    assert not caught.value.retryable
    assert ("first digit" in (caught.value.hint or "")) == (code == 1008)
    assert "No such" in caught.value.message
    assert "quotes" not in caught.value.message


@pytest.mark.parametrize("told", [{}, {"authToken": ""}, {"authToken": 'a"b'}, {"authToken": None}])
def test_a_login_without_a_token_is_none(make: Make, reply: Reply, told: dict[str, Any]) -> None:
    provider = make()
    with pytest.raises(TokenError):
        play(provider.login("api"), [reply({"authResponse": {"errorCode": 0, **told}})], provider=provider)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"authResponse": {"errorCode": 1007}}, AuthenticationError),
        ({"authResponse": {"errorCode": "1008"}}, AuthenticationError),
        ({"errorCode": 1007, "devices": {"count": 0}}, AuthenticationError),
        ({"devices": {"count": 0, "errorCode": 17}}, ResponseError),
        ({"devices": {"count": 0, "errorCode": [0]}}, ResponseError),
        ({"devices": {"count": 0}, "errors": [{"errorCode": 17}]}, ResponseError),
        ({"devices": {"count": 0, "status": {"told": {"errorCode": 1008}}}}, AuthenticationError),
        (b"I have expired", AuthenticationError),
        (b"<authResponse><errorCode>1007</errorCode></authResponse>", MalformedResponseError),
        ({}, MalformedResponseError),
        ({"devices": ""}, MalformedResponseError),
        ({"devices": {"count": "many"}}, MalformedResponseError),
        ({"devices": {"count": 1, "device": "none"}}, MalformedResponseError),
    ],
)
def test_an_error_with_status_200_is_one(
    make: Make, reply: Reply, info: Callable[..., Any], body: Any, error: type[Exception]
) -> None:
    provider = make()
    with pytest.raises(error):
        play(provider.find(info(), Mac("02:ab:00:00:00:01")), lambda _: reply(body), provider=provider)


@pytest.mark.parametrize("code", [0, "0", ""])
def test_the_code_0_is_no_error(make: Make, reply: Reply, info: Callable[..., Any], code: Any) -> None:
    provider, body = make(), {"errorCode": code, "devices": {"count": 0}}
    assert (
        play(provider.find(info(), Mac("02:ab:00:00:00:01")), lambda _: reply(body), provider=provider) == []
    )


@pytest.mark.parametrize("habits", [{}, {"refusal_status": 401}, {"says_expired": True}])
@pytest.mark.parametrize("mode", ["sync", "asyncio"])
def test_a_token_that_ends_within_a_list_is_renewed(mode: str, habits: dict[str, Any]) -> None:
    simulator = Maas360Simulator(Fleet.generate(60), page_cap=25, **habits)
    with serve(simulator) as running, open_client(unlimited(running), mode) as client:
        devices = iter(client.devices())
        first = next(devices)
        simulator._tokens.clear()
        assert 1 + sum(1 for _ in devices) == len(simulator._devices())
        assert first.id
        assert len(simulator.logins) == 2


def test_a_token_among_the_data_is_hidden(make: Make, reply: Reply) -> None:
    request = make().authorize(Request("GET", "https://services.m3.maas360.com/"), Token("token-of-tests"))
    for told in ("token-of-tests", request.headers["Authorization"]):
        answer = without_secrets(request, reply({"deviceName": told}), Secrets())
        assert b"token-of-tests" not in answer.body


def test_the_first_login_may_fail() -> None:
    simulator = Maas360Simulator(Fleet.generate(12), sleepy=True)
    with serve(simulator) as running, open_client(unlimited(running), "sync") as client:
        assert client.heartbeat().product == "MaaS360"
        assert len(simulator.logins) == 2


def test_a_role_without_devices_is_told() -> None:
    simulator = Maas360Simulator(Fleet.generate(12), may_view_devices=False)
    with serve(simulator) as running, open_client(unlimited(running), "sync") as client:
        with pytest.raises(ResponseError) as caught:
            client.heartbeat()
        assert "Device View" in (caught.value.hint or "")
