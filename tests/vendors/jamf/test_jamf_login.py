"""Getting, prolonging and giving back tokens; what each refusal says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import (
    AuthenticationError,
    EndpointNotFoundError,
    MalformedResponseError,
    MdmError,
    TokenError,
)
from mdmsdk.provider import Token
from mdmsdk.testing import Played, play
from mdmsdk.wire import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from mdmsdk_jamf import JamfProvider

    Make = Callable[..., JamfProvider]

DATE = {"date": "Thu, 15 Jan 2026 12:00:00 GMT"}


def token_answer(**changes: Any) -> bytes:
    given = {
        "access_token": "abc",
        "token_type": "Bearer",
        "expires_in": 60,
        "scope": "api-role:1",
        **changes,
    }
    return json.dumps({name: value for name, value in given.items() if value is not None}).encode()


def user_answer(expires: Any = "2026-01-15T12:30:00.373Z", *, number: int = 1) -> Response:
    token = f"token-{number}"
    return Response(200, DATE, json.dumps({"token": token, "expires": expires}).encode())


def answer(status: int, body: Any = "", path: str = "/api/v1/oauth/token") -> Response:
    content = body if isinstance(body, str) else json.dumps(body)
    return Response(status, {}, content.encode(), f"https://jamf.example.com{path}")


def test_a_client_asks_with_a_form_and_without_a_credential_header(make: Make) -> None:
    record = Played()
    token = play(make().login("api"), [token_answer()], record=record)
    (request,) = record.requests
    assert (request.method, request.full_url) == ("POST", "https://jamf.example.com/api/v1/oauth/token")
    assert request.form == {
        "grant_type": "client_credentials",
        "client_id": "nac",
        "client_secret": "s3cret-word",
    }
    assert request.audience is None
    assert "Authorization" not in request.headers
    assert (token.value, token.scheme, token.expires_in, token.static) == ("abc", "Bearer", 60, False)
    assert "s3cret" not in repr(request)


def test_the_context_path_of_a_server_on_premises_is_kept(make: Make) -> None:
    record = Played()
    play(make(base_url="https://jamf.example.com:8443/jamf").login("api"), [token_answer()], record=record)
    assert record.requests[0].url == "https://jamf.example.com:8443/jamf/api/v1/oauth/token"


def test_an_older_server_has_the_other_path(make: Make) -> None:
    provider, record = make(), Played()
    answers: list[Response | bytes] = [answer(404), token_answer()]
    assert play(provider.login("api"), answers, provider=provider, record=record).value == "abc"
    assert [request.url.partition(".com")[2] for request in record.requests] == [
        "/api/v1/oauth/token",
        "/api/oauth/token",
    ]


def test_a_server_without_either_is_too_old_or_another(make: Make) -> None:
    provider = make()
    with pytest.raises(EndpointNotFoundError) as caught:
        play(provider.login("api"), [answer(404), answer(404)], provider=provider)
    assert "10.49" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b"{}", token_answer(access_token=None), token_answer(access_token=[7])]
    + [token_answer(expires_in=-1)],
)
def test_an_answer_without_a_token_is_none(make: Make, body: bytes) -> None:
    with pytest.raises(TokenError):
        play(make().login("api"), [body])


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"expires": "2026-01-15T12:30:00Z"}'])
def test_an_answer_without_a_users_token_is_none(make: Make, body: bytes) -> None:
    with pytest.raises((TokenError, MalformedResponseError)):
        play(make(username="nac", password="pass-word").login("api"), [body])


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, {"error": "invalid_client", "error_description": "s3cret-word"}, "invalid_client"),
        (401, {"error": "invalid_client"}, "invalid_client"),
        (401, {"httpStatus": 401, "errors": []}, None),
        (403, "<html>", None),
        (400, {"error": {"not": "a word"}}, None),
    ],
)
def test_a_wrong_secret_is_an_error_of_its_own(make: Make, status: int, body: Any, code: str | None) -> None:
    provider = make()
    with pytest.raises(TokenError) as caught:
        play(provider.login("api"), [answer(status, body)], provider=provider)
    assert caught.value.vendor_code == code
    assert caught.value.step == "token"
    assert "client_secret" in (caught.value.hint or "")
    assert "s3cret-word" not in f"{caught.value} {caught.value.hint}"


def test_a_password_goes_into_one_header_of_one_request(make: Make) -> None:
    record = Played()
    token = play(make(username="nac", password="pass-word").login("api"), [user_answer()], record=record)
    (request,) = record.requests
    assert request.headers == {"Authorization": "Basic bmFjOnBhc3Mtd29yZA=="}
    assert request.audience is None
    assert token.value == "token-1"
    assert token.expires_in == pytest.approx(1799.373)


@pytest.mark.parametrize(
    ("expires", "life"),
    [
        ("2026-01-15T12:00:20.3Z", 19.3),
        ("2026-01-15T12:00:20Z", 19.0),
        ("2026-01-15T11:00:00Z", 1.0),
        ("soon", None),
    ],
)
def test_the_end_of_a_token_is_measured_by_the_servers_clock(
    make: Make, expires: str, life: float | None
) -> None:
    token = play(make(username="nac", password="pass-word").login("api"), [user_answer(expires)])
    assert token.expires_in == (life if life is None else pytest.approx(life))


def test_without_the_servers_clock_a_token_is_used_until_it_is_refused(make: Make) -> None:
    body = json.dumps({"token": "t", "expires": datetime.now(UTC).isoformat()})
    assert play(make(username="nac", password="pass-word").login("api"), [body]).expires_in is None


def test_a_users_token_is_prolonged_without_the_password(make: Make) -> None:
    provider, record = make(username="nac", password="pass-word"), Played()
    first = play(provider.login("api"), [user_answer()], record=record)
    token = play(provider.login("api", first), [user_answer(number=2)], record=record)
    assert token.value == "token-2"
    assert record.requests[1].url.endswith("/api/v1/auth/keep-alive")
    assert record.requests[1].headers == {"Authorization": "Bearer token-1"}
    assert not record.requests[1].idempotent


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_token_that_cannot_be_prolonged_is_got_anew(make: Make, status: int) -> None:
    provider, record = make(username="nac", password="pass-word"), Played()
    first = play(provider.login("api"), [user_answer()], record=record)
    refused = answer(status, path="/api/v1/auth/keep-alive")
    token = play(
        provider.login("api", first), [refused, user_answer(number=3)], provider=provider, record=record
    )
    assert token.value == "token-3"
    assert record.requests[2].url.endswith("/api/v1/auth/token")


def test_a_users_token_is_given_back_and_a_clients_is_not(make: Make) -> None:
    record = Played()
    user = make(username="nac", password="pass-word")
    play(user.logout(Token("mine")), [Response(204)], provider=user, record=record)
    play(make().logout(Token("other")), [], record=record)
    (request,) = record.requests
    assert (request.method, request.url.rpartition("/")[2]) == ("POST", "invalidate-token")
    assert request.headers == {"Authorization": "Bearer mine"}


def test_two_causes_of_a_refused_password_are_named(make: Make) -> None:
    provider = make(username="nac", password="pass-word")
    with pytest.raises(AuthenticationError) as caught:
        play(provider.login("api"), [answer(401, {"errors": []}, "/api/v1/auth/token")], provider=provider)
    hint = caught.value.hint or ""
    assert "password is wrong" in hint
    assert "Basic authentication" in hint


def test_an_expired_password_is_named(make: Make) -> None:
    provider = make(username="nac", password="pass-word")
    body = {"httpStatus": 401, "errors": [{"code": "USER_EXPIRED_PASSWORD", "field": None}]}
    with pytest.raises(AuthenticationError) as caught:
        play(provider.login("api"), [answer(401, body, "/api/v1/auth/token")], provider=provider)
    assert "expired" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("status", "path", "words"),
    [
        (403, "/api/v4/computers-inventory?page=0", "Read Computers"),
        (403, "/JSSResource/computers/match/00:11", "Read Computers"),
        (403, "/api/v2/mobile-devices/detail", "Read Mobile Devices"),
        (403, "/api/v3/computer-groups/smart-groups", "Read Smart Computer Groups"),
        (403, "/api/v1/computer-groups", "Read Static Computer Groups"),
        (403, "/api/v2/mobile-device-groups/smart-groups", "Read Smart Mobile Device Groups"),
        (403, "/JSSResource/advancedcomputersearches/id/3", "Read Advanced Computer Searches"),
        (403, "/JSSResource/advancedmobiledevicesearches", "Read Advanced Mobile Device Searches"),
        (
            403,
            "/api/v1/conditional-access/device-compliance-information/computer/3",
            "Read Device Compliance",
        ),
        (403, "/api/v1/something-else", "rotated"),
        (401, "/api/v1/jamf-pro-version", "disabled"),
        (404, "/api/v1/jamf-pro-version", "context path"),
        (400, "/api/v4/computers-inventory?filter=udid", "filter"),
        (414, "/api/v4/computers-inventory?filter=udid", "filter"),
        (500, "/api/v4/computers-inventory?page=1", "damaged"),
        (500, "/api/v1/health-check", "startup-status"),
        (503, "/api/v4/computers-inventory", "startup-status"),
    ],
)
def test_each_refusal_says_what_to_do(make: Make, status: int, path: str, words: str) -> None:
    with pytest.raises(MdmError) as caught:
        make().check(answer(status, "<html><title>Status page</title>", path))
    assert words in (caught.value.hint or "")


def test_the_servers_codes_are_passed_on_and_its_texts_are_not(make: Make) -> None:
    causes = [
        {
            "code": "INVALID_FIELD",
            "description": "00:1B:44:11:3A:B7 is bad",
            "field": "hardware.altMacAddress",
        }
    ]
    with pytest.raises(MdmError) as caught:
        make().check(answer(400, {"errors": causes}, "/api/v4/computers-inventory?filter=x"))
    assert "[INVALID_FIELD: hardware.altMacAddress]" in str(caught.value)
    assert "00:1B" not in f"{caught.value}{caught.value.hint}"


def test_an_address_in_a_path_stays_out_of_the_message(make: Make) -> None:
    with pytest.raises(MdmError) as caught:
        make().check(answer(403, "", "/JSSResource/computers/match/00%3A1B%3A44%3A11%3A3A%3AB7"))
    assert "1B" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    ["", "[]", "7", '"x"', '{"errors": 3}', '{"errors": ["x"]}', '{"errors": [{"code": {"a": 1}}]}', "{"],
)
def test_any_error_body_will_do(make: Make, body: str) -> None:
    for status in (400, 401, 403, 404, 409, 429, 500, 503):
        with pytest.raises(MdmError):
            make().check(answer(status, body, "/api/v1/jamf-pro-version"))
