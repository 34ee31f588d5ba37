"""Logins: one way is filled in whole, tokens are read strictly, and nothing is kept but in the token."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr, ValidationError

from mdmsdk.errors import ConfigurationError, TokenError
from mdmsdk.logins import (
    ApiKeyLogin,
    BasicLogin,
    CertificateKey,
    ClientCredentials,
    RefreshToken,
    api_key,
    basic,
    client_credentials,
    password_grant,
    refresh,
)
from mdmsdk.provider import Token, basic_token
from mdmsdk.settings import ProviderSettings, secret_values
from mdmsdk.testing import Played, play
from mdmsdk.wire import Response

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://login.example/token"
SECRET = "correct-horse-battery"


class Both(BasicLogin, ClientCredentials, ApiKeyLogin, ProviderSettings):
    logins = (("username", "password"), ("client_id", "client_secret"), ("api_key",))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"username": "a"},
        {"username": "a", "password": " "},
        {"client_secret": "x"},
        {"username": "a", "password": "b", "api_key": "c"},
        {"username": "a", "password": "b", "client_id": "c"},
    ],
)
def test_one_login_is_wanted_whole(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="one login is wanted: username and password, or client_id"):
        Both(base_url="https://mdm.example", **given)


@pytest.mark.parametrize("bad", ["", " ", "two words", "line\r\nbreak", "\u00e9", "nul\x00"])
def test_a_key_that_no_header_can_carry_is_refused(bad: str) -> None:
    for kind, name in ((ApiKeyLogin, "api_key"), (RefreshToken, "refresh_token")):
        with pytest.raises(ValidationError, match=name):
            kind.model_validate({name: bad})
    assert secret_values(ApiKeyLogin.model_validate({"api_key": f" {SECRET}\n"})) == [SECRET]


def test_static_credentials_cost_no_request() -> None:
    settings = Both(base_url="https://mdm.example", username="a", password=SecretStr("b"))
    assert basic(settings) == basic_token("a", "b")
    key = api_key(ApiKeyLogin(api_key=SecretStr(SECRET)), scheme="Token")
    assert (key.value, key.scheme, key.static) == (SECRET, "Token", True)


CLIENT = ClientCredentials(client_id="reader", client_secret=SecretStr(SECRET))


def test_client_credentials_are_in_the_form_and_the_token_is_read() -> None:
    record = Played()
    body = '{"access_token": "t", "expires_in": "120", "refresh_token": "next"}'
    token = play(client_credentials(URL, CLIENT, form={"scope": "read"}), [body], record=record)
    assert (token.value, token.expires_in, token.static) == ("t", 120, False)
    assert token.extra == SecretStr("next")
    (request,) = record.requests
    assert request.audience is None
    assert request.form == {
        "grant_type": "client_credentials",
        "client_id": "reader",
        "client_secret": SECRET,
        "scope": "read",
    }


def test_a_password_grant_may_need_the_clients_own_credential() -> None:
    record = Played()
    account = BasicLogin(username="admin", password=SecretStr(SECRET))
    client = basic_token("app", "key")
    token = play(password_grant(URL, account, client=client), ['{"access_token": "t"}'], record=record)
    assert token.expires_in == 3600
    assert record.requests[0].headers["Authorization"] == f"Basic {client.value}"
    assert (record.requests[0].form or {})["username"] == "admin"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"access_token": ""}',
        b'{"access_token": ["t"]}',
        b'{"access_token": null}',
    ]
    + [b'{"access_token": "a\\nb"}', b'{"access_token": "t", "expires_in": -1}'],
)
def test_what_is_no_token_is_told(body: bytes) -> None:
    with pytest.raises(TokenError):
        play(client_credentials(URL, CLIENT), [body])


def test_a_refusal_names_the_word_and_no_secret() -> None:
    body = json.dumps({"error": "invalid_client", "error_description": f"{SECRET} is wrong"}).encode()
    with pytest.raises(TokenError) as caught:
        play(client_credentials(URL, CLIENT), [Response(401, {}, body, URL)])
    assert caught.value.vendor_code == "invalid_client"
    assert SECRET not in caught.value.message


class Keeper:
    """An application that stores refresh tokens, but now and then fails."""

    def __init__(self, *failures: int) -> None:
        self.kept: list[str] = []
        self._calls = 0
        self._failures = failures

    def __call__(self, text: str) -> None:
        self._calls += 1
        if self._calls in self._failures:
            raise OSError(SECRET)
        self.kept.append(text)


def rotate(keeper: Keeper, previous: Token | None, following: str | None) -> tuple[Token, str]:
    """The next token, and the refresh token that it cost."""
    record = Played()
    settings = RefreshToken(refresh_token=SecretStr("first"), on_refresh=keeper)
    answer: dict[str, Any] = {"access_token": "t", "expires_in": 60, "refresh_token": following}
    token = play(refresh(URL, settings, previous), [json.dumps(answer)], record=record)
    assert not record.requests[0].idempotent
    return token, (record.requests[0].form or {})["refresh_token"]


def test_each_refresh_token_is_stored_before_it_is_used() -> None:
    keeper = Keeper()
    one, cost = rotate(keeper, None, "second")
    assert (cost, keeper.kept, one.rotates) == ("first", ["second"], True)
    two, cost = rotate(keeper, one, "third")
    assert (cost, keeper.kept) == ("second", ["second", "third"])
    assert "second" not in repr(one) + repr(two)


def test_one_that_lasts_is_used_again() -> None:
    keeper = Keeper()
    one, _ = rotate(keeper, None, None)
    assert not one.rotates
    assert rotate(keeper, one, None)[1] == "first"
    assert keeper.kept == []


def test_one_that_could_not_be_stored_is_offered_again_before_it_is_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    keeper = Keeper(1)
    one, _ = rotate(keeper, None, "second")
    assert "could not store" in caplog.text
    assert SECRET not in caplog.text
    assert rotate(keeper, one, "third")[1] == "second"
    assert keeper.kept == ["second", "third"]


def test_it_is_not_used_while_it_cannot_be_stored() -> None:
    keeper = Keeper(1, 2)
    one, _ = rotate(keeper, None, "second")
    with pytest.raises(TokenError, match="could not store") as caught:
        rotate(keeper, one, "third")
    assert SECRET not in caught.value.message
    assert rotate(keeper, one, "third")[1] == "second"


def test_files_that_are_no_certificate_are_told_without_their_contents(tmp_path: Path) -> None:
    file = tmp_path / "login.pem"
    with pytest.raises(ConfigurationError, match="cannot be read"):
        play(CertificateKey(file=file).load(), [])
    file.write_text(f"-----BEGIN CERTIFICATE-----\n{SECRET}\n")
    with pytest.raises(ConfigurationError, match="cannot be opened") as caught:
        play(CertificateKey(file=file, password=SecretStr("x")).load(), [])
    assert SECRET not in caught.value.message
    file.write_bytes(b"\x00" * 40)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        play(CertificateKey(file=file).load(), [])
