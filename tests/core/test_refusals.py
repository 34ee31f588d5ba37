"""Refusals: the first that fits an error answer says what it is; what no table names goes by its status."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mdmsdk.errors import (
    AuthenticationError,
    ConfigurationError,
    EndpointNotFoundError,
    MdmError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    ResponseError,
    ServerError,
    TokenError,
)
from mdmsdk.refusals import Complaint, Refusal, check_status, check_with, oauth_check
from mdmsdk.wire import Response
from tests.core.conftest import TinyProvider, TinySettings

if TYPE_CHECKING:
    from mdmsdk.rows import Row

URL = "https://mdm.example/api/devices?filter=x"


class UnknownError(EndpointNotFoundError):
    """A vendor's own kind."""


REFUSALS = (
    Refusal(404, code="1002", error=UnknownError, means="no such device"),
    Refusal(code=("7", "8"), error=ConfigurationError, means="no such group", hint="Name another."),
    Refusal(403, path=r"/devices\b", hint="Grant Read Devices."),
    Refusal((400, 414), words="too long", hint="Ask for less."),
    Refusal(400, path=r"\?.*filter=", hint="Another filter."),
    Refusal(401, error=PermissionDeniedError, retryable=True),
    Refusal(403, hint="Grant something."),
)


def complaint(_: Response, row: Row) -> Complaint:
    return Complaint(row.text("code") or "", row.text("message") or "", row.text("id"), row.number("wait"))


def refused(status: int, body: Any = b"", url: str = URL, **headers: str) -> MdmError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(MdmError) as caught:
        check_with(REFUSALS, complaint, Response(status, headers, content, url))
    return caught.value


@pytest.mark.parametrize(
    ("status", "body", "kind", "words", "hint"),
    [
        (404, {"code": 1002}, UnknownError, "no such device [1002]", EndpointNotFoundError.hint),
        (404, {"code": 9}, EndpointNotFoundError, "has no such address", EndpointNotFoundError.hint),
        (409, {"code": "8"}, ConfigurationError, "no such group [8]", "Name another."),
        (403, {}, PermissionDeniedError, "denies", "Grant Read Devices."),
        (414, {"message": "It is Too Long"}, ResponseError, "[It is Too Long]", "Ask for less."),
        (400, b"<html>", ResponseError, "refused the request (400)", "Another filter."),
        (401, [], PermissionDeniedError, "refused the credential", PermissionDeniedError.hint),
        (500, {"code": "x" * 61}, ServerError, "failed (500)", ServerError.hint),
    ],
)
def test_the_first_refusal_that_fits_counts(
    status: int, body: Any, kind: type[MdmError], words: str, hint: str
) -> None:
    error = refused(status, body)
    assert type(error) is kind
    assert words in error.message
    assert error.hint == hint
    assert "x" * 61 not in error.message


def test_a_condition_that_fails_lets_the_next_one_decide() -> None:
    assert refused(403, url="https://mdm.example/api/users").hint == "Grant something."
    assert refused(400, url="https://mdm.example/api/users").hint == ResponseError.hint


def test_what_the_server_says_reaches_the_error_and_does_no_harm() -> None:
    error = refused(429, {"id": "r-1", "wait": 7, "message": "slow\x1b[31m down\u202e" + "!" * 999})
    assert isinstance(error, RateLimitedError)
    assert (error.request_id, error.retry_after) == ("r-1", 7)
    assert "\x1b" not in error.message
    assert "\u202e" not in error.message
    assert len(error.message) < 500
    told = refused(503, {"wait": 7}, **{"retry-after": "3"})
    assert isinstance(told, RateLimitedError)
    assert told.retry_after == 3


def test_a_header_names_the_request_where_the_body_does_not() -> None:
    assert refused(500, {}, **{"x-request-id": "abc"}).request_id == "abc"


def test_retryable_is_as_the_refusal_says() -> None:
    assert refused(401).retryable is True
    assert refused(501).retryable is False
    assert refused(502).retryable is True


@pytest.mark.parametrize("status", [200, 204, 203, 302])
def test_a_success_is_not_looked_at_and_a_part_of_one_is_refused(status: int) -> None:
    response = Response(status, {}, b'{"code": 7}', URL)
    if status in {200, 204}:
        assert check_with(REFUSALS, complaint, response, may_be_empty=True) is response
    else:
        with pytest.raises(MdmError, match="no whole answer"):
            check_with(REFUSALS, complaint, response)


def test_a_provider_names_the_addresses_that_may_answer_with_nothing() -> None:
    class Sparse(TinyProvider):
        may_be_empty = r"/search\b"

    provider = Sparse(TinySettings(base_url="https://mdm.example"))
    nothing = Response(204, {}, b"", f"{URL}/search?page=1")
    assert provider.check(nothing).nothing
    assert not Response(200, {}, b"", URL).nothing
    for other in (replace(nothing, url=URL), replace(nothing, url=f"{URL}/searches")):
        with pytest.raises(ProtocolError, match="no whole answer"):
            provider.check(other)


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (
            400,
            {"error": "invalid_client", "error_description": "secret=hunter2"},
            TokenError,
            "invalid_client",
        ),
        (401, b"<html>hunter2</html>", TokenError, None),
        (403, {"error": {"code": "hunter2"}}, TokenError, None),
        (404, {"error": "hunter2 " * 20}, TokenError, None),
        (429, {}, RateLimitedError, None),
        (500, {"error": "server_error"}, ServerError, None),
    ],
)
def test_a_token_service_refuses_in_one_word(
    status: int, body: Any, kind: type[MdmError], code: str | None
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    check = oauth_check(Refusal(code="unauthorized_client", error=TokenError, hint="A"), hint="B")
    with pytest.raises(kind) as caught:
        check(Response(status, {}, content, URL))
    assert "hunter2" not in repr(caught.value) + caught.value.message
    if isinstance(caught.value, TokenError):
        assert (caught.value.vendor_code, caught.value.hint) == (code, "B")


def test_a_token_service_may_have_refusals_of_its_own() -> None:
    check = oauth_check(Refusal(code="invalid_scope", error=AuthenticationError, hint="A"), hint="B")
    with pytest.raises(AuthenticationError) as caught:
        check(Response(400, {}, b'{"error": "invalid_scope"}', URL))
    assert caught.value.hint == "A"


def test_a_refusal_names_the_wait_that_the_server_does_not() -> None:
    often = (Refusal(503, path="devices", error=RateLimitedError, wait=3600),)
    for headers, wait in ({}, 3600), ({"retry-after": "7"}, 7):
        with pytest.raises(RateLimitedError) as caught:
            check_with(often, complaint, Response(503, headers, b"{}", URL))
        assert caught.value.retry_after == wait


def test_an_error_answer_of_another_form_is_an_error_all_the_same() -> None:
    def strict(_: Response, row: Row) -> Complaint:
        return Complaint(row.row("error").text("code") or "")

    with pytest.raises(EndpointNotFoundError):
        check_with(REFUSALS, strict, Response(404, {}, b'{"error": "text"}', URL))


def test_a_method_that_is_not_allowed_comes_with_what_to_do() -> None:
    with pytest.raises(ResponseError, match=r"\(405\)") as caught:
        check_status(Response(405, url="https://mdm.example/x"))
    assert "check base_url" in str(caught.value.hint)
    with pytest.raises(ResponseError) as caught:
        check_with([Refusal(405, hint="as the vendor says")], lambda *_: Complaint(), Response(405))
    assert caught.value.hint == "as the vendor says"
