"""Both logins; and that the authorization line, which holds the password, is shown nowhere."""

from __future__ import annotations

import base64
import json
import logging
import pickle
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk._run.library import lib
from mdmsdk.errors import AuthenticationError, ConfigurationError, MdmError, TokenError
from mdmsdk.identifiers import Mac
from mdmsdk.simulator import Fleet, serve
from mdmsdk.testing import Played, open_client, play
from mdmsdk.testing.record import record
from mdmsdk.wire import Request, Response
from mdmsdk_blackberry.provider import BlackBerryProvider
from mdmsdk_blackberry.settings import BlackBerrySettings
from mdmsdk_blackberry.simulator import BlackBerrySimulator
from tests.vendors.blackberry.conftest import (
    API,
    ISE,
    ISE_PASSWORD,
    MAC,
    OAUTH,
    PASSWORD,
    ROW,
    Server,
    line_of,
    make,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mdmsdk.provider import Token
    from mdmsdk.testing import Modal

PASSWORD_64 = base64.b64encode(PASSWORD.encode()).decode()
LINE = line_of()
# The line, what is in it, and the password in every form in which it travels.
SECRETS = (PASSWORD, PASSWORD_64, LINE, LINE.partition(" ")[2], ISE_PASSWORD)


def assert_hidden(*shown: object) -> None:
    for one in shown:
        text = one if isinstance(one, str) else f"{one} {one!r}"
        if isinstance(one, MdmError):
            text += f" {one.hint} {vars(one)} {getattr(one, '__notes__', '')}"
        for form in (text, *(_decoded(text))):
            for secret in SECRETS:
                assert secret not in form


def _decoded(text: str) -> Iterator[str]:
    """The texts that stand in Base64 in a text."""
    for word in text.replace('"', " ").split():
        try:
            yield base64.b64decode(word, validate=True).decode()
        except ValueError:
            continue


class TestLine:
    @pytest.mark.parametrize("written", ["{}", "{}\n", "{}\r\n", '"{}"', ' "{}" \n'])
    def test_it_is_sent_as_it_came(self, written: str) -> None:
        provider, record = make(), Played()
        token: Token = play(provider.login("api"), [written.format(LINE)], provider=provider, record=record)
        (asked,) = record.requests
        assert (asked.method, asked.full_url) == ("POST", f"{API}/util/authorization")
        assert asked.headers["Content-Type"] == "application/vnd.blackberry.authorizationrequest-v1+json"
        told = {"provider": "LOCAL", "username": "reader", "password": PASSWORD_64}
        assert json.loads(asked.body or b"") == told
        assert provider.authorize(asked, token).headers["Authorization"] == LINE
        assert (token.static, token.expires_in) == (False, None)

    def test_a_directory_account_names_its_domain(self) -> None:
        provider, record = make(domain="ACME"), Played()
        play(provider.login("api"), [LINE], record=record)
        told = json.loads(record.requests[0].body or b"")
        assert (told["provider"], told["domain"]) == ("AD", "ACME")

    @pytest.mark.parametrize(
        "body",
        [
            "",
            "besng-basic",
            "Basic abcd",
            f"{LINE} more",
            "<html>Sign in</html>",
            '{"a": 1}',
            f"{LINE}\n{LINE}",
        ],
    )
    def test_what_is_no_line_is_no_login(self, body: str) -> None:
        provider = make()
        with pytest.raises(TokenError) as caught:
            play(provider.login("api"), [body], provider=provider)
        assert caught.value.hint
        assert_hidden(caught.value)

    def test_400_is_a_refused_login_and_is_not_tried_again(self) -> None:
        provider = make()
        body = json.dumps({"id": "r-1", "subStatusCode": "INVALID", "message": f"no {PASSWORD_64}"}).encode()
        with pytest.raises(AuthenticationError) as caught:
            play(provider.login("api"), [Response(400, {}, body)], provider=provider)
        assert (caught.value.status, caught.value.request_id, caught.value.retryable) == (400, "r-1", False)
        assert "locked" in (caught.value.hint or "")
        assert_hidden(caught.value)


class TestOAuth:
    def test_the_client_goes_by_basic_with_an_encoded_secret(self) -> None:
        provider, record = BlackBerryProvider(BlackBerrySettings(**OAUTH)), Played()
        token = play(provider.login("api"), ['{"access_token": "t"}'], provider=provider, record=record)
        (asked,) = record.requests
        assert asked.url == "https://idp.blackberry.com/op/tenant/S12345678/token" == provider.login_url
        assert asked.form == {"grant_type": "client_credentials", "scope": "MDMBWS.All"}
        pair = base64.b64encode(b"app:se%2Fcret%2Bof%20tests").decode()
        assert asked.headers["Authorization"] == f"Basic {pair}"
        # Ten minutes where the service does not say: an hour, as others take it, is refused in mid-list.
        assert (token.scheme, token.value, token.expires_in) == ("Bearer", "t", 600)

    def test_a_refused_client_is_told(self) -> None:
        provider = BlackBerryProvider(BlackBerrySettings(**OAUTH))
        with pytest.raises(TokenError) as caught:
            play(
                provider.login("api"), [Response(401, {}, b'{"error": "invalid_client"}')], provider=provider
            )
        assert caught.value.vendor_code == "invalid_client"
        assert "developer console" in (caught.value.hint or "")


@pytest.mark.parametrize("mode", ["sync", "asyncio"])
@pytest.mark.parametrize("login", ["administrator", "oauth"])
def test_a_credential_that_ends_in_mid_list_is_got_anew(mode: str, login: Any) -> None:
    simulator = BlackBerrySimulator(Fleet.generate(60, seed=3), login=login, page_cap=8, credential_uses=4)
    with serve(simulator) as running:
        given = {name: value for name, value in running.settings.items() if name != "provider"}
        with open_client(BlackBerryProvider(BlackBerrySettings(**given)), mode) as client:
            listed = {device.guid for device in client.devices()}
    assert listed == {device.guid for device in simulator.fleet if device.registered}
    assert simulator.lines_issued + simulator.tokens_issued == 3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"password": None}, "one login is wanted"),
        ({"client_id": "a"}, "one login is wanted"),
        ({"tenant": "../S1"}, "tenant"),
        ({"ise_username": "a"}, "belong together"),
        ({"ise_password": "a"}, "belong together"),
        ({"ise_username": "a:b", "ise_password": "a"}, "colon"),
    ],
)
def test_settings_are_checked(changes: dict[str, Any], told: str) -> None:
    from mdmsdk.client.build import make_provider

    with pytest.raises(ConfigurationError, match=told):
        make_provider("blackberry", {**make().settings.model_dump(exclude_unset=True), **changes})


class TestSecrets:
    """The line is the password in another form: what is not to be shown of the one is not of the other."""

    def test_token_settings_and_requests_do_not_show_it(self, token: Token) -> None:
        provider, record = make(**ISE), Played()
        play(provider.login("api"), [LINE], provider=provider, record=record)
        asked = provider.authorize(record.requests[0], token)
        assert_hidden(token, asked, record.requests[0], provider, provider.settings)
        assert_hidden(provider.settings.model_dump_json(), str(provider.settings.model_dump()))
        for one in (provider.settings, provider.settings.ise):
            with pytest.raises(TypeError):
                pickle.dumps(one)

    @pytest.mark.parametrize("mode", ["sync", "asyncio"])
    @pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 500])
    def test_a_server_that_repeats_it_shows_it_to_nobody(
        self, mode: str, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        with _echoing(mode, status) as client:
            for call in (lambda: client.lookup(Mac(MAC)), lambda: list(client.noncompliant())):
                try:
                    assert_hidden(call())
                except MdmError as error:
                    assert_hidden(error)
                    _assert_frames_hidden(error)
            last = client.wrapped.last_response
            assert_hidden(client.wrapped)
            if last is not None:
                assert_hidden(last, last.text, str(last.headers), last.url)
        for logged in caplog.records:
            assert_hidden(logged.getMessage(), logged.exc_text or "")

    @pytest.mark.parametrize("mode", ["sync", "asyncio"])
    def test_no_dump_of_a_device_holds_it(self, mode: str) -> None:
        with _echoing(mode, 200) as client:
            device = client.lookup(Mac(MAC))
            assert device is not None
            assert_hidden(device, device.model_dump_json(), str(device.raw), str(device.flat()))

    def test_the_simulator_keeps_no_line(self) -> None:
        with serve(BlackBerrySimulator(Fleet.generate(20), password=PASSWORD)) as running:
            given = {name: value for name, value in running.settings.items() if name != "provider"}
            with open_client(BlackBerryProvider(BlackBerrySettings(**given)), "sync") as client:
                client.heartbeat()
            log = [*running.simulator.requests]
        assert any(request.has_credentials for request in log)
        assert_hidden(str(log))

    def test_no_cassette_holds_it(self, tmp_path: Path) -> None:
        simulator = BlackBerrySimulator(Fleet.generate(3), password=PASSWORD, ise_password=ISE_PASSWORD)
        with serve(simulator) as running:
            given = {name: value for name, value in running.settings.items() if name != "provider"}
            provider = BlackBerryProvider(BlackBerrySettings(**given))
            record(provider, [f"guid:{simulator.fleet[0].guid}"], tmp_path, "a simulator")
        for path in tmp_path.iterdir():
            text = path.read_text(encoding="utf-8")
            assert_hidden(text)
            assert ("besng-basic redacted" in text) is (path.suffix == ".yaml")


@contextmanager
def _echoing(mode: str, status: int) -> Iterator[Modal]:
    """A client of a server that repeats credentials in everything but the answer to a login."""
    server = Server({**ROW, "note": f"{LINE} {PASSWORD_64}", "hardwareName": PASSWORD})

    def answer(asked: Any) -> Any:
        url = str(asked.url)
        if "/util/" in url:
            return lib.Response(200, text=LINE)
        echo = f"{asked.headers.get('authorization')} {PASSWORD} {PASSWORD_64}"
        if status == 200:
            good = server(Request("GET", url))
            body = good if isinstance(good, str) else good.text
            return lib.Response(200, text=body, headers={"x-request-id": echo})
        body = json.dumps({"id": echo, "subStatusCode": PASSWORD_64, "message": echo})
        return lib.Response(status, text=body, headers={"x-request-id": echo, "retry-after": "0"})

    kind = lib.Client if mode == "sync" else lib.AsyncClient
    http = kind(transport=lib.MockTransport(answer))
    quick = {"attempts": 1, "breaker_failures": 0}
    with open_client(make(keep_raw=True, policy=quick), mode, server="echo", http=http) as client:
        yield client
        client.run(http.close if mode == "sync" else http.aclose)


def _assert_frames_hidden(error: BaseException) -> None:
    trace = error.__traceback__
    while trace is not None:
        names = trace.tb_frame.f_globals.get("__name__", "")
        if names.startswith("mdmsdk_blackberry"):
            assert_hidden(str(trace.tb_frame.f_locals))
        trace = trace.tb_next
